//! Read-only questions about the cluster, for operators' tools.

use greenroom_cluster::Cluster;
use greenroom_core::{ActorId, Decided, Decision, ShardId, ShardLoad, View, WhatIf};
use greenroom_proto::v1;
use greenroom_proto::v1::inspect_server::Inspect;
use greenroom_proto::v1::{
    ClusterSnapshot, DecisionsReply, DecisionsRequest, ExportRequest, Leader, LoadsReply,
    LoadsRequest, LogReply, LogRequest, Node, PeekReply, PeekRequest, Shard, SnapshotRequest,
    Topology, WhatIfReply, WhatIfRequest,
};
use tonic::{Request, Response, Status};

use super::{Identity, what_if};
use crate::logging;
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
        let view = self.cluster.view().await.ok_or_else(has_left)?;
        Ok(Response::new(snapshot(&self.identity, &view)))
    }

    async fn decisions(
        &self,
        request: Request<DecisionsRequest>,
    ) -> Result<Response<DecisionsReply>, Status> {
        let DecisionsRequest { after, shard, limit } = request.into_inner();
        let decisions = self.cluster.decisions().await.ok_or_else(has_left)?;
        let group = match shard {
            Some(shard) => {
                let view = self.cluster.view().await.ok_or_else(has_left)?;
                let index = view.group_of(ShardId(shard));
                view.groups().as_slice().get(index).map(|group| group.name.clone())
            }
            None => None,
        };
        let wanted = |decision: &&Decision| {
            let concerned =
                |shard| concerns(&decision.what, shard, group.as_deref().unwrap_or_default());
            decision.number > after && shard.is_none_or(concerned)
        };
        let limit = if limit == 0 { usize::MAX } else { limit as usize };
        let mut newer_is_idle = false;
        // Asked about a shard, each wait for something before its next move would bury the moves: the last
        // of them says why it stayed.
        let tells = |decision: &&Decision| {
            let is_idle = matches!(decision.what, Decided::Idle { .. });
            let is_followed = std::mem::replace(&mut newer_is_idle, is_idle) && is_idle;
            shard.is_none() || !is_followed
        };
        let newest = decisions.iter().rev().filter(wanted).filter(tells).take(limit);
        let mut decisions: Vec<_> = newest.map(|told| decision(told, shard)).collect();
        decisions.reverse();
        Ok(Response::new(DecisionsReply { node: self.identity.node.clone(), decisions }))
    }

    async fn export(&self, _request: Request<ExportRequest>) -> Result<Response<Topology>, Status> {
        let view = self.cluster.view().await.ok_or_else(has_left)?;
        Ok(Response::new(super::topology::export(&self.identity.cluster, &view)))
    }

    async fn loads(&self, _request: Request<LoadsRequest>) -> Result<Response<LoadsReply>, Status> {
        let loads = self.cluster.loads().await.ok_or_else(has_left)?;
        let loads = loads.into_iter().map(|(shard, load)| {
            let ShardLoad { calls_per_s, busy_us_per_s, activations } = load;
            v1::ShardLoad { shard: shard.0, calls_per_s, busy_us_per_s, activations }
        });
        Ok(Response::new(LoadsReply {
            node: self.identity.node.clone(),
            leads: self.cluster.status().leads,
            loads: loads.collect(),
        }))
    }

    async fn log(&self, _request: Request<LogRequest>) -> Result<Response<LogReply>, Status> {
        let directive = logging::current().map(logging::LogHandle::directive).unwrap_or_default();
        Ok(Response::new(LogReply { node: self.identity.node.clone(), directive }))
    }

    async fn what_if(
        &self,
        request: Request<WhatIfRequest>,
    ) -> Result<Response<WhatIfReply>, Status> {
        let what = what_if::supposed(request.into_inner())?;
        let refused = |refusal| super::operate::status(&refusal);
        let now = self.cluster.what_if(WhatIf::default()).await.map_err(refused)?;
        let then = self.cluster.what_if(what).await.map_err(refused)?;
        let view = self.cluster.view().await.ok_or_else(has_left)?;
        Ok(Response::new(WhatIfReply {
            node: self.identity.node.clone(),
            leads: self.cluster.status().leads,
            held: view.rebalancing().held,
            now: now.into_iter().map(what_if::forecast).collect(),
            then: then.into_iter().map(what_if::forecast).collect(),
        }))
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

fn has_left() -> Status {
    Status::unavailable("the node has left its cluster")
}

/// Whether a decision is about a shard of this group, or about all of them.
fn concerns(what: &Decided, shard: u32, group: &str) -> bool {
    match what {
        Decided::Moves(moves) => moves.iter().any(|step| step.shard.0 == shard),
        Decided::Stuck(stuck) => stuck.shards.iter().any(|stuck| stuck.0 == shard),
        Decided::Idle { group: idle, .. } => idle == group,
        Decided::Lead | Decided::Death { .. } => true,
    }
}

/// A decision as the wire has it, with the moves of one shard only if one was asked for.
fn decision(decision: &Decision, shard: Option<u32>) -> v1::Decision {
    let (kind, moves) = match &decision.what {
        Decided::Lead => ("lead", None),
        Decided::Moves(moves) => ("moves", Some(moves)),
        Decided::Idle { .. } => ("idle", None),
        Decided::Death { .. } => ("death", None),
        Decided::Stuck(_) => ("stuck", None),
    };
    let asked = |id: ShardId| shard.is_none_or(|shard| shard == id.0);
    let moves = moves.into_iter().flatten().filter(|step| asked(step.shard));
    let moves = moves.map(|step| v1::DecidedMove {
        shard: step.shard.0,
        from: step.from.as_ref().map(ToString::to_string).unwrap_or_default(),
        to: step.to.to_string(),
        reason: step.reason.to_owned(),
    });
    let stuck = match &decision.what {
        Decided::Stuck(stuck) => stuck.shards.as_slice(),
        _ => &[],
    };
    v1::Decision {
        number: decision.number,
        term: decision.term.0,
        at_ms: decision.at_ms,
        last_ms: decision.last_ms,
        times: decision.times,
        kind: kind.to_owned(),
        text: decision.what.to_string(),
        moves: moves.collect(),
        stuck: stuck.iter().filter(|id| asked(**id)).map(|id| id.0).collect(),
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
            labels: profile.labels.clone(),
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
            pin: record.pin.as_ref().map(ToString::to_string).unwrap_or_default(),
        }
    });
    ClusterSnapshot {
        cluster: identity.cluster.clone(),
        node: identity.node.clone(),
        revision: view.revision(),
        leader,
        nodes: nodes.collect(),
        shards: shards.collect(),
        groups: super::topology::groups(view),
        shard_count: view.shard_count(),
        rebalancing_held: view.rebalancing().held,
    }
}
