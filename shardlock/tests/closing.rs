//! Closing: at once, patiently, with a deadline; and what revoked permits can still do.

use std::time::Duration;

use greenroom_shardlock::{Closed, GateState, Gates, OpenError, Refused};
use tokio::{
    join,
    time::{Instant, timeout},
};

/// The clock of these tests is paused and moves only when nothing else can, so it costs no time.
const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_gate_is_closed_from_the_call_on() {
    let gates = opened();
    let _inside = gates.enter(0).unwrap();
    let _never_polled = gates.close(0, Instant::now() + HOUR);
    assert_eq!(gates.enter(0).err(), Some(Refused::Closed));
    assert_eq!(gates.enter_at(0, 1).err(), Some(Refused::Closed));
    assert_eq!(gates.state(0), closing(1));
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_is_closing_lets_in_who_is_waited_for_until_it_is_drained() {
    let gates = std::sync::Arc::new(opened());
    assert!(!gates.is_closing(0));
    let outer = gates.enter(0).unwrap();
    let mut closing = Box::pin(gates.close(0, Instant::now() + HOUR));
    assert!(gates.is_closing(0));
    let older = gates.enter_owned_closing(0, Some(0)).err();
    assert_eq!(older, Some(Refused::Epoch { asked: 0, current: 1 }));
    let inner = gates.enter_owned_closing(0, Some(1)).unwrap();
    assert_eq!((inner.epoch(), inner.is_valid()), (1, true));

    drop(outer);
    assert!(timeout(MINUTE, &mut closing).await.is_err(), "the inner one is waited for too");
    drop(inner);
    assert_eq!(closing.await, Closed::Drained);
    assert_eq!(gates.enter_owned_closing(0, None).err(), Some(Refused::Closed));
    assert!(!gates.is_closing(0) && !gates.is_closing(7));
}

#[tokio::test(start_paused = true)]
async fn a_revoked_gate_lets_nobody_in_who_is_waited_for() {
    let gates = std::sync::Arc::new(opened());
    let outer = gates.enter(0).unwrap();
    assert_eq!(gates.revoke(0), 1);
    assert_eq!(gates.enter_owned_closing(0, None).err(), Some(Refused::Closed));
    assert!(!gates.is_closing(0) && !outer.is_valid());
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_the_last_permit() {
    let gates = opened();
    let first = gates.enter(0).unwrap();
    let second = gates.enter(0).unwrap();
    let mut closing = Box::pin(gates.close(0, Instant::now() + HOUR));

    assert!(timeout(MINUTE, &mut closing).await.is_err());
    assert!(first.is_valid(), "closing alone takes no permit away");
    drop(first);
    assert!(timeout(MINUTE, &mut closing).await.is_err());
    let before = Instant::now();
    drop(second);
    assert_eq!(closing.await, Closed::Drained);
    assert_eq!(Instant::now(), before, "woken, not by the deadline");
    assert_eq!(gates.state(0), GateState::Closed { last_epoch: 1 });
}

#[tokio::test(start_paused = true)]
async fn a_closed_and_drained_gate_is_answered_at_once() {
    let gates = Gates::new(1);
    let long_ago = Instant::now();
    assert_eq!(gates.close(0, long_ago).await, Closed::Drained);
    gates.open(0, 1).unwrap();
    assert_eq!(gates.close(0, long_ago).await, Closed::Drained);
    assert_eq!(gates.close(0, long_ago + HOUR).await, Closed::Drained);
    assert_eq!(Instant::now(), long_ago);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_revokes_what_is_left() {
    let gates = opened();
    let left = gates.enter(0).unwrap();
    let held = [gates.enter(0).unwrap(), gates.enter(0).unwrap()];
    let deadline = Instant::now() + HOUR;
    let closing = gates.close(0, deadline);
    drop(left);

    assert_eq!(closing.await, Closed::Revoked { permits: 2 });
    assert!(Instant::now() >= deadline);
    assert!(held.iter().all(|permit| !permit.is_valid()));
    assert_eq!(gates.state(0), GateState::Closed { last_epoch: 1 });
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_back_before_the_first_look_is_drained() {
    let gates = opened();
    let begin = Instant::now();
    for deadline in [begin, begin + HOUR] {
        let permit = gates.enter(0).unwrap();
        let closing = gates.close(0, deadline);
        drop(permit);
        assert_eq!(closing.await, Closed::Drained);
        assert_eq!(Instant::now(), begin, "neither by the deadline");
        gates.open(0, 1).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_drop_of_a_revoked_permit_does_not_unbalance_the_reopened_gate() {
    let gates = opened();
    let stale = gates.enter(0).unwrap();
    assert_eq!(gates.revoke(0), 1);
    gates.open(0, 1).unwrap();
    let fresh = gates.enter(0).unwrap();
    assert!(!stale.is_valid() && fresh.is_valid());

    drop(stale);
    assert_eq!(gates.state(0), GateState::Open { epoch: 1, permits: 1 });
    let mut closing = Box::pin(gates.close(0, Instant::now() + HOUR));
    assert!(timeout(MINUTE, &mut closing).await.is_err());
    drop(fresh);
    assert_eq!(closing.await, Closed::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_draining_gate_does_not_open_even_if_nobody_waits() {
    let gates = opened();
    let permit = gates.enter(0).unwrap();
    drop(gates.close(0, Instant::now() + HOUR));
    assert_eq!(gates.open(0, 2), Err(OpenError::NotClosed));
    assert_eq!(gates.state(0), closing(1));
    drop(permit);
    gates.open(0, 2).unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_closers_are_both_told_of_the_drain() {
    let gates = opened();
    let permit = gates.enter(0).unwrap();
    let now = Instant::now();
    let (one, two, ()) = join!(gates.close(0, now + MINUTE), gates.close(0, now + HOUR), async {
        drop(permit);
    });
    assert_eq!((one, two), (Closed::Drained, Closed::Drained));
    assert_eq!(Instant::now(), now);
}

#[tokio::test(start_paused = true)]
async fn two_closers_are_both_told_of_a_revocation() {
    let gates = opened();
    let _held = gates.enter(0).unwrap();
    let now = Instant::now();
    let (patient, hasty) = join!(gates.close(0, now + HOUR), gates.close(0, now + MINUTE));
    let revoked = Closed::Revoked { permits: 1 };
    assert_eq!((patient, hasty), (revoked, revoked));
    assert!(now.elapsed() < HOUR, "the earlier deadline counts");
}

#[tokio::test(start_paused = true)]
async fn one_closer_gives_up_and_the_other_still_gets_its_answer() {
    let gates = opened();
    let permit = gates.enter(0).unwrap();
    let now = Instant::now();
    let hasty = gates.close(0, now + MINUTE);
    let mut patient = Box::pin(gates.close(0, now + HOUR));
    drop(hasty);
    assert!(timeout(2 * MINUTE, &mut patient).await.is_err());
    assert!(permit.is_valid(), "its deadline went with it");
    let before = Instant::now();
    drop(permit);
    assert_eq!(patient.await, Closed::Drained);
    assert_eq!(Instant::now(), before, "woken, not by the deadline");
}

#[tokio::test(start_paused = true)]
async fn a_closer_that_looks_late_hears_of_its_own_drain() {
    let gates = opened();
    let permit = gates.enter(0).unwrap();
    let closing = gates.close(0, Instant::now());
    drop(permit);
    gates.open(0, 2).unwrap();
    let inside = gates.enter(0).unwrap();
    assert_eq!(closing.await, Closed::Drained);
    assert!(inside.is_valid(), "an old closer must not touch a new opening");
}

#[tokio::test(start_paused = true)]
async fn revoking_closes_at_once_and_tells_whoever_waits() {
    let gates = opened();
    let held = gates.enter(0).unwrap();
    let before = Instant::now();
    let closing = gates.close(0, before + HOUR);
    let (closed, permits) = join!(closing, async { gates.revoke(0) });
    assert_eq!((closed, permits), (Closed::Revoked { permits: 1 }, 1));
    assert_eq!(Instant::now(), before);
    assert!(!held.is_valid());
    assert_eq!(gates.revoke(0), 0);
    assert_eq!(gates.enter(0).err(), Some(Refused::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_fenced_node_revokes_everything() {
    let gates = Gates::new(4);
    for shard in 1..4 {
        gates.open(shard, 1).unwrap();
    }
    let held = [1, 2, 2].map(|shard| gates.enter(shard).unwrap());
    let before = Instant::now();
    let closing = gates.close(2, before + HOUR);
    let (closed, permits) = join!(closing, async { gates.revoke_all() });
    assert_eq!((closed, permits), (Closed::Revoked { permits: 2 }, 3));
    assert_eq!(Instant::now(), before);
    assert!(held.iter().all(|permit| !permit.is_valid()));
    for shard in 0..4 {
        assert_eq!(gates.enter(shard).err(), Some(Refused::Closed));
        gates.open(shard, 1).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_closer_leaves_no_trace() {
    let gates = opened();
    let awaited = || format!("{gates:?}").contains("awaited: 1");

    let permit = gates.enter(0).unwrap();
    let unpolled = gates.close(0, Instant::now() + HOUR);
    let mut polled = Box::pin(gates.close(0, Instant::now() + HOUR));
    assert!(timeout(MINUTE, &mut polled).await.is_err());
    assert!(awaited());
    drop(unpolled);
    assert!(awaited(), "the other still waits");
    drop(polled);
    assert!(!awaited(), "given up");
    assert_eq!(gates.state(0), closing(1));

    let drained = gates.close(0, Instant::now() + HOUR);
    assert!(awaited());
    drop(permit);
    assert!(!awaited(), "drained, though nobody has looked yet");
    drop(drained);

    gates.open(0, 1).unwrap();
    let _held = gates.enter(0).unwrap();
    assert_eq!(gates.close(0, Instant::now()).await, Closed::Revoked { permits: 1 });
    assert!(!awaited(), "revoked");
}

fn opened() -> Gates {
    let gates = Gates::new(1);
    gates.open(0, 1).unwrap();
    gates
}

fn closing(permits: u32) -> GateState {
    GateState::Closing { epoch: 1, permits }
}
