//! Counting the shards of a view.

use std::collections::BTreeMap;

use crate::{ClusterView, ShardCondition};

/// How many shards one node has, and should have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Owned by the node's present life.
    pub owned: usize,
    /// Meant for the node.
    pub targeted: usize,
    /// In motion to the node.
    pub arriving: usize,
    /// Owned by the node's present life and in motion to another.
    pub leaving: usize,
}

impl Share {
    /// Shards in motion to or from the node. A sum over nodes counts a shard that moves from one
    /// to another twice.
    pub fn in_motion(&self) -> usize {
        self.arriving + self.leaving
    }
}

/// How many shards the cluster has, and how they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// All shards.
    pub shards: usize,
    /// With a live owner.
    pub owned: usize,
    /// On their way to another owner, or to their first.
    pub in_motion: usize,
    /// Without a live owner: all that are not owned.
    pub without_owner: usize,
    /// Without a live owner and on their way to nobody: a part of `without_owner`.
    pub orphans: usize,
    /// Pinned by an operator, wherever they are.
    pub pinned: usize,
}

impl ClusterView {
    /// The share of each node, by node id. Contains every node of the view, and besides them any
    /// that a shard names as its target although the view doesn't know it.
    pub fn shares(&self) -> BTreeMap<&str, Share> {
        let mut shares: BTreeMap<&str, Share> =
            self.nodes.keys().map(|node| (node.as_str(), Share::default())).collect();
        for shard in &self.shards {
            let moves = self.condition(shard) == ShardCondition::InMotion;
            if let Some(owner) = self.live_owner(shard) {
                let share = shares.entry(&owner.node).or_default();
                share.owned += 1;
                share.leaving += usize::from(moves);
            }
            if let Some(target) = &shard.target {
                let share = shares.entry(target).or_default();
                share.targeted += 1;
                share.arriving += usize::from(moves);
            }
        }
        shares
    }

    /// How many shards there are, and how they are.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals { shards: self.shards.len(), ..Totals::default() };
        for shard in &self.shards {
            totals.pinned += usize::from(shard.pin.is_some());
            match self.live_owner(shard) {
                Some(_) => totals.owned += 1,
                None => totals.without_owner += 1,
            }
            match self.condition(shard) {
                ShardCondition::AtRest => {}
                ShardCondition::InMotion => totals.in_motion += 1,
                ShardCondition::Orphan => totals.orphans += 1,
            }
        }
        totals
    }
}

#[cfg(test)]
mod tests;
