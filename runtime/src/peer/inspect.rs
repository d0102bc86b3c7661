//! Read-only questions about the cluster, for operators' tools.

use greenroom_cluster::Cluster;
use greenroom_core::{ActorId, View};
use greenroom_proto::v1::inspect_server::Inspect;
use greenroom_proto::v1::{
    ClusterSnapshot, Leader, Node, PeekReply, PeekRequest, Shard, SnapshotRequest,
};
use tonic::{Request, Response, Status};

use super::Identity;
use crate::router::Router;

/// Tells what this node knows.
pub(crate) struct InspectService {
    identity: Identity,
    cluster: Cluster,
    router: Router,
}

impl InspectService {
    pub(crate) fn new(identity: Identity, cluster: Cluster, router: Router) -> Self {
        Self { identity, cluster, router }
    }
}

#[tonic::async_trait]
impl Inspect for InspectService {
    async fn snapshot(
        &self,
        _request: Request<SnapshotRequest>,
    ) -> Result<Response<ClusterSnapshot>, Status> {
        let view = self.cluster.view().await;
        let view = view.ok_or_else(|| Status::unavailable("the node has left its cluster"))?;
        Ok(Response::new(snapshot(&self.identity, &view)))
    }

    async fn peek(&self, request: Request<PeekRequest>) -> Result<Response<PeekReply>, Status> {
        let PeekRequest { kind, key } = request.into_inner();
        let id =
            ActorId::new(kind, key).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let peeked = self.router.peek(&id);
        let mut reply = PeekReply { shard: peeked.shard.0, ..PeekReply::default() };
        if let Some(route) = peeked.route {
            reply.owner = route.owner.life.node.to_string();
            reply.owner_address.clone_from(&route.owner.address);
            reply.epoch = route.epoch.0;
        }
        Ok(Response::new(reply))
    }
}

fn snapshot(identity: &Identity, view: &View) -> ClusterSnapshot {
    let (leader, _) = view.leader();
    let leader = leader.and_then(|leader| {
        let holder = leader.holder.as_ref()?;
        Some(Leader {
            node: holder.node.to_string(),
            incarnation: holder.incarnation.0,
            term: leader.term.0,
        })
    });
    let nodes = view.nodes().map(|(id, record)| {
        let alive = view.member(id).is_some();
        let profile = &record.profile;
        Node {
            node: id.to_string(),
            incarnation: record.incarnation.0,
            state: if alive { record.state.as_str() } else { "dead" }.to_owned(),
            peer_address: profile.peer_address.clone(),
            http_address: profile.http_address.clone(),
            weight: profile.weight,
            zone: profile.zone.clone(),
            kinds: profile.kinds.clone(),
            version: profile.version.clone(),
        }
    });
    let shards = (0..).zip(view.shards()).map(|(shard, slot)| {
        let record = &slot.record;
        // An owner that died is none: its record only waits to be claimed.
        let owner = record.owner.as_ref().filter(|life| view.alive(life));
        Shard {
            shard,
            target: record.target.as_ref().map(ToString::to_string).unwrap_or_default(),
            owner: owner.map(|life| life.node.to_string()).unwrap_or_default(),
            owner_incarnation: owner.map_or(0, |life| life.incarnation.0),
            epoch: record.epoch.0,
            reason: record.reason.to_string(),
            since_ms: record.since_ms,
        }
    });
    ClusterSnapshot {
        cluster: identity.cluster.clone(),
        node: identity.node.clone(),
        revision: view.revision(),
        leader,
        nodes: nodes.collect(),
        shards: shards.collect(),
    }
}
