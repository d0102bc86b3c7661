//! What runs in the shards.

use std::collections::BTreeMap;

/// What runs in the shards, as far as their owners reported it to one node while it led.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loads {
    /// Id of the node that tells.
    pub answered_by: String,
    /// Whether it leads. If not, what it knows is old.
    pub leads: bool,
    /// By the shards' numbers among all; those in which nothing ran or is in memory are left out.
    pub shards: BTreeMap<u32, ShardLoad>,
}

/// What ran in a shard lately: a mean over some reports, each of some seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardLoad {
    /// Calls answered a second.
    pub calls_per_s: u32,
    /// Time that its turns ran or waited for their own calls, in microseconds a second.
    pub busy_us_per_s: u32,
    /// Actors in memory.
    pub activations: u32,
}
