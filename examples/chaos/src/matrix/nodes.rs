//! Faults of a node.

use std::time::Duration;

use rustix::process::Signal;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use super::cost::{self, Course};
use super::play::Played;
use super::{Cell, Fault, Load, Target};
use crate::Result;
use crate::clock::{machine_ns, nanos, since};
use crate::expect::later;
use crate::proxy::Mode;
use crate::records::{Life, State};
use crate::scenarios::{judge_after_right, require_refused};
use crate::sockets;
use crate::stage::{Blind, Fault as Before, IDLE, PATIENCE, Stage, WINDOW};

/// The percentage of segments that are lost.
pub(super) const LOSS: u8 = 20;
/// Lost segments without which a loss proves nothing.
const LOST_MIN: u64 = 10;
/// From one reset to the next.
pub(super) const RESET_EVERY: Duration = Duration::from_millis(300);
/// How long a node that has lost its shards is still called.
const BLIND: Duration = Duration::from_secs(2);
/// Until when a heartbeat that was on its way when its node fell silent may be heard.
const ON_ITS_WAY: Duration = Duration::from_millis(300);
/// The rates of clocks.
const SLOW: f64 = 0.8;
const FAST: f64 = 1.25;

pub(super) async fn play(stage: &mut Stage, cell: Cell) -> Result<Played> {
    let victim = match cell.target {
        Target::Leader => stage.leader()?,
        Target::Idle => IDLE.to_owned(),
        _ => stage.follower()?,
    };
    match cost::course(cell) {
        Course::Ends => end(stage, cell, victim).await,
        Course::Silent => silence(stage, cell, victim).await,
        Course::Deaf => deafen(stage, cell, victim).await,
        Course::Disturbed | Course::Outage => disturb(stage, cell, victim).await,
    }
}

async fn end(stage: &mut Stage, cell: Cell, victim: String) -> Result<Played> {
    let life = stage.life(&victim)?;
    let before = stage.fault();
    if cell.fault == Fault::Kill {
        stage.kill(&victim)?;
    } else {
        stage.terminate(&victim).await?;
    }
    let healed_ns = machine_ns();
    let took = served_without(stage, &before, &life).await?;
    if stage.mirror().look(|state| state.live_leader().is_none()) {
        stage.complain("nobody leads");
    }
    Ok(Played { before, victim, took, healed_ns })
}

/// Waits until a life is over and all is served without it; how long that took from the fault on.
async fn served_without(stage: &Stage, before: &Before, life: &Life) -> Result<Duration> {
    let gone = std::slice::from_ref(life);
    let served = stage.recovered(before, gone, before.began_ns).await?;
    let is_over = |state: &State| !state.is_alive(life);
    let over_ns = stage.mirror().wait("its life is over", PATIENCE, is_over).await?;
    // One that owned nothing has nothing to be served by others.
    let over = Duration::from_nanos(over_ns - before.began_ns);
    Ok(if before.owned_by(&life.node) == 0 { over } else { served })
}

async fn silence(stage: &mut Stage, cell: Cell, victim: String) -> Result<Played> {
    let (life, process) = (stage.life(&victim)?, stage.process_id(&victim)?);
    let is_called = cell.load == Load::Steady && cell.target.owns();
    let mut blind = None;
    if is_called && !cell.fault.is_pause() {
        blind = Some(Blind::join(stage).await?);
    }
    let before = stage.fault();
    match cell.fault {
        Fault::CutEtcd => stage.set_etcd(&victim, Mode::BlackHole)?,
        Fault::CutEtcdOneWay => stage.set_etcd(&victim, Mode::HoldRequests)?,
        _ => stage.signal(&victim, Signal::STOP)?,
    }
    let silent_ns = machine_ns();
    if let Some(blind) = &mut blind {
        blind.cut_and_call(&before, &victim);
    }
    let took = served_without(stage, &before, &life).await?;
    if let Some(blind) = blind {
        // The node has lost its shards, and the blind caller goes on calling it.
        sleep(BLIND).await;
        blind.end().await;
        require_refused(stage, later(before.began_ns, took));
    }
    sleep(cost::lasts(cell).saturating_sub(since(silent_ns))).await;
    let healed_ns = machine_ns();
    if cell.fault.is_pause() {
        stage.signal(&victim, Signal::CONT)?;
    } else {
        stage.require_disturbed(&victim)?;
        stage.set_etcd(&victim, Mode::Pass)?;
    }
    let is_back = |state: &State| state.life(&victim).is_some_and(|present| present != life);
    stage.mirror().wait("the node joins again", PATIENCE, is_back).await?;
    let back = stage.life(&victim)?;
    stage.even(3).await?;
    stage.require_silent(&victim, later(silent_ns, ON_ITS_WAY), healed_ns, 0);
    if is_called && cell.fault.is_pause() {
        stage.require_waited(&before, &victim, healed_ns);
    }
    if cell.fault.is_pause() {
        judge_after_right(stage, process, silent_ns, healed_ns, &back);
    }
    Ok(Played { before, victim, took, healed_ns })
}

