//! What the tests of the runtime share: a bound for everything that waits, nodes of one process,
//! and probes by which a test sees into its actors and holds their turns.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code, unreachable_pub)]

pub mod http;
pub mod ledger;
pub mod operator;
pub mod probe;
pub mod proxy;

use std::pin::Pin;
use std::time::Duration;

use futures_util::poll;
use greenroom::{CallError, Config, Failure, FailureCode, Kind, MemoryStore, Node, StoreConfig};
use tokio::time::timeout;

/// Longest that anything in a test may wait. Only a test that fails gets there.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Shards of the clusters in these tests: few, so that a debug build moves them quickly.
pub const SHARDS: u32 = 64;

/// The output of `future`; panics when it takes longer than [`PATIENCE`].
pub async fn within<F: IntoFuture>(what: &str, future: F) -> F::Output {
    match timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} took longer than {PATIENCE:?}"),
    }
}

/// Waits until something is so; panics when that takes longer than [`PATIENCE`].
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    within(what, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Makes a call that can't be answered at once, or anything else that takes its time: when this
/// returns, the call stands in its actor's mailbox or its turn has begun.
pub async fn begin<C: IntoFuture>(call: C) -> Pin<Box<C::IntoFuture>> {
    // With a fresh share of the thread, or the call might do no more than let others run.
    tokio::task::yield_now().await;
    let mut call = Box::pin(call.into_future());
    assert!(poll!(&mut call).is_pending(), "nothing holds it up");
    call
}

/// How fast a cluster notices a silent node.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// Within 0.6 s: for tests of failures.
    Quick,
    /// Within 10 s: for tests in which nobody may be taken for dead, however busy the machine is.
    Calm,
}

/// The configuration of a node named `name` that reaches its store through `store`.
pub fn config(store: &MemoryStore, name: &str, pace: Pace) -> Config {
    let mut config = Config::embedded(StoreConfig::Memory(store.clone()));
    config.node = greenroom::NodeId::new(name).expect("a test names its nodes well");
    config.shards = SHARDS;
    config.http_listen = None;
    config.rebalance_stability = Duration::from_millis(100);
    (config.liveness_window, config.liveness_margin) = match pace {
        Pace::Quick => (Duration::from_millis(600), Duration::from_millis(100)),
        Pace::Calm => (Duration::from_secs(10), Duration::from_secs(1)),
    };
    config.heartbeat_interval = Duration::from_millis(100);
    config
}

/// Starts a node with this configuration and does not wait for it.
pub async fn start(config: Config, kinds: impl IntoIterator<Item = Kind>) -> Node {
    let builder = kinds.into_iter().fold(Node::with(config), greenroom::NodeBuilder::host);
    builder.start().await.expect("the node starts")
}

/// Starts a node of a cluster and waits until it is ready.
pub async fn join(store: &MemoryStore, name: &str, pace: Pace, kind: Kind) -> Node {
    let node = start(config(&store.handle(), name, pace), [kind]).await;
    within("joining", node.ready()).await.expect("the node becomes ready");
    node
}

/// A node in a cluster of its own, ready.
pub async fn alone(kinds: impl IntoIterator<Item = Kind>) -> Node {
    let node = start(config(&MemoryStore::new(), "alone", Pace::Calm), kinds).await;
    within("joining", node.ready()).await.expect("the node becomes ready");
    node
}

/// Waits until all shards are spread over exactly `nodes` nodes, at most one shard uneven, as
/// `node` sees it.
pub async fn spread(node: &Node, nodes: usize) {
    let even = async {
        while !is_spread(&owners(node).await, nodes) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("spreading the shards", even).await;
}

fn is_spread(owners: &[String], nodes: usize) -> bool {
    let mut counts = std::collections::BTreeMap::new();
    for owner in owners {
        *counts.entry(owner).or_insert(0_usize) += 1;
    }
    let share = SHARDS as usize / nodes;
    !owners.iter().any(String::is_empty)
        && counts.len() == nodes
        && counts.values().all(|count| (share..=share + 1).contains(count))
}

/// The owner of each shard, as `node` knows it; empty for a shard without a live one.
pub async fn owners(node: &Node) -> Vec<String> {
    let view = node.view().await.expect("the node has not left");
    let owner = |shard| view.live_owner(greenroom::ShardId(shard));
    let name = |shard| owner(shard).map(|(life, _)| life.node.to_string());
    (0..SHARDS).map(|shard| name(shard).unwrap_or_default()).collect()
}

/// The failure in the result of a call that must not have been answered by its actor.
pub fn failure<T, E>(result: Result<T, CallError<E>>) -> Failure
where
    T: std::fmt::Debug,
    E: std::fmt::Debug,
{
    match result {
        Err(CallError::Failed(failure)) => failure,
        other => panic!("{other:?} is no failure of delivery"),
    }
}

/// Checks code and promise of a failure, and answers with its message.
pub fn expect_failure(failure: Failure, code: FailureCode, may_have_run: bool) -> String {
    assert_eq!((failure.code, failure.may_have_run), (code, may_have_run), "{failure}");
    failure.message
}
