//! Shards as JSON.

use serde::Serialize;

use super::LifeEntry;
use crate::{ClusterView, Shard};

/// Some shards of a view.
#[derive(Debug, Serialize)]
pub struct Shards<'a> {
    cluster: &'a str,
    answered_by: &'a str,
    revision: u64,
    shards: Vec<ShardEntry<'a>>,
}

impl<'a> Shards<'a> {
    /// These shards of this view.
    pub fn of(view: &'a ClusterView, shards: &[&'a Shard]) -> Self {
        Self {
            cluster: &view.cluster,
            answered_by: &view.answered_by,
            revision: view.revision,
            shards: shards.iter().map(|shard| ShardEntry::of(view, shard)).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct ShardEntry<'a> {
    shard: u32,
    name: String,
    group: Option<&'a str>,
    condition: &'static str,
    target: Option<&'a str>,
    owner: Option<LifeEntry<'a>>,
    owner_alive: bool,
    pin: Option<&'a str>,
    epoch: u64,
    since_ms: Option<u64>,
    reason: &'a str,
}

impl<'a> ShardEntry<'a> {
    pub(super) fn of(view: &'a ClusterView, shard: &'a Shard) -> Self {
        Self {
            shard: shard.number,
            name: view.name_of(shard.number),
            group: view.group_of(shard.number).map(|group| group.name.as_str()),
            condition: view.condition(shard).as_str(),
            target: shard.target.as_deref(),
            owner: shard.owner.as_ref().map(LifeEntry::of),
            owner_alive: view.live_owner(shard).is_some(),
            pin: shard.pin.as_deref(),
            epoch: shard.epoch,
            since_ms: shard.since_ms,
            reason: &shard.reason,
        }
    }
}
