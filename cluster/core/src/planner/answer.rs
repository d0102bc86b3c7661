//! What the planner answers.

use std::fmt;
use std::time::Duration;

use super::problem::MemberIndex;
use crate::{NodeId, ShardId};

/// Which shards get a new target, and why no more of them do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The new targets, no shard more than once: orphans, recalls, drains, or else a batch of
    /// rebalancing.
    pub moves: Vec<Move>,
    /// Why this plan rebalances nothing; `None` when it does.
    pub idle: Option<Idle>,
}

/// One shard's new target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which shard.
    pub shard: ShardId,
    /// The live node that owns it now, if one does. Equal to `to` in a [`MoveReason::Recall`].
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
    /// It was to leave its owner for a member that has died or begun to drain, so it stays.
    Recall,
    /// Its owner drains.
    Drain,
    /// Its owner has more than its share.
    Rebalance,
}

impl fmt::Display for MoveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Orphan => "it had no live node",
            Self::Recall => "the node it was moving to died or drains, so its owner keeps it",
            Self::Drain => "its owner drains",
            Self::Rebalance => "its owner had more than its share",
        })
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
    /// Every member is within one shard of its share.
    Balanced,
    /// Every member is near enough to its share for the policy's threshold.
    WithinThreshold {
        /// The member that is off its share by the most shards.
        node: NodeId,
        /// How many shards it has.
        load: usize,
        /// How many would be its share.
        share: usize,
        /// By how many it may be off.
        tolerance: usize,
    },
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMembers => f.write_str("no live node takes shards"),
            Self::Unstable { stable_for, needed } => write!(
                f,
                "the membership has been the same for {stable_for:?}, and rebalancing waits \
                 until that is {needed:?}"
            ),
            Self::InMotion { shards: 1 } => f.write_str("1 shard is still moving"),
            Self::InMotion { shards } => write!(f, "{shards} shards are still moving"),
            Self::Balanced => f.write_str("every node is within one shard of its share"),
            Self::WithinThreshold { node, load, share, tolerance } => write!(
                f,
                "every node is near enough to its share: {node} is the furthest off, with {load} \
                 shards for a share of {share}, and may be off by {tolerance}"
            ),
        }
    }
}
