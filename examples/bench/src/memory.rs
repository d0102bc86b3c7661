//! What an actor that nobody calls costs in memory, each contestant in a process of its own.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::case::{Better, Case, Contestant, Effort, Role, compete};
use crate::child::{Child, Task};
use crate::contestants::{Coerce, Greenroom, Kameo, Ractor, Rio, TokioChannel};
use crate::goal::Goal;
use crate::load::Sample;
use crate::report::Report;
use crate::system::{Counter, Result, System};

/// What the counters themselves hold.
pub(crate) const STATE_BYTES: f64 = 8.0;
const CASE: Case = Case {
    name: "memory of an idle actor",
    unit: "bytes/actor",
    better: Better::Less,
    goals: &[Goal::AtMost(256.0 + STATE_BYTES)],
};
/// Actors that come first and are not counted, so that arenas and tables are there already.
const FIRST_ACTORS: usize = 1_000;
/// How long the process rests before its memory is read, for tasks to end that are ending.
const REST: Duration = Duration::from_millis(200);
const RUNS_MAX: usize = 3;

/// Measures memory, if the report wants it.
pub(crate) async fn measure(effort: &Effort, report: &mut Report) {
    if !report.wants(CASE.name) {
        return;
    }
    let weighing = |role, system, actors: usize| -> Box<dyn Contestant> {
        let actors = actors / effort.fewer_actors;
        Box::new(Weighing { role, system, actors })
    };
    let contestants = vec![
        weighing(Role::Ours, Greenroom::NAME, 200_000),
        weighing(Role::Rival, Kameo::NAME, 50_000),
        weighing(Role::Rival, Ractor::NAME, 50_000),
        weighing(Role::Rival, Coerce::NAME, 50_000),
        weighing(Role::Rival, Rio::NAME, 50_000),
        weighing(Role::Orientation, TokioChannel::NAME, 50_000),
    ];
    let effort = Effort { runs: effort.runs.min(RUNS_MAX), ..effort.clone() };
    let findings = compete(&CASE, contestants, &effort, false).await;
    report.add(&CASE, &findings);
}

struct Weighing {
    role: Role,
    system: &'static str,
    actors: usize,
}

impl Contestant for Weighing {
    fn name(&self) -> &'static str {
        self.system
    }

    fn role(&self) -> Role {
        self.role
    }

    fn run(&mut self) -> BoxFuture<'_, Result<Sample>> {
        let task = Task::Weigh { system: self.system.to_owned(), actors: self.actors };
        Box::pin(async move {
            let child = Child::start(&task).await?;
            Ok(Sample::plain(child.said.parse()?))
        })
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

/// In the child: bytes by which `actors` idle actors made this process grow, for each of them.
pub(crate) async fn weigh(system: &str, actors: usize) -> Result<f64> {
    match system {
        Greenroom::NAME => weigh_in::<Greenroom>(actors).await,
        Kameo::NAME => weigh_in::<Kameo>(actors).await,
        Ractor::NAME => weigh_in::<Ractor>(actors).await,
        Coerce::NAME => weigh_in::<Coerce>(actors).await,
        Rio::NAME => weigh_in::<Rio>(actors).await,
        TokioChannel::NAME => weigh_in::<TokioChannel>(actors).await,
        _ => Err(format!("no system is called {system}").into()),
    }
}

async fn weigh_in<S: System>(actors: usize) -> Result<f64> {
    let system = S::start().await?;
    let mut held = Vec::with_capacity(FIRST_ACTORS + actors);
    populate(&system, 0..FIRST_ACTORS, &mut held).await?;
    tokio::time::sleep(REST).await;
    let before = resident_bytes()?;
    populate(&system, FIRST_ACTORS..FIRST_ACTORS + actors, &mut held).await?;
    tokio::time::sleep(REST).await;
    let after = resident_bytes()?;
    drop(held);
    system.stop().await;
    Ok(after.saturating_sub(before) as f64 / actors as f64)
}

async fn populate<S: System>(
    system: &S,
    keys: std::ops::Range<usize>,
    held: &mut Vec<S::Counter>,
) -> Result<()> {
    for key in keys {
        let counter = system.counter(&format!("counter-{key}")).await?;
        counter.add(1).await?;
        if S::HELD {
            held.push(counter);
        }
    }
    Ok(())
}

/// Memory of this process that is in RAM. The roll-up is exact, unlike the counters of `statm`.
pub(crate) fn resident_bytes() -> Result<u64> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kilobytes: u64 = kilobytes.ok_or("the kernel tells no Rss")?.trim().parse()?;
    Ok(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_written_to_is_seen() {
        let before = resident_bytes().unwrap();
        let block = std::hint::black_box(vec![1_u8; 256 << 20]);
        let after = resident_bytes().unwrap();
        // Less than the block, since other tests of this process may give some back meanwhile.
        assert!(after - before > 192 << 20, "{before} {after}");
        drop(block);
    }
}
