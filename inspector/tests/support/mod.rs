//! A real server of the services `Inspect` and `Operate`, which answers what the test gave it.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

pub(crate) mod command;
pub(crate) mod http;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use greenroom_inspector::page::{Page, PageConfig};
use greenroom_proto::v1;
use greenroom_proto::v1::inspect_server::{Inspect, InspectServer};
use greenroom_proto::v1::operate_server::{Operate, OperateServer};
use tokio::runtime::Runtime;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// The token of the fixed node.
pub(crate) const TOKEN: &str = "correct-horse-battery";

/// Serves one snapshot, one actor's placement, some decisions and a topology until it is dropped,
/// and notes what it is ordered.
pub(crate) struct FixedNode {
    /// Where it listens.
    pub(crate) address: String,
    runtime: Runtime,
    orders: Arc<Mutex<Vec<String>>>,
}

impl FixedNode {
    pub(crate) fn start(snapshot: v1::ClusterSnapshot) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (incoming, address) = {
            let _entered = runtime.enter();
            let any_port = "127.0.0.1:0".parse().expect("an address");
            let incoming = TcpIncoming::bind(any_port).expect("a free port");
            let address = incoming.local_addr().expect("bound").to_string();
            (incoming, address)
        };
        let orders = Arc::default();
        let fixed = Fixed { snapshot, orders: Arc::clone(&orders) };
        let server = Server::builder()
            .add_service(InspectServer::new(fixed.clone()))
            .add_service(OperateServer::new(fixed));
        runtime.spawn(server.serve_with_incoming(incoming));
        Self { address, runtime, orders }
    }

    /// Runs a future beside the server.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// A page that shows this node, served beside it.
    pub(crate) fn page(&self, hosts: &[&str]) -> SocketAddr {
        let config = PageConfig {
            listen: "127.0.0.1:0".to_owned(),
            hosts: hosts.iter().map(ToString::to_string).collect(),
            ..PageConfig::new(&self.address)
        };
        let page = self.block_on(Page::bind(config)).expect("a free port");
        let address = page.address();
        self.runtime.spawn(page.serve());
        address
    }

    /// The orders that came with the token, in words.
    pub(crate) fn orders(&self) -> Vec<String> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Clone)]
struct Fixed {
    snapshot: v1::ClusterSnapshot,
    orders: Arc<Mutex<Vec<String>>>,
}

#[tonic::async_trait]
impl Inspect for Fixed {
    async fn snapshot(
        &self,
        _request: Request<v1::SnapshotRequest>,
    ) -> Result<Response<v1::ClusterSnapshot>, Status> {
        Ok(Response::new(self.snapshot.clone()))
    }

    async fn peek(
        &self,
        request: Request<v1::PeekRequest>,
    ) -> Result<Response<v1::PeekReply>, Status> {
        let v1::PeekRequest { kind, key } = request.into_inner();
        match (kind.as_str(), key.as_str()) {
            ("cart", "eu/alice") => Ok(Response::new(v1::PeekReply {
                shard: 1,
                owner: "node-b".to_owned(),
                epoch: 4,
                owner_address: "10.0.0.2:7400".to_owned(),
            })),
            ("cart", "nobody") => {
                Ok(Response::new(v1::PeekReply { shard: 2, ..v1::PeekReply::default() }))
            }
            // The line end stands for whatever a node may send.
            _ => Err(Status::invalid_argument(format!("`{kind}`\nis no kind"))),
        }
    }

    async fn decisions(
        &self,
        request: Request<v1::DecisionsRequest>,
    ) -> Result<Response<v1::DecisionsReply>, Status> {
        let v1::DecisionsRequest { shard, limit, .. } = request.into_inner();
        let mut decisions = decisions();
        if shard.is_some_and(|shard| shard != 1) {
            decisions.remove(0);
        }
        let limit = if limit == 0 { usize::MAX } else { limit as usize };
        let decisions = decisions.split_off(decisions.len().saturating_sub(limit));
        Ok(Response::new(v1::DecisionsReply { node: self.snapshot.node.clone(), decisions }))
    }

    async fn export(
        &self,
        _request: Request<v1::ExportRequest>,
    ) -> Result<Response<v1::Topology>, Status> {
        Ok(Response::new(topology()))
    }

