//! How an actor comes to life and how it ends: activation, its failure, panics, idleness, the end
//! of its node; and the helpers by which an actor is tested without any node.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use greenroom::prelude::*;
use greenroom::{FailureCode, Kind, OnPanic};
use support::probe::{Probe, probe};
use support::{alone, begin, expect_failure, failure, within};

/// An actor whose life a test watches.
#[greenroom::interface(kind = "test.moth")]
pub trait Moth {
    /// Adds one.
    async fn flap(&mut self) -> u64;
    /// How often it flapped.
    async fn flaps(&self) -> u64;
    /// Panics, alone.
    async fn burn(&mut self);
    /// Panics beside others.
    async fn singe(&self);
    /// Waits until the test lets it go on.
    async fn rest(&mut self);
    /// Panics, and leaves an actor behind that panics when it is dropped.
    async fn explode(&mut self);
}

struct MothActor {
    probe: Arc<Probe>,
    flaps: u64,
    explosive: bool,
}

impl Drop for MothActor {
    fn drop(&mut self) {
        assert!(!self.explosive, "as the test wants it");
    }
}

impl Actor for MothActor {
    async fn activate(ctx: &mut Activating<'_>) -> Result<Self, ActivateError> {
        let probe = probe(ctx.key());
        if ctx.key().starts_with("held") {
            probe.hold().await;
        }
        if probe.refuse.load(Ordering::SeqCst) {
            return Err(ActivateError::new("not before dusk"));
        }
        match ctx.key() {
            "panicking" => panic!("as the test wants it"),
            "narcissus" => {
                let itself: MothRef = ctx.actor("narcissus")?;
                itself.flaps().await.map_err(|error| ActivateError::new(error.to_string()))?;
            }
            _ => {}
        }
        probe.activated();
        Ok(Self { probe, flaps: 0, explosive: false })
    }

    async fn deactivate(self, reason: DeactivateReason) {
        // Long enough for calls to come in between.
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.probe.deactivated(reason);
    }
}

impl Moth for MothActor {
    async fn flap(&mut self) -> u64 {
        self.flaps += 1;
        self.flaps
    }

    async fn flaps(&self) -> u64 {
        self.flaps
    }

    async fn burn(&mut self) {
        self.probe.alive.store(false, Ordering::SeqCst);
        panic!("as the test wants it");
    }

    async fn singe(&self) {
        self.probe.alive.store(false, Ordering::SeqCst);
        panic!("as the test wants it");
    }

    async fn rest(&mut self) {
        self.probe.hold().await;
    }

    async fn explode(&mut self) {
        self.explosive = true;
        self.probe.alive.store(false, Ordering::SeqCst);
        panic!("as the test wants it");
    }
}

fn moths() -> Kind {
    MothRef::served_by::<MothActor>()
}

