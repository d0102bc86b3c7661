//! Processes that are killed.

use std::time::Duration;

use super::{CRASH_GOAL, CRASH_GOAL_FAST, CRASH_SPREAD, SILENCE, Scenario, scenario};
use crate::Result;
use crate::expect::{Allowed, Expect, about, later};
use crate::stage::{Setup, Stage};

/// How long after a kill a caller may still have sent a call to the dead process.
const UNNOTICED: Duration = Duration::from_millis(500);

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario(
            "kill -9 a node",
            "one of three nodes is killed; default timing",
            || Setup::nodes(3),
            |stage| Box::pin(kill_follower(stage, CRASH_GOAL)),
        ),
        scenario(
            "kill -9 a node, heartbeat 250 ms",
            "the same with heartbeats of 250 ms",
            || Setup::nodes(3).with("GREENROOM_HEARTBEAT_INTERVAL", "250ms"),
            |stage| Box::pin(kill_follower(stage, CRASH_GOAL_FAST)),
        ),
        scenario(
            "kill -9 the leader",
            "the leader of three nodes is killed",
            || Setup::nodes(3),
            |stage| Box::pin(kill_leader(stage)),
        ),
        // Proves: C20
        scenario(
            "kill -9 and instant restart",
            "a killed node starts again at once on the same port and under the same name",
            || Setup::nodes(3),
            |stage| Box::pin(restart(stage)),
        ),
    ]
}

async fn kill_follower(stage: &mut Stage, goal: Duration) -> Result<Expect> {
    let victim = stage.follower()?;
    kill(stage, &victim, goal).await
}

async fn kill_leader(stage: &mut Stage) -> Result<Expect> {
    let victim = stage.leader()?;
    let expect = kill(stage, &victim, CRASH_GOAL).await?;
    let led = stage.mirror().look(|state| state.live_leader().cloned());
    if led.is_none() {
        stage.complain("nobody leads after the leader was killed");
    }
    Ok(expect)
}

async fn kill(stage: &mut Stage, victim: &str, goal: Duration) -> Result<Expect> {
    let fault = stage.fault();
    let life = stage.kill(victim)?;
    let took = stage.recovered(&fault, &[life], fault.began_ns).await?;
    stage.more_calls(300).await?;
    let allowed = Allowed::in_flight(fault.began_ns, later(fault.began_ns, UNNOTICED));
    let expect =
        Expect::nothing_after(&fault).recovered(took, goal + CRASH_SPREAD).failures(allowed);
    Ok(expect.goal(goal).moves(about(fault.owned_by(victim))).lives_over(1..=1))
}

async fn restart(stage: &mut Stage) -> Result<Expect> {
    let victim = stage.follower()?;
    let fault = stage.fault();
    let life = stage.kill(&victim)?;
    stage.join(&victim).await?;
    let took = stage.recovered(&fault, &[life], fault.began_ns).await?;
    stage.even(3).await?;
    stage.more_calls(300).await?;
    let allowed = Allowed::in_flight(fault.began_ns, later(fault.began_ns, UNNOTICED));
    let expect = Expect::nothing_after(&fault).recovered(took, SILENCE).failures(allowed);
    // To the others, and a share of them back.
    let shards = fault.owned_by(&victim);
    Ok(expect.moves(shards..=2 * shards + shards / 10).lives_over(1..=1))
}
