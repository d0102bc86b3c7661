//! What holds for every problem.

use std::time::Duration;

use greenroom_core::planner::{Idle, MoveReason, Policy, Standing, shares};
use proptest::prelude::*;

use crate::support::{Cluster, at_rest, placed, policy};

/// Any cluster in any state, dead and draining members included.
fn any_cluster() -> impl Strategy<Value = Cluster> {
    let weight = prop_oneof![3 => 1..=1000_i32, 2 => Just(100), 1 => -1000..=-1_i32];
    prop::collection::vec(weight, 0..12).prop_flat_map(|weights| {
        // One past the end is a dead node.
        let member = prop::option::weighted(0.9, 0..=weights.len());
        let moving = (member.clone(), member.clone());
        let resting = member.prop_map(|m| (m, m));
        let shard = prop_oneof![moving, resting].prop_map(|(owner, target)| placed(owner, target));
        let shards = prop::collection::vec(shard, 0..200);
        shards.prop_map(move |shards| Cluster::new(&weights, shards))
    })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let batch = prop_oneof![1..20_usize, Just(usize::MAX)];
    (batch, 0..300_u32).prop_map(|(batch_len_max, imbalance_threshold_permille)| Policy {
        batch_len_max,
        imbalance_threshold_permille,
        ..policy()
    })
}

/// Weights of members that all take shards.
fn weights() -> impl Strategy<Value = Vec<i32>> {
    prop::collection::vec(1..=1000_i32, 1..12)
}

fn takers(cluster: &Cluster) -> usize {
    (0..cluster.members.len()).filter(|m| cluster.takes(*m)).count()
}

