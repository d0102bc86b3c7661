//! Calls within one process.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::case::{Better, Case, Contestant, Effort, Finding, Role, compete};
use crate::contestants::{Coerce, Greenroom, KAMEO_AND_RACTOR, Kameo, Ractor, TokioChannel};
use crate::goal::Goal;
use crate::load::{Load, Sample, drive};
use crate::report::Report;
use crate::system::{Counter, Result, System};

/// A case with its number of callers and of actors.
const CASES: [(Case, usize, usize); 3] = [
    (
        case(
            "local, 1 caller, 1 actor",
            &[Goal::TimesBestOf(4.0, KAMEO_AND_RACTOR), Goal::Times(4.0)],
        ),
        1,
        1,
    ),
    (
        case(
            "local, 64 callers, 1,000 actors",
            &[Goal::TimesBestOf(3.0, KAMEO_AND_RACTOR), Goal::Times(3.0)],
        ),
        64,
        1_000,
    ),
    (
        case(
            "local, 1,024 callers, 1,000 actors",
            &[Goal::TimesBestOf(3.0, KAMEO_AND_RACTOR), Goal::Times(3.0), Goal::P99BelowRivals],
        ),
        1_024,
        1_000,
    ),
];

const fn case(name: &'static str, goals: &'static [Goal]) -> Case {
    Case { name, unit: "calls/s", better: Better::More, goals }
}

/// Measures all local cases that the report wants.
pub(crate) async fn measure(effort: &Effort, report: &mut Report) -> Result<()> {
    for (case, callers, actors) in &CASES {
        if report.wants(case.name) {
            let findings = findings(case, *callers, *actors, effort).await?;
            report.add(case, &findings);
        }
    }
    Ok(())
}

async fn findings(
    case: &Case,
    callers: usize,
    actors: usize,
    effort: &Effort,
) -> Result<Vec<Finding>> {
    let load = Load { callers, span: effort.span };
    let contestants: Vec<Box<dyn Contestant>> = vec![
        Box::new(Local::<Greenroom>::start(Role::Ours, actors, load).await?),
        Box::new(Local::<Kameo>::start(Role::Rival, actors, load).await?),
        Box::new(Local::<Ractor>::start(Role::Rival, actors, load).await?),
        Box::new(Local::<Coerce>::start(Role::Rival, actors, load).await?),
        Box::new(Local::<TokioChannel>::start(Role::Orientation, actors, load).await?),
    ];
    Ok(compete(case, contestants, effort, true).await)
}

/// A system with counters that live through all runs of a case.
struct Local<S: System> {
    role: Role,
    load: Load,
    system: S,
    counters: Arc<[S::Counter]>,
}

impl<S: System> Local<S> {
    async fn start(role: Role, actors: usize, load: Load) -> Result<Self> {
        let system = S::start().await?;
        let mut counters = Vec::with_capacity(actors);
        for actor in 0..actors {
            let counter = system.counter(&format!("counter-{actor}")).await?;
            counter.add(1).await?;
            counters.push(counter);
        }
        Ok(Self { role, load, system, counters: counters.into() })
    }
}

impl<S: System> Contestant for Local<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn role(&self) -> Role {
        self.role
    }

    fn run(&mut self) -> BoxFuture<'_, Result<Sample>> {
        Box::pin(drive(&self.counters, self.load))
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            for counter in self.counters.iter().cloned() {
                S::discard(counter).await;
            }
            self.system.stop().await;
        })
    }
}
