//! What the planner is told.

use std::time::Duration;

use crate::NodeId;

/// The greatest weight of a [`Member`].
pub const WEIGHT_MAX: u32 = 1000;

/// Index into [`Problem::members`].
pub type MemberIndex = usize;

/// A live node, as the planner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who it is; only named in reasons, never compared.
    pub node: NodeId,
    /// Its capacity relative to the others', `1..=`[`WEIGHT_MAX`]. A number outside counts as the
    /// nearest bound.
    pub weight: u32,
    /// Whether it may be given shards: false while it drains.
    pub takes_shards: bool,
}

impl Member {
    /// What the member weighs in the apportionment: nothing while it takes no shards.
    pub(super) fn effective_weight(&self) -> u64 {
        if self.takes_shards { u64::from(self.weight.clamp(1, WEIGHT_MAX)) } else { 0 }
    }
}

/// Where one shard is and where it is meant to be.
///
/// Dead nodes aren't members, so they can't be named here; an index past the end of the members
/// is taken for a dead node as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// The live node that owns the shard, if one does.
    pub owner: Option<MemberIndex>,
    /// The live node that is meant to own it, if there is one.
    pub target: Option<MemberIndex>,
}

/// Everything that a plan depends on, besides the [`Policy`].
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// The live nodes. Ties are broken by their order, so the caller sorts them by node id.
    pub members: &'a [Member],
    /// All shards; the index is the shard's number.
    pub shards: &'a [Placement],
    /// How long the membership, weights and drains included, has been as it is now.
    pub stable_for: Duration,
}

/// What an operator decides about planning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long the membership must have been the same before shards are rebalanced. Recovery and
    /// draining never wait for it.
    pub stability: Duration,
    /// The most shards that one rebalancing plan moves, and the most that are on their way out of
    /// draining members at once. At least 1: 0 counts as 1, for a drain must end.
    pub batch_len_max: usize,
    /// How far a member's load may be off its share before rebalancing starts, in thousandths of
    /// that share. One shard more or less never starts it, so 0 means "as even as whole shards
    /// allow, give or take one".
    pub imbalance_threshold_permille: u32,
}

impl Policy {
    /// The same policy with the threshold at 0, by which a rebalancing that has started goes on
    /// until every member is within one shard of its share.
    ///
    /// The planner has no memory, so the caller says that one has started: it plans with this
    /// policy after a plan that rebalanced, until one answers
    /// [`Idle::Balanced`](super::Idle::Balanced) or the membership changes.
    #[must_use]
    pub fn finishing(&self) -> Self {
        Self { imbalance_threshold_permille: 0, ..self.clone() }
    }

    pub(super) fn batch_len(&self) -> usize {
        self.batch_len_max.max(1)
    }

    /// How many shards a member with this share may be off it.
    pub(super) fn tolerance(&self, share: usize) -> usize {
        // 128 bits hold any product of the two, and a quotient too big for memory is no limit.
        let fraction = share as u128 * u128::from(self.imbalance_threshold_permille) / 1000;
        usize::try_from(fraction).unwrap_or(usize::MAX).max(1)
    }
}
