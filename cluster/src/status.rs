//! How a node stands in its cluster.

use std::sync::Arc;

use greenroom_core::{GroupIndex, Life};

/// How the node stands in its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The present life, once it joined.
    pub life: Option<Life>,
    /// Where it is in that life.
    pub phase: StatusPhase,
    /// Shards that it serves of those that it should serve.
    pub claimed: usize,
    /// Shards that it should serve.
    pub targeted: usize,
    /// Whether its record in the store says that phase too.
    pub recorded: bool,
    /// Whether it has given all its shards away, and nothing of them runs here any more.
    pub drained: bool,
    /// Whether another live node takes shards.
    pub others_take_shards: bool,
    /// Whether it leads.
    pub leads: bool,
    /// Who leads, if that node lives.
    pub leader: Option<Leader>,
    /// Whether the store has been read and is watched.
    pub synced: bool,
    /// What live nodes host.
    pub hosted: Arc<Hosted>,
}

/// Where a node is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusPhase {
    /// Not yet a member.
    Joining,
    /// A member.
    Active,
    /// Giving its shards away.
    Draining,
    /// Gone; with the reason when it was refused.
    Stopped(Option<String>),
}

/// What the live nodes of a cluster host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosted {
    /// Kinds that some node hosts, sorted.
    pub kinds: Vec<String>,
    /// Groups whose shards some node may own, sorted.
    pub groups: Vec<GroupIndex>,
}

/// Who leads a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Which life.
    pub life: Life,
    /// `host:port` at which it takes calls and reports.
    pub address: String,
}