    async fn loads(
        &self,
        _request: Request<v1::LoadsRequest>,
    ) -> Result<Response<v1::LoadsReply>, Status> {
        let load =
            v1::ShardLoad { shard: 0, calls_per_s: 70, busy_us_per_s: 1_400, activations: 3 };
        Ok(Response::new(v1::LoadsReply {
            node: self.snapshot.node.clone(),
            leads: true,
            loads: vec![load],
        }))
    }

    async fn what_if(
        &self,
        _request: Request<v1::WhatIfRequest>,
    ) -> Result<Response<v1::WhatIfReply>, Status> {
        Ok(Response::new(v1::WhatIfReply::default()))
    }

    async fn log(
        &self,
        _request: Request<v1::LogRequest>,
    ) -> Result<Response<v1::LogReply>, Status> {
        let directive = if self.snapshot.cluster == "shop" { "info" } else { "" }.to_owned();
        Ok(Response::new(v1::LogReply { node: self.snapshot.node.clone(), directive }))
    }
}

impl Fixed {
    fn note<M>(
        &self,
        request: Request<M>,
        words: impl FnOnce(M) -> String,
    ) -> Result<Response<v1::OrderReply>, Status> {
        let given = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        if given != Some(format!("Bearer {TOKEN}").as_str()) {
            return Err(Status::unauthenticated("the order carries no token"));
        }
        let words = words(request.into_inner());
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).push(words);
        Ok(Response::new(v1::OrderReply { by: "node-b".to_owned() }))
    }
}

#[tonic::async_trait]
impl Operate for Fixed {
    async fn pin(
        &self,
        request: Request<v1::PinRequest>,
    ) -> Result<Response<v1::OrderReply>, Status> {
        self.note(request, |pin| format!("pin {:?} {:?}", pin.shards, pin.node))
    }

    async fn unpin(
        &self,
        request: Request<v1::UnpinRequest>,
    ) -> Result<Response<v1::OrderReply>, Status> {
        self.note(request, |unpin| format!("unpin {:?}", unpin.shards))
    }

    async fn r#move(
        &self,
        request: Request<v1::MoveRequest>,
    ) -> Result<Response<v1::OrderReply>, Status> {
        if request.get_ref().to == "node-z" {
            return Err(Status::not_found("no live node is named node-z"));
        }
        self.note(request, |to| format!("move {:?} {:?}", to.shards, to.to))
    }

    async fn drain(
        &self,
        request: Request<v1::DrainRequest>,
    ) -> Result<Response<v1::OrderReply>, Status> {
        self.note(request, |drain| format!("drain {:?} {}", drain.node, drain.undo))
    }

    async fn hold(
        &self,
        request: Request<v1::HoldRequest>,
    ) -> Result<Response<v1::OrderReply>, Status> {
        self.note(request, |hold| format!("hold {}", !hold.resume))
    }

    async fn rule(
        &self,
        request: Request<v1::RuleRequest>,
    ) -> Result<Response<v1::OrderReply>, Status> {
        self.note(request, |rule| {
            let v1::RuleRequest { group, require, prefer, force } = rule;
            format!("rule {group:?} {require:?} {prefer:?} {force}")
        })
    }

    async fn set_log(
        &self,
        request: Request<v1::SetLogRequest>,
    ) -> Result<Response<v1::OrderReply>, Status> {
        self.note(request, |log| format!("log {:?}", log.directive))
    }
}

fn decisions() -> Vec<v1::Decision> {
    let step = v1::DecidedMove {
        shard: 1,
        from: "node-b".to_owned(),
        to: "node-a".to_owned(),
        reason: "its node drains".to_owned(),
    };
    let decision = |number, times, kind: &str, text: &str, moves| v1::Decision {
        number,
        term: 3,
        at_ms: 1_767_225_600_000 + number,
        last_ms: 1_767_225_599_999 + number + times,
        times,
        kind: kind.to_owned(),
        text: text.to_owned(),
        moves,
        stuck: Vec::new(),
    };
    let held = "no rebalancing of group default: an operator holds it";
    vec![
        decision(41, 1, "moves", "gave 1 shards new targets", vec![step]),
        decision(42, 12, "idle", held, Vec::new()),
    ]
}

