//! Node processes on a real etcd, and calls for them.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use greenroom_cluster::store::{EtcdOptions, EtcdStore, Store};
use greenroom_cluster::testing::EtcdServer;
use serde_json::Value;

use crate::calls::Calls;
use crate::until;

pub(crate) const TOKEN: &str = "correct-horse-battery";
pub(crate) const SHARDS: usize = 8192;
const PREFIX: &str = "/greenroom/shop/";

/// Three nodes, and the etcd in which their records stand.
pub(crate) struct Cluster {
    nodes: BTreeMap<&'static str, Child>,
    store: EtcdStore,
    _etcd: EtcdServer,
}

impl Cluster {
    /// Started, with the shards spread over all nodes.
    pub(crate) async fn start() -> Self {
        let etcd = EtcdServer::start();
        let store = EtcdStore::connect(EtcdOptions::new([etcd.endpoint()])).await;
        let store = store.expect("etcd answers");
        let mut cluster = Self { nodes: BTreeMap::new(), store, _etcd: etcd };
        for (name, zone) in [("node-1", "eu-1a"), ("node-2", "eu-1b"), ("node-3", "eu-1c")] {
            cluster.start_node(name, zone);
        }
        until("three nodes share", async || {
            let owned = cluster.owned().await;
            let fair = SHARDS / 3;
            owned.len() == 3 && owned.values().all(|owned| owned.abs_diff(fair) < fair / 10)
        })
        .await;
        cluster
    }

    /// Starts a node's process, or starts it again. Only node-3 has a label.
    pub(crate) fn start_node(&mut self, name: &'static str, zone: &str) {
        let child = Command::new(env!("CARGO_BIN_EXE_node"))
            .env_clear()
            .env("GREENROOM_CLUSTER", "shop")
            .env("GREENROOM_NODE_ID", name)
            .env("GREENROOM_ZONE", zone)
            .env("GREENROOM_LABELS", if name == "node-3" { "disk=ssd" } else { "" })
            .env("GREENROOM_LISTEN", "127.0.0.1:0")
            .env("GREENROOM_HTTP_LISTEN", "127.0.0.1:0")
            .env("GREENROOM_ETCD_ENDPOINTS", self._etcd.endpoint())
            .env("GREENROOM_OPERATOR_TOKEN", TOKEN)
            .env("GREENROOM_LIVENESS_WINDOW", "8s")
            .env("GREENROOM_HEARTBEAT_INTERVAL", "300ms")
            .env("GREENROOM_LIVENESS_MARGIN", "300ms")
            .env("GREENROOM_REBALANCE_STABILITY", "200ms")
            .env("GREENROOM_REBALANCE_BATCH", "1024")
            .env("GREENROOM_LOAD_REPORT_INTERVAL", "500ms")
            .stderr(Stdio::null())
            .spawn()
            .expect("the node binary starts");
        if let Some(mut earlier) = self.nodes.insert(name, child) {
            let _ = earlier.wait();
        }
    }

    /// Sends a node's process a signal, such as `-KILL`.
    pub(crate) fn signal(&self, name: &str, signal: &str) {
        let pid = self.nodes[name].id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().expect("kill is installed");
        assert!(sent.success(), "kill {signal} {pid}");
    }

    /// A record, as it stands in etcd.
    pub(crate) async fn record(&self, key: &str) -> Value {
        let (_, found) = self.store.get(&format!("{PREFIX}{key}")).await.expect("etcd answers");
        found.map_or(Value::Null, |found| serde_json::from_slice(&found.value).expect("JSON"))
    }

    pub(crate) async fn peer_address(&self, node: &str) -> String {
        text(&self.record(&format!("nodes/{node}")).await["peer_address"])
    }

    pub(crate) async fn leader(&self) -> String {
        text(&self.record("leader").await["holder"]["node"])
    }

    /// How many shards each node that is alive owns, by the records.
    pub(crate) async fn owned(&self) -> BTreeMap<String, usize> {
        let listing = self.store.list(PREFIX).await.expect("etcd answers");
        let records: BTreeMap<String, Value> = listing
            .items
            .into_iter()
            .map(|item| {
                let record = serde_json::from_slice(&item.value).expect("records are JSON");
                (item.key.trim_start_matches(PREFIX).to_owned(), record)
            })
            .collect();
        let mut owned = BTreeMap::new();
        for (_, shard) in records.iter().filter(|(key, _)| key.starts_with("shards/")) {
            let Some(node) = shard["owner"]["node"].as_str() else { continue };
            let beat = records.get(&format!("heartbeats/{node}"));
            if beat.is_some_and(|beat| beat["incarnation"] == shard["owner"]["incarnation"]) {
                *owned.entry(node.to_owned()).or_default() += 1;
            }
        }
        owned
    }

    /// Calls accounts, some much more often than others, through a node's gateway until it is
    /// dropped.
    pub(crate) async fn calls(&self, node: &str) -> Calls {
        let gateway = text(&self.record(&format!("nodes/{node}")).await["http_address"]);
        let mut number = 0_u32;
        Calls::start(gateway, move || {
            // A few accounts get most of the calls.
            let part = f64::from(number.wrapping_mul(2_654_435_761)) / f64::from(u32::MAX);
            number += 1;
            (6000.0 * part.powi(4)) as u32
        })
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
