//! What the planner answers.

use std::fmt;
use std::time::Duration;

use super::policy::Strategy;
use super::problem::MemberIndex;
use crate::{NodeId, ShardId};

/// Which shards get a new target, and why no more of them do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The new targets, no shard more than once: what is urgent, or else a batch of rebalancing.
    pub moves: Vec<Move>,
    /// Why this plan rebalances nothing; `None` when it does.
    pub idle: Option<Idle>,
}

/// One shard's new target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which shard.
    pub shard: ShardId,
    /// The live node that owns it now, if one does. Equal to `to` if that is to keep it after all.
    pub from: Option<MemberIndex>,
    /// Its new target.
    pub to: MemberIndex,
    /// Why.
    pub reason: MoveReason,
}

/// Why a shard gets a new target. Prints as a fragment for records and logs, such as "its owner
/// drains".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MoveReason {
    /// It has no live owner, and no live target that takes shards.
    Orphan,
    /// It has no live owner, and its target was found unable to claim it.
    Stuck,
    /// It was to leave its owner for a member that has died or takes no more shards, so it stays.
    Recall,
    /// It is pinned.
    Pin,
    /// Its owner drains.
    Drain,
    /// Its owner has more than its share, or gives it in exchange for another.
    Rebalance,
}

impl MoveReason {
    /// The fragment that it prints as.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Orphan => "it had no live node",
            Self::Stuck => "the node it was meant for didn't claim it in time",
            Self::Recall => "the node it was moving to can't take it, so its owner keeps it",
            Self::Pin => "it is pinned",
            Self::Drain => "its owner drains",
            Self::Rebalance => "its owner had more than its share",
        }
    }
}

impl fmt::Display for MoveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a plan rebalances nothing. Prints as a sentence without its full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idle {
    /// No live member takes shards, so there is nowhere to move any.
    NoMembers,
    /// The membership changed too recently.
    Unstable {
        /// How long it has been the same.
        stable_for: Duration,
        /// How long it must have been.
        needed: Duration,
    },
    /// Shards haven't arrived at their targets yet.
    InMotion {
        /// How many, with those that this plan sends off.
        shards: usize,
    },
    /// Every member is within one shard of its share, or of two if zones get equal parts: those are
    /// rounded first, and odd shards stay where they are. By load, within
    /// [`EVEN_PERMILLE`](super::EVEN_PERMILLE) of it.
    Balanced,
    /// Every member is near enough to its share for the policy's threshold.
    WithinThreshold {
        /// Who is off its share by the most.
        furthest: Furthest,
        /// By how much it may be off.
        tolerance: u64,
    },
    /// What is uneven is so because of pins, or of members that shards avoid: what may move is
    /// even.
    PinnedOnly {
        /// Who is off its share by the most.
        furthest: Furthest,
    },
    /// By load, no move and no exchange of two shards gains enough.
    Small {
        /// Who is off its share by the most.
        furthest: Furthest,
    },
}

impl Idle {
    /// A short name for metrics and comparisons, such as `in_motion`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoMembers => "no_members",
            Self::Unstable { .. } => "unstable",
            Self::InMotion { .. } => "in_motion",
            Self::Balanced => "balanced",
            Self::WithinThreshold { .. } => "within_threshold",
            Self::PinnedOnly { .. } => "pinned_only",
            Self::Small { .. } => "small",
        }
    }

    /// Whether a rebalancing that goes on under [`Policy::finishing`](super::Policy::finishing)
    /// ends here, because nothing is left for it to do.
    pub fn ends_rebalancing(&self) -> bool {
        match self {
            Self::NoMembers
            | Self::Balanced
            | Self::WithinThreshold { .. }
            | Self::PinnedOnly { .. }
            | Self::Small { .. } => true,
            Self::Unstable { .. } | Self::InMotion { .. } => false,
        }
    }
}

/// A member and how far it is off its share. Prints as "n1, with 12 shards for a share of 10".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Furthest {
    /// Who.
    pub node: NodeId,
    /// What it has: shards or load, as the strategy says.
    pub load: u64,
    /// What would be its share of that.
    pub share: u64,
    /// What is counted.
    pub strategy: Strategy,
}

impl fmt::Display for Furthest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, load, share, strategy } = self;
        match strategy {
            Strategy::Count => write!(f, "{node}, with {load} shards for a share of {share}"),
            Strategy::Load => write!(f, "{node}, with a load of {load} for a share of {share}"),
        }
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMembers => f.write_str("no live node takes shards"),
            Self::Unstable { stable_for, needed } => write!(
                f,
                "the membership has been the same for {:.1}s, and rebalancing waits until that is \
                 {needed:?}",
                stable_for.as_secs_f64()
            ),
            Self::InMotion { shards: 1 } => f.write_str("1 shard is still moving"),
            Self::InMotion { shards } => write!(f, "{shards} shards are still moving"),
            Self::Balanced => f.write_str("every node has its share, or as good as"),
            Self::WithinThreshold { furthest, tolerance } => write!(
                f,
                "every node is near enough to its share: the furthest off is {furthest}, and may \
                 be off by {tolerance}"
            ),
            Self::PinnedOnly { furthest } => {
                write!(f, "only pinned shards keep nodes off their shares: {furthest}")
            }
            Self::Small { furthest } => {
                write!(f, "no move would gain enough: the furthest off its share is {furthest}")
            }
        }
    }
}