/// What the fixed node exports.
pub(crate) fn topology() -> v1::Topology {
    let shard = |shard, owner: &str, epoch| v1::TopologyShard {
        group: "default".to_owned(),
        shard,
        target: "node-a".to_owned(),
        owner: owner.to_owned(),
        epoch,
        pin: String::new(),
    };
    let node = |node: &str, state: &str| v1::TopologyNode {
        node: node.to_owned(),
        state: state.to_owned(),
        weight: 1,
        ..v1::TopologyNode::default()
    };
    v1::Topology {
        format: 1,
        cluster: "shop".to_owned(),
        revision: 214,
        taken_ms: 1_767_225_600_000,
        shard_count: 2,
        groups: groups(),
        nodes: vec![node("node-a", "active"), node("node-b", "draining")],
        shards: vec![shard(0, "node-a", 2), shard(1, "node-b", 4)],
    }
}

fn labels(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn groups() -> Vec<v1::Group> {
    vec![
        v1::Group {
            name: "default".to_owned(),
            kinds: vec!["bank.account".to_owned(), "cart".to_owned()],
            ..v1::Group::default()
        },
        v1::Group {
            name: "gpu".to_owned(),
            kinds: vec!["ml.model".to_owned()],
            require: labels(&[("make", "h1")]),
            prefer: labels(&[("disk", "ssd")]),
        },
    ]
}

/// A cluster of two groups of two shards each: one at rest and pinned, one that leaves a draining node, one orphan whose target
/// nobody knows, one that a node's earlier life owned.
pub(crate) fn shop() -> v1::ClusterSnapshot {
    v1::ClusterSnapshot {
        cluster: "shop".to_owned(),
        node: "node-a".to_owned(),
        revision: 214,
        leader: Some(v1::Leader { node: "node-a".to_owned(), incarnation: 105, term: 3 }),
        nodes: vec![
            v1::Node {
                node: "node-b".to_owned(),
                incarnation: 88,
                state: "draining".to_owned(),
                peer_address: "10.0.0.2:7400".to_owned(),
                http_address: String::new(),
                weight: 2,
                zone: String::new(),
                kinds: vec!["cart".to_owned()],
                version: "0.1.0".to_owned(),
                labels: BTreeMap::new(),
            },
            v1::Node {
                node: "node-a".to_owned(),
                incarnation: 105,
                state: "active".to_owned(),
                peer_address: "10.0.0.1:7400".to_owned(),
                http_address: "10.0.0.1:8080".to_owned(),
                weight: 1,
                zone: "eu-1".to_owned(),
                kinds: vec!["bank.account".to_owned(), "cart".to_owned()],
                version: "0.1.0".to_owned(),
                labels: labels(&[("disk", "ssd"), ("make", "h1")]),
            },
        ],
        shards: vec![
            v1::Shard {
                pin: "node-a".to_owned(),
                ..shard(0, "node-a", ("node-a", 105), 2, "it had no live node")
            },
            shard(1, "node-a", ("node-b", 88), 4, "its node drains"),
            shard(2, "node-z", ("", 0), 0, ""),
            shard(3, "node-a", ("node-a", 7), 1, "it had no live node"),
        ],
        groups: groups(),
        shard_count: 2,
        rebalancing_held: true,
    }
}

fn shard(shard: u32, target: &str, owner: (&str, u64), epoch: u64, reason: &str) -> v1::Shard {
    v1::Shard {
        shard,
        target: target.to_owned(),
        owner: owner.0.to_owned(),
        owner_incarnation: owner.1,
        epoch,
        reason: reason.to_owned(),
        since_ms: if epoch == 0 { 0 } else { 1_767_225_600_000 + epoch },
        pin: String::new(),
    }
}

/// One group of the largest cluster there may be, with long names and reasons.
pub(crate) fn largest() -> v1::ClusterSnapshot {
    let node = "a-node-with-a-long-name-in-some-namespace.cluster.example";
    let reason = "the node was further below its goal than any other of the cluster";
    v1::ClusterSnapshot {
        shards: (0..65_536)
            .map(|number| shard(number, node, (node, u64::MAX), u64::MAX / 2, reason))
            .collect(),
        groups: groups().into_iter().take(1).collect(),
        shard_count: 65_536,
        ..shop()
    }
}
