//! The cluster as a document: exported for audits, and read back to begin a cluster with.

use std::collections::BTreeSet;

use greenroom_core::record::ShardRecord;
use greenroom_core::{
    Epoch, Group, Groups, NodeId, PlacementRule, Restore, SHARD_COUNT_MAX, ShardId, View,
};
use greenroom_proto::v1::{self, Topology, TopologyNode, TopologyShard};

/// Version of the document.
const FORMAT: u32 = 1;
/// Greatest epoch that a shard begins with: nobody gets there by counting.
const EPOCH_MAX: u64 = 1 << 46;
/// How far above the exported epoch a restored shard begins: more than it can have got to between the
/// export and the loss, for every change of an owner is a write.
const EPOCHS_SINCE_EXPORT_MAX: u64 = 1 << 32;

/// The groups as the wire has them.
pub(crate) fn groups(view: &View) -> Vec<v1::Group> {
    let groups = view.groups().as_slice().iter().cloned();
    let groups = groups.map(|group| v1::Group {
        name: group.name,
        kinds: group.kinds,
        require: group.rule.require,
        prefer: group.rule.prefer,
    });
    groups.collect()
}

/// Everything of a cluster that is worth keeping.
pub(crate) fn export(cluster: &str, view: &View) -> Topology {
    let nodes = view.nodes().map(|(id, record)| {
        let alive = view.member(id).is_some();
        TopologyNode {
            node: id.to_string(),
            state: if alive { record.state.as_str() } else { "dead" }.to_owned(),
            weight: record.profile.weight,
            zone: record.profile.zone.clone(),
            labels: record.profile.labels.clone(),
            kinds: record.profile.kinds.clone(),
        }
    });
    let written = (0..).zip(view.shards()).filter(|(_, slot)| slot.mod_revision > 0);
    let shards = written.map(|(shard, slot)| {
        let (group, number) = ShardId(shard).group_and_number(view.shard_count());
        let record = &slot.record;
        let name =
            |node: &Option<NodeId>| node.as_ref().map(ToString::to_string).unwrap_or_default();
        TopologyShard {
            group: view.groups().as_slice()[group].name.clone(),
            shard: number,
            target: name(&record.target),
            owner: record.owner.as_ref().map(|life| life.node.to_string()).unwrap_or_default(),
            epoch: record.epoch.0,
            pin: name(&record.pin),
        }
    });
    Topology {
        format: FORMAT,
        cluster: cluster.to_owned(),
        revision: view.revision(),
        taken_ms: greenroom_cluster::wall_ms(),
        shard_count: view.shard_count(),
        groups: groups(view),
        nodes: nodes.collect(),
        shards: shards.collect(),
    }
}

/// Reads a document back.
///
/// # Errors
/// What is wrong with it, in one sentence that names the field.
pub(crate) fn restore(json: &str, shard_count: u32) -> Result<Restore, String> {
    let topology: Topology =
        serde_json::from_str(json).map_err(|error| format!("it is no topology: {error}"))?;
    if topology.format != FORMAT {
        return Err(format!("format must be {FORMAT}, got {}", topology.format));
    }
    if topology.shard_count != shard_count {
        return Err(format!(
            "shard_count must be {shard_count}, as GREENROOM_SHARDS says (1 to {SHARD_COUNT_MAX}), \
             got {}",
            topology.shard_count
        ));
    }
    let groups = topology.groups.into_iter().map(|group| Group {
        name: group.name,
        kinds: group.kinds,
        rule: PlacementRule { require: group.require, prefer: group.prefer },
    });
    let groups: Vec<Group> = groups.collect();
    let groups = Groups::new(&groups).map_err(|error| format!("groups: {error}"))?;
    let mut seen = BTreeSet::new();
    let shards = topology.shards.into_iter().map(|shard| {
        let (id, record) = restored(&groups, shard, shard_count)?;
        if !seen.insert(id) {
            return Err(format!("shards: shard {id} comes twice"));
        }
        Ok((id, record))
    });
    let shards = shards.collect::<Result<Vec<_>, String>>()?;
    Ok(Restore { groups, shards })
}

fn restored(
    groups: &Groups,
    shard: TopologyShard,
    shard_count: u32,
) -> Result<(ShardId, ShardRecord), String> {
    let TopologyShard { group, shard, target, owner, epoch, pin } = shard;
    let index = groups.index_of(&group).ok_or_else(|| format!("shards: no group {group:?}"))?;
    if shard >= shard_count {
        return Err(format!("shards: shard must be below {shard_count}, got {shard}"));
    }
    let restored = epoch.saturating_add(EPOCHS_SINCE_EXPORT_MAX);
    if restored >= EPOCH_MAX {
        let max = EPOCH_MAX - EPOCHS_SINCE_EXPORT_MAX;
        return Err(format!("shards: epoch must be below {max}, got {epoch}"));
    }
    let node = |field: &str, name: &str| match name {
        "" => Ok(None),
        name => NodeId::new(name).map(Some).map_err(|error| format!("shards: {field}: {error}")),
    };
    // Who owned a shard is where it should be again, if that node comes back.
    let target = node("owner", &owner)?.or(node("target", &target)?);
    let record = ShardRecord {
        target,
        epoch: Epoch(restored),
        pin: node("pin", &pin)?,
        reason: "it was restored".into(),
        ..ShardRecord::default()
    };
    Ok((ShardId(shard).in_group(index, shard_count), record))
}
