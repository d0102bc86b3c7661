//! Shards: what the leader wants, and what is.

use crate::Life;

/// Intent and ownership of one shard, as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number among all shards, from 0: those of the first group come first, then those of the
    /// next. People name it as [`ClusterView::name_of`](crate::ClusterView::name_of) does.
    pub number: u32,
    /// Id of the node that should own it: the leader's intent.
    pub target: Option<String>,
    /// Who owns it, written by the owner itself. The record outlives its owner: ask
    /// [`ClusterView::live_owner`](crate::ClusterView::live_owner) whether that life still lasts.
    pub owner: Option<Life>,
    /// Id of the node that an operator pinned it to.
    pub pin: Option<String>,
    /// Fencing token of the present or last owner; grows each time the shard gets an owner.
    pub epoch: u64,
    /// Why the leader chose the target; empty when it never chose one.
    pub reason: String,
    /// When the record was last written, in milliseconds since 1970 on the writer's wall clock;
    /// nothing while it was never written. For people, not for decisions.
    pub since_ms: Option<u64>,
}

/// How a shard's intent and ownership stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardCondition {
    /// A live node owns it, and is meant to.
    AtRest,
    /// It is on its way: a live node owns it and another should, or nobody alive owns it and a
    /// node that takes shards should.
    InMotion,
    /// Nobody alive owns it, and no node that takes shards is its target. It waits for the leader.
    Orphan,
}

impl ShardCondition {
    /// The written name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AtRest => "at_rest",
            Self::InMotion => "in_motion",
            Self::Orphan => "orphan",
        }
    }
}

/// Where one actor lives, or would live if it were called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The actor's shard, by its number among all shards.
    pub shard: u32,
    /// Id of the node that owns the shard.
    pub owner: Option<String>,
    /// Fencing token of the present or last owner.
    pub epoch: u64,
    /// `host:port` at which other nodes reach the owner, if the asked node knows it.
    pub owner_address: Option<String>,
}
