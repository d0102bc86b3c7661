//! What a caller gets when all does not go well: the actor's own error or a failure with a code
//! and a promise, deadlines, and chains of calls that wait for each other.

mod support;

use std::time::Duration;

use greenroom::prelude::*;
use greenroom::{FailureCode, Interface};
use serde::{Deserialize, Serialize};
use support::probe::probe;
use support::{alone, begin, expect_failure, failure, within};

/// Why a clerk refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// There is not enough.
    TooLittle {
        /// How much is missing.
        missing: u64,
    },
    /// A call to the next clerk failed.
    Next {
        /// Its code.
        code: String,
        /// Its message.
        message: String,
        /// Its promise.
        may_have_run: bool,
    },
}

impl From<CallError<Self>> for Refusal {
    fn from(error: CallError<Self>) -> Self {
        error.into_actor().unwrap_or_else(Self::from)
    }
}

impl From<Failure> for Refusal {
    fn from(Failure { code, message, may_have_run, .. }: Failure) -> Self {
        let code = code.to_string();
        Self::Next { code, message, may_have_run }
    }
}

/// An actor that passes calls on.
#[greenroom::interface(kind = "test.clerk")]
pub trait Clerk {
    /// Refuses.
    async fn take(&mut self, amount: u64) -> Result<u64, Refusal>;
    /// Waits until the test lets it go on, and notes that.
    async fn hold(&mut self);
    /// Panics.
    async fn panic(&mut self);
    /// Calls the clerks on the way, each from a turn of the one before, and counts them.
    async fn pass_on(&mut self, ctx: &mut Context, way: Vec<String>) -> Result<usize, Refusal>;
    /// The same in turns that may run beside each other.
    async fn look_on(&self, ctx: &mut Context, way: Vec<String>) -> Result<usize, Refusal>;
    /// The same, and the last one waits for the test; comes in beside turns that wait for it.
    #[reentrant]
    async fn ask_round(&self, ctx: &mut Context, way: Vec<String>) -> Result<usize, Refusal>;
    /// Waits for the test, then has another clerk look at this one.
    async fn look_back(&self, ctx: &mut Context, by: String) -> Result<usize, Refusal>;
    /// Has another clerk ask this one.
    async fn ask_back(&mut self, ctx: &mut Context, by: String) -> Result<usize, Refusal>;
    /// Sends the first clerk on the way a note, who sends one to the next, and so on.
    async fn spread(&mut self, ctx: &mut Context, way: Vec<String>) -> Result<(), Refusal>;
    /// How long the caller still waits, in milliseconds.
    async fn remaining(&mut self, ctx: &mut Context) -> u64;
    /// Asks another clerk that, with a patience of its own of an hour.
    async fn remaining_of(&mut self, ctx: &mut Context, key: String) -> Result<u64, Refusal>;
}

struct ClerkActor;

impl Actor for ClerkActor {
    async fn activate(ctx: &mut Activating<'_>) -> Result<Self, ActivateError> {
        if ctx.key() == "nobody" {
            return Err(ActivateError::new("there is no such clerk"));
        }
        Ok(Self)
    }
}

impl Clerk for ClerkActor {
    async fn take(&mut self, amount: u64) -> Result<u64, Refusal> {
        let missing = amount.saturating_sub(10);
        if missing > 0 { Err(Refusal::TooLittle { missing }) } else { Ok(10 - amount) }
    }

    async fn hold(&mut self) {
        let probe = probe("held");
        probe.hold().await;
        probe.note("held");
    }

    async fn panic(&mut self) {
        panic!("as the test wants it");
    }

    async fn pass_on(&mut self, ctx: &mut Context, way: Vec<String>) -> Result<usize, Refusal> {
        let Some((next, rest)) = way.split_first() else {
            return Ok(0);
        };
        let next: ClerkRef = ctx.actor(next)?;
        Ok(next.pass_on(rest.to_vec()).await? + 1)
    }

    async fn look_on(&self, ctx: &mut Context, way: Vec<String>) -> Result<usize, Refusal> {
        let Some((next, rest)) = way.split_first() else {
            return Ok(0);
        };
        let next: ClerkRef = ctx.actor(next)?;
        Ok(next.look_on(rest.to_vec()).await? + 1)
    }

    async fn ask_round(&self, ctx: &mut Context, way: Vec<String>) -> Result<usize, Refusal> {
        let Some((next, rest)) = way.split_first() else {
            return Ok(0);
        };
        if ctx.key() == "asker" {
            probe("asker").hold().await;
        }
        let next: ClerkRef = ctx.actor(next)?;
        Ok(next.ask_round(rest.to_vec()).await? + 1)
    }

    async fn look_back(&self, ctx: &mut Context, by: String) -> Result<usize, Refusal> {
        probe(ctx.key()).hold().await;
        let by: ClerkRef = ctx.actor(&by)?;
        Ok(by.look_on(vec![ctx.key().to_owned()]).await?)
    }

