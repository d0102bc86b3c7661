//! Closing: at once, patiently, with a deadline; and what revoked permits can still do.

use std::time::Duration;

use greenroom_shardlock::{Blocker, GateState, Gates, OpenError, Refused, WriteError, WriteGuard};
use tokio::{
    join,
    time::{Instant, timeout},
};

/// The clock of these tests is paused and moves only when nothing else can, so it costs no time.
const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_gate_is_closed_from_the_call_on() {
    let gates = opened();
    let _inside = gates.enter(0).unwrap();
    let _never_polled = close(&gates, HOUR);
    assert_eq!(gates.enter(0).err(), Some(Refused::Closed));
    assert_eq!(gates.enter_at(0, 1).err(), Some(Refused::Closed));
    assert_eq!(gates.state(0), closing(1));
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_is_draining_lets_in_who_is_waited_for_until_it_is_drained() {
    let gates = opened();
    assert!(!gates.is_draining(0));
    let outer = gates.enter(0).unwrap();
    let mut handoff = Box::pin(close(&gates, HOUR));
    assert!(gates.is_draining(0));
    let older = gates.enter_beside(0, Some(0)).err();
    assert_eq!(older, Some(Refused::Epoch { asked: 0, current: 1 }));
    let inner = gates.enter_beside(0, Some(1)).unwrap();
    assert_eq!((inner.epoch(), inner.is_valid()), (1, true));

    drop(outer);
    assert!(timeout(MINUTE, &mut handoff).await.is_err(), "the inner one is waited for too");
    drop(inner);
    let guard = handoff.await.unwrap();
    assert_eq!(guard.revoked_permits(), 0);
    assert_eq!(gates.enter_beside(0, None).err(), Some(Refused::Closed));
    assert!(!gates.is_draining(0));
}

#[tokio::test(start_paused = true)]
async fn a_revoked_gate_lets_nobody_in_who_is_waited_for() {
    let gates = opened();
    let outer = gates.enter(0).unwrap();
    assert_eq!(gates.revoke(0), 1);
    assert_eq!(gates.enter_beside(0, None).err(), Some(Refused::Closed));
    assert!(!gates.is_draining(0) && !outer.is_valid());
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_the_last_permit() {
    let gates = opened();
    let first = gates.enter(0).unwrap();
    let second = gates.enter(0).unwrap();
    let mut handoff = Box::pin(close(&gates, HOUR));

    assert!(timeout(MINUTE, &mut handoff).await.is_err());
    assert!(first.is_valid(), "closing alone takes no permit away");
    drop(first);
    assert!(timeout(MINUTE, &mut handoff).await.is_err());
    let before = Instant::now();
    drop(second);
    assert_eq!(handoff.await.unwrap().revoked_permits(), 0);
    assert_eq!(Instant::now(), before, "woken, not by the deadline");
    assert_eq!(gates.state(0), GateState::Closed { last_epoch: 1 });
}

#[tokio::test(start_paused = true)]
async fn a_gate_with_nobody_inside_is_given_at_once_whatever_the_deadline() {
    let gates = Gates::new(1);
    let now = Instant::now();
    assert_eq!(close(&gates, Duration::ZERO).await.unwrap().revoked_permits(), 0);
    gates.open(0, 1).unwrap();
    assert_eq!(close(&gates, Duration::ZERO).await.unwrap().revoked_permits(), 0);
    assert_eq!(close(&gates, HOUR).await.unwrap().revoked_permits(), 0);
    assert_eq!(Instant::now(), now);
}

/// Proves: C16
#[tokio::test(start_paused = true)]
async fn the_deadline_revokes_what_is_left() {
    let gates = opened();
    let left = gates.enter(0).unwrap();
    let held = [gates.enter(0).unwrap(), gates.enter(0).unwrap()];
    let deadline = Instant::now() + HOUR;
    let handoff = close(&gates, HOUR);
    drop(left);

    let guard = handoff.await.unwrap();
    assert_eq!(guard.revoked_permits(), 2);
    assert!(Instant::now() >= deadline);
    assert!(held.iter().all(|permit| !permit.is_valid()));
    assert_eq!(gates.state(0), GateState::Closed { last_epoch: 1 });
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_back_before_the_first_look_is_not_revoked() {
    let gates = opened();
    let begin = Instant::now();
    for patience in [Duration::ZERO, HOUR] {
        let permit = gates.enter(0).unwrap();
        let handoff = close(&gates, patience);
        drop(permit);
        assert_eq!(handoff.await.unwrap().revoked_permits(), 0);
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
    let mut handoff = Box::pin(close(&gates, HOUR));
    assert!(timeout(MINUTE, &mut handoff).await.is_err());
    drop(fresh);
    assert_eq!(handoff.await.unwrap().revoked_permits(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_draining_gate_does_not_open_even_if_nobody_waits() {
    let gates = opened();
    let permit = gates.enter(0).unwrap();
    drop(close(&gates, HOUR));
    assert_eq!(gates.open(0, 2), Err(OpenError::NotClosed));
    assert_eq!(gates.state(0), closing(1));
    drop(permit);
    gates.open(0, 2).unwrap();
}

#[tokio::test(start_paused = true)]
async fn only_the_guard_opens_a_gate_that_is_held() {
    let gates = opened();
    let guard = close(&gates, HOUR).await.unwrap();
    assert_eq!(gates.open(0, 2), Err(OpenError::Held { by: "handoff" }));
    assert_eq!(guard.open(0), Err(OpenError::OlderEpoch { asked: 0, last: 1 }));
    guard.open(2).unwrap();
    assert_eq!(gates.enter(0).err(), Some(Refused::Busy), "not before the guard is dropped");
    assert_eq!(guard.open(3), Err(OpenError::NotClosed));
    guard.close().unwrap();
    guard.open(3).unwrap();
    guard.release().unwrap();
    assert_eq!(gates.enter(0).unwrap().epoch(), 3);
}

#[tokio::test(start_paused = true)]
async fn two_closers_get_the_gate_one_after_the_other() {
    let gates = opened();
    let permit = gates.enter(0).unwrap();
    let now = Instant::now();
    let (first, second) = (close(&gates, HOUR), close(&gates, HOUR));
    drop(permit);
    let mut second = Box::pin(second);
    let first = first.await.unwrap();
    assert!(timeout(MINUTE, &mut second).await.is_err(), "the first one holds it");
    drop(first);
    assert_eq!(second.await.unwrap().revoked_permits(), 0);
    assert_eq!(now.elapsed(), MINUTE);
}

#[tokio::test(start_paused = true)]
async fn a_gate_stays_closed_for_the_next_closer_although_the_first_one_opens_it() {
    let gates = opened();
    let first = close(&gates, HOUR).await.unwrap();
    let second = close(&gates, HOUR);
    first.open(2).unwrap();
    drop(first);
    assert_eq!(gates.enter(0).err(), Some(Refused::Closed));
    assert_eq!(second.await.unwrap().revoked_permits(), 0);
    assert_eq!(gates.state(0), GateState::Closed { last_epoch: 2 });
}

#[tokio::test(start_paused = true)]
async fn a_closer_whose_deadline_passes_behind_another_writer_has_closed_the_gate_all_the_same() {
    let gates = opened();
    let holder = gates.write(0, "upkeep", Instant::now()).await.unwrap();
    let behind = close(&gates, MINUTE).await;
    let blocked = |error: WriteError| match error {
        WriteError::TimedOut { shard: 0, blocker: Blocker::Writer { who, held, .. } } => {
            (who, held)
        }
        other => panic!("{other}"),
    };
    // `held` is told with the slack of the timer's wheel.
    let (who, held) = blocked(behind.unwrap_err());
    assert!(who == "upkeep" && held >= MINUTE && held < MINUTE + SECOND, "{who} {held:?}");
    drop(holder);
    assert_eq!(gates.state(0), GateState::Closed { last_epoch: 1 });
}

#[tokio::test(start_paused = true)]
async fn a_drain_deadline_revokes_readers_also_for_a_closer_who_is_not_first() {
    let gates = opened();
    let permit = gates.enter(0).unwrap();
    let mut before = Box::pin(gates.write(0, "upkeep", Instant::now() + HOUR));
    assert!(timeout(SECOND, &mut before).await.is_err());
    let behind = close(&gates, MINUTE);
    assert!(behind.await.is_err());
    assert!(!permit.is_valid());
    assert!(before.await.unwrap().is_valid());
}

#[tokio::test(start_paused = true)]
async fn one_closer_gives_up_and_the_other_still_gets_the_gate() {
    let gates = opened();
    let permit = gates.enter(0).unwrap();
    let hasty = close(&gates, MINUTE);
    let mut patient = Box::pin(close(&gates, HOUR));
    drop(hasty);
    assert!(timeout(2 * MINUTE, &mut patient).await.is_err());
    assert!(permit.is_valid(), "its deadline went with it");
    let before = Instant::now();
    drop(permit);
    assert_eq!(patient.await.unwrap().revoked_permits(), 0);
    assert_eq!(Instant::now(), before, "woken, not by the deadline");
}

/// The gate stays closed for a closer that waits, and for one that has gone it must not.
#[tokio::test(start_paused = true)]
async fn a_closer_that_gave_up_closes_nothing_later() {
    let gates = opened();
    let permit = gates.enter(0).unwrap();
    drop(close(&gates, MINUTE));
    drop(permit);
    close(&gates, HOUR).await.unwrap().open(2).unwrap();
    drop(gates.write(0, "upkeep", Instant::now()).await.unwrap());
    assert_eq!(gates.state(0), GateState::Open { epoch: 2, permits: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_gate_tells_its_last_epoch_in_every_state() {
    let gates = opened();
    close(&gates, HOUR).await.unwrap().open(7).unwrap();
    let permit = gates.enter(0).unwrap();
    assert_eq!(gates.state(0).epoch(), 7);
    let mut closer = Box::pin(close(&gates, HOUR));
    assert!(timeout(SECOND, &mut closer).await.is_err());
    assert_eq!(gates.state(0), GateState::Closing { epoch: 7, permits: 1 });
    assert_eq!(gates.state(0).epoch(), 7);
    drop((closer, permit));
    assert_eq!(gates.state(0), GateState::Closed { last_epoch: 7 });
    assert_eq!(gates.state(0).epoch(), 7);
}

#[tokio::test(start_paused = true)]
async fn revoking_takes_the_gate_from_everybody() {
    let gates = opened();
    let permit = gates.enter(0).unwrap();
    let before = Instant::now();
    let handoff = close(&gates, HOUR);
    let (closed, permits) = join!(handoff, async { gates.revoke(0) });
    assert_eq!((closed.err(), permits), (Some(WriteError::Revoked { shard: 0 }), 1));
    assert_eq!(Instant::now(), before);
    assert!(!permit.is_valid());
    assert_eq!(gates.revoke(0), 0);

    gates.open(0, 2).unwrap();
    let guard = gates.write(0, "upkeep", before).await.unwrap();
    assert_eq!(gates.revoke(0), 0);
    assert!(!guard.is_valid());
    assert_eq!(guard.open(9), Err(OpenError::Revoked));
    gates.open(0, 3).unwrap();
    assert!(guard.close().is_err());
    drop(guard);
    assert_eq!(gates.enter(0).unwrap().epoch(), 3, "a revoked guard changes nothing");
}

/// Proves: C5
#[tokio::test(start_paused = true)]
async fn a_fenced_node_revokes_everything() {
    let gates = Gates::new(4);
    for shard in 1..4 {
        gates.open(shard, 1).unwrap();
    }
    let held = [1, 2, 2].map(|shard| gates.enter(shard).unwrap());
    let before = Instant::now();
    let handoff = gates.close(2, "handoff", before + HOUR);
    let guard = gates.write(3, "upkeep", before).await.unwrap();
    let (closed, permits) = join!(handoff, async { gates.revoke_all() });
    assert_eq!((closed.err(), permits), (Some(WriteError::Revoked { shard: 2 }), 3));
    assert_eq!(Instant::now(), before);
    assert!(!guard.is_valid() && held.iter().all(|permit| !permit.is_valid()));
    for shard in 0..4 {
        assert_eq!(gates.enter(shard).err(), Some(Refused::Closed));
        gates.open(shard, 1).unwrap();
    }
}

#[track_caller]
fn close(
    gates: &Gates,
    patience: Duration,
) -> impl Future<Output = Result<WriteGuard<'_>, WriteError>> + Send {
    gates.close(0, "handoff", Instant::now() + patience)
}

/// One gate, open, whose holders have all the time that a test needs.
fn opened() -> Gates {
    let options = greenroom_shardlock::Options { hold_max: 24 * HOUR, ..Default::default() };
    let gates = Gates::with_options(1, options);
    gates.open(0, 1).unwrap();
    gates
}

fn closing(permits: u32) -> GateState {
    GateState::Closing { epoch: 1, permits }
}
