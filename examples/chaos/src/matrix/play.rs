//! Plays a cell.

use std::time::Duration;

use tokio::time::sleep;

use super::{Cell, Load, Target, cost, members, nodes};
use crate::Result;
use crate::clock::machine_ns;
use crate::expect::Expect;
use crate::hogs::{Hogs, processors};
use crate::stage::{Fault as Before, Stage};

/// Threads that compute, for each processor.
const HOGS_PER_PROCESSOR: usize = 4;
/// Answered calls at the end: that all go on.
const CALLS_AFTER: usize = 300;

/// What came of a fault, apart from what the judges see.
pub(super) struct Played {
    /// What was so before it.
    pub(super) before: Before,
    /// The node that was hit; empty where none was.
    pub(super) victim: String,
    /// How long it took until all was served.
    pub(super) took: Duration,
    /// When the fault ended.
    pub(super) healed_ns: u64,
}

pub(super) async fn play(stage: &mut Stage, cell: Cell) -> Result<Expect> {
    if cell.load == Load::Idle {
        stage.rest().await;
    }
    let played = match cell.target {
        Target::Machine => busy(stage, cell).await?,
        target if target.is_etcd() => members::play(stage, cell).await?,
        _ => nodes::play(stage, cell).await?,
    };
    stage.resume();
    stage.more_calls(CALLS_AFTER).await?;
    Ok(cost::expect(cell, &played))
}

async fn busy(stage: &mut Stage, cell: Cell) -> Result<Played> {
    let lasts = cost::lasts(cell);
    let before = stage.fault();
    let hogs = Hogs::start(HOGS_PER_PROCESSOR);
    sleep(lasts).await;
    let used = hogs.stop();
    let healed_ns = machine_ns();
    let all = lasts.mul_f64(processors() as f64);
    stage.require(2 * used >= all, format!("the hogs had only {used:.1?} of {all:.1?}"));
    stage.note(format!("the hogs had {used:.1?} of {all:.1?}"));
    let took = stage.recovered(&before, &[], healed_ns).await?;
    Ok(Played { before, victim: String::new(), took, healed_ns })
}
