//! Faults of members of etcd.

use std::time::Duration;

use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use super::nodes::{LOSS, RESET_EVERY, lost, require_lost};
use super::play::Played;
use super::{Cell, Fault, Target, cost};
use crate::Result;
use crate::clock::machine_ns;
use crate::proxy::Mode;
use crate::stage::{PATIENCE, Stage};

/// From one compaction to the next: there must be something new.
const COMPACT_EVERY: Duration = Duration::from_millis(1200);
/// By when the others must have elected a leader.
const ELECTED: Duration = Duration::from_secs(3);

/// What proxies and kernel had counted before a fault.
struct Counted {
    disturbed: u64,
    between_members: Vec<u64>,
    lost: u64,
}

pub(super) async fn play(stage: &mut Stage, cell: Cell) -> Result<Played> {
    let leader = stage.etcd_leader()?;
    let hit = match cell.target {
        Target::EtcdLeader => vec![leader],
        Target::EtcdFollower => vec![(leader + 1) % 3],
        _ => vec![0, 1, 2],
    };
    if let [member] = hit[..] {
        stage.gather_at(member).await;
    }
    let counted = Counted {
        disturbed: stage.disturbed_before(&hit),
        between_members: stage.part_members(&hit, Mode::Pass)?,
        lost: lost(cell)?,
    };
    let lasts = cost::lasts(cell);
    let before = stage.fault();
    let began = Instant::now();
    begin(stage, cell, &hit)?;
    match cell.fault {
        Fault::Resets => {
            while began.elapsed() < lasts {
                stage.reset_members(&hit);
                sleep(RESET_EVERY).await;
            }
        }
        Fault::Compaction => compact(stage, &hit, lasts).await?,
        _ => require_away(stage, cell, &hit, leader).await,
    }
    sleep(lasts.saturating_sub(began.elapsed())).await;
    require_lost(stage, cell, counted.lost)?;
    let healed_ns = machine_ns();
    heal(stage, cell, &hit)?;
    let took = stage.recovered(&before, &[], healed_ns).await?;
    prove(stage, cell, &hit, &counted)?;
    Ok(Played { before, victim: String::new(), took, healed_ns })
}

fn begin(stage: &mut Stage, cell: Cell, hit: &[usize]) -> Result<()> {
    match cell.fault {
        Fault::Kill => block_in_place(|| hit.iter().for_each(|number| stage.etcd().kill(*number))),
        Fault::Stop => {
            block_in_place(|| hit.iter().for_each(|number| stage.etcd().terminate(*number)));
        }
        fault if fault.is_pause() => {
            hit.iter().for_each(|number| stage.etcd().stop_process(*number));
        }
        Fault::CutEtcd => stage.set_members(hit, Mode::BlackHole),
        Fault::CutEtcdOneWay => stage.set_members(hit, Mode::HoldRequests),
        Fault::SwallowedReplies => stage.set_members(hit, Mode::SwallowReplies),
        Fault::Loss => stage.set_members(hit, Mode::Lose(LOSS)),
        Fault::CutPeers => {
            stage.part_members(hit, Mode::BlackHole)?;
        }
        _ => {}
    }
    Ok(())
}

fn heal(stage: &mut Stage, cell: Cell, hit: &[usize]) -> Result<()> {
    match cell.fault {
        Fault::Kill | Fault::Stop => block_in_place(|| match hit {
            [member] => stage.etcd().restart(*member),
            _ => stage.etcd().restart_all(),
        }),
        fault if fault.is_pause() => {
            hit.iter().for_each(|number| stage.etcd().continue_process(*number));
        }
        _ => {
            stage.set_members(hit, Mode::Pass);
            stage.part_members(hit, Mode::Pass)?;
        }
    }
    Ok(())
}

/// Compacts all history over and over, while all who follow it must begin anew all the time.
async fn compact(stage: &mut Stage, hit: &[usize], lasts: Duration) -> Result<()> {
    let began = Instant::now();
    let (mut compacted, mut times) = (0, 0);
    while began.elapsed() < lasts {
        stage.reset_members(hit);
        // The judge must have seen what is compacted.
        let revision = stage.mirror().catch_up(PATIENCE).await?;
        if revision > compacted {
            block_in_place(|| stage.etcd().compact(revision));
            (compacted, times) = (revision, times + 1);
        }
        stage.reset_members(hit);
        sleep(COMPACT_EVERY).await;
    }
    stage.require(times > 1, "history was not compacted again and again");
    stage.note(format!("compacted {times} times, at last up to revision {compacted}"));
    Ok(())
}

/// Makes it a condition that a member that leads was replaced, and one that was stopped is silent.
async fn require_away(stage: &mut Stage, cell: Cell, hit: &[usize], leader: usize) {
    let loses_lead = cell.target == Target::EtcdLeader
        && (matches!(cell.fault, Fault::Kill | Fault::Stop | Fault::CutPeers)
            || cell.fault.is_pause());
    if loses_lead {
        let began = Instant::now();
        let successor = loop {
            let leads = block_in_place(|| stage.etcd().leader());
            if leads.is_some_and(|next| next != leader) || began.elapsed() > ELECTED {
                break leads;
            }
        };
        let is_new = successor.is_some_and(|next| next != leader);
        stage.require(is_new, format!("the others did not elect a leader: {successor:?}"));
        stage.note(format!("another member of etcd led after {:.1?}", began.elapsed()));
    } else if matches!(cell.fault, Fault::Kill | Fault::Stop) || cell.fault.is_pause() {
        let answers = block_in_place(|| stage.etcd().answers(hit[0]));
        stage.require(!answers, "the member of etcd answers although it is away");
    }
}

fn prove(stage: &mut Stage, cell: Cell, hit: &[usize], counted: &Counted) -> Result<()> {
    let disturbed = stage.disturbed_before(hit) - counted.disturbed;
    match cell.fault {
        Fault::CutPeers => {
            let now = stage.part_members(hit, Mode::Pass)?;
            let held = now.iter().zip(&counted.between_members).map(|(now, before)| now - before);
            let held: Vec<u64> = held.collect();
            let all_parted = held.iter().all(|held| *held > 0);
            stage.require(all_parted, format!("members of etcd heard each other: {held:?}"));
            stage.note(format!("chunks to each member of etcd held: {held:?}"));
        }
        Fault::Kill | Fault::Stop => {}
        fault if fault.is_pause() => {}
        _ => {
            stage.require(disturbed > 0, "the proxies before etcd let everything through");
            stage.note(format!("{disturbed} chunks or connections to etcd disturbed"));
        }
    }
    Ok(())
}
