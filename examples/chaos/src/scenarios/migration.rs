//! Kills in the middle of migrations. Calls that hold their turns keep shards from moving on.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

use super::{CRASH, CRASH_GOAL, Scenario, scenario};
use crate::Result;
use crate::clock::machine_ns;
use crate::expect::{Allowed, Expect, later};
use crate::records::State;
use crate::shard::SHARDS;
use crate::stage::{PATIENCE, Setup, Stage};

/// Turns that are held while a node joins: a fourth of the shards move, and some of these must.
const HELD: usize = 240;
/// How long turns are held while a node joins.
const HOLD: Duration = Duration::from_secs(5);
/// How long turns are held while two targets die one after the other.
const HOLD_CASCADE: Duration = Duration::from_secs(20);
/// After this, a shard that still moves is one whose turn is held.
const SETTLE: Duration = Duration::from_millis(500);
const UNNOTICED: Duration = Duration::from_millis(500);

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        // Proves: C15
        scenario(
            "kill the source of a migration",
            "shards move from three nodes to a fourth; one that gives is killed",
            || Setup::nodes(3),
            |stage| Box::pin(kill_source(stage)),
        ),
        // Proves: C15
        scenario(
            "kill the target of a migration",
            "shards move from three nodes to a fourth, which is killed",
            || Setup::nodes(3),
            |stage| Box::pin(kill_target(stage)),
        ),
        // Proves: C15
        scenario(
            "kill the target, and the next one",
            "a leaving node's shards move to a node that is killed, then to one that is killed too",
            || {
                Setup::nodes(4)
                    .with("GREENROOM_DRAIN_DEADLINE", "30s")
                    .with("GREENROOM_MIGRATION_TIMEOUT", "60s")
                    .with("GREENROOM_SHUTDOWN_TIMEOUT", "60s")
            },
            |stage| Box::pin(cascade(stage)),
        ),
    ]
}

/// How many shards are on their way from one node to another; an empty name is any.
fn moving(state: &State, from: &str, to: &str) -> usize {
    let wanted = state.moving().filter(|(_, owner, target)| {
        (from.is_empty() || owner.node == from) && (to.is_empty() || *target == to)
    });
    wanted.count()
}

/// Lets a fourth node join while turns are held, until only held shards move.
async fn begin_migration(stage: &mut Stage) -> Result<()> {
    stage.hold(HELD, HOLD, |_| true).await;
    stage.join("node-4").await?;
    let begun = |state: &State| moving(state, "", "node-4") > 0;
    stage.mirror().wait("shards move to node-4", HOLD, begun).await?;
    sleep(SETTLE).await;
    Ok(())
}

async fn kill_source(stage: &mut Stage) -> Result<Expect> {
    begin_migration(stage).await?;
    // Which nodes give first is the planner's to choose.
    let gives = |node: &String| stage.mirror().look(|state| moving(state, node, "node-4"));
    let givers = stage.followers()?.into_iter().filter(|node| node != "node-4");
    let source = givers.max_by_key(gives).ok_or("no follower gives shards")?;
    let fault = stage.fault();
    let held = stage.mirror().look(|state| moving(state, &source, "node-4"));
    stage.require(held > 0, "no shard was on its way from the killed node");
    stage.note(format!("{held} shards were on their way from {source}"));
    let life = stage.kill(&source)?;
    let took = stage.recovered(&fault, &[life], fault.began_ns).await?;
    stage.even(3).await?;
    stage.more_calls(300).await?;
    let allowed = Allowed::in_flight(fault.began_ns, later(fault.began_ns, UNNOTICED));
    let expect =
        Expect::nothing_after(&fault).recovered(took, CRASH).goal(CRASH_GOAL).failures(allowed);
    Ok(expect.moves(held..=SHARDS as usize).lives_over(1..=1))
}

async fn kill_target(stage: &mut Stage) -> Result<Expect> {
    begin_migration(stage).await?;
    let fault = stage.fault();
    let held = stage.mirror().look(|state| moving(state, "", "node-4"));
    stage.require(held > 0, "no shard was on its way to the killed node");
    stage.note(format!("{held} shards were on their way to node-4"));
    let life = stage.kill("node-4")?;
    let took = stage.recovered(&fault, &[life], fault.began_ns).await?;
    stage.even(3).await?;
    stage.more_calls(300).await?;
    let allowed = Allowed::in_flight(fault.began_ns, later(fault.began_ns, UNNOTICED));
    let expect =
        Expect::nothing_after(&fault).recovered(took, CRASH).goal(CRASH_GOAL).failures(allowed);
    Ok(expect.moves(0..=SHARDS as usize).lives_over(1..=1))
}

async fn cascade(stage: &mut Stage) -> Result<Expect> {
    let mut followers = stage.followers()?;
    let source = followers.remove(0);
    let source_life = stage.life(&source)?;
    stage.hold(60, HOLD_CASCADE, |owner| owner == source).await;
    stage.signal(&source, Signal::TERM)?;
    let begun = |state: &State| moving(state, &source, "") > 0;
    stage.mirror().wait("shards move off the leaving node", HOLD, begun).await?;
    sleep(SETTLE).await;

    let fault = stage.fault();
    let mut gone = vec![source_life];
    let mut last_ns = fault.began_ns;
    for target in &followers {
        let held = stage.mirror().look(|state| moving(state, &source, target));
        stage.require(held > 0, format!("no shard was on its way to {target} when it was killed"));
        stage.note(format!("{held} shards were on their way to {target}"));
        last_ns = machine_ns();
        gone.push(stage.kill(target)?);
        let retargeted = |state: &State| moving(state, &source, target) == 0;
        let what = format!("shards on their way to {target} have another target");
        stage.mirror().wait(&what, PATIENCE, retargeted).await?;
    }
    // The source is a live owner still; only the two that were killed count as gone.
    let took = stage.recovered(&fault, &gone[1..], last_ns).await?;
    stage.terminated(&source).await?;
    stage.recovered(&fault, &gone, last_ns).await?;
    stage.more_calls(300).await?;
    let allowed = Allowed::in_flight(fault.began_ns, later(last_ns, UNNOTICED));
    let expect =
        Expect::nothing_after(&fault).recovered(took, CRASH).goal(CRASH_GOAL).failures(allowed);
    Ok(expect.moves(1..=2 * SHARDS as usize).lives_over(3..=3))
}
