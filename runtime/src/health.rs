//! Whether a node makes progress, and whether calls should come to it: one truth for the HTTP probes
//! and for the health service of gRPC.

use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{Stream, unfold};
use greenroom_cluster::{Cluster, Status, StatusPhase};
use greenroom_proto::v1::peer_server::SERVICE_NAME as PEER_SERVICE;
use tonic::{Request, Response, Status as Refusal};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// The name under which the health service tells whether the node makes progress.
const LIVE: &str = "live";
/// How often a watched answer is looked at again. The right to run ends by time, which wakes nobody.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Looks at a node's membership.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    cluster: Cluster,
}

/// Why a node should be started anew.
#[derive(Debug)]
pub(crate) struct NotLive {
    /// `stopped` or `hung`.
    pub(crate) code: &'static str,
    /// In words.
    pub(crate) message: String,
}

/// Whether calls should come to a node.
#[derive(Debug)]
pub(crate) struct Readiness {
    pub(crate) claimed: usize,
    pub(crate) targeted: usize,
    /// Why not; empty when they should.
    pub(crate) reasons: Vec<String>,
}

impl Health {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    /// Why the process should be started anew, if it should: it has left, or a loop without which
    /// nothing goes on hangs. That the store is away is no reason, because a new process would not reach
    /// it either.
    pub(crate) fn not_live(&self) -> Option<NotLive> {
        if let StatusPhase::Stopped(reason) = self.cluster.status().phase {
            let message = reason.unwrap_or_else(|| "the node has left its cluster".to_owned());
            return Some(NotLive { code: "stopped", message });
        }
        let hung = self.cluster.hung();
        (!hung.is_empty()).then(|| NotLive { code: "hung", message: hung.join("; ") })
    }

    /// Whether the node gives its shards away, or has left.
    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.cluster.status().phase, StatusPhase::Draining | StatusPhase::Stopped(_))
    }

    pub(crate) fn readiness(&self) -> Readiness {
        let status = self.cluster.status();
        let mut reasons = why_not_ready(&status, self.cluster.right().holds());
        // A driver that hangs would go on showing what it showed last.
        if !matches!(status.phase, StatusPhase::Stopped(_)) {
            reasons.extend(self.cluster.hung());
        }
        Readiness { claimed: status.claimed, targeted: status.targeted, reasons }
    }

    /// The answer for a service, if there is one of that name.
    fn of(&self, service: &str) -> Option<ServingStatus> {
        let well = match service {
            "" | PEER_SERVICE => self.readiness().reasons.is_empty(),
            LIVE => self.not_live().is_none(),
            _ => return None,
        };
        Some(if well { ServingStatus::Serving } else { ServingStatus::NotServing })
    }

    fn has_ended(&self) -> bool {
        matches!(self.cluster.status().phase, StatusPhase::Stopped(_))
    }
}

fn why_not_ready(status: &Status, right: bool) -> Vec<String> {
    let mut reasons = Vec::new();
    let mut unless = |holds: bool, reason: &str| {
        if !holds {
            reasons.push(reason.to_owned());
        }
    };
    unless(status.synced, "the cluster's state is not loaded, or the store's watch is lost");
    match &status.phase {
        StatusPhase::Active => unless(right, "the node has no right to run: heartbeats fail"),
        StatusPhase::Joining => unless(false, "the node has not joined yet"),
        StatusPhase::Draining => unless(false, "the node gives its shards away"),
        StatusPhase::Stopped(_) => unless(false, "the node has left"),
    }
    unless(status.claimed == status.targeted, "not all targeted shards are claimed");
    reasons
}

/// The health service of gRPC, on the port for peers.
#[derive(Debug)]
pub(crate) struct HealthService(pub(crate) Health);

#[tonic::async_trait]
impl health_server::Health for HealthService {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Refusal> {
        let service = &request.get_ref().service;
        match self.0.of(service) {
            Some(status) => Ok(Response::new(answer(status))),
            None => Err(Refusal::not_found(format!(
                "there are the services \"\", {PEER_SERVICE:?} and {LIVE:?}, and no {service:?}"
            ))),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Refusal>> + Send>>;

    /// The answer now, and again whenever it is another one, until the node has left.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Refusal> {
        let (health, service) = (self.0.clone(), request.into_inner().service);
        let told: Option<ServingStatus> = None;
        let changes = unfold((health, service, told), async |(health, service, told)| {
            loop {
                let now = health.of(&service).unwrap_or(ServingStatus::ServiceUnknown);
                if told != Some(now) {
                    return Some((Ok(answer(now)), (health, service, Some(now))));
                }
                // Or the stream would keep the server from closing.
                if health.has_ended() {
                    return None;
                }
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        });
        Ok(Response::new(Box::pin(changes)))
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