/// A new cluster, settled by the planner.
fn settled(weights: &[i32], shards: usize) -> Cluster {
    let mut cluster = Cluster::new(weights, vec![placed(None, None); shards]);
    cluster.converge(&policy());
    cluster
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shares_are_complete_and_proportional(weights in weights(), shards in 0..70_000_u64) {
        let cluster = Cluster::new(&weights, Vec::new());
        let result = shares(&cluster.members, shards, false);
        prop_assert_eq!(result.iter().sum::<u64>(), shards);
        let total: i64 = weights.iter().map(|w| i64::from(*w)).sum();
        for (share, weight) in result.iter().zip(&weights) {
            let off = *share as i64 * total - shards as i64 * i64::from(*weight);
            prop_assert!(off.abs() < total, "{} of {} for {}", share, shards, weight);
        }
    }

    /// Even before the membership is stable, every shard has a live member, and every shard
    /// without an owner has a member that takes shards.
    #[test]
    fn a_plan_leaves_no_shard_behind(mut cluster in any_cluster(), policy in any_policy()) {
        let plan = cluster.plan_at(Duration::ZERO, &policy);
        cluster.apply(&plan);
        let live = |i: &usize| *i < cluster.members.len();
        let takes = |i: usize| cluster.takes(i);
        if takers(&cluster) == 0 {
            prop_assert_eq!(plan.idle, Some(Idle::NoMembers));
            prop_assert!(plan.moves.is_empty());
            return Ok(());
        }
        for shard in &cluster.shards {
            match (shard.owner.filter(live), shard.target.filter(live)) {
                (None, target) => prop_assert!(target.is_some_and(takes), "{:?}", shard),
                (Some(owner), None) => prop_assert!(!takes(owner), "{:?}", shard),
                (Some(owner), Some(target)) => {
                    let waits = owner == target && !takes(owner);
                    prop_assert!(takes(target) || waits, "{:?}", shard);
                }
            }
        }
        let rebalances = plan.moves.iter().any(|m| m.reason == MoveReason::Rebalance);
        prop_assert!(!rebalances && plan.idle.is_some());
    }

    #[test]
    fn batches_are_bounded(mut cluster in any_cluster(), policy in any_policy()) {
        let drains_in_flight = |cluster: &Cluster| {
            let shards = cluster.shards.iter();
            shards.filter(|shard| {
                let live = |i: &usize| *i < cluster.members.len();
                let owner = shard.owner.filter(live);
                let target = shard.target.filter(live);
                owner.is_some_and(|o| !cluster.takes(o))
                    && target.is_some()
                    && target != owner
            }).count()
        };
        let before = drains_in_flight(&cluster);
        let plan = cluster.plan(&policy);
        cluster.apply(&plan);
        prop_assert!(drains_in_flight(&cluster) <= before.max(policy.batch_len_max));
        let rebalanced = plan.moves.iter().filter(|m| m.reason == MoveReason::Rebalance).count();
        prop_assert!(rebalanced <= policy.batch_len_max);
        prop_assert!(rebalanced == 0 || rebalanced == plan.moves.len());
        prop_assert_eq!(rebalanced > 0, plan.idle.is_none());
    }

    #[test]
    fn the_same_question_has_the_same_answer(cluster in any_cluster(), policy in any_policy()) {
        prop_assert_eq!(cluster.plan(&policy), cluster.plan(&policy));
    }

    /// From any state, in few rounds, to one in which everybody is near its share.
    #[test]
    fn it_converges(mut cluster in any_cluster(), policy in any_policy()) {
        let rounds_max = 4 + 2 * cluster.shards.len().div_ceil(policy.batch_len_max);
        let converged = cluster.converge(&policy);
        prop_assert!(converged.rounds <= rounds_max, "{:?}", converged);
        if takers(&cluster) == 0 {
            return Ok(());
        }
        let shares = cluster.shares();
        for (i, (owned, share)) in cluster.owned().iter().zip(&shares).enumerate() {
            let tolerance = share * policy.imbalance_threshold_permille as usize / 1000;
            prop_assert!(owned.abs_diff(*share) <= tolerance.max(1));
            prop_assert!(cluster.takes(i) || *owned == 0, "drained");
        }
        let finished = cluster.converge(&policy.finishing());
        prop_assert_eq!(finished.idle, Idle::Balanced);
        for (owned, share) in cluster.owned().iter().zip(&shares) {
            prop_assert!(owned.abs_diff(*share) <= 1);
        }
    }

    /// Small batches take no detours: together they move no more than one big batch would.
    #[test]
    fn batches_add_no_moves(
        weights in weights(),
        counts in prop::collection::vec(0..60_usize, 12),
        batch_len_max in 1..20_usize,
    ) {
        let mut whole = Cluster::new(&weights, at_rest(&counts[..weights.len()]));
        let mut batched = whole.clone();
        let all = whole.converge(&policy());
        let steps = batched.converge(&Policy { batch_len_max, ..policy() });
        prop_assert!(all.rounds <= 1, "one batch is the whole way");
        prop_assert!(steps.moves <= all.moves, "{:?} {:?}", steps, all);
    }

    #[test]
    fn a_join_moves_the_newcomers_share(
        mut weights in weights(), shards in 0..2000_usize, newcomer in 1..=1000_i32,
        place in 0..12_usize,
    ) {
        let counts = settled(&weights, shards).owned();
        let place = place % (weights.len() + 1);
        weights.insert(place, newcomer);
        let mut counts = counts;
        counts.insert(place, 0);
        let mut cluster = Cluster::new(&weights, at_rest(&counts));
        let share = cluster.shares()[place];
        let moves = cluster.converge(&policy()).moves;
        prop_assert!(moves <= share + weights.len(), "{} for a share of {}", moves, share);
    }

    #[test]
    fn a_leave_moves_the_leavers_shards(
        weights in weights(), shards in 0..2000_usize, leaver in 0..12_usize, drains: bool,
    ) {
        let mut cluster = settled(&weights, shards);
        let leaver = leaver % weights.len();
        let owned = cluster.owned()[leaver];
        if drains {
            cluster.members[leaver].standing = Standing::Leaving;
        } else {
            cluster.lose(leaver);
        }
        let moves = cluster.converge(&policy()).moves;
        if weights.len() > 1 {
            prop_assert!(moves >= owned && moves <= owned + weights.len());
        }
    }

    /// With equal weights, through any history, joins and leaves move the minimum exactly. (Given
    /// two shards for each member at least: below that, being one off its share may leave a
    /// newcomer without any, until a later change evens that out along with its own.)
    #[test]
    fn equal_members_come_and_go_at_the_least_cost(
        shards in 44..500_usize, history in prop::collection::vec((any::<bool>(), 0..12_usize), 1..20),
    ) {
        let mut cluster = settled(&[100, 100], shards);
        for (joins, place) in history {
            let len = cluster.members.len();
            if joins {
                let mut counts = cluster.owned();
                counts.push(0);
                cluster = Cluster::new(&vec![100; len + 1], at_rest(&counts));
                prop_assert_eq!(cluster.converge(&policy()).moves, shards / (len + 1));
            } else if len > 1 {
                let leaver = place % len;
                let owned = cluster.owned()[leaver];
                cluster.lose(leaver);
                prop_assert_eq!(cluster.converge(&policy()).moves, owned);
            }
        }
    }
}
