//! After the faults: the cluster must be whole, even, and as its operators want it.
//!
//! Proves: C15

use std::collections::BTreeMap;

use greenroom_core::planner::{Member, Standing, shares};
use greenroom_core::record::ShardRecord;
use greenroom_core::{NodeId, ShardId};

use crate::world::{Shape, World};

/// Checks a cluster that has had time to come to rest; the last orders are carried out.
pub(crate) fn check(world: &World) {
    assert!(
        world.is_content(),
        "seed {}: an order could not be carried out: {:?}",
        world.seed,
        world.operators
    );
    for shard in world.shape.all_shards() {
        check_shard(world, shard);
    }
    for group in 0..world.shape.group_names().len() {
        check_even(world, group);
    }
}

fn record(world: &World, shard: ShardId) -> &ShardRecord {
    let record = world.store.shard(shard);
    record.unwrap_or_else(|| panic!("seed {}: shard {shard} has no record", world.seed))
}

/// A shard is owned by a running node whose gate is open with the record's epoch, which its group
/// admits, and which is the one that it is pinned to if that is able.
fn check_shard(world: &World, shard: ShardId) {
    let (seed, record) = (world.seed, record(world, shard));
    let serving = world.nodes.iter().find(|node| node.passes_check(shard, world.now_us));
    let Some(serving) = serving else {
        panic!("seed {seed}: nobody serves shard {shard}: {record:?}");
    };
    let owner = record.owner.as_ref().map(|life| &life.node);
    assert_eq!(owner, Some(&serving.id), "seed {seed}: shard {shard}");
    assert_eq!(serving.gates.get(&shard), Some(&record.epoch), "seed {seed}: shard {shard}");
    let view = serving.agent.view();
    let admits = |node: &NodeId| {
        let member = view.member(node);
        member.is_some_and(|member| view.takes_shards_of(&member, view.group_of(shard)))
    };
    assert!(admits(&serving.id), "seed {seed}: shard {shard} is where its group admits none");
    if let Some(pin) = record.pin.as_ref().filter(|pin| admits(pin)) {
        assert_eq!(*pin, serving.id, "seed {seed}: shard {shard} is not where it is pinned");
    }
}

/// Within one of its share by weight, or of what is pinned to it, no node has more.
fn check_even(world: &World, group: usize) {
    let seed = world.seed;
    let first = group as u32 * world.shape.shards;
    let (mut counts, mut pinned) = (BTreeMap::new(), BTreeMap::new());
    for shard in (first..first + world.shape.shards).map(ShardId) {
        let record = record(world, shard);
        let owner = record.owner.as_ref().map(|life| life.node.clone()).unwrap();
        // Also what is pinned elsewhere, to a node that can't have it: it is not moved for balance.
        *pinned.entry(owner.clone()).or_insert(0) += u64::from(record.pin.is_some());
        *counts.entry(owner).or_insert(0) += 1;
    }
    let members = members(world, group);
    let Shape { shards, policy, .. } = &world.shape;
    let shares = shares(&members, u64::from(*shards), policy.spread_zones);
    let any_pinned = pinned.values().any(|count| *count > 0);
    // Shares are whole numbers. They are rounded once more with zones, and once more among those
    // that share what the pinned shards leave.
    let off_by = 1 + u64::from(policy.spread_zones) + u64::from(any_pinned);
    for (member, share) in members.iter().zip(shares) {
        let count: u64 = counts.get(&member.node).copied().unwrap_or(0);
        let floor = pinned.get(&member.node).copied().unwrap_or(0);
        let too_many = count > share.max(floor) + off_by;
        let too_few = !any_pinned && count + off_by < share;
        assert!(
            !too_many && !too_few,
            "seed {seed}: {} has {count} shards of group {group}, {floor} of them pinned, for a \
             share of {share}: {counts:?}; the leader's last decisions: {:#?}",
            member.node,
            last_decisions(world)
        );
    }
}

/// The nodes as a planner should see them.
fn members(world: &World, group: usize) -> Vec<Member> {
    let view = world.nodes[0].agent.view();
    let all: Vec<_> = view.members().collect();
    let takes = |member: &greenroom_core::MemberView<'_>| view.takes_shards_of(member, group);
    let prefers = |member: &greenroom_core::MemberView<'_>| {
        view.groups().prefers(group, &member.record.profile)
    };
    let some_preferred = all.iter().any(|member| takes(member) && prefers(member));
    let zones: Vec<&str> = all.iter().map(|member| member.record.profile.zone.as_str()).collect();
    let members = all.iter().map(|member| Member {
        node: member.life.node.clone(),
        weight: if some_preferred && !prefers(member) { 0 } else { member.record.profile.weight },
        zone: zones.iter().position(|z| *z == member.record.profile.zone).unwrap_or(0) as u32,
        standing: if takes(member) { Standing::Taking } else { Standing::Leaving },
    });
    members.collect()
}

/// What the leader decided last.
fn last_decisions(world: &World) -> Vec<String> {
    let leader = world.nodes.iter().find(|node| node.agent.leads());
    let decisions = leader.into_iter().flat_map(|leader| leader.agent.decisions().rev().take(4));
    decisions.map(|d| format!("{} ms to {} ms: {:?}", d.at_ms, d.last_ms, d.what)).collect()
}
