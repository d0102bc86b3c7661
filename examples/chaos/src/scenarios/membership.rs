//! Planned changes: they delay calls, and fail none.

use std::time::Duration;

use super::{PLANNED, Scenario, scenario};
use crate::Result;
use crate::expect::{Expect, about};
use crate::shard::SHARDS;
use crate::stage::{Setup, Stage};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        // Proves: P3
        scenario(
            "join",
            "a fourth node joins three",
            || Setup::nodes(3),
            |stage| Box::pin(join(stage)),
        ),
        // Proves: P3
        scenario(
            "leave",
            "one of three nodes gets SIGTERM",
            || Setup::nodes(3),
            |stage| Box::pin(leave(stage)),
        ),
        // Proves: P3
        scenario(
            "leave: the leader",
            "the leader of three nodes gets SIGTERM",
            || Setup::nodes(3),
            |stage| Box::pin(leader_leaves(stage)),
        ),
        // Proves: P3
        scenario(
            "rolling restart",
            "each of three nodes gets SIGTERM and starts again under its name",
            || Setup::nodes(3),
            |stage| Box::pin(rolling_restart(stage)),
        ),
    ]
}

async fn join(stage: &mut Stage) -> Result<Expect> {
    let fault = stage.fault();
    stage.join("node-4").await?;
    let even_ns = stage.even(4).await?;
    stage.recovered(&fault, &[], fault.began_ns).await?;
    let took = Duration::from_nanos(even_ns - fault.began_ns);
    stage.more_calls(300).await?;
    let minimum = SHARDS as usize / 4;
    // A share may be smaller than a fourth by what the planner takes for even.
    let moves = minimum - minimum / 20..=minimum + minimum / 20;
    Ok(Expect::nothing_after(&fault).recovered(took, PLANNED).moves(moves))
}

async fn leave(stage: &mut Stage) -> Result<Expect> {
    let leaver = stage.follower()?;
    let life = stage.life(&leaver)?;
    let fault = stage.fault();
    stage.terminate(&leaver).await?;
    let took = stage.recovered(&fault, &[life], fault.began_ns).await?;
    stage.more_calls(300).await?;
    let moves = about(fault.owned_by(&leaver));
    Ok(Expect::nothing_after(&fault).recovered(took, PLANNED).moves(moves).lives_over(1..=1))
}

async fn leader_leaves(stage: &mut Stage) -> Result<Expect> {
    let leaver = stage.leader()?;
    let life = stage.life(&leaver)?;
    let fault = stage.fault();
    stage.terminate(&leaver).await?;
    let took = stage.recovered(&fault, &[life], fault.began_ns).await?;
    stage.more_calls(300).await?;
    let led = stage.mirror().look(|state| state.live_leader().cloned());
    let changed = led.is_some_and(|leader| leader.node != leaver);
    if !changed {
        stage.complain("nobody leads after the leader left");
    }
    let moves = about(fault.owned_by(&leaver));
    Ok(Expect::nothing_after(&fault).recovered(took, PLANNED).moves(moves).lives_over(1..=1))
}

async fn rolling_restart(stage: &mut Stage) -> Result<Expect> {
    let fault = stage.fault();
    let mut even_ns = fault.began_ns;
    for node in ["node-1", "node-2", "node-3"] {
        stage.terminate(node).await?;
        stage.join(node).await?;
        even_ns = stage.even(3).await?;
    }
    stage.recovered(&fault, &[], fault.began_ns).await?;
    let took = Duration::from_nanos(even_ns - fault.began_ns);
    stage.more_calls(300).await?;
    // Each node's third of the shards leaves and comes back.
    let minimum = 2 * SHARDS as usize;
    let expect = Expect::nothing_after(&fault).recovered(took, 3 * PLANNED).lives_over(3..=3);
    Ok(expect.moves(minimum - minimum / 20..=minimum + minimum / 10))
}
