//! How fast actors come to life: new keys, and one call on each.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio::sync::Barrier;
use tokio::task::{JoinSet, coop};

use crate::case::{Better, Case, Contestant, Effort, Role, compete};
use crate::contestants::{Coerce, Greenroom, KAMEO_AND_RACTOR, Kameo, Ractor, TokioChannel};
use crate::goal::Goal;
use crate::load::{Sample, per_second};
use crate::report::Report;
use crate::system::{Counter, Result, System};

const CASE: Case = Case {
    name: "activation and first call, 64 callers",
    unit: "activations/s",
    better: Better::More,
    goals: &[Goal::TimesBestOf(4.0, KAMEO_AND_RACTOR), Goal::Times(4.0)],
};
const CALLERS: usize = 64;

/// Measures activation, if the report wants it.
pub(crate) async fn measure(effort: &Effort, report: &mut Report) {
    if !report.wants(CASE.name) {
        return;
    }
    let each = effort.activations / CALLERS;
    let contestants: Vec<Box<dyn Contestant>> = vec![
        Box::new(Births::<Greenroom>::new(Role::Ours, each)),
        Box::new(Births::<Kameo>::new(Role::Rival, each)),
        Box::new(Births::<Ractor>::new(Role::Rival, each)),
        Box::new(Births::<Coerce>::new(Role::Rival, each)),
        Box::new(Births::<TokioChannel>::new(Role::Orientation, each)),
    ];
    let findings = compete(&CASE, contestants, effort, true).await;
    report.add(&CASE, &findings);
}

/// A fresh system for each run, so that no run finds the actors of the one before.
struct Births<S> {
    role: Role,
    /// Actors that each caller brings to life in a run.
    each: usize,
    system: PhantomData<fn() -> S>,
}

impl<S> Births<S> {
    fn new(role: Role, each: usize) -> Self {
        Self { role, each, system: PhantomData }
    }
}

impl<S: System> Contestant for Births<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn role(&self) -> Role {
        self.role
    }

    fn run(&mut self) -> BoxFuture<'_, Result<Sample>> {
        Box::pin(births::<S>(self.each))
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

async fn births<S: System>(each: usize) -> Result<Sample> {
    let system = Arc::new(S::start().await?);
    let start = Arc::new(Barrier::new(CALLERS));
    let mut callers: JoinSet<Result<_>> = JoinSet::new();
    for caller in 0..CALLERS {
        let (system, start) = (Arc::clone(&system), Arc::clone(&start));
        callers.spawn(async move {
            start.wait().await;
            let started = Instant::now();
            let mut born = Vec::with_capacity(each);
            for actor in 0..each {
                coop::consume_budget().await;
                let counter = system.counter(&format!("{caller}-{actor}")).await?;
                counter.add(1).await?;
                born.push(counter);
            }
            Ok((started, Instant::now(), born))
        });
    }
    let mut spans = Vec::with_capacity(CALLERS);
    let mut born = Vec::with_capacity(CALLERS * each);
    while let Some(caller) = callers.join_next().await {
        let (started, ended, counters) = caller??;
        spans.push((started, ended));
        born.extend(counters);
    }
    let started = spans.iter().map(|span| span.0).min();
    let ended = spans.iter().map(|span| span.1).max();
    let count = born.len();
    for counter in born {
        S::discard(counter).await;
    }
    if let Some(system) = Arc::into_inner(system) {
        system.stop().await;
    }
    let (Some(started), Some(ended)) = (started, ended) else {
        return Err("nobody called".into());
    };
    Ok(Sample::plain(per_second(count as u64, ended - started)))
}