    async fn ask_back(&mut self, ctx: &mut Context, by: String) -> Result<usize, Refusal> {
        let by: ClerkRef = ctx.actor(&by)?;
        Ok(by.ask_round(vec![ctx.key().to_owned()]).await?)
    }

    async fn spread(&mut self, ctx: &mut Context, way: Vec<String>) -> Result<(), Refusal> {
        let Some((next, rest)) = way.split_first() else {
            probe("rumour").hold().await;
            return Ok(());
        };
        let next: ClerkRef = ctx.actor(next)?;
        Ok(next.spread(rest.to_vec()).send().await?)
    }

    async fn remaining(&mut self, ctx: &mut Context) -> u64 {
        u64::try_from(ctx.remaining().as_millis()).unwrap_or(u64::MAX)
    }

    async fn remaining_of(&mut self, ctx: &mut Context, key: String) -> Result<u64, Refusal> {
        let other: ClerkRef = ctx.actor(&key)?;
        let hour = Duration::from_secs(3600);
        Ok(other
            .remaining()
            .timeout(hour)
            .await
            .map_err(|error| error.map_actor(|never| match never {}))?)
    }
}

async fn office() -> Node {
    alone([ClerkRef::served_by::<ClerkActor>()]).await
}

fn clerk(node: &Node, key: &str) -> ClerkRef {
    node.actor(key).expect("a good key")
}

