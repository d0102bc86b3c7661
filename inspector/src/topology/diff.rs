//! What changed from one topology to a later one.

use std::collections::{BTreeMap, BTreeSet};

use greenroom_proto::v1::{Group, Topology, TopologyNode, TopologyShard};

use super::{Difference, ShardField, ShardList};
use crate::group::shard_name;

/// What changed from `old` to `new`: errors first, then what a person reads from the whole to the
/// parts. Revisions and times are no differences.
pub fn diff(old: &Topology, new: &Topology) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut shards = Vec::new();
    diff_shards(old, new, &mut differences, &mut shards);
    if old.cluster != new.cluster {
        let (old, new) = (old.cluster.clone(), new.cluster.clone());
        differences.push(Difference::Cluster { old, new });
    }
    if old.shard_count != new.shard_count {
        let (old, new) = (old.shard_count, new.shard_count);
        differences.push(Difference::ShardCount { old, new });
    }
    diff_groups(old, new, &mut differences);
    diff_nodes(old, new, &mut differences);
    differences.append(&mut shards);
    differences
}

fn diff_groups(old: &Topology, new: &Topology, differences: &mut Vec<Difference>) {
    let by_name = |topology: &'_ Topology| -> BTreeMap<String, Group> {
        topology.groups.iter().map(|group| (group.name.clone(), group.clone())).collect()
    };
    let (old, new) = (by_name(old), by_name(new));
    for (name, was) in &old {
        let Some(is) = new.get(name) else {
            differences.push(Difference::GroupGone(name.clone()));
            continue;
        };
        let fields = [
            ("kinds", was.kinds.join(","), is.kinds.join(",")),
            ("require", labels(&was.require), labels(&is.require)),
            ("prefer", labels(&was.prefer), labels(&is.prefer)),
        ];
        let changed = fields.into_iter().filter(|(_, old, new)| old != new);
        differences.extend(changed.map(|(field, old, new)| Difference::GroupChanged {
            group: name.clone(),
            field,
            old,
            new,
        }));
    }
    let fresh = new.into_keys().filter(|name| !old.contains_key(name));
    differences.extend(fresh.map(Difference::GroupNew));
}

fn diff_nodes(old: &Topology, new: &Topology, differences: &mut Vec<Difference>) {
    let by_name = |topology: &'_ Topology| -> BTreeMap<String, TopologyNode> {
        topology.nodes.iter().map(|node| (node.node.clone(), node.clone())).collect()
    };
    let (old, new) = (by_name(old), by_name(new));
    for (name, was) in &old {
        let Some(is) = new.get(name) else {
            differences.push(Difference::NodeGone(name.clone()));
            continue;
        };
        let fields = [
            ("state", was.state.clone(), is.state.clone()),
            ("weight", was.weight.to_string(), is.weight.to_string()),
            ("zone", was.zone.clone(), is.zone.clone()),
            ("labels", labels(&was.labels), labels(&is.labels)),
            ("kinds", was.kinds.join(","), is.kinds.join(",")),
        ];
        let changed = fields.into_iter().filter(|(_, old, new)| old != new);
        differences.extend(changed.map(|(field, old, new)| Difference::NodeChanged {
            node: name.clone(),
            field,
            old,
            new,
        }));
    }
    let fresh = new.into_keys().filter(|name| !old.contains_key(name));
    differences.extend(fresh.map(Difference::NodeNew));
}

fn diff_shards(
    old: &Topology,
    new: &Topology,
    errors: &mut Vec<Difference>,
    differences: &mut Vec<Difference>,
) {
    let (was, is) = (by_place(old), by_place(new));
    // A shard that a topology doesn't have was never written: epoch 0, and nobody's.
    let never = TopologyShard::default();
    let places: BTreeSet<_> = was.keys().chain(is.keys()).copied().collect();
    let mut back: Option<(ShardList, u64, u64)> = None;
    let mut moved: BTreeMap<(ShardField, &str, &str), ShardList> = BTreeMap::new();
    for place in places {
        let old = was.get(&place).copied().unwrap_or(&never);
        let new = is.get(&place).copied().unwrap_or(&never);
        let name = || shard_name((place.0 > 0).then_some(place.1), place.2);
        if new.epoch < old.epoch {
            let first = || (ShardList::default(), old.epoch, new.epoch);
            back.get_or_insert_with(first).0.add(name);
        }
        let fields = [
            (ShardField::Owner, &old.owner, &new.owner),
            (ShardField::Target, &old.target, &new.target),
            (ShardField::Pin, &old.pin, &new.pin),
        ];
        for (field, old, new) in fields.into_iter().filter(|(_, old, new)| old != new) {
            moved.entry((field, old, new)).or_default().add(name);
        }
    }
    errors.extend(back.map(|(shards, old, new)| Difference::EpochsWentBack { shards, old, new }));
    let node = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    differences.extend(moved.into_iter().map(|((field, old, new), shards)| Difference::Shards {
        field,
        old: node(old),
        new: node(new),
        shards,
    }));
}

/// The shards by group and number; the group also by its place, because that is the order in which
/// people list them, and because shards of the first group go without its name.
fn by_place(topology: &Topology) -> BTreeMap<(usize, &str, u32), &TopologyShard> {
    let place = |group: &str| topology.groups.iter().position(|listed| listed.name == group);
    let key = |shard: &TopologyShard| place(&shard.group).unwrap_or(usize::MAX);
    let shards = topology.shards.iter();
    shards.map(|shard| ((key(shard), shard.group.as_str(), shard.shard), shard)).collect()
}

fn labels(labels: &BTreeMap<String, String>) -> String {
    let labels = labels.iter().map(|(name, value)| format!("{name}={value}"));
    labels.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;
