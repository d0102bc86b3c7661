//! A real server of the service `Inspect`, which answers what the test gave it.

use greenroom_proto::v1;
use greenroom_proto::v1::inspect_server::{Inspect, InspectServer};
use tokio::runtime::Runtime;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// Serves one snapshot, and one actor's placement, until it is dropped.
pub(crate) struct FixedNode {
    /// Where it listens.
    pub(crate) address: String,
    runtime: Runtime,
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
        let server = Server::builder().add_service(InspectServer::new(Fixed { snapshot }));
        runtime.spawn(server.serve_with_incoming(incoming));
        Self { address, runtime }
    }

    /// Runs a future beside the server.
    #[allow(dead_code, reason = "each test file compiles this module for itself")]
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

struct Fixed {
    snapshot: v1::ClusterSnapshot,
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
}

/// A cluster of four shards: one at rest, one that leaves a draining node, one orphan whose target
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
            },
        ],
        shards: vec![
            shard(0, "node-a", ("node-a", 105), 2, "it had no live node"),
            shard(1, "node-a", ("node-b", 88), 4, "its node drains"),
            shard(2, "node-z", ("", 0), 0, ""),
            shard(3, "node-a", ("node-a", 7), 1, "it had no live node"),
        ],
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
    }
}

/// The largest cluster there may be, with long names and reasons.
pub(crate) fn largest() -> v1::ClusterSnapshot {
    let node = "a-node-with-a-long-name-in-some-namespace.cluster.example";
    let reason = "the node was further below its goal than any other of the cluster";
    v1::ClusterSnapshot {
        shards: (0..65_536)
            .map(|number| shard(number, node, (node, u64::MAX), u64::MAX / 2, reason))
            .collect(),
        ..shop()
    }
}