fn way(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

#[tokio::test]
async fn the_actors_own_error_arrives_with_its_type() {
    let node = office().await;
    let refused = within("a call", clerk(&node, "till").take(12)).await.unwrap_err();
    assert_eq!(refused, CallError::Actor(Refusal::TooLittle { missing: 2 }));
    assert!(refused.may_have_run());
    assert_eq!(within("a call", clerk(&node, "till").take(7)).await, Ok(3));
}

/// Proves: P4
#[tokio::test]
async fn each_failure_says_whether_the_call_may_have_run() {
    let node = office().await;
    let bad: Result<ClerkRef, _> = node.actor("");
    let message = expect_failure(bad.unwrap_err(), FailureCode::BadKey, false);
    assert!(message.contains("512"), "{message}");
    let bad: Result<ClerkRef, _> = node.actor(&"k".repeat(513));
    expect_failure(bad.unwrap_err(), FailureCode::BadKey, false);
    let failed = within("a call", clerk(&node, "nobody").take(1)).await;
    let message = expect_failure(failure(failed), FailureCode::ActivationFailed, false);
    assert_eq!(message, "there is no such clerk");
    let failed = within("a call", clerk(&node, "fragile").panic()).await;
    let message = expect_failure(failure(failed), FailureCode::Panicked, true);
    assert!(message.contains("test.clerk/fragile"), "{message}");
    let stranger = greenroom::testing::context::<ClerkRef>("x").actor::<ClerkRef>("y");
    expect_failure(stranger.unwrap_err(), FailureCode::Stopping, false);
}

#[tokio::test]
async fn a_kind_that_nobody_hosts_is_unknown() {
    #[greenroom::interface(kind = "test.ghost")]
    trait Ghost {
        async fn knock(&mut self);
    }
    let node = office().await;
    let ghost: GhostRef = node.actor("attic").expect("a good key");
    let failed = within("a call", ghost.knock()).await;
    let message = expect_failure(failure(failed), FailureCode::UnknownKind, false);
    assert!(message.contains(GhostInterface::SPEC.kind), "{message}");
}

#[tokio::test]
async fn a_queued_call_that_times_out_never_runs_and_a_running_one_runs_on() {
    let node = office().await;
    let (held, probe) = (clerk(&node, "held"), probe("held"));
    let brief = Duration::from_millis(60);
    let running = begin(held.hold().timeout(brief)).await;
    probe.arrival().await;
    let queued = within("a queued call", held.hold().timeout(brief)).await;
    expect_failure(failure(queued), FailureCode::Timeout, true);
    let running = within("a running call", running).await;
    expect_failure(failure(running), FailureCode::Timeout, true);
    assert!(probe.log().is_empty());
    probe.release(1);
    // The actor is free again, so the queued turn would have had its chance.
    assert_eq!(within("a later call", held.take(1)).await, Ok(9));
    assert_eq!(probe.log(), ["held"]);
    assert_eq!(probe.arrivals(), 0);
}

#[tokio::test]
async fn a_call_may_be_given_all_the_time_there_is_or_none() {
    let node = office().await;
    let till = clerk(&node, "till");
    assert_eq!(within("a call", till.take(1).timeout(Duration::MAX)).await, Ok(9));
    let late = within("a call", till.take(1).timeout(Duration::ZERO)).await;
    expect_failure(failure(late), FailureCode::Timeout, false);
}

#[tokio::test]
async fn calls_in_a_turn_inherit_its_deadline() {
    let node = office().await;
    let outer = clerk(&node, "outer");
    let outer = outer.remaining_of("inner".into());
    let remaining = within("a call", outer.timeout(Duration::from_secs(5))).await;
    let remaining = remaining.expect("it is answered");
    assert!((1..=5000).contains(&remaining), "{remaining} ms");
}

/// Proves: P5
#[tokio::test]
async fn a_call_that_would_wait_for_itself_is_refused_at_once_and_names_the_cycle() {
    let node = office().await;
    let refusal = |error| match error {
        CallError::Actor(Refusal::Next { code, message, may_have_run }) => {
            assert_eq!((code.as_str(), may_have_run), ("cycle", false), "{message}");
            message
        }
        other => panic!("{other:?} is no refused cycle"),
    };
    let a = clerk(&node, "a");
    let round = a.pass_on(way(&["b", "c", "a"]));
    let message = refusal(within("a cycle", round).await.unwrap_err());
    let names = "test.clerk/a -> test.clerk/b -> test.clerk/c -> test.clerk/a";
    assert!(message.contains(names), "{message}");
    let itself = a.pass_on(way(&["b", "b"]));
    let message = refusal(within("a cycle", itself).await.unwrap_err());
    assert!(message.ends_with("test.clerk/b -> test.clerk/b"), "{message}");
    // The same ways are open to turns that may run beside each other.
    let round = a.look_on(way(&["b", "c", "a", "a"]));
    assert_eq!(within("a round of reads", round).await, Ok(4));
    assert_eq!(within("a call", a.take(1)).await, Ok(9));
}

#[tokio::test]
async fn a_reentrant_call_comes_back_to_a_reading_actor_past_those_that_wait_for_it() {
    let node = office().await;
    let (asker, probe) = (clerk(&node, "asker"), probe("asker"));
    let round = begin(asker.ask_round(way(&["other", "asker"]))).await;
    probe.arrival().await;
    // It waits for the round's turn; whoever came after it would wait for it.
    let write = begin(asker.take(1)).await;
    let read = begin(asker.look_on(Vec::new())).await;
    probe.release(1);
    assert_eq!(within("the round", round).await, Ok(2));
    assert_eq!(within("the call that waited", write).await, Ok(9));
    assert_eq!(within("the call after it", read).await, Ok(0));
}

#[tokio::test]
async fn a_call_that_is_not_reentrant_is_told_of_the_cycle_that_a_waiting_call_closes() {
    let node = office().await;
    let held = clerk(&node, "asked");
    let look = begin(held.look_back("asker of asked".into())).await;
    probe("asked").arrival().await;
    let write = begin(held.take(1)).await;
    probe("asked").release(1);
    let refused = within("the look", look).await.unwrap_err();
    let CallError::Actor(Refusal::Next { code, message, .. }) = refused else {
        panic!("{refused:?} is no refused cycle")
    };
    assert_eq!(code, "cycle");
    let names = "test.clerk/asked -> test.clerk/asker of asked -> test.clerk/asked";
    assert!(message.contains(names), "{message}");
    assert_eq!(within("the call that waited", write).await, Ok(9));
}

#[tokio::test]
async fn a_reentrant_call_does_not_come_back_into_an_exclusive_turn() {
    let node = office().await;
    let refused = within("a round", clerk(&node, "alone").ask_back("x".into())).await.unwrap_err();
    let CallError::Actor(Refusal::Next { code, message, .. }) = refused else {
        panic!("{refused:?} is no refused cycle")
    };
    assert_eq!(code, "cycle");
    assert!(message.contains("test.clerk/alone -> test.clerk/x -> test.clerk/alone"), "{message}");
}

#[tokio::test]
async fn a_one_way_call_waits_for_nobody_and_closes_no_cycle() {
    let node = office().await;
    let way = way(&["a", "b", "a", "a"]);
    assert_eq!(within("a call", clerk(&node, "a").spread(way)).await, Ok(()));
    probe("rumour").arrival().await;
    probe("rumour").release(1);
    assert_eq!(within("a call", clerk(&node, "a").take(1)).await, Ok(9));
}

#[tokio::test]
async fn chains_are_as_deep_as_they_need_to_be_and_not_endless() {
    let node = office().await;
    let chain = |len: usize| (1..len).map(|link| format!("link {link}")).collect::<Vec<_>>();
    let first = clerk(&node, "link 0");
    for turn in ["of new actors", "of living ones"] {
        let passed = within("a chain", first.pass_on(chain(40))).await;
        assert_eq!(passed, Ok(39), "a chain {turn}");
    }
    assert_eq!(node.active_actors(), 40);
    let endless = within("a chain", first.pass_on(chain(65))).await.unwrap_err();
    let CallError::Actor(Refusal::Next { code, message, .. }) = endless else {
        panic!("{endless:?} is no refused chain")
    };
    assert_eq!(code, "cycle");
    assert!(message.contains("64 calls wait on each other"), "{message}");
}
