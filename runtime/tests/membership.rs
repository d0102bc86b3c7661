//! Who is a member, who is refused, and who has to wait.

mod support;

use std::time::Duration;

use greenroom::prelude::*;
use greenroom::{FailureCode, MemoryStore, NodeError, StatusPhase};
use support::ledger::{TallyRef, tallies};
use support::{Pace, SHARDS, alone, config, expect_failure, failure, join, owners, start, within};

fn tally(node: &Node) -> TallyRef {
    node.actor("tally").expect("a good key")
}

async fn refused(node: &Node) -> String {
    match within("the refusal", node.ready()).await {
        Err(NodeError::Refused(reason)) => reason,
        other => panic!("{other:?} is no refusal"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hosts_nothing_takes_no_shards_and_can_call() {
    let store = MemoryStore::new();
    let client = start(config(&store.handle(), "client", Pace::Calm), []).await;
    let server = join(&store, "server", Pace::Calm, tallies()).await;
    within("joining", client.ready()).await.expect("the client becomes ready");
    let tick = within("a call", tally(&client).add()).await.expect("it is answered");
    assert_eq!(tick.value, 1);
    assert_eq!(owners(&client).await, vec!["server"; SHARDS as usize]);
    assert_eq!((client.status().targeted, client.active_actors()), (0, 0));
    within("the stop", client.stop()).await;
    assert_eq!(within("a call", tally(&server).add()).await.map(|tick| tick.value), Ok(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_node_that_hosts_anything_a_call_waits_for_one() {
    let store = MemoryStore::new();
    let client = start(config(&store.handle(), "client", Pace::Calm), []).await;
    let brief = within("a call", tally(&client).add().timeout(Duration::from_millis(30))).await;
    let message = expect_failure(failure(brief), FailureCode::Timeout, false);
    assert!(message.contains("has no owner"), "{message}");
    let patient = tokio::spawn({
        let tally = tally(&client);
        async move { tally.add().await }
    });
    let _server = join(&store, "server", Pace::Calm, tallies()).await;
    let answer = within("the patient call", patient).await.expect("no panic");
    assert_eq!(answer.map(|tick| tick.value), Ok(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_number_of_shards_is_refused_with_both_numbers() {
    let store = MemoryStore::new();
    let first = join(&store, "first", Pace::Calm, tallies()).await;
    let mut other = config(&store.handle(), "other", Pace::Calm);
    other.shards = 2 * SHARDS;
    let other = start(other, [tallies()]).await;
    let reason = refused(&other).await;
    let (theirs, ours) = (format!("{SHARDS} shards"), format!("{} shards", 2 * SHARDS));
    assert!(reason.contains(&theirs) && reason.contains(&ours), "{reason}");
    assert_eq!(other.status().phase, StatusPhase::Stopped(Some(reason)));
    assert!(within("a call", tally(&first).add()).await.is_ok());
}

/// Proves: C20
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_node_of_the_same_name_waits_for_the_first_to_leave() {
    let store = MemoryStore::new();
    let first = join(&store, "twin", Pace::Calm, tallies()).await;
    let second = start(config(&store.handle(), "twin", Pace::Calm), [tallies()]).await;
    within("reading the store", async {
        while !second.status().synced {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for value in 1..=200 {
        let tick = within("a call", tally(&first).add()).await.expect("it is answered");
        assert_eq!(tick.value, value);
        tokio::task::yield_now().await;
    }
    let status = second.status();
    assert_eq!((status.phase, status.life), (StatusPhase::Joining, None));
    let before = first.status().life.expect("it is a member");
    within("the stop", first.stop()).await;
    within("taking over", second.ready()).await.expect("the second becomes ready");
    let after = second.status().life.expect("it is a member");
    assert_eq!(after.node, before.node);
    assert!(after.incarnation > before.incarnation);
    assert_eq!(within("a call", tally(&second).add()).await.map(|tick| tick.value), Ok(1));
}

/// Proves: C20
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_takes_over_from_its_own_former_life() {
    let store = MemoryStore::new();
    let first = join(&store, "phoenix", Pace::Quick, tallies()).await;
    let before = first.status().life.expect("it is a member");
    within("the crash", first.crash()).await;
    let second = join(&store, "phoenix", Pace::Quick, tallies()).await;
    assert!(second.status().life.expect("it is a member").incarnation > before.incarnation);
    assert!(within("a call", tally(&second).add()).await.is_ok());
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let node = alone([tallies()]).await;
    let kind_twice =
        Node::with(config(&MemoryStore::new(), "x", Pace::Calm)).host(tallies()).host(tallies());
    let error = kind_twice.start().await.expect_err("one kind, two types");
    assert!(matches!(error, NodeError::KindTwice("test.tally")), "{error}");

    let taken = node.peer_address().to_string();
    let mut config = config(&MemoryStore::new(), "x", Pace::Calm);
    config.listen.clone_from(&taken);
    let error = Node::with(config.clone()).start().await.expect_err("the port is taken");
    assert!(error.to_string().contains(&taken), "{error}");

    config.shards = 0;
    let error = Node::with(config.clone()).start().await.expect_err("no shards");
    assert!(error.to_string().contains("GREENROOM_SHARDS must be 1 to 65536, got 0"), "{error}");

    config.shards = SHARDS;
    config.cluster = "no such name".into();
    config.listen = "127.0.0.1:0".into();
    let error = Node::with(config).start().await.expect_err("a bad name");
    assert!(error.to_string().contains("no such name"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_has_left_answers_no_calls_and_stops_only_once() {
    let node = alone([tallies()]).await;
    assert!(within("a call", tally(&node).add()).await.is_ok());
    within("the stop", node.stop()).await;
    within("another stop", node.stop()).await;
    within("a crash after it", node.crash()).await;
    assert_eq!(node.status().phase, StatusPhase::Stopped(None));
    assert!(node.view().await.is_none());
    let late = within("a call", tally(&node).add().timeout(Duration::from_millis(50))).await;
    assert!(!failure(late).may_have_run);
    assert!(within("readiness", node.ready()).await.is_err());
}
