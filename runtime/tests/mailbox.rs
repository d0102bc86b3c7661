//! Bounds: what is refused early when too many calls wait or run, and who makes room again.

mod support;

use greenroom::prelude::*;
use greenroom::{FailureCode, Kind, MemoryStore};
use support::probe::probe;
use support::{Pace, alone, begin, config, expect_failure, failure, start, within};

/// An actor that is slow.
#[greenroom::interface(kind = "test.counter-hand")]
pub trait Hand {
    /// Waits until the test lets it go on, and notes its name.
    async fn serve(&mut self, name: String);
}

struct HandActor {
    key: String,
}

impl Actor for HandActor {
    async fn activate(ctx: &mut Activating<'_>) -> Result<Self, ActivateError> {
        Ok(Self { key: ctx.key().to_owned() })
    }
}

impl Hand for HandActor {
    async fn serve(&mut self, name: String) {
        let probe = probe(&self.key);
        probe.hold().await;
        probe.note(name);
    }
}

fn hands() -> Kind {
    HandRef::served_by::<HandActor>().mailbox_len_max(2)
}

/// Proves: P4, P5
#[tokio::test]
async fn a_full_mailbox_refuses_at_once_what_surely_did_not_run() {
    let node = alone([hands()]).await;
    let hand: HandRef = node.actor("full").expect("a good key");
    let (probe, other_probe) = (probe("full"), probe("empty"));
    let running = begin(hand.serve("running".into())).await;
    let waiting = begin(hand.serve("waiting".into())).await;
    within("a one-way call", hand.serve("one-way".into()).send()).await.expect("there is room");
    let refused = within("a call too many", hand.serve("refused".into())).await;
    let message = expect_failure(failure(refused), FailureCode::Overloaded, false);
    assert!(message.contains("2 calls wait") && message.contains("full"), "{message}");
    let refused = within("a one-way call too many", hand.serve("refused".into()).send()).await;
    expect_failure(refused.unwrap_err(), FailureCode::Overloaded, false);
    // One actor's crowd is no other's concern.
    let other: HandRef = node.actor("empty").expect("a good key");
    let _other = begin(other.serve("other".into())).await;
    other_probe.arrival().await;

    probe.release(4);
    let both = within("the accepted calls", async { tokio::join!(running, waiting) }).await;
    assert_eq!(both, (Ok(()), Ok(())));
    assert_eq!(within("a later call", hand.serve("later".into())).await, Ok(()));
    assert_eq!(probe.log(), ["running", "waiting", "one-way", "later"]);
}

#[tokio::test]
async fn callers_that_went_away_free_their_places() {
    let node = alone([hands()]).await;
    let (hand, probe): (HandRef, _) = (node.actor("freed").expect("a good key"), probe("freed"));
    let running = begin(hand.serve("running".into())).await;
    within("a one-way call", hand.serve("one-way".into()).send()).await.expect("there is room");
    for _ in 0..5 {
        drop(begin(hand.serve("gone".into())).await);
    }
    let last = begin(hand.serve("last".into())).await;
    // A one-way call has no caller that could go away, so its place stays taken.
    let refused = within("a call too many", hand.serve("refused".into())).await;
    expect_failure(failure(refused), FailureCode::Overloaded, false);
    probe.release(3);
    let both = within("the accepted calls", async { tokio::join!(running, last) }).await;
    assert_eq!(both, (Ok(()), Ok(())));
    assert_eq!(probe.log(), ["running", "one-way", "last"]);
}

#[tokio::test]
async fn a_node_bounds_the_calls_that_are_made_on_it() {
    let mut bounded = config(&MemoryStore::new(), "bounded", Pace::Calm);
    bounded.limits.calls_in_flight_max = 2;
    let node = start(bounded, [hands()]).await;
    within("joining", node.ready()).await.expect("the node becomes ready");
    let hand = |key| node.actor::<HandRef>(key).expect("a good key");
    let (left, middle, right) = (hand("left"), hand("middle"), hand("right"));
    let first = begin(left.serve("first".into())).await;
    let second = begin(middle.serve("second".into())).await;
    let refused = within("a call too many", right.serve("third".into())).await;
    let message = expect_failure(failure(refused), FailureCode::Overloaded, false);
    assert!(message.contains("2 calls are under way on this node"), "{message}");
    assert_eq!(probe("right").arrivals(), 0);
    // Whoever stops waiting no longer counts, though the turn runs on.
    drop(first);
    probe("right").release(1);
    assert_eq!(within("a call", right.serve("fourth".into())).await, Ok(()));
    probe("middle").release(1);
    assert_eq!(within("the second call", second).await, Ok(()));
    assert_eq!(probe("right").log(), ["fourth"]);
}
