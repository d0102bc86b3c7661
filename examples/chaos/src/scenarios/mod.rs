//! The scenarios: each begins with a cluster under load, puts one fault on it, and states what that
//! may cost.

mod clock;
mod compaction;
mod crash;
mod etcd;
mod membership;
mod migration;
mod network;
mod pause;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

pub(crate) use self::network::require_refused;
pub(crate) use self::pause::judge_after_right;
use crate::Result;
use crate::expect::Expect;
use crate::matrix::Cell;
use crate::stage::{Setup, Stage, WINDOW};

/// What the median of recoveries from a killed process must stay below, at default timing.
pub(crate) const CRASH_GOAL: Duration = Duration::from_secs(2);
/// The same with a heartbeat of 250 ms.
const CRASH_GOAL_FAST: Duration = Duration::from_secs(1);
/// By how much a single recovery from a killed process may miss that goal.
const CRASH_SPREAD: Duration = Duration::from_secs(1);
/// Until when all must be served again after a process was killed, at default timing.
pub(crate) const CRASH: Duration = CRASH_GOAL.saturating_add(CRASH_SPREAD);
/// Until when all must be served again after a node fell silent.
pub(crate) const SILENCE: Duration = WINDOW.saturating_add(Duration::from_secs(1));
/// Until when all must be served again after what needs no detection.
pub(crate) const PLANNED: Duration = Duration::from_secs(15);
/// Until when all must be served again after a fault that took no owner away has ended.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(2);

type Play = dyn for<'a> Fn(&'a mut Stage) -> BoxFuture<'a, Result<Expect>> + Send + Sync;

type Needs = fn() -> std::result::Result<(), String>;

/// About how long one takes of which nothing else is known.
const SECONDS: u64 = 20;

/// A fault, what it is put on, and what it may cost.
#[derive(Clone)]
pub struct Scenario {
    /// Its name; a part of it chooses it on the command line.
    pub name: String,
    /// What happens, in a sentence.
    pub about: String,
    /// Its place in the matrix, if it has one.
    pub cell: Option<Cell>,
    /// About how long it takes.
    pub seconds: u64,
    /// What it begins with.
    pub setup: Setup,
    /// Why this machine can't play it, if it can't.
    pub needs: Needs,
    /// Puts the fault on a stage and says what it may cost.
    pub play: Arc<Play>,
}

impl Scenario {
    /// A scenario that every machine can play.
    #[must_use]
    pub fn of<P>(name: String, about: String, setup: Setup, play: P) -> Self
    where
        P: for<'a> Fn(&'a mut Stage) -> BoxFuture<'a, Result<Expect>> + Send + Sync + 'static,
    {
        let (needs, play) = ((|| Ok(())) as Needs, Arc::new(play));
        Self { name, about, cell: None, seconds: SECONDS, setup, needs, play }
    }

    /// The same, where the machine has what it needs.
    #[must_use]
    pub fn needing(mut self, needs: Needs) -> Self {
        self.needs = needs;
        self
    }

    /// About how long it takes.
    #[must_use]
    fn taking(mut self, seconds: u64) -> Self {
        self.seconds = seconds;
        self
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scenario").field("name", &self.name).finish_non_exhaustive()
    }
}

fn scenario<P>(name: &'static str, about: &'static str, setup: fn() -> Setup, play: P) -> Scenario
where
    P: for<'a> Fn(&'a mut Stage) -> BoxFuture<'a, Result<Expect>> + Send + Sync + 'static,
{
    Scenario::of(name.to_owned(), about.to_owned(), setup(), play)
}

/// All scenarios, in the order in which they are played; `long` gives the one that kills etcd's
/// leader over and over ten minutes instead of one.
#[must_use]
pub fn all(long: bool) -> Vec<Scenario> {
    let mut all = membership::scenarios();
    all.extend(crash::scenarios());
    all.extend(migration::scenarios());
    all.extend(pause::scenarios());
    all.extend(etcd::scenarios(long));
    all.extend(network::scenarios());
    all.extend(compaction::scenarios());
    all.extend(clock::scenarios());
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique() {
        let all = super::all(false);
        let names: BTreeSet<_> = all.iter().map(|scenario| scenario.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
    }
}
