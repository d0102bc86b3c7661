//! Choosing among the shards of a view.

use crate::{ClusterView, Shard, ShardCondition, UnknownShard};

/// What passes all of these is chosen; without any, all shards are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardFilter {
    /// Only shards whose record names this node as owner, be it alive or not.
    pub owner: Option<String>,
    /// Only shards on their way to another owner, or to their first.
    pub in_motion: bool,
    /// Only shards that an operator pinned.
    pub pinned: bool,
    /// Only shards of this group.
    pub group: Option<String>,
}

impl ClusterView {
    /// The shards that pass a filter, in order of their numbers.
    ///
    /// # Errors
    /// When the cluster has no such group.
    pub fn select(&self, filter: &ShardFilter) -> Result<Vec<&Shard>, UnknownShard> {
        if let Some(name) = &filter.group
            && !self.groups.iter().any(|group| group.name == *name)
        {
            return Err(UnknownShard::Group(name.clone()));
        }
        let owned = |shard: &Shard| {
            let owner = filter.owner.as_ref();
            owner.is_none_or(|node| shard.owner.as_ref().is_some_and(|life| life.node == *node))
        };
        let moving =
            |shard: &Shard| !filter.in_motion || self.condition(shard) == ShardCondition::InMotion;
        let pinned = |shard: &Shard| !filter.pinned || shard.pin.is_some();
        let grouped = |shard: &Shard| {
            let group = self.group_of(shard.number);
            filter.group.as_ref().is_none_or(|name| group.is_some_and(|group| group.name == *name))
        };
        let shards = self.shards.iter();
        let shards =
            shards.filter(|shard| owned(shard) && moving(shard) && pinned(shard) && grouped(shard));
        Ok(shards.collect())
    }
}
