//! What must be ordered so that a cluster has the pins and rules of a topology.

use std::collections::BTreeMap;

use greenroom_proto::v1::{Topology, TopologyShard};

use crate::{ClusterView, NodeState, Order};

/// Why a topology can't be imported; nothing was ordered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadImport {
    /// It is of a cluster with another number of shards.
    #[error("it is of {theirs} shards a group, and the cluster has {ours}")]
    ShardCount {
        /// The topology's.
        theirs: u32,
        /// The cluster's.
        ours: u32,
    },
    /// It has a group that the cluster has not.
    #[error("the cluster has no shard group `{0}`")]
    NoGroup(String),
    /// It has a shard that no group has.
    #[error("a group has no shard {0}")]
    NoShard(u32),
    /// It pins shards to a node that does not live.
    #[error("it pins shards to {0}, and no live node has that name")]
    NoNode(String),
}

/// The orders that give the cluster the pins and placement rules of a topology, as far as it has others.
/// Where shards are follows from those; epochs and nodes are the cluster's own.
///
/// # Errors
/// When it names a group, shard or node that the cluster has not, or another number of shards.
pub fn import(
    topology: &Topology,
    view: &ClusterView,
    force: bool,
) -> Result<Vec<Order>, BadImport> {
    let (theirs, ours) = (topology.shard_count, view.shard_count);
    if theirs != ours {
        return Err(BadImport::ShardCount { theirs, ours });
    }
    let index = |name: &str| {
        let found = view.groups.iter().position(|group| group.name == name);
        found.ok_or_else(|| BadImport::NoGroup(name.to_owned()))
    };
    let mut orders = Vec::new();
    for group in &topology.groups {
        let present = &view.groups[index(&group.name)?];
        let (require, prefer) = (group.require.clone(), group.prefer.clone());
        if (&present.require, &present.prefer) != (&require, &prefer) {
            orders.push(Order::Rule { group: group.name.clone(), require, prefer, force });
        }
    }
    let mut wanted: BTreeMap<u32, &str> = BTreeMap::new();
    for TopologyShard { group, shard, pin, .. } in &topology.shards {
        let first = index(group)? as u32 * ours;
        if *shard >= ours {
            return Err(BadImport::NoShard(*shard));
        }
        let live =
            |node: &str| view.nodes.get(node).is_some_and(|node| node.state != NodeState::Dead);
        if !pin.is_empty() {
            if !live(pin) {
                return Err(BadImport::NoNode(pin.clone()));
            }
            wanted.insert(first + shard, pin);
        }
    }
    let mut pins: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    let mut unpinned = Vec::new();
    for shard in &view.shards {
        match (wanted.get(&shard.number), &shard.pin) {
            (Some(to), pin) if pin.as_deref() != Some(*to) => {
                pins.entry(*to).or_default().push(shard.number);
            }
            (None, Some(_)) => unpinned.push(shard.number),
            _ => {}
        }
    }
    if !unpinned.is_empty() {
        orders.push(Order::Unpin { shards: unpinned });
    }
    let pins = pins.into_iter();
    orders.extend(pins.map(|(to, shards)| Order::Pin { shards, to: Some(to.to_owned()) }));
    Ok(orders)
}
