//! The nodes of the demo, all in this process, talking to each other over real connections.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use greenroom::{Config, EtcdOptions, MemoryStore, Node, NodeError, NodeId, StoreConfig, Token};
use greenroom_examples::flights::{AirportActor, AirportRef, RouteActor, RouteRef};

use crate::Failed;

/// How long the demo waits for the cluster to settle.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Nodes {
    nodes: Vec<Node>,
    /// What orders must carry, for this run alone.
    token: String,
}

impl Nodes {
    /// Starts the nodes and waits until the shards are spread over all of them.
    pub(crate) async fn start(count: u8, etcd: &[String]) -> Result<Self, Failed> {
        let began = Instant::now();
        let cluster = format!("demo-{:08x}", fastrand::u32(..));
        let token = format!("demo-{:016x}", fastrand::u64(..));
        let shared = MemoryStore::new();
        let mut nodes = Vec::new();
        for number in 1..=count {
            let store = match etcd {
                [] => StoreConfig::Memory(shared.handle()),
                endpoints => StoreConfig::Etcd(EtcdOptions::new(endpoints.iter())),
            };
            nodes.push(start_one(&cluster, &token, number, store).await?);
        }
        let nodes = Self { nodes, token };
        for node in &nodes.nodes {
            tokio::time::timeout(PATIENCE, node.ready()).await??;
        }
        nodes.wait_until_spread().await;
        let store = if etcd.is_empty() { "an embedded store" } else { "etcd" };
        println!(
            "{count} nodes on {store}, cluster {cluster:?}, up in {:.1} s",
            began.elapsed().as_secs_f64()
        );
        Ok(nodes)
    }

    async fn wait_until_spread(&self) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let shares: Vec<usize> = self.nodes.iter().map(|node| node.status().claimed).collect();
            let fair = shares.iter().sum::<usize>() / self.nodes.len();
            if shares.iter().all(|share| share.abs_diff(fair) <= fair / 10) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!("the shards are not spread evenly yet; going on");
    }

    /// The node through which the demo calls. It is not the one that is killed.
    pub(crate) fn caller(&self) -> &Node {
        &self.nodes[0]
    }

    /// The operators' token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Which node to kill.
    pub(crate) fn victim(&self) -> NodeId {
        self.nodes[self.nodes.len() - 1].id().clone()
    }

    /// Kills a node: it tells nobody. Answers with the shards and actors that it had.
    pub(crate) async fn kill(&mut self, victim: &NodeId) -> (usize, usize) {
        let Some(place) = self.nodes.iter().position(|node| node.id() == victim) else {
            return (0, 0);
        };
        let node = self.nodes.remove(place);
        let had = (node.status().claimed, node.active_actors());
        node.crash().await;
        had
    }

    pub(crate) fn gateways(&self) -> impl Iterator<Item = (&NodeId, SocketAddr)> {
        self.nodes.iter().filter_map(|node| Some((node.id(), node.http_address()?)))
    }

    pub(crate) async fn stop(&self) {
        for node in &self.nodes {
            node.stop().await;
        }
    }
}

async fn start_one(
    cluster: &str,
    token: &str,
    number: u8,
    store: StoreConfig,
) -> Result<Node, NodeError> {
    let mut config = Config::embedded(store);
    config.cluster = cluster.to_owned();
    config.operator_token = Some(Token::new(token).expect("a well-formed token"));
    config.load_report_interval = Duration::from_secs(1);
    config.node = NodeId::new(format!("node-{number}")).expect("a well-formed name");
    // Shorter than the defaults, so that nobody has to wait long for the failover.
    config.liveness_window = Duration::from_secs(2);
    config.heartbeat_interval = Duration::from_millis(250);
    config.liveness_margin = Duration::from_millis(200);
    config.rebalance_stability = Duration::from_millis(500);
    config.rebalance_batch = 2048;
    config.limits.call_timeout = Duration::from_secs(30);
    Node::with(config)
        .host(AirportRef::served_by::<AirportActor>())
        .host(RouteRef::served_by::<RouteActor>())
        .start()
        .await
}
