//! The picture of a cluster, and the questions about single shards.

use std::collections::BTreeMap;

use crate::{Group, Life, Node, Shard, ShardCondition};

/// The picture that one node has of its cluster. It may be late, as the node's own is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterView {
    /// Name of the cluster.
    pub cluster: String,
    /// Id of the node whose picture this is.
    pub answered_by: String,
    /// Revision of the store at which the picture stands.
    pub revision: u64,
    /// Who leads; nobody before the first election and after a resignation.
    pub leader: Option<Life>,
    /// Grows by one with each new leader; 0 before the first.
    pub term: u64,
    /// All nodes by id, those that died included.
    pub nodes: BTreeMap<String, Node>,
    /// The shard groups, in order; at least one.
    pub groups: Vec<Group>,
    /// Shards of each group; at least one.
    pub shard_count: u32,
    /// An operator holds rebalancing.
    pub rebalancing_held: bool,
    /// All shards, in order of their numbers: those of the first group, then those of the next.
    pub shards: Vec<Shard>,
}

impl ClusterView {
    /// The owner of a shard, if that life of it still lasts.
    pub fn live_owner<'a>(&self, shard: &'a Shard) -> Option<&'a Life> {
        let owner = shard.owner.as_ref()?;
        let node = self.nodes.get(&owner.node)?;
        (node.is_alive() && node.life == *owner).then_some(owner)
    }

    /// How the intent and the ownership of a shard stand to each other.
    pub fn condition(&self, shard: &Shard) -> ShardCondition {
        let target = shard.target.as_deref();
        match self.live_owner(shard) {
            Some(owner) if target.is_none_or(|target| target == owner.node) => {
                ShardCondition::AtRest
            }
            Some(_) => ShardCondition::InMotion,
            None if target.is_some_and(|target| self.takes_shards(target)) => {
                ShardCondition::InMotion
            }
            None => ShardCondition::Orphan,
        }
    }

    /// The shards that an operator pinned, in order of their numbers.
    pub fn pinned(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(|shard| shard.pin.is_some())
    }

    /// `host:port` of the leader, if somebody leads and the view knows where.
    pub fn leader_address(&self) -> Option<&str> {
        let node = self.nodes.get(&self.leader.as_ref()?.node)?;
        (!node.peer_address.is_empty()).then_some(node.peer_address.as_str())
    }

    /// Where to ask for what the leader knows, given the address of the node that answered with this
    /// view: there, if that node leads, because there it can surely be reached, or if nobody is
    /// known to lead.
    pub fn deciding_address<'a>(&'a self, asked: &'a str) -> &'a str {
        let leads = self.leader.as_ref().is_some_and(|leader| leader.node == self.answered_by);
        if leads { asked } else { self.leader_address().unwrap_or(asked) }
    }

    /// The shards in a condition, in order of their numbers.
    pub fn shards_in(&self, condition: ShardCondition) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(move |shard| self.condition(shard) == condition)
    }

    /// The shards that nobody serves and nobody is about to serve.
    pub fn orphans(&self) -> impl Iterator<Item = &Shard> {
        self.shards_in(ShardCondition::Orphan)
    }

    fn takes_shards(&self, node: &str) -> bool {
        self.nodes.get(node).is_some_and(Node::takes_shards)
    }
}
