//! `greenroom plan` against a real cluster: what it says is what then happens.

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use greenroom::prelude::*;
use greenroom::{Config, EtcdOptions, NodeId, StoreConfig};
use greenroom_cluster::store::{EtcdStore, Store};
use greenroom_cluster::testing::EtcdServer;
use serde_json::{Value, json};
use support::TOKEN;
use support::command::{command, complaint, greenroom, printed};
use tokio::runtime::Runtime;

const PATIENCE: Duration = Duration::from_secs(40);
const SHARDS: u32 = 96;

/// Nothing to call.
#[greenroom::interface(kind = "test.nothing")]
pub trait Nothing {
    /// Does nothing.
    async fn nothing(&self);
}

struct NothingActor;

impl Actor for NothingActor {
    async fn activate(_: &mut Activating<'_>) -> Result<Self, ActivateError> {
        Ok(Self)
    }
}

impl Nothing for NothingActor {
    async fn nothing(&self) {}
}

struct Cluster {
    nodes: BTreeMap<&'static str, Node>,
    runtime: Runtime,
    etcd: EtcdServer,
}

impl Cluster {
    fn start(names: &[&'static str]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let mut cluster = Self { nodes: BTreeMap::new(), runtime, etcd: EtcdServer::start() };
        for name in names {
            cluster.join(name, 100);
        }
        cluster
    }

    fn join(&mut self, name: &'static str, weight: u32) {
        let store = StoreConfig::Etcd(EtcdOptions::new([self.etcd.endpoint()]));
        let mut config = Config::embedded(store);
        config.node = NodeId::new(name).expect("a good name");
        config.shards = SHARDS;
        config.weight = weight;
        config.http_listen = None;
        config.rebalance_stability = Duration::from_millis(200);
        // Several rounds, so that the way to the end is looked at too.
        config.rebalance_batch = 8;
        config.operator_token = Some(greenroom::Token::new(TOKEN).expect("a good token"));
        let kind = NothingRef::served_by::<NothingActor>();
        let node = self.runtime.block_on(async {
            let node = Node::with(config).host(kind).start().await.expect("the node starts");
            node.ready().await.expect("it becomes ready");
            node
        });
        self.nodes.insert(name, node);
    }

    fn address(&self) -> String {
        self.nodes["node-a"].peer_address().to_string()
    }

    fn plan(&self, arguments: &[&str]) -> Value {
        let address = self.address();
        let more = ["--output", "json", "--node", &address];
        let answer = printed(&greenroom(&[&["plan"], arguments, &more].concat()));
        serde_json::from_str(&answer).expect("JSON")
    }

    fn order(&self, arguments: &[&str]) {
        let mut order = command(&[arguments, &["--node", &self.address()]].concat());
        let done = order.env("GREENROOM_OPERATOR_TOKEN", TOKEN).output().expect("it starts");
        printed(&done);
    }

    /// How many shards each node owns, once no shard is on its way and nothing is left to be moved.
    fn at_rest(&self, nodes: usize) -> BTreeMap<String, u64> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Asked before and after: a batch may end in between, and a node may come.
            let nothing_left = || self.plan(&[])["now"][0]["shards_moved"] == json!(0);
            let before = nothing_left();
            let address = self.address();
            let status = ["status", "--output", "json", "--node", &address];
            let status: Value = serde_json::from_str(&printed(&greenroom(&status))).unwrap();
            let live = status["nodes"].as_array().unwrap().iter();
            let live = live.filter(|node| node["state"] != json!("dead"));
            let owned: BTreeMap<String, u64> = live
                .map(|node| {
                    (node["node"].as_str().unwrap().into(), node["owned"].as_u64().unwrap())
                })
                .collect();
            let rests = before && status["totals"]["in_motion"] == json!(0) && nothing_left();
            if rests && owned.len() == nodes && owned.values().sum::<u64>() == u64::from(SHARDS) {
                return owned;
            }
            assert!(Instant::now() < deadline, "no rest: {status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The same once nothing of it has changed for a while: how far rebalancing has come is written last.
    fn records_at_rest(&self) -> Vec<(String, u64)> {
        loop {
            let records = self.records();
            std::thread::sleep(Duration::from_millis(500));
            if self.records() == records {
                return records;
            }
        }
    }

    /// All that stands in etcd, with its revisions, but for the signs of life.
    fn records(&self) -> Vec<(String, u64)> {
        let listing = self.runtime.block_on(async {
            let store = EtcdStore::connect(EtcdOptions::new([self.etcd.endpoint()])).await;
            store.expect("etcd answers").list("/greenroom/").await.expect("etcd answers")
        });
        let items = listing.items.into_iter().filter(|item| !item.key.contains("/heartbeats/"));
        items.map(|item| (item.key, item.mod_revision)).collect()
    }
}

/// How many shards each node would have in the end, those without any left out.
fn after(forecast: &Value) -> BTreeMap<String, u64> {
    let nodes = forecast["nodes"].as_array().expect("nodes").iter();
    let nodes = nodes
        .map(|node| (node["node"].as_str().unwrap().to_owned(), node["after"].as_u64().unwrap()));
    nodes.filter(|(_, shards)| *shards > 0).collect()
}

fn without_empty(mut owned: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    owned.retain(|_, shards| *shards > 0);
    owned
}

#[test]
fn what_is_forecast_is_what_happens_and_asking_changes_nothing() {
    let mut cluster = Cluster::start(&["node-a", "node-b", "node-c"]);
    let owned = cluster.at_rest(3);
    assert_eq!(owned.values().collect::<Vec<_>>(), [&32, &32, &32]);

    let before = cluster.records_at_rest();
    let now = cluster.plan(&[]);
    assert_eq!((&now["what_if"], &now["leads"]), (&Value::Null, &json!(true)));
    assert_eq!(now["now"][0]["rests"]["name"], json!("balanced"));
    let drain = cluster.plan(&["--what-if", "--drain", "node-b"]);
    let join = cluster.plan(&["--what-if", "--add", "node-d,weight=300,zone=eu-1"]);
    let weight = cluster.plan(&["--what-if", "--weight", "node-a=200", "--threshold", "0"]);
    let pin = cluster.plan(&["--what-if", "--pin", "0-47=node-c"]);
    let loss = cluster.plan(&["--what-if", "--remove", "node-c", "--add", "node-x"]);
    assert_eq!(cluster.records(), before, "asking wrote something");
    assert_eq!(cluster.at_rest(3), owned, "asking moved something");
    assert_eq!(after(&weight["what_if"][0])["node-a"], 48);
    assert_eq!(
        after(&loss["what_if"][0]).keys().collect::<Vec<_>>(),
        ["node-a", "node-b", "node-x"]
    );
    // What a node had that is gone comes from it all the same.
    let lost = loss["what_if"][0]["moves"].as_array().unwrap().iter();
    let lost = lost.filter(|step| step["from"] == json!("node-c"));
    assert_eq!(lost.map(|step| step["shards"].as_u64().unwrap()).sum::<u64>(), 32);

    // Each forecast, and then the thing itself.
    let drain = &drain["what_if"][0];
    assert_eq!((&drain["shards_moved"], &drain["rounds"]), (&json!(32), &json!(4)), "{drain}");
    assert_eq!(drain["moves"][0]["reason"], json!("its owner drains"));
    cluster.order(&["drain", "node-b"]);
    assert_eq!(without_empty(cluster.at_rest(3)), after(drain));
    cluster.order(&["drain", "node-b", "--undo"]);
    assert_eq!(cluster.at_rest(3), owned);

    cluster.order(&["pin", "0-47", "--to", "node-c"]);
    assert_eq!(cluster.at_rest(3), after(&pin["what_if"][0]));
    let unpin = cluster.plan(&["--what-if", "--unpin", "0-47"]);
    assert_eq!(unpin["now"][0]["pinned"], json!(48));
    assert_eq!(unpin["now"][0]["rests"]["name"], json!("pinned_only"));
    cluster.order(&["unpin", "0-47"]);
    assert_eq!(cluster.at_rest(3), after(&unpin["what_if"][0]));

    cluster.join("node-d", 300);
    assert_eq!(cluster.at_rest(4), after(&join["what_if"][0]));
}

#[test]
fn bad_names_are_told_with_the_nearest_and_suppositions_are_marked_as_such() {
    let cluster = Cluster::start(&["node-a", "node-b"]);
    cluster.at_rest(2);
    let address = cluster.address();
    let plan =
        |arguments: &[&str]| greenroom(&[&["plan"], arguments, &["--node", &address]].concat());
    for (arguments, hint) in [
        (
            &["--what-if", "--drain", "node-bb"][..],
            "no live node is named node-bb; did you mean node-b?",
        ),
        (&["--what-if", "--remove", "zebra"], "no live node is named zebra\n"),
        (&["--what-if", "--weight", "nod-a=5"], "did you mean node-a?"),
        (&["--what-if", "--add", "node-7", "--pin", "1=node-77"], "did you mean node-7?"),
        (&["--what-if", "--add", "node-a"], "a live node is named node-a already"),
        (&["--what-if", "--pin", "96=node-a"], "no shard 96"),
        (&["--what-if", "--unpin", "gpu/1"], "no shard group `gpu`"),
    ] {
        let refused = complaint(&plan(arguments), 1);
        assert!(refused.contains(hint), "{refused}");
    }
    for (arguments, hint) in [
        // Nobody is to believe that this drains a node.
        (&["--drain", "node-a"][..], "--what-if"),
        (&["--what-if", "--weight", "node-a=1001"], "a weight is 0 to 1000"),
        (&["--what-if", "--batch", "0"], "0 is not in 1..=65536"),
        (&["--what-if", "--threshold", "1001"], "1001 is not in 0..=1000"),
        (&["--what-if", "--add", "weight=5"], "begins with its name"),
        (&["--what-if", "--pin", "7"], "write shard=node"),
    ] {
        let refused = complaint(&plan(arguments), 2);
        assert!(refused.contains(hint), "{refused}");
    }
    let table =
        printed(&plan(&["--what-if", "--drain", "node-b", "--batch", "48", "--node-batch", "48"]));
    let told = [
        "group default, as things are: nothing moves; at rest, every node has its share, or as good as",
        "group default, what if: 48 shards would move in 1 round",
        "FROM    TO      SHARDS  REASON\nnode-b  node-a  48      its owner drains\n",
        "NODE    SHARDS  AT REST  WHAT IF\nnode-a  48      48       96\nnode-b  48      48       0\n",
    ];
    for part in told {
        assert!(table.contains(part), "{table}");
    }
    cluster.order(&["rebalance", "hold"]);
    let held = cluster.plan(&["--what-if", "--weight", "node-a=1000"]);
    assert_eq!(
        (&held["rebalancing_held"], &held["what_if"][0]["shards_moved"]),
        (&json!(true), &json!(0))
    );
}

#[test]
fn orders_wait_for_their_shards_and_a_topology_brings_its_pins_and_rules_back() {
    let cluster = Cluster::start(&["node-a", "node-b"]);
    let owned = cluster.at_rest(2);
    let address = cluster.address();
    let with_token = |arguments: &[&str]| {
        let mut command = command(&[arguments, &["--node", &address]].concat());
        command.env("GREENROOM_OPERATOR_TOKEN", TOKEN).output().expect("it starts")
    };
    let owned_by_b = || {
        cluster.runtime.block_on(async {
            let view = cluster.nodes["node-a"].view().await.expect("it has not left");
            let shards = (0..SHARDS).map(greenroom::ShardId);
            shards
                .filter(|shard| {
                    view.live_owner(*shard).is_some_and(|(o, _)| o.node.as_str() == "node-b")
                })
                .count()
        })
    };
    // No waiting by the test: the command came back when it was so.
    printed(&with_token(&["pin", "0-9", "--to", "node-b"]));
    printed(&with_token(&["move", "10-19", "--to", "node-b", "--wait"]));
    printed(&with_token(&["drain", "node-b", "--wait=30s"]));
    assert_eq!(owned_by_b(), 0);
    cluster.order(&["drain", "node-b", "--undo"]);
    cluster.at_rest(2);
    let late = complaint(&with_token(&["pin", "20", "--to", "node-b", "--wait=2h30"]), 2);
    assert!(late.contains("a wait is 1s to 24h"), "{late}");

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("topology.json");
    let file = file.to_str().expect("text");
    printed(&greenroom(&["topology", "export", file, "--node", &address]));
    printed(&with_token(&["unpin", "0-4"]));
    printed(&with_token(&["pin", "50-51", "--to", "node-a"]));
    printed(&with_token(&["group", "set", "default", "--prefer", "disk=ssd"]));
    let without = complaint(&greenroom(&["topology", "import", file, "--node", &address]), 2);
    assert!(without.contains("need the operators' token"), "{without}");
    let expected = ["group default has the new rule", "unpinned 2 shards", "pinned 5 shards"];
    let dry = printed(&greenroom(&["topology", "import", file, "--dry-run", "--node", &address]));
    assert_eq!(dry, expected.map(|order| format!("would be ordered: {order}\n")).concat());
    let ordered = printed(&with_token(&["topology", "import", file]));
    assert_eq!(ordered, expected.map(|order| format!("{order}\n")).concat());
    let again = printed(&with_token(&["topology", "import", file]));
    assert_eq!(again, "the cluster has these pins and rules already\n");

    let text = std::fs::read_to_string(file).expect("it was written");
    for (from, to, hint) in [
        ("\"pin\": \"node-b\"", "\"pin\": \"node-q\"", "no live node has that name"),
        ("\"name\": \"default\"", "\"name\": \"gpu\"", "the cluster has no shard group `gpu`"),
        (
            "\"shard_count\": 96",
            "\"shard_count\": 95",
            "it is of 95 shards a group, and the cluster has 96",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        std::fs::write(file, text.replacen(from, to, 1)).expect("the folder is ours");
        let refused = complaint(&with_token(&["topology", "import", file]), 1);
        assert!(refused.contains(hint) && refused.contains("nothing was ordered"), "{refused}");
    }
    assert_eq!(owned.values().sum::<u64>(), u64::from(SHARDS));
}
