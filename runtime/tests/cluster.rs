//! Several nodes of one cluster: calls find their actor from everywhere, and planned changes fail
//! none of them.

mod support;

use std::time::Duration;

use greenroom::MemoryStore;
use greenroom::prelude::*;
use support::ledger::{Load, Report, TallyRef, tallies};
use support::probe::probe;
use support::{Pace, SHARDS, join, owners, spread, within};

const PATIENCE: Duration = Duration::from_secs(20);

struct Cluster {
    store: MemoryStore,
    nodes: Vec<Node>,
}

/// Nodes with these names, ready, with the shards spread over them.
async fn cluster(names: &[&str]) -> Cluster {
    let store = MemoryStore::new();
    let mut nodes = Vec::new();
    for name in names {
        nodes.push(join(&store, name, Pace::Calm, tallies()).await);
    }
    for node in &nodes {
        spread(node, names.len()).await;
    }
    Cluster { store, nodes }
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("tally {number}")).collect()
}

fn tally(node: &Node, key: &str) -> TallyRef {
    node.actor(key).expect("a good key")
}

/// A key whose actor is on the node with this name, and a hash tag as well.
fn key_on(node: &Node, owner: &str) -> String {
    let is_there = |key: &String| {
        let peeked = node.peek(tally(node, key).actor());
        peeked.route.is_some_and(|route| route.owner.life.node.as_str() == owner)
    };
    let mut keys = (0..10_000).map(|number| format!("key {{{number}}}"));
    keys.find(is_there).expect("each node owns some keys")
}

/// Panics unless every call was answered, and no two activations of an actor answered in turns.
fn assert_unharmed(report: &mut Report) {
    assert_eq!(report.failures, []);
    report.ledger.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_reaches_the_same_actor() {
    let Cluster { nodes, .. } = cluster(&["a", "b", "c"]).await;
    let keys = keys(12);
    for key in &keys {
        let mut activations = Vec::new();
        for (value, node) in (1..).zip(nodes.iter().chain(&nodes)) {
            let tick = within("a call", tally(node, key).add()).await.expect("it is answered");
            assert_eq!(tick.value, value, "{key} by {node:?}");
            activations.push(tick.activation);
        }
        activations.dedup();
        assert_eq!(activations.len(), 1, "{key}");
    }
    assert_eq!(nodes.iter().map(Node::active_actors).sum::<usize>(), keys.len());
    assert!(nodes.iter().all(|node| node.active_actors() > 0), "all on one node");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_deadline_and_chain_go_along_to_another_node() {
    let Cluster { nodes, .. } = cluster(&["a", "b"]).await;
    let (here, there) = (key_on(&nodes[0], "a"), key_on(&nodes[0], "b"));
    let remote = tally(&nodes[0], &there);
    for number in 0..100 {
        within("a one-way call", remote.note(number).send()).await.expect("it is accepted");
    }
    let notes = within("a call", remote.notes()).await.expect("it is answered");
    assert_eq!(notes, (0..100).collect::<Vec<_>>());

    let remaining = remote.remaining().timeout(Duration::from_secs(5));
    let remaining = within("a call", remaining).await.expect("it is answered");
    assert!((1..=5000).contains(&remaining), "{remaining} ms");

    let round = tally(&nodes[0], &here);
    let round = round.pass_on(vec![there.clone(), here.clone()]);
    let Err(CallError::Actor(refused)) = within("a cycle", round).await else {
        panic!("a cycle over two nodes was not refused")
    };
    assert_eq!(refused.code, "cycle");
    let names = format!("test.tally/{here} -> test.tally/{there} -> test.tally/{here}");
    assert!(refused.message.contains(&names), "{}", refused.message);
}

/// Proves: P3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leaves_fails_no_call() {
    let Cluster { nodes, .. } = cluster(&["a", "b", "c"]).await;
    let (moving, mut keys) = (key_on(&nodes[1], "a"), keys(24));
    let before = within("a call", tally(&nodes[1], &moving).add()).await.expect("it is answered");
    keys.push(moving.clone());
    let load = Load::start(&[&nodes[1], &nodes[2]], &keys, PATIENCE);
    load.goes_on(200).await;
    within("the stop", nodes[0].stop()).await;
    assert_eq!(nodes[0].active_actors(), 0);
    spread(&nodes[1], 2).await;
    load.goes_on(200).await;
    let mut report = load.stop().await;
    assert_unharmed(&mut report);
    let after = report.ledger.last_activation(&moving);
    assert!(after.is_some_and(|after| after != before.activation), "{moving} has not moved");
}

/// Proves: P3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_joins_fails_no_call_and_takes_its_share_and_no_more() {
    let Cluster { store, nodes } = cluster(&["a", "b"]).await;
    let keys = keys(12);
    let load = Load::start(&[&nodes[0], &nodes[1]], &keys, PATIENCE);
    load.goes_on(200).await;
    let before = owners(&nodes[0]).await;
    let newcomer = join(&store, "c", Pace::Calm, tallies()).await;
    spread(&nodes[0], 3).await;
    let after = owners(&nodes[0]).await;
    load.goes_on(200).await;
    assert_unharmed(&mut load.stop().await);
    let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
    let moved: Vec<&String> = moved.map(|(_, after)| after).collect();
    assert!(moved.iter().all(|owner| *owner == "c"), "{moved:?}");
    let share = SHARDS as usize / 3;
    assert!((share..=share + 1).contains(&moved.len()), "{} moved", moved.len());
    assert_eq!(newcomer.status().targeted, moved.len());
}

/// Proves: P3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_fails_no_call() {
    let Cluster { store, mut nodes } = cluster(&["a", "b", "c"]).await;
    let caller = support::start(support::config(&store.handle(), "caller", Pace::Calm), []).await;
    within("joining", caller.ready()).await.expect("the caller becomes ready");
    let load = Load::start(&[&caller], &keys(16), PATIENCE);
    for (place, name) in ["a", "b", "c"].into_iter().enumerate() {
        load.goes_on(50).await;
        within("the stop", nodes[place].stop()).await;
        nodes[place] = join(&store, name, Pace::Calm, tallies()).await;
        spread(&caller, 3).await;
    }
    load.goes_on(50).await;
    assert_unharmed(&mut load.stop().await);
}

/// A call made in a turn must not wait for a handoff that itself waits for that turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_calls_actors_of_its_own_shard_while_that_moves() {
    let Cluster { nodes, .. } = cluster(&["a", "b"]).await;
    let outer = key_on(&nodes[1], "a");
    let inner = outer.replace("key", "inner");
    let (probe, caller) = (probe(&outer), tally(&nodes[1], &outer));
    let call = tokio::spawn(async move { caller.pass_on_later(vec![inner]).await });
    probe.arrival().await;
    let stopping = tokio::spawn({
        let node = nodes[0].clone();
        async move { node.stop().await }
    });
    // All gates of that node are closed now, and the turn's own shard can't go before it ends.
    within("closing all gates", async {
        while nodes[0].status().claimed > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    probe.release(1);
    let answer = within("the call", call).await.expect("no panic");
    assert_eq!(answer.map(|tick| tick.value), Ok(1));
    within("the stop", stopping).await.expect("no panic");
}
