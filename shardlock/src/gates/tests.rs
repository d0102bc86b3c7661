//! The moment between the last one's leaving and its telling so, which no test from outside can hold
//! open: here the two are taken apart.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Gates;
use crate::{Closed, GateState};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn opening_answers_a_round_that_drained_untold() {
    let gates = Gates::new(1);
    let begin = Instant::now();
    let closing = closing_and_drained_untold(&gates);
    gates.open(0, 2).unwrap();
    let permit = gates.enter(0).unwrap();

    assert_eq!(closing.await, Closed::Drained);
    assert_eq!(Instant::now(), begin, "not by the deadline");
    assert!(permit.is_valid());
}

#[tokio::test(start_paused = true)]
async fn a_late_word_of_a_drain_answers_no_later_round() {
    let gates = Gates::new(1);
    let _earlier = closing_and_drained_untold(&gates);
    gates.open(0, 2).unwrap();
    let permit = gates.enter(0).unwrap();
    let mut later = Box::pin(gates.close(0, Instant::now() + HOUR));

    gates.tell_drained(0);
    assert!(timeout(HOUR / 2, &mut later).await.is_err());
    drop(permit);
    assert_eq!(later.await, Closed::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_revocation_that_comes_after_the_drain_revokes_nothing() {
    let gates = Gates::new(1);
    let closing = closing_and_drained_untold(&gates);
    assert_eq!(gates.revoke(0), 0);
    gates.tell_drained(0);
    assert_eq!(closing.await, Closed::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_comes_after_the_drain_revokes_nothing() {
    let gates = Gates::new(1);
    let begin = Instant::now();
    let closing = closing_and_drained_untold(&gates);
    assert_eq!(closing.await, Closed::Drained);
    assert!(Instant::now() >= begin + HOUR, "there was nobody to wake it");
    assert_eq!(gates.rounds().len(), 0);
    gates.tell_drained(0);
    assert_eq!(gates.state(0), GateState::Closed { last_epoch: 1 });
}

/// A gate with a closer, deadline in an hour, whose last one out has not come to say so.
fn closing_and_drained_untold(gates: &Gates) -> impl Future<Output = Closed> + Send + '_ {
    gates.open(0, 1).unwrap();
    let entry = gates.gate(0).enter(None).unwrap();
    let closing = gates.close(0, Instant::now() + HOUR);
    assert!(gates.gate(0).leave(entry.generation));
    assert_eq!(gates.rounds().len(), 1);
    closing
}
