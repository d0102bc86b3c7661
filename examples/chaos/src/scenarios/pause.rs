//! Processes that are paused (SIGSTOP) with requests in their sockets, and go on.

use std::collections::HashSet;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

use super::{AT_ONCE, SILENCE, Scenario, scenario};
use crate::Result;
use crate::clock::{machine_ns, nanos, since};
use crate::expect::{Allowed, Expect, about, later};
use crate::records::{Life, State};
use crate::stage::{MARGIN, PATIENCE, Setup, Stage, WINDOW};

/// How long a new life takes at least from the moment that etcd knew of it to its first turn, less
/// what this process may be late to hear of it.
const HEARD_LATE: Duration = Duration::from_millis(100);

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        // Proves: C1
        scenario(
            "pause a node for 0.5 D",
            "SIGSTOP, SIGCONT after half the liveness window: calls are late, and that is all",
            || Setup::nodes(3),
            |stage| Box::pin(short_pause(stage)),
        ),
        // Proves: C1, P1
        scenario(
            "pause a node for 1.1 D",
            "SIGSTOP, SIGCONT after the node was declared dead: nothing queued may be answered",
            || Setup::nodes(3),
            |stage| {
                Box::pin(async move {
                    let victim = stage.follower()?;
                    long_pause(stage, &victim, WINDOW.mul_f64(1.1)).await
                })
            },
        ),
        // Proves: C1, P1
        scenario(
            "pause a node for 3 D",
            "the same, for three times the liveness window",
            || Setup::nodes(3),
            |stage| {
                Box::pin(async move {
                    let victim = stage.follower()?;
                    long_pause(stage, &victim, WINDOW * 3).await
                })
            },
        ),
        // Proves: C14
        scenario(
            "pause the leader for 1.1 D",
            "the same with the leader: another must win, and the old term have no effect",
            || Setup::nodes(3),
            |stage| {
                Box::pin(async move {
                    let victim = stage.leader()?;
                    long_pause(stage, &victim, WINDOW.mul_f64(1.1)).await
                })
            },
        ),
    ]
}

async fn short_pause(stage: &mut Stage) -> Result<Expect> {
    let victim = stage.follower()?;
    let fault = stage.fault();
    stage.signal(&victim, Signal::STOP)?;
    sleep(WINDOW / 2).await;
    let continued_ns = machine_ns();
    stage.signal(&victim, Signal::CONT)?;
    let took = stage.recovered(&fault, &[], continued_ns).await?;
    stage.more_calls(300).await?;
    stage.require_waited(&fault, &victim, continued_ns);
    Ok(Expect::nothing_after(&fault).recovered(took, AT_ONCE))
}

async fn long_pause(stage: &mut Stage, victim: &str, pause: Duration) -> Result<Expect> {
    let process = stage.process_id(victim)?;
    let life = stage.life(victim)?;
    let fault = stage.fault();
    stage.signal(victim, Signal::STOP)?;
    let stopped_ns = machine_ns();
    let took = stage.recovered(&fault, std::slice::from_ref(&life), fault.began_ns).await?;
    sleep(pause.saturating_sub(since(stopped_ns))).await;
    let continued_ns = machine_ns();
    stage.signal(victim, Signal::CONT)?;

    let is_back = |state: &State| state.life(victim).is_some_and(|present| present != life);
    stage.mirror().wait("the paused node joins again", PATIENCE, is_back).await?;
    let back = stage.life(victim)?;
    stage.even(3).await?;
    stage.more_calls(300).await?;
    stage.require_waited(&fault, victim, continued_ns);
    judge_after_right(stage, process, stopped_ns, continued_ns, &back);

    let allowed = Allowed::in_flight(fault.began_ns, later(fault.began_ns, SILENCE));
    let expect = Expect::nothing_after(&fault).recovered(took, SILENCE).failures(allowed);
    let shards = fault.owned_by(victim);
    // Away, and a third of all back.
    let moves = *about(shards).start()..=2 * shards + shards / 10;
    Ok(expect.moves(moves).lives_over(1..=1).fences(1..=1))
}

/// The last heartbeat of a paused process was sent before it was stopped, so its right ended at the
/// latest *D − m* after that: no turn that began later may be acknowledged before its new life,
/// `back`.
pub(crate) fn judge_after_right(
    stage: &mut Stage,
    process: u32,
    stopped_ns: u64,
    continued_ns: u64,
    back: &Life,
) {
    let heard_ns = stage.mirror().heard_ns(back.incarnation).unwrap_or(continued_ns);
    let back_ns = heard_ns.saturating_sub(nanos(HEARD_LATE));
    let right_ended_ns = later(stopped_ns, WINDOW - MARGIN);
    let book = stage.caller().book();
    let turns = || {
        let turns = book.iter().filter_map(|call| call.testimony());
        turns.filter(|turn| turn.process == process)
    };
    let old: HashSet<u64> =
        turns().filter(|turn| turn.began_ns < stopped_ns).map(|turn| turn.activation).collect();
    for turn in turns().filter(|turn| turn.ended_ns > right_ended_ns) {
        if turn.ended_ns < back_ns {
            stage.complain(format!("a turn without the right to run was acknowledged: {turn:?}"));
        }
        if old.contains(&turn.activation) {
            stage.complain(format!("an activation outlived its node's life: {turn:?}"));
        }
    }
}
