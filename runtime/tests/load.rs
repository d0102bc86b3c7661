//! What runs in the shards: the leader knows it, and with the strategy `load` it is shared out.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use greenroom::prelude::*;
use greenroom::{MemoryStore, ShardId, ShardLoad};
use greenroom_core::planner::Strategy;
use greenroom_proto::v1::inspect_client::InspectClient;
use greenroom_proto::v1::{LoadsReply, LoadsRequest};
use support::ledger::{Load, TallyRef, tallies};
use support::probe::probe;
use support::{Pace, config, spread, start, within};

const PATIENCE: Duration = Duration::from_secs(20);

type Loads = BTreeMap<ShardId, ShardLoad>;

/// A node that reports five times a second.
async fn join(store: &MemoryStore, name: &str, strategy: Strategy) -> Node {
    let mut config = config(&store.handle(), name, Pace::Calm);
    config.rebalance_strategy = strategy;
    config.load_report_interval = Duration::from_millis(200);
    let node = start(config, [tallies()]).await;
    within("joining", node.ready()).await.expect("the node becomes ready");
    node
}

/// Nodes with these names, each with its part of the shards. The first one leads.
async fn cluster(names: &[&str], strategy: Strategy) -> (MemoryStore, Vec<Node>) {
    let store = MemoryStore::new();
    let mut nodes = Vec::new();
    for name in names {
        nodes.push(join(&store, name, strategy).await);
    }
    spread(&nodes[0], names.len()).await;
    assert!(nodes[0].status().leads);
    (store, nodes)
}

fn tally(node: &Node, key: &str) -> TallyRef {
    node.actor(key).expect("a good key")
}

fn shard(node: &Node, key: &str) -> ShardId {
    node.peek(tally(node, key).actor()).shard
}

fn owner(node: &Node, key: &str) -> String {
    let peeked = node.peek(tally(node, key).actor());
    peeked.route.map(|route| route.owner.life.node.to_string()).unwrap_or_default()
}

/// Keys on one node, each in another shard.
fn keys_on(node: &Node, name: &str, count: usize) -> Vec<String> {
    let mut shards = BTreeSet::new();
    let keys = (0..10_000).map(|number| format!("key {number}"));
    let keys = keys.filter(|key| owner(node, key) == name && shards.insert(shard(node, key)));
    let keys: Vec<String> = keys.take(count).collect();
    assert_eq!(keys.len(), count, "{name} owns too few shards");
    keys
}

