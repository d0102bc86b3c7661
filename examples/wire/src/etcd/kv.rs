//! The service of keys.

use futures_util::stream::{Empty, empty};
use tokio::sync::oneshot;
use tokio::time::sleep;
use tonic::{Request, Response, Status};

use super::{Etcd, Fate, Member, checks};
use crate::api::{
    CompactionRequest, CompactionResponse, DeleteRequest, DeleteResponse, KvService, PutRequest,
    PutResponse, RangeRequest, RangeResponse, RangeStreamResponse, TxnRequest, TxnResponse,
};

impl Member {
    /// Carries a request out, or whatever else becomes of it. It is a task of its own: what etcd has
    /// proposed it applies, whether its client waits or has gone.
    pub(super) async fn carry_out<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Etcd) -> Result<T, Status> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let etcd = self.etcd.clone();
        let fate = etcd.faults(|faults| faults.of_request(self.number));
        match fate {
            Fate::Refused(status) => Err(status),
            Fate::Done(before, after) if before.is_zero() && after.is_zero() => {
                act(&etcd).map(Response::new)
            }
            Fate::Done(before, after) => {
                let (tell, told) = oneshot::channel();
                tokio::spawn(async move {
                    sleep(before).await;
                    let done = act(&etcd);
                    sleep(after).await;
                    // The client may have gone.
                    let _ = tell.send(done);
                });
                let done = told.await;
                done.unwrap_or_else(|_| Err(super::refusal::timed_out())).map(Response::new)
            }
            Fate::Lost(late, status) => {
                if let Some(late) = late {
                    tokio::spawn(async move {
                        sleep(late).await;
                        let _ = act(&etcd);
                    });
                }
                match status {
                    Some(status) => Err(status),
                    None => std::future::pending().await,
                }
            }
        }
    }
}

#[tonic::async_trait]
impl KvService for Member {
    async fn range(
        &self,
        request: Request<RangeRequest>,
    ) -> Result<Response<RangeResponse>, Status> {
        let request = request.into_inner();
        self.carry_out(move |etcd| {
            checks::key(&request.key)?;
            etcd.write(|transaction| {
                transaction.store.check_revision(request.revision)?;
                Ok(transaction.range(&request))
            })
        })
        .await
    }

    type RangeStreamStream = Empty<Result<RangeStreamResponse, Status>>;

    /// No server of a released version has it.
    async fn range_stream(
        &self,
        _: Request<RangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        let _: Self::RangeStreamStream = empty();
        Err(Status::unimplemented("unknown method RangeStream"))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let request = request.into_inner();
        self.carry_out(move |etcd| etcd.write(|transaction| transaction.only_put(&request))).await
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRequest>,
    ) -> Result<Response<DeleteResponse>, Status> {
        let request = request.into_inner();
        self.carry_out(move |etcd| {
            checks::key(&request.key)?;
            etcd.write(|transaction| Ok(transaction.delete(&request)))
        })
        .await
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        let request = request.into_inner();
        self.carry_out(move |etcd| etcd.write(|transaction| transaction.many(&request))).await
    }

    async fn compact(
        &self,
        request: Request<CompactionRequest>,
    ) -> Result<Response<CompactionResponse>, Status> {
        let request = request.into_inner();
        self.carry_out(move |etcd| etcd.compact_at(&request)).await
    }
}
