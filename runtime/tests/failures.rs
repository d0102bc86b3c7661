//! What nodes and stores do when they fail: calls fail honestly or succeed later, and no two
//! activations of an actor ever answer in turns.

mod support;

use std::time::Duration;

use greenroom::prelude::*;
use greenroom::{FailureCode, MemoryStore};
use support::ledger::{Load, Report, TallyRef, tallies};
use support::{Pace, config, failure, join, spread, start, within};

const PATIENCE: Duration = Duration::from_secs(20);

fn keys() -> Vec<String> {
    (0..12).map(|number| format!("tally {number}")).collect()
}

fn tally(node: &Node, key: &str) -> TallyRef {
    node.actor(key).expect("a good key")
}

/// Panics if a call failed without need, or two activations of an actor answered in turns. A call
/// with so much time may fail only because its node died under it.
fn assert_honest(report: &mut Report) {
    for failure in &report.failures {
        assert!(failure.may_have_run, "not tried again: {failure}");
        assert_ne!(failure.code, FailureCode::Timeout, "waited in vain: {failure}");
    }
    assert!(report.answered > report.failures.len(), "{:?}", report.failures);
    report.ledger.check();
}

/// One call through each of the nodes to each actor, which must be answered.
async fn call_all(nodes: &[&Node]) {
    for node in nodes {
        for key in keys() {
            let answer = within("a call", tally(node, &key).add().timeout(PATIENCE)).await;
            assert!(answer.is_ok(), "{key} by {node:?}: {answer:?}");
        }
    }
}

/// Proves: P4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_fails_calls_honestly_and_its_actors_live_on_elsewhere() {
    let store = MemoryStore::new();
    let a = join(&store, "a", Pace::Quick, tallies()).await;
    let b = join(&store, "b", Pace::Quick, tallies()).await;
    let c = join(&store, "c", Pace::Quick, tallies()).await;
    spread(&b, 3).await;
    call_all(&[&b, &c]).await;
    assert!(a.active_actors() > 0);
    let load = Load::start(&[&b, &c], &keys(), PATIENCE);
    load.goes_on(100).await;
    within("the crash", a.crash()).await;
    spread(&b, 2).await;
    load.goes_on(200).await;
    let mut report = load.stop().await;
    assert_honest(&mut report);
    let moved = keys().into_iter().filter(|key| report.ledger.activations(key) > 1);
    assert!(moved.count() > 0, "no actor was on the node that crashed");
    call_all(&[&b, &c]).await;
}

/// Proves: C5, P1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_cut_off_its_store_stops_before_another_takes_over_and_comes_back_as_a_new_one() {
    let store = MemoryStore::new();
    let handle = store.handle();
    let a = start(config(&handle, "a", Pace::Quick), [tallies()]).await;
    let b = join(&store, "b", Pace::Quick, tallies()).await;
    let c = join(&store, "c", Pace::Quick, tallies()).await;
    spread(&b, 3).await;
    call_all(&[&a, &b]).await;
    let before = a.status().life.expect("it is a member");
    // Also through the node that is cut off: it must not answer for what it has lost.
    let load = Load::start_patient(&[&a, &b], &keys(), PATIENCE);
    load.goes_on(100).await;
    handle.set_available(false);
    spread(&b, 2).await;
    let through_others = Load::start(&[&b, &c], &keys(), PATIENCE);
    through_others.goes_on(200).await;
    assert_honest(&mut through_others.stop().await);
    handle.set_available(true);
    spread(&b, 3).await;
    within("coming back", a.ready()).await.expect("it becomes ready");
    let after = a.status().life.expect("it is a member again");
    assert_eq!(after.node, before.node);
    assert!(after.incarnation > before.incarnation, "{before} came back as {after}");
    load.goes_on(100).await;
    assert_honest(&mut load.stop().await);
    call_all(&[&a, &b, &c]).await;
}

/// Proves: C8, C22
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_outage_of_the_store_fails_no_call() {
    let store = MemoryStore::new();
    let a = join(&store, "a", Pace::Calm, tallies()).await;
    let b = join(&store, "b", Pace::Calm, tallies()).await;
    spread(&a, 2).await;
    let load = Load::start(&[&a, &b], &keys(), PATIENCE);
    load.goes_on(100).await;
    store.set_available(false);
    load.goes_on(500).await;
    store.set_available(true);
    load.goes_on(100).await;
    let mut report = load.stop().await;
    assert_eq!(report.failures, []);
    report.ledger.check();
    assert!(keys().iter().all(|key| report.ledger.activations(key) == 1), "an actor moved");
}

/// Proves: C22
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_outage_of_the_store_halts_the_cluster_and_kills_nobody() {
    let store = MemoryStore::new();
    let a = join(&store, "a", Pace::Quick, tallies()).await;
    let b = join(&store, "b", Pace::Quick, tallies()).await;
    spread(&a, 2).await;
    call_all(&[&a, &b]).await;
    let lives = [a.status().life, b.status().life];
    store.set_available(false);
    // Until both have lost the right to run. Then they say so at once, however long a call may take.
    for node in [&a, &b] {
        let tally = tally(node, "tally 0");
        let halted = async {
            loop {
                match tally.add().timeout(Duration::from_secs(3600)).await {
                    Err(CallError::Failed(failure)) if !failure.may_have_run => return failure,
                    // Still answered, or fenced in the middle of its turn.
                    _ => {}
                }
            }
        };
        let failed = within("the halt", halted).await;
        assert_eq!(failed.code, FailureCode::Fenced, "{failed}");
        assert!(failed.message.contains("the store does not answer"), "{failed}");
        assert!(failed.retry_after().is_some(), "{failed}");
    }
    let patient = tally(&a, "tally 0");
    let patient = tokio::spawn(async move { patient.add().timeout(PATIENCE).patient().await });
    store.set_available(true);
    let answer = within("the patient call", patient).await.expect("no panic");
    assert!(answer.is_ok(), "{answer:?}");
    call_all(&[&a, &b]).await;
    assert_eq!([a.status().life, b.status().life], lives, "a node was taken for dead");
}

/// Proves: P4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_under_way_when_its_node_crashes_may_have_run() {
    let store = MemoryStore::new();
    let a = join(&store, "a", Pace::Quick, tallies()).await;
    let b = start(config(&store.handle(), "b", Pace::Quick), []).await;
    within("joining", b.ready()).await.expect("the caller becomes ready");
    let held = tally(&b, "held");
    let call = tokio::spawn(async move { held.pass_on_later(Vec::new()).await });
    let probe = support::probe::probe("held");
    probe.arrival().await;
    within("the crash", a.crash()).await;
    let failed = failure(within("the call", call).await.expect("no panic"));
    assert!(failed.may_have_run, "{failed}");
    assert_ne!(failed.code, FailureCode::Timeout, "{failed}");
    probe.release(1);
}