fn moth(node: &Node, key: &str) -> MothRef {
    node.actor(key).expect("a good key")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_first_callers_activate_once() {
    let node = alone([moths()]).await;
    let (moth, probe) = (moth(&node, "held by many"), probe("held by many"));
    let callers = (0..64).map(|_| {
        let moth = moth.clone();
        tokio::spawn(async move { moth.flap().await })
    });
    let callers: Vec<_> = callers.collect();
    probe.arrival().await;
    probe.release(1);
    let mut flaps: Vec<_> = within("all first calls", join_all(callers))
        .await
        .into_iter()
        .map(|answer| answer.expect("no caller panics").expect("it is answered"))
        .collect();
    flaps.sort_unstable();
    assert_eq!(flaps, (1..=64).collect::<Vec<_>>());
    assert_eq!((probe.activations(), node.active_actors()), (1, 1));
}

#[tokio::test]
async fn a_failed_activation_fails_its_call_and_the_next_call_tries_again() {
    let node = alone([moths()]).await;
    let (moth, probe) = (moth(&node, "shy"), probe("shy"));
    probe.refuse.store(true, Ordering::SeqCst);
    let refused = within("a call", moth.flap()).await;
    let message = expect_failure(failure(refused), FailureCode::ActivationFailed, false);
    assert_eq!(message, "not before dusk");
    assert_eq!(node.active_actors(), 0);
    probe.refuse.store(false, Ordering::SeqCst);
    assert_eq!(within("a call", moth.flap()).await, Ok(1));
    assert_eq!(node.active_actors(), 1);
}

#[tokio::test]
async fn an_activation_that_panics_or_takes_too_long_fails_its_call() {
    let node = alone([moths().activation_timeout(Duration::from_millis(50))]).await;
    let panicked = within("a call", moth(&node, "panicking").flap()).await;
    let message = expect_failure(failure(panicked), FailureCode::ActivationFailed, false);
    assert!(message.contains("test.moth/panicking panicked"), "{message}");
    let slow = within("a call", moth(&node, "held too long").flap()).await;
    let message = expect_failure(failure(slow), FailureCode::ActivationFailed, false);
    assert!(message.contains("took too long"), "{message}");
    assert_eq!(node.active_actors(), 0);
}

#[tokio::test]
async fn an_activation_that_waits_for_itself_is_told_the_cycle() {
    let node = alone([moths()]).await;
    let refused = within("a call", moth(&node, "narcissus").flap()).await;
    let message = expect_failure(failure(refused), FailureCode::ActivationFailed, false);
    assert!(message.contains("test.moth/narcissus -> test.moth/narcissus"), "{message}");
}

/// Proves: C24
#[tokio::test]
async fn a_panic_loses_the_activation_and_nothing_else() {
    let node = alone([moths()]).await;
    let (burned, probe, other) = (moth(&node, "burned"), probe("burned"), moth(&node, "other"));
    assert_eq!(within("a call", other.flap()).await, Ok(1));
    assert_eq!(within("a call", burned.flap()).await, Ok(1));
    assert_eq!(node.active_actors(), 2);
    let failed = within("a call", burned.burn()).await;
    expect_failure(failure(failed), FailureCode::Panicked, true);
    assert_eq!(within("a call", burned.flap()).await, Ok(1));
    let failed = within("a call", burned.singe()).await;
    expect_failure(failure(failed), FailureCode::Panicked, true);
    assert_eq!(node.active_actors(), 1);
    assert_eq!(within("a call", burned.flaps()).await, Ok(0));
    assert_eq!(within("a call", other.flap()).await, Ok(2));
    assert_eq!((probe.activations(), node.active_actors()), (3, 2));
    assert!(probe.reasons().is_empty(), "what panicked takes no leave");
}

/// As the panic left it: what a turn did before it panicked is not undone.
#[tokio::test]
async fn an_actor_that_is_kept_goes_on_after_a_panic_as_the_panic_left_it() {
    let node = alone([moths().on_panic(OnPanic::Keep)]).await;
    let (moth, probe) = (moth(&node, "phoenix"), probe("phoenix"));
    assert_eq!(within("a call", moth.flap()).await, Ok(1));
    for flaps in 2..5 {
        let failed = failure(within("a call", moth.burn()).await);
        let message = expect_failure(failed, FailureCode::Panicked, true);
        assert!(message.contains("test.moth/phoenix panicked"), "{message}");
        let failed = within("a call", moth.singe()).await;
        expect_failure(failure(failed), FailureCode::Panicked, true);
        assert_eq!(within("a call", moth.flap()).await, Ok(flaps));
    }
    // One that panics while it waits, with others behind it.
    let resting = begin(moth.rest()).await;
    let burning = begin(moth.burn()).await;
    let flapping = begin(moth.flap()).await;
    probe.release(1);
    let all = async { tokio::join!(resting, burning, flapping) };
    let (rested, burned, flapped) = within("the three calls", all).await;
    assert_eq!((rested, flapped), (Ok(()), Ok(5)));
    expect_failure(failure(burned), FailureCode::Panicked, true);
    assert_eq!((probe.activations(), node.active_actors()), (1, 1));
    within("the stop", node.stop()).await;
    assert_eq!(probe.reasons(), [DeactivateReason::Handoff], "it takes its leave as others do");
}

#[tokio::test]
async fn a_destructor_that_panics_ends_nothing_else_however_the_actor_is_lost() {
    let node =
        alone([moths().on_panic(OnPanic::Keep).idle_timeout(Duration::from_millis(1))]).await;
    // In a farewell,
    let explosive = moth(&node, "kept explosive");
    assert_eq!(within("a call", explosive.flap()).await, Ok(1));
    let failed = within("a panic", explosive.explode()).await;
    expect_failure(failure(failed), FailureCode::Panicked, true);
    within("the end of the farewell", async {
        while node.active_actors() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(within("a call", explosive.flap()).await, Ok(1), "a new activation");
    // and with its node.
    let node = alone([moths().on_panic(OnPanic::Keep)]).await;
    let moth = moth(&node, "kept to the end");
    expect_failure(failure(within("a panic", moth.explode()).await), FailureCode::Panicked, true);
    assert_eq!(node.active_actors(), 1);
    within("the crash", node.crash()).await;
    assert_eq!(node.active_actors(), 0);
}

#[tokio::test]
async fn activations_that_panic_again_and_again_cost_nothing_but_their_calls() {
    let node = alone([moths()]).await;
    let hopeless = moth(&node, "panicking");
    for _ in 0..200 {
        let failed = failure(within("a call", hopeless.flap()).await);
        let message = expect_failure(failed, FailureCode::ActivationFailed, false);
        assert!(message.contains("panicked"), "{message}");
    }
    assert_eq!(node.active_actors(), 0);
    assert_eq!(within("a call", moth(&node, "sane").flap()).await, Ok(1));
}

#[tokio::test]
async fn a_panic_in_the_destructor_of_an_actor_that_panicked_ends_nothing_else() {
    let node = alone([moths()]).await;
    let moth = moth(&node, "explosive");
    assert_eq!(within("a call", moth.flap()).await, Ok(1));
    let failed = failure(within("a panic", moth.explode()).await);
    expect_failure(failed, FailureCode::Panicked, true);
    assert_eq!(node.active_actors(), 0);
    assert_eq!(within("a call", moth.flap()).await, Ok(1), "a new activation");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_behind_a_panic_run_on_a_new_activation() {
    let node = alone([moths()]).await;
    let moth = moth(&node, "queue");
    let resting = begin(moth.rest()).await;
    let burning = begin(moth.burn()).await;
    let flapping = begin(moth.flap()).await;
    probe("queue").release(1);
    let all = async { tokio::join!(resting, burning, flapping) };
    let (rested, burned, flapped) = within("the three calls", all).await;
    assert_eq!(rested, Ok(()));
    expect_failure(failure(burned), FailureCode::Panicked, true);
    assert_eq!(flapped, Ok(1));
}

#[tokio::test]
async fn an_idle_actor_takes_its_leave_and_comes_back_when_it_is_called() {
    let node = alone([moths().idle_timeout(Duration::from_millis(20))]).await;
    let (moth, probe) = (moth(&node, "idle"), probe("idle"));
    for life in 1..=3 {
        assert_eq!(within("a call", moth.flap()).await, Ok(1), "life {life}");
        probe.farewell().await;
        assert_eq!(probe.activations(), life);
    }
    assert_eq!(probe.reasons(), [DeactivateReason::Idle; 3]);
    within("the last farewell", async {
        while node.active_actors() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_actor_with_a_turn_under_way_is_not_idle() {
    let node = alone([moths().idle_timeout(Duration::from_millis(1))]).await;
    let (busy, idle) = (moth(&node, "busy"), moth(&node, "idler"));
    assert_eq!(within("a call", busy.flap()).await, Ok(1));
    let resting = begin(busy.rest()).await;
    // Rounds of passivation have passed when another actor has gone three times.
    for _ in 0..3 {
        assert_eq!(within("a call", idle.flap()).await, Ok(1));
        probe("idler").farewell().await;
    }
    probe("busy").release(1);
    assert_eq!(within("the long turn", resting).await, Ok(()));
    assert_eq!(probe("busy").activations(), 1);
}

/// The probe panics, and so the call fails, if two activations of a moth ever live together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_meet_a_passivation_are_not_lost() {
    const LIVES: usize = 12;
    let node = alone([moths().idle_timeout(Duration::from_millis(1))]).await;
    let callers = (0..16).map(|number| {
        let moth = moth(&node, &format!("fleeting {}", number / 2));
        tokio::spawn(async move {
            let (probe, mut calls) = (probe(moth.key()), 0);
            while probe.activations() < LIVES {
                moth.flap().await.expect("no call is lost");
                calls += 1;
                // Around the pause between two rounds of passivation.
                tokio::time::sleep(Duration::from_micros(fastrand::u64(0..25_000))).await;
            }
            calls
        })
    });
    let calls = within("all lives", join_all(callers.collect::<Vec<_>>())).await;
    let calls: usize = calls.into_iter().map(|calls| calls.expect("no caller panics")).sum();
    assert!(calls >= 8 * LIVES, "{calls} calls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_lets_its_actors_take_leave_and_one_that_crashes_does_not() {
    let node = alone([moths()]).await;
    for key in ["stopped 1", "stopped 2"] {
        assert_eq!(within("a call", moth(&node, key).flap()).await, Ok(1));
    }
    within("the stop", node.stop()).await;
    for key in ["stopped 1", "stopped 2"] {
        assert_eq!(probe(key).reasons(), [DeactivateReason::Handoff]);
    }
    assert_eq!(node.active_actors(), 0);

    let node = alone([moths()]).await;
    assert_eq!(within("a call", moth(&node, "crashed").flap()).await, Ok(1));
    within("the crash", node.crash()).await;
    assert_eq!(node.active_actors(), 0);
    assert!(probe("crashed").reasons().is_empty());
}

#[test]
fn actors_go_with_the_runtime_of_a_node_that_was_never_stopped() {
    let holders = || Arc::strong_count(&probe("forgotten"));
    let before = holders();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let node = alone([moths()]).await;
        assert_eq!(within("a call", moth(&node, "forgotten").flap()).await, Ok(1));
        assert_eq!(holders(), before + 1);
    });
    drop(runtime);
    assert_eq!(holders(), before, "the actor was kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_turns_that_run() {
    let node = alone([moths()]).await;
    let moth = moth(&node, "resting");
    let resting = tokio::spawn(async move { moth.rest().await });
    probe("resting").arrival().await;
    let stopping = begin(node.stop()).await;
    assert!(probe("resting").reasons().is_empty());
    probe("resting").release(1);
    within("the stop", stopping).await;
    assert_eq!(resting.await.expect("no caller panics"), Ok(()));
    assert_eq!(probe("resting").reasons(), [DeactivateReason::Handoff]);
}

#[tokio::test]
async fn an_actor_is_tested_without_a_node() {
    let mut moth: MothActor =
        greenroom::testing::activate::<_, MothRef>("unit").await.expect("it activates");
    assert_eq!((moth.flap().await, moth.flap().await), (1, 2));
    moth.deactivate(DeactivateReason::Idle).await;
    assert_eq!(probe("unit").reasons(), [DeactivateReason::Idle]);

    probe("refused").refuse.store(true, Ordering::SeqCst);
    let refused = greenroom::testing::activate::<MothActor, MothRef>("refused").await;
    assert_eq!(refused.err(), Some(ActivateError::new("not before dusk")));

    let context = greenroom::testing::context::<MothRef>("unit");
    assert_eq!((context.key(), context.id().kind()), ("unit", MothRef::KIND));
    assert!(context.remaining() > Duration::ZERO);
}
