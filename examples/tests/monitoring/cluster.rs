//! Node processes on a real etcd.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use greenroom_cluster::store::{EtcdOptions, EtcdStore, Store};
use greenroom_cluster::testing::EtcdServer;
use serde_json::Value;

use crate::until;

const SHARDS: usize = 256;
const PREFIX: &str = "/greenroom/monitored/";

/// Nodes, and the etcd in which their records stand.
pub(crate) struct Cluster {
    etcd: EtcdServer,
    store: EtcdStore,
    nodes: BTreeMap<&'static str, Child>,
}

impl Cluster {
    /// Without a node yet.
    pub(crate) async fn start() -> Self {
        let etcd = EtcdServer::start();
        let store = EtcdStore::connect(EtcdOptions::new([etcd.endpoint()])).await;
        Self { etcd, store: store.expect("etcd answers"), nodes: BTreeMap::new() }
    }

    /// Starts a node's process, with the settings of time that it has by itself, as in the manifests.
    pub(crate) fn add(&mut self, name: &'static str) {
        let child = Command::new(env!("CARGO_BIN_EXE_node"))
            .env_clear()
            .env("GREENROOM_CLUSTER", "monitored")
            .env("GREENROOM_NODE_ID", name)
            .env("GREENROOM_SHARDS", SHARDS.to_string())
            .env("GREENROOM_LISTEN", "127.0.0.1:0")
            .env("GREENROOM_HTTP_LISTEN", "127.0.0.1:0")
            .env("GREENROOM_ETCD_ENDPOINTS", self.etcd.endpoint())
            .env("GREENROOM_REBALANCE_STABILITY", "500ms")
            .env("GREENROOM_LOAD_REPORT_INTERVAL", "500ms")
            .stderr(Stdio::null())
            .spawn()
            .expect("the node binary starts");
        self.nodes.insert(name, child);
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, name: &str) {
        let child = self.nodes.get_mut(name).expect("a node of that name");
        child.kill().and_then(|()| child.wait()).expect("it can be killed");
    }

    /// SIGTERM, upon which it hands its shards over and ends.
    pub(crate) fn stop(&mut self, name: &str) {
        let mut child = self.nodes.remove(name).expect("a node of that name");
        let pid = child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill is installed");
        assert!(sent.success(), "kill -TERM {pid}");
        assert!(child.wait().expect("a child can be waited for").success(), "it ends in peace");
    }

    /// Waits until all nodes serve about as many shards.
    pub(crate) async fn is_spread(&self) {
        let fair = SHARDS / self.nodes.len();
        until("the nodes share", async || {
            let owned = self.owned().await;
            owned.len() == self.nodes.len() && owned.values().all(|owned| owned.abs_diff(fair) <= 2)
        })
        .await;
    }

    pub(crate) async fn leader(&self) -> String {
        text(&self.record("leader").await["holder"]["node"])
    }

    /// `host:port` of a node's gateway.
    pub(crate) async fn gateway(&self, node: &str) -> String {
        text(&self.record(&format!("nodes/{node}")).await["http_address"])
    }

    /// The names of all nodes that were started, and their gateways.
    pub(crate) async fn gateways(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        for name in self.nodes.keys() {
            found.push((*name, self.gateway(name).await));
        }
        found
    }

    /// `host:port` where etcd shows its metrics.
    pub(crate) fn etcd(&self) -> String {
        self.etcd.endpoint().trim_start_matches("http://").to_owned()
    }

    async fn record(&self, key: &str) -> Value {
        let (_, found) = self.store.get(&format!("{PREFIX}{key}")).await.expect("etcd answers");
        found.map_or(Value::Null, |found| serde_json::from_slice(&found.value).expect("JSON"))
    }

    async fn owned(&self) -> BTreeMap<String, usize> {
        let shards = self.store.list(&format!("{PREFIX}shards/")).await.expect("etcd answers");
        let mut owned = BTreeMap::new();
        for item in shards.items {
            let shard: Value = serde_json::from_slice(&item.value).expect("records are JSON");
            if let Some(node) = shard["owner"]["node"].as_str() {
                *owned.entry(node.to_owned()).or_default() += 1;
            }
        }
        owned
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.nodes.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
