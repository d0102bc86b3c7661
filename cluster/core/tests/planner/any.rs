//! Any problem at all.

use greenroom_core::planner::{Pin, Placement, Policy, Standing, Strategy as By};
use proptest::prelude::*;

use crate::support::{Cluster, placed, policy};

/// Any cluster in any state: dead, leaving, keeping and weightless members, pins, loads and shards
/// that avoid somebody.
pub(crate) fn any_cluster() -> impl Strategy<Value = Cluster> {
    let standing = prop_oneof![
        6 => Just(Standing::Taking),
        1 => Just(Standing::Keeping),
        2 => Just(Standing::Leaving),
    ];
    let weight = prop_oneof![6 => 1..=1000_i32, 2 => Just(100), 1 => Just(0)];
    let members = prop::collection::vec((weight, standing, 0..4_u32), 0..10);
    members.prop_flat_map(|members| {
        let shards = prop::collection::vec(any_shard(members.len()), 0..150);
        shards.prop_map(move |shards| {
            let weights: Vec<i32> = members.iter().map(|(weight, ..)| *weight).collect();
            let mut cluster = Cluster::new(&weights, shards);
            for (member, (_, standing, zone)) in cluster.members.iter_mut().zip(&members) {
                (member.standing, member.zone) = (*standing, *zone);
            }
            cluster
        })
    })
}

fn any_shard(members: usize) -> impl Strategy<Value = Placement> {
    // One past the end is a dead node.
    let member = prop::option::weighted(0.9, 0..=members);
    let moving = (member.clone(), member.clone());
    let resting = member.clone().prop_map(|m| (m, m));
    let pin = prop_oneof![
        4 => (0..=members).prop_map(Pin::To),
        1 => Just(Pin::Elsewhere),
    ];
    let load = prop_oneof![4 => 0..100_u32, 1 => 0..5000_u32];
    let avoid = prop::option::weighted(0.1, 0..=members);
    let shard = (prop_oneof![moving, resting], prop::option::weighted(0.15, pin), load, avoid);
    shard.prop_map(|((owner, target), pin, load, avoid)| Placement {
        pin,
        load,
        avoid,
        ..placed(owner, target)
    })
}

pub(crate) fn any_policy() -> impl Strategy<Value = Policy> {
    let most = || prop_oneof![1..20_usize, Just(usize::MAX)];
    let by = prop_oneof![Just(By::Count), Just(By::Load)];
    (most(), most(), 0..300_u32, by, any::<bool>(), 0..30_u32).prop_map(
        |(batch_len_max, node_moves_max, threshold, strategy, spread_zones, move_gain_permille)| {
            Policy {
                batch_len_max,
                node_moves_max,
                imbalance_threshold_permille: threshold,
                strategy,
                spread_zones,
                move_gain_permille,
                ..policy()
            }
        },
    )
}