/// The node's heartbeats arrive, but it learns of none. Somebody must serve its shards before long.
async fn deafen(stage: &mut Stage, cell: Cell, victim: String) -> Result<Played> {
    let before = stage.fault();
    stage.set_etcd(&victim, Mode::SwallowReplies)?;
    // Its right to run ends first; who asks before that finds everything served.
    sleep(WINDOW).await;
    let asked: &Stage = stage;
    let heal = async {
        sleep(cost::lasts(cell).saturating_sub(WINDOW)).await;
        asked.set_etcd(&victim, Mode::Pass).map(|()| machine_ns())
    };
    let (took, healed_ns) = tokio::join!(asked.recovered(&before, &[], before.began_ns), heal);
    let (took, healed_ns) = (took?, healed_ns?);
    stage.require_disturbed(&victim)?;
    // Beats that arrive while their answers don't would keep it looking alive: a few, and no more.
    stage.require_silent(&victim, later(before.began_ns, WINDOW / 2), healed_ns, 0);
    let is_there = |state: &State| state.life(&victim).is_some();
    stage.mirror().wait("the node is a member", PATIENCE, is_there).await?;
    stage.even(3).await?;
    Ok(Played { before, victim, took, healed_ns })
}

async fn disturb(stage: &mut Stage, cell: Cell, victim: String) -> Result<Played> {
    let lasts = cost::lasts(cell);
    let lost = lost(cell)?;
    let before = stage.fault();
    match cell.fault {
        Fault::PauseHalf => stage.signal(&victim, Signal::STOP)?,
        Fault::CutPeers => stage.set_peers(&victim, Mode::BlackHole)?,
        Fault::Compaction => stage.set_etcd(&victim, Mode::BlackHole)?,
        Fault::Loss => {
            stage.set_etcd(&victim, Mode::Lose(LOSS))?;
            stage.set_peers(&victim, Mode::Lose(LOSS))?;
        }
        Fault::ClockSlow => stage.set_clock(&victim, SLOW)?,
        Fault::ClockFast => stage.set_clock(&victim, FAST)?,
        _ => {}
    }
    let began = Instant::now();
    while cell.fault == Fault::Resets && began.elapsed() < lasts {
        stage.reset_etcd(&victim)?;
        stage.reset_peers(&victim)?;
        sleep(RESET_EVERY).await;
    }
    sleep(lasts.saturating_sub(began.elapsed())).await;
    if cell.fault == Fault::Compaction {
        compact(stage, &before, &victim).await?;
    }
    if cell.fault.is_clock() {
        let rate = if cell.fault == Fault::ClockSlow { SLOW } else { FAST };
        stage.require_rate(&victim, rate, before.began_ns)?;
    }
    require_lost(stage, cell, lost)?;
    let healed_ns = machine_ns();
    match cell.fault {
        Fault::PauseHalf => stage.signal(&victim, Signal::CONT)?,
        Fault::ClockSlow | Fault::ClockFast => stage.set_clock(&victim, 1.0)?,
        _ => {
            stage.set_etcd(&victim, Mode::Pass)?;
            stage.set_peers(&victim, Mode::Pass)?;
        }
    }
    let took = stage.recovered(&before, &[], healed_ns).await?;
    prove(stage, cell, &before, &victim, healed_ns)?;
    Ok(Played { before, victim, took, healed_ns })
}

/// What a node that is cut off has missed is compacted away.
async fn compact(stage: &mut Stage, before: &Before, victim: &str) -> Result<()> {
    // The judge must have seen what is compacted.
    let revision = stage.mirror().catch_up(PATIENCE).await?;
    block_in_place(|| stage.etcd().compact(revision));
    let missed = revision - before.revision;
    stage.require(missed > 0, "nothing was compacted that the node had not seen");
    stage.note(format!("{missed} revisions compacted that it had not seen"));
    // Bytes that were held would bring the old watch up to date; it must ask anew.
    stage.reset_etcd(victim)
}

/// How many segments have been lost until now, where the fault is to lose some.
pub(super) fn lost(cell: Cell) -> Result<u64> {
    if cell.fault == Fault::Loss { block_in_place(sockets::lost) } else { Ok(0) }
}

/// Makes it a condition that segments have been lost, since so many were, if that is the fault.
pub(super) fn require_lost(stage: &mut Stage, cell: Cell, before: u64) -> Result<()> {
    if cell.fault == Fault::Loss {
        let lost = lost(cell)?.saturating_sub(before);
        stage.require(lost >= LOST_MIN, format!("only {lost} segments were lost"));
        stage.note(format!("{lost} segments lost"));
    }
    Ok(())
}

fn prove(
    stage: &mut Stage,
    cell: Cell,
    before: &Before,
    victim: &str,
    healed_ns: u64,
) -> Result<()> {
    let is_called = cell.load == Load::Steady && cell.target.owns();
    match cell.fault {
        Fault::PauseHalf => {
            let from_ns = before.began_ns + nanos(ON_ITS_WAY);
            stage.require_silent(victim, from_ns, healed_ns, 0);
        }
        Fault::CutPeers | Fault::Resets | Fault::Compaction | Fault::Loss => {
            stage.require_disturbed(victim)?;
        }
        _ => {}
    }
    if is_called && matches!(cell.fault, Fault::PauseHalf | Fault::CutPeers) {
        stage.require_waited(before, victim, healed_ns);
    }
    Ok(())
}