/// Waits until what the leader knows meets a condition, and answers with it.
async fn known(leader: &Node, what: &str, condition: impl Fn(&Loads) -> bool) -> Loads {
    let known = async {
        loop {
            let loads = leader.loads().await.expect("the leader has not left");
            let loads = loads.into_iter().collect();
            if condition(&loads) {
                return loads;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(what, known).await
}

/// What a node tells operators' tools.
async fn told(node: &Node) -> LoadsReply {
    let address = format!("http://{}", node.peer_address());
    let mut client =
        within("connecting", InspectClient::connect(address)).await.expect("it listens");
    let reply = within("an answer", client.loads(LoadsRequest {})).await;
    reply.expect("the node has not left").into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_knows_calls_activations_and_busy_time_of_its_own_and_other_nodes() {
    let (_, nodes) = cluster(&["a", "b"], Strategy::Count).await;
    let mut keys = keys_on(&nodes[0], "a", 1);
    keys.extend(keys_on(&nodes[0], "b", 1));
    let shards: BTreeSet<ShardId> = keys.iter().map(|key| shard(&nodes[0], key)).collect();
    let load = Load::start(&[&nodes[0], &nodes[1]], &keys, PATIENCE);
    // A third of the turns take 3 ms, and two callers take turns with pauses of 1 ms.
    let loads = known(&nodes[0], "loads of both nodes", |loads| {
        let known = |shard| {
            let ShardLoad { calls_per_s, busy_us_per_s, activations } = loads.get(shard)?;
            Some((*calls_per_s > 20 && *busy_us_per_s > 20_000) && *activations == 1)
        };
        shards.iter().all(|shard| known(shard) == Some(true))
    });
    let loads = loads.await;
    assert_eq!(loads.keys().copied().collect::<BTreeSet<_>>(), shards, "of no other shards");
    for load in loads.values() {
        assert!(load.calls_per_s < 2_000 && load.busy_us_per_s < 3_000_000, "{load:?}");
    }
    let told = told(&nodes[0]).await;
    assert!(told.leads && told.node == "a", "{told:?}");
    let told: BTreeSet<_> = told.loads.iter().map(|load| ShardId(load.shard)).collect();
    assert_eq!(told, shards, "operators' tools learn of the same shards");
    assert!(!self::told(&nodes[1]).await.leads, "what b knows is not what the leader knows");
    assert_eq!(load.stop().await.failures, []);
    // Actors stay in memory; calls end. The rate halves with each report, but for a last one.
    let at_rest =
        known(&nodes[0], "rest", |loads| loads.values().all(|load| load.calls_per_s <= 1));
    assert!(at_rest.await.values().all(|load| load.activations == 1));
    assert_eq!(nodes[1].loads().await, Some(Vec::new()), "nobody reports to b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_counts_of_a_shard_end_where_it_leaves_and_begin_where_it_comes() {
    let (store, nodes) = cluster(&["a", "b"], Strategy::Count).await;
    // Nearly all shards of b: those at rest leave first.
    let keys = keys_on(&nodes[0], "b", 28);
    for key in &keys {
        within("a call", tally(&nodes[0], key).add()).await.expect("it is answered");
    }
    let in_memory = |loads: &Loads, key: &String| {
        loads.get(&shard(&nodes[0], key)).map_or(0, |load| load.activations)
    };
    let all = |loads: &Loads| keys.iter().all(|key| in_memory(loads, key) == 1);
    known(&nodes[0], "the load", all).await;

    let newcomer = join(&store, "c", Strategy::Count).await;
    spread(&nodes[0], 3).await;
    let is_moved = |key: &String| owner(&nodes[0], key) == "c";
    let (moved, stayed): (Vec<String>, Vec<String>) = keys.iter().cloned().partition(is_moved);
    assert!(!moved.is_empty() && !stayed.is_empty(), "{moved:?} moved");
    let at_rest = |loads: &Loads| moved.iter().all(|key| in_memory(loads, key) == 0);
    let loads = known(&nodes[0], "the end of the load", at_rest).await;
    assert!(stayed.iter().all(|key| in_memory(&loads, key) == 1), "{loads:?}");

    // From now on c alone tells what runs there, however often b reports.
    let load = Load::start(&[&nodes[0]], &moved, PATIENCE);
    let again = |loads: &Loads| moved.iter().all(|key| in_memory(loads, key) == 1);
    known(&nodes[0], "a load again", again).await;
    let ever = known(&nodes[0], "another picture", |loads| !again(loads));
    tokio::select! {
        () = load.goes_on(600 * moved.len()) => {}
        loads = ever => panic!("{loads:?}"),
    }
    assert_eq!(load.stop().await.failures, []);
    within("the stop", newcomer.stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_runs_long_is_busy_when_it_has_ended() {
    let (_, nodes) = cluster(&["a", "b"], Strategy::Count).await;
    let key = keys_on(&nodes[0], "b", 1).remove(0);
    let shard = shard(&nodes[0], &key);
    let (probe, remote) = (probe(&key), tally(&nodes[0], &key));
    let call = tokio::spawn(async move { remote.pass_on_later(Vec::new()).await });
    probe.arrival().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = nodes[0].loads().await.expect("the leader has not left");
    assert!(before.iter().all(|(_, load)| load.busy_us_per_s == 0), "{before:?}");
    probe.release(1);
    within("the call", call).await.expect("no panic").expect("it is answered");
    // All of its time is told at once, as the rate of one interval, and half of that is kept.
    let busy = |loads: &Loads| loads.get(&shard).is_some_and(|load| load.busy_us_per_s > 1_000_000);
    known(&nodes[0], "the busy time", busy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hot_shards_of_one_node_are_spread_over_all_and_no_call_fails() {
    let (_, nodes) = cluster(&["a", "b", "c"], Strategy::Load).await;
    let keys = keys_on(&nodes[0], "b", 6);
    let hot: BTreeSet<ShardId> = keys.iter().map(|key| shard(&nodes[0], key)).collect();
    let load = Load::start(&[&nodes[0], &nodes[2]], &keys, PATIENCE);
    let spread = async {
        loop {
            let mut counts = BTreeMap::new();
            for key in &keys {
                *counts.entry(owner(&nodes[0], key)).or_insert(0) += 1;
            }
            if counts.len() == 3 && counts.values().all(|count| *count <= 3) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("spreading the load", spread).await;
    let known = known(&nodes[0], "loads of the hot shards", |loads| {
        let is_hot = |shard| loads.get(shard).is_some_and(|load: &ShardLoad| load.calls_per_s > 20);
        hot.iter().all(is_hot)
    });
    known.await;
    load.goes_on(200).await;
    let mut report = load.stop().await;
    assert_eq!(report.failures, []);
    report.ledger.check();
}
