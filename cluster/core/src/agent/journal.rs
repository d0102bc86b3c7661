//! What the leader decided and why, the last thousand of it.

use std::collections::VecDeque;
use std::fmt;

use super::motion::Stuck;
use super::notice::Evidence;
use crate::{Life, NodeId, ShardId, Term};

/// Most decisions that are kept.
pub const DECISIONS_MAX: usize = 1000;
/// Most moves that are kept in all decisions together.
const MOVES_MAX: usize = 200_000;

/// Something that a leader decided, be it to do nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Grows by one with each decision of this node.
    pub number: u64,
    /// The term in which it was decided.
    pub term: Term,
    /// When, on the leader's wall clock, in milliseconds since 1970.
    pub at_ms: u64,
    /// When it was last decided again in the same words.
    pub last_ms: u64,
    /// How often it was decided, one after the other.
    pub times: u64,
    /// What.
    pub what: Decided,
}

impl Decision {
    /// It is decided again.
    fn repeat(&mut self, at_ms: u64) {
        self.times += 1;
        self.last_ms = at_ms;
    }
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// This node began to lead.
    Lead,
    /// Shards were given new targets.
    Moves(Vec<DecidedMove>),
    /// Nothing is rebalanced in this group, and why.
    Idle {
        /// The group's name.
        group: String,
        /// The reason's short name, for metrics.
        name: &'static str,
        /// The reason in words.
        reason: String,
    },
    /// A life was found dead.
    Death {
        /// Which.
        life: Life,
        /// Why it was believed.
        evidence: Evidence,
    },
    /// Shards did not arrive in time.
    Stuck(Stuck),
}

/// One shard's new target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedMove {
    /// Which shard.
    pub shard: ShardId,
    /// Its live owner.
    pub from: Option<NodeId>,
    /// Its new target.
    pub to: NodeId,
    /// Why.
    pub reason: &'static str,
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lead => f.write_str("began to lead"),
            Self::Moves(moves) => write!(f, "gave {} shards new targets", moves.len()),
            Self::Idle { group, reason, .. } => {
                write!(f, "no rebalancing of group {group}: {reason}")
            }
            Self::Death { life, evidence } => write!(f, "declared {life} dead: {evidence}"),
            Self::Stuck(stuck) => stuck.fmt(f),
        }
    }
}

/// The last decisions.
#[derive(Debug, Default)]
pub(super) struct Journal {
    decisions: VecDeque<Decision>,
    last: u64,
    moves: usize,
}

impl Journal {
    pub(super) fn record(&mut self, term: Term, at_ms: u64, what: Decided) {
        if let Decided::Idle { group, name, .. } = &what
            && let Some(same) = self.repeated(term, group, name)
        {
            same.repeat(at_ms);
            return;
        }
        self.last += 1;
        self.moves += moves_of(&what);
        let number = self.last;
        self.decisions.push_back(Decision { number, term, at_ms, last_ms: at_ms, times: 1, what });
        while self.decisions.len() > DECISIONS_MAX
            || (self.moves > MOVES_MAX && self.decisions.len() > 1)
        {
            let dropped = self.decisions.pop_front();
            self.moves -= dropped.map_or(0, |dropped| moves_of(&dropped.what));
        }
    }

    /// Records once more that nothing is moved in these groups for these reasons. False, and nothing
    /// is recorded, when something else was decided since.
    pub(super) fn repeat_idle<'a>(
        &mut self,
        term: Term,
        at_ms: u64,
        idle: impl Iterator<Item = (&'a str, Option<&'a str>)> + Clone,
    ) -> bool {
        let mut each = idle.clone();
        let same = each.all(|(group, name)| {
            name.is_some_and(|name| self.repeated(term, group, name).is_some())
        });
        if same {
            for (group, name) in idle {
                let same = name.and_then(|name| self.repeated(term, group, name));
                same.into_iter().for_each(|same| same.repeat(at_ms));
            }
        }
        same
    }

    /// The decision that this one repeats: not to move anything in a group, for the reason that was
    /// last given for that group, while nothing else was decided.
    fn repeated(&mut self, term: Term, group: &str, name: &str) -> Option<&mut Decision> {
        let idle = self.decisions.iter_mut().rev().take_while(|decision| {
            decision.term == term && matches!(decision.what, Decided::Idle { .. })
        });
        let mut of_group = idle.filter(
            |decision| matches!(&decision.what, Decided::Idle { group: other, .. } if other == group),
        );
        let last = of_group.next()?;
        matches!(&last.what, Decided::Idle { name: other, .. } if *other == name).then_some(last)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Decision> {
        self.decisions.iter()
    }
}

fn moves_of(what: &Decided) -> usize {
    match what {
        Decided::Moves(moves) => moves.len(),
        Decided::Stuck(stuck) => stuck.shards.len(),
        Decided::Lead | Decided::Idle { .. } | Decided::Death { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(group: &str, name: &'static str) -> Decided {
        Decided::Idle { group: group.into(), name, reason: format!("because {name}") }
    }

    #[test]
    fn doing_nothing_for_the_same_reason_is_one_decision() {
        let mut journal = Journal::default();
        for at_ms in 0..5 {
            journal.record(Term(1), at_ms, idle("default", "balanced"));
            journal.record(Term(1), at_ms, idle("gpu", "unstable"));
        }
        journal.record(Term(1), 9, idle("default", "unstable"));
        let told: Vec<_> = journal.iter().map(|d| (d.times, d.at_ms, d.last_ms)).collect();
        assert_eq!(told, [(5, 0, 4), (5, 0, 4), (1, 9, 9)]);
    }

    #[test]
    fn a_thousand_decisions_are_kept_and_no_more() {
        let mut journal = Journal::default();
        for term in 0..1500 {
            journal.record(Term(term), 0, Decided::Lead);
        }
        assert_eq!(journal.iter().count(), DECISIONS_MAX);
        assert_eq!(journal.iter().next_back().unwrap().number, 1500);
    }

    #[test]
    fn decisions_read_as_prose() {
        let node = |name: &str| NodeId::new(name).unwrap();
        let life = Life { node: node("n7"), incarnation: crate::Incarnation(3) };
        let step = DecidedMove { shard: ShardId(7), from: None, to: node("n7"), reason: "so" };
        let stuck = Stuck {
            shards: vec![ShardId(7)],
            from: None,
            to: None,
            phase: crate::agent::MotionPhase::Orphaned,
        };
        for (decided, text) in [
            (Decided::Lead, "began to lead"),
            (Decided::Moves(vec![step]), "gave 1 shards new targets"),
            (idle("gpu", "balanced"), "no rebalancing of group gpu: because balanced"),
            (
                Decided::Death { life, evidence: Evidence::Crash },
                "declared n7@3 dead: its heartbeat is overdue and its port refuses connections, so its \
                 process is gone",
            ),
            (Decided::Stuck(stuck), "shard 7 is stuck orphaned on the way from nobody to nobody"),
        ] {
            assert_eq!(decided.to_string(), text);
        }
    }
}
