//! What a scenario allows, stated beforehand and compared with what happened.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::calls::Call;
use crate::clock::nanos;
use crate::stage::Fault;

/// Answered calls without which a scenario proves nothing.
const ANSWERED_MIN: usize = 500;

/// Which calls of the load may fail.
pub struct Allowed {
    says: &'static str,
    rule: Box<dyn Fn(&Call) -> bool + Send + Sync>,
}

impl Allowed {
    /// None at all.
    #[must_use]
    pub fn none() -> Self {
        Self { says: "none may fail", rule: Box::new(|_| false) }
    }

    /// Those that were under way at some moment between the two, and may have run.
    #[must_use]
    pub fn in_flight(from_ns: u64, to_ns: u64) -> Self {
        Self {
            says: "only calls in flight may fail, and in doubt",
            rule: Box::new(move |call| {
                call.in_doubt() && call.sent_ns <= to_ns && call.answered_ns >= from_ns
            }),
        }
    }

    /// Any that was under way at some moment between the two.
    #[must_use]
    pub fn between(from_ns: u64, to_ns: u64) -> Self {
        Self {
            says: "only calls under way during the fault may fail",
            rule: Box::new(move |call| call.sent_ns <= to_ns && call.answered_ns >= from_ns),
        }
    }

    /// Those on keys of one node that were under way at some moment between the fault and `to_ns`.
    #[must_use]
    pub fn to_node(fault: &Fault, node: &str, to_ns: u64) -> Self {
        let (fault, node) = (fault.clone(), node.to_owned());
        Self {
            says: "only calls to the node that was cut off may fail",
            rule: Box::new(move |call| {
                let during = call.sent_ns <= to_ns && call.answered_ns >= fault.began_ns;
                during && fault.is_of(&call.key, &node)
            }),
        }
    }

    /// Whether this call's failure is allowed.
    #[must_use]
    pub fn covers(&self, call: &Call) -> bool {
        (self.rule)(call)
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.says)
    }
}

impl fmt::Debug for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Allowed({})", self.says)
    }
}

/// What a scenario allows.
#[derive(Debug)]
pub struct Expect {
    /// Moves, deaths and leader changes count after this revision.
    pub(crate) revision: u64,
    /// When the fault began.
    pub(crate) began_ns: u64,
    /// How long it took until all was served again, and how long that may take.
    pub(crate) recovery: Option<(Duration, Duration)>,
    /// What the median of several rounds must stay below.
    pub(crate) goal: Option<Duration>,
    pub(crate) failures: Allowed,
    /// Shards that got a new owner.
    pub(crate) moves: RangeInclusive<usize>,
    /// Nodes that found their life over.
    pub(crate) fences: RangeInclusive<usize>,
    /// Deaths and departures in etcd.
    pub(crate) lives_over: RangeInclusive<usize>,
    pub(crate) answered_min: usize,
}

impl Expect {
    /// After this fault: no failed call, no move, no fence, nobody gone.
    #[must_use]
    pub fn nothing_after(fault: &Fault) -> Self {
        Self {
            revision: fault.revision,
            began_ns: fault.began_ns,
            recovery: None,
            goal: None,
            failures: Allowed::none(),
            moves: 0..=0,
            fences: 0..=0,
            lives_over: 0..=0,
            answered_min: ANSWERED_MIN,
        }
    }

    /// All was served again after `took`, which may take `within`.
    #[must_use]
    pub fn recovered(mut self, took: Duration, within: Duration) -> Self {
        self.recovery = Some((took, within));
        self
    }

    /// What the median of three or more rounds must stay below.
    #[must_use]
    pub fn goal(mut self, goal: Duration) -> Self {
        self.goal = Some(goal);
        self
    }

    /// Calls may fail so.
    #[must_use]
    pub fn failures(mut self, allowed: Allowed) -> Self {
        self.failures = allowed;
        self
    }

    /// So many shards may get a new owner.
    #[must_use]
    pub fn moves(mut self, moves: RangeInclusive<usize>) -> Self {
        self.moves = moves;
        self
    }

    /// So many nodes find their life over.
    #[must_use]
    pub fn fences(mut self, fences: RangeInclusive<usize>) -> Self {
        self.fences = fences;
        self
    }

    /// So many lives end.
    #[must_use]
    pub fn lives_over(mut self, lives: RangeInclusive<usize>) -> Self {
        self.lives_over = lives;
        self
    }
}

/// Shortest and longest number of moves when `shards` must change hands: 5 % more is a waste.
#[must_use]
pub fn about(shards: usize) -> RangeInclusive<usize> {
    shards..=shards + shards / 20
}

/// A moment so much later.
#[must_use]
pub fn later(moment_ns: u64, span: Duration) -> u64 {
    moment_ns.saturating_add(nanos(span))
}
