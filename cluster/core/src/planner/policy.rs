//! What an operator decides about planning.

use std::time::Duration;

/// What an operator decides about planning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long the membership must have been the same before shards are rebalanced. Recovery,
    /// draining and pins never wait for it.
    pub stability: Duration,
    /// The most moves that are in flight in the whole cluster: drains, pins and rebalancing
    /// together. At least 1: 0 counts as 1, for a drain must end.
    pub batch_len_max: usize,
    /// The most moves in flight of which one node is the source or the destination. At least 1: 0
    /// counts as 1. An exchange of two shards, with [`Strategy::Load`], needs 2.
    pub node_moves_max: usize,
    /// How far a member may be off its share before rebalancing starts, in thousandths of that
    /// share. One shard more or less never starts it by count, nor do [`EVEN_PERMILLE`] by load, so
    /// 0 means "as even as can be, give or take that".
    pub imbalance_threshold_permille: u32,
    /// What is shared out.
    pub strategy: Strategy,
    /// Whether every zone gets an equal part, whatever its members weigh together, so that the loss
    /// of any zone costs as little as that of any other.
    pub spread_zones: bool,
    /// What a move must gain, with [`Strategy::Load`] only: it is made if it brings its source and
    /// its destination nearer to their shares, taken together, by more than this many thousandths
    /// of the average share.
    pub move_gain_permille: u32,
}

/// What is shared out among the members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// The number of shards.
    #[default]
    Count,
    /// The load of the shards. While all loads are 0, their number.
    Load,
}

/// By load a member counts as even within so many thousandths of its share: evening out the rest
/// would cost more moves than it is worth.
pub const EVEN_PERMILLE: u32 = 30;

impl Default for Policy {
    fn default() -> Self {
        Self {
            stability: Duration::from_secs(5),
            batch_len_max: 512,
            node_moves_max: 256,
            imbalance_threshold_permille: 50,
            strategy: Strategy::Count,
            spread_zones: false,
            move_gain_permille: 10,
        }
    }
}

impl Policy {
    /// The same policy with the threshold at 0, by which a rebalancing that has started goes on
    /// until every member is even.
    ///
    /// The planner has no memory, so the caller says that one has started: it plans with this
    /// policy after a plan that rebalanced, until one answers with an
    /// [`Idle`](super::Idle) that [ends](super::Idle::ends_rebalancing) it.
    #[must_use]
    pub fn finishing(&self) -> Self {
        Self { imbalance_threshold_permille: 0, ..self.clone() }
    }

    /// How far a member with this share may be off it.
    pub(super) fn tolerance(&self, strategy: Strategy, share: u64) -> u64 {
        permille(share, self.imbalance_threshold_permille).max(even(strategy, share))
    }
}

/// How far a member with this share may be off it and still count as even.
pub(super) fn even(strategy: Strategy, share: u64) -> u64 {
    match strategy {
        Strategy::Count => 1,
        Strategy::Load => permille(share, EVEN_PERMILLE),
    }
}

/// So many thousandths of an amount.
pub(super) fn permille(amount: u64, thousandths: u32) -> u64 {
    let product = u128::from(amount) * u128::from(thousandths);
    u64::try_from(product / 1000).unwrap_or(u64::MAX)
}
