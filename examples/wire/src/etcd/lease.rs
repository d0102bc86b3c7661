//! The service of leases.

use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{Stream, unfold};
use tokio::time::{Instant, sleep};
use tonic::{Request, Response, Status, Streaming};

use super::{Etcd, Member, header, refusal};
use crate::api::{
    DeleteRequest, LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest,
    LeaseKeepAliveResponse, LeaseLeasesRequest, LeaseLeasesResponse, LeaseRevokeRequest,
    LeaseRevokeResponse, LeaseService, LeaseStatus, LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
};

/// How often leases that are over are looked for.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(500);

impl Etcd {
    /// Ends leases when they are over, for ever.
    pub async fn expire_leases(self) {
        loop {
            sleep(EXPIRY_INTERVAL).await;
            let over = self.read(|_, leases| leases.over());
            over.into_iter().for_each(|id| drop(self.revoke(id)));
        }
    }

    pub(super) fn revoke(&self, id: i64) -> Result<LeaseRevokeResponse, Status> {
        self.write(|transaction| {
            let keys = transaction.leases.revoke(id).ok_or_else(refusal::lease_not_found)?;
            for key in keys {
                transaction.delete(&DeleteRequest { key, ..DeleteRequest::default() });
            }
            Ok(())
        })?;
        Ok(LeaseRevokeResponse { header: header(self.revision()) })
    }

    fn grant(&self, request: LeaseGrantRequest) -> Result<LeaseGrantResponse, Status> {
        let granted = self.shared.state.lock().leases.grant(request.id, request.ttl);
        let (id, ttl) = granted?;
        let error = String::new();
        Ok(LeaseGrantResponse { header: header(self.revision()), id, ttl, error })
    }

    fn time_to_live(&self, request: LeaseTimeToLiveRequest) -> LeaseTimeToLiveResponse {
        self.read(|store, leases| {
            let header = header(store.revision);
            let Some(lease) = leases.get(request.id) else {
                return LeaseTimeToLiveResponse {
                    header,
                    id: request.id,
                    ttl: -1,
                    ..LeaseTimeToLiveResponse::default()
                };
            };
            let left = lease.ends.saturating_duration_since(Instant::now());
            let keys = lease.keys.iter().filter(|_| request.keys).cloned().collect();
            let (id, granted_ttl) = (request.id, lease.ttl);
            LeaseTimeToLiveResponse { header, id, ttl: left.as_secs() as i64, granted_ttl, keys }
        })
    }
}

#[tonic::async_trait]
impl LeaseService for Member {
    async fn lease_grant(
        &self,
        request: Request<LeaseGrantRequest>,
    ) -> Result<Response<LeaseGrantResponse>, Status> {
        let request = request.into_inner();
        self.carry_out(move |etcd| etcd.grant(request)).await
    }

    async fn lease_revoke(
        &self,
        request: Request<LeaseRevokeRequest>,
    ) -> Result<Response<LeaseRevokeResponse>, Status> {
        let id = request.into_inner().id;
        self.carry_out(move |etcd| etcd.revoke(id)).await
    }

    type LeaseKeepAliveStream =
        Pin<Box<dyn Stream<Item = Result<LeaseKeepAliveResponse, Status>> + Send>>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let begin = (self.clone(), request.into_inner());
        let answers = unfold(begin, |(member, mut requests)| async move {
            let id = requests.message().await.ok()??.id;
            let kept = member.carry_out(move |etcd| {
                let ttl = etcd.shared.state.lock().leases.keep_alive(id);
                Ok(LeaseKeepAliveResponse { header: header(etcd.revision()), id, ttl })
            });
            let answer = kept.await.map(Response::into_inner);
            Some((answer, (member, requests)))
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Result<Response<LeaseTimeToLiveResponse>, Status> {
        let request = request.into_inner();
        self.carry_out(move |etcd| Ok(etcd.time_to_live(request))).await
    }

    async fn lease_leases(
        &self,
        _: Request<LeaseLeasesRequest>,
    ) -> Result<Response<LeaseLeasesResponse>, Status> {
        self.carry_out(|etcd| {
            Ok(etcd.read(|store, leases| {
                let leases = leases.ids().map(|id| LeaseStatus { id }).collect();
                LeaseLeasesResponse { header: header(store.revision), leases }
            }))
        })
        .await
    }
}
