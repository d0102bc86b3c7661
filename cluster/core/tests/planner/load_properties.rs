//! What holds for every problem by load.

use greenroom_core::planner::{Idle, Placement, Policy, shares};
use proptest::prelude::*;

use crate::support::{Cluster, by_load, loaded, placed};

fn steady() -> Policy {
    Policy { imbalance_threshold_permille: 100, move_gain_permille: 1, ..by_load() }
}

/// Members of which each has a share of many times the largest shard, in disorder.
fn fine_grained() -> impl Strategy<Value = Cluster> {
    let members = prop::collection::vec(100..=300_i32, 2..6);
    let shards = prop::collection::vec((1..=20_u32, 0..6_usize), 1000);
    (members, shards).prop_map(|(weights, shards)| {
        let place = |(load, at): (u32, usize)| {
            let at = Some(at % weights.len());
            Placement { load, ..placed(at, at) }
        };
        Cluster::new(&weights, shards.into_iter().map(place).collect())
    })
}

/// The largest shard is that of rank 1, the `r`th has an `r`th of its load.
fn zipf() -> impl Strategy<Value = Cluster> {
    let members = prop::collection::vec(prop_oneof![Just(50_i32), Just(100), Just(200)], 2..8);
    let places = Just((1..=600_u32).collect::<Vec<_>>()).prop_shuffle();
    (members, places).prop_map(|(weights, ranks)| {
        let place = |(i, rank): (usize, u32)| {
            let at = Some(i % weights.len());
            Placement { load: 10 + 100_000 / rank, ..placed(at, at) }
        };
        Cluster::new(&weights, ranks.into_iter().enumerate().map(place).collect())
    })
}

/// What each member should have, if who has one shard above its share has just that.
fn shares_besides_giants(cluster: &Cluster) -> Vec<f64> {
    let mut largest = vec![0_u32; cluster.members.len()];
    for shard in &cluster.shards {
        let at = shard.owner.expect("every shard has an owner");
        largest[at] = largest[at].max(shard.load);
    }
    let total: u64 = cluster.owned_load().iter().sum();
    let mut giant = vec![false; largest.len()];
    loop {
        let sum = |giants: bool, of: &dyn Fn(usize) -> f64| -> f64 {
            (0..giant.len()).filter(|i| giant[*i] == giants).map(of).sum()
        };
        let weight = |i: usize| f64::from(cluster.members[i].weight);
        let rest = total as f64 - sum(true, &|i| f64::from(largest[i]));
        let weights = sum(false, &weight);
        let share = |i: usize| rest * weight(i) / weights;
        let above = (0..giant.len()).find(|i| !giant[*i] && f64::from(largest[*i]) > share(*i));
        let Some(above) = above else {
            let of = |i| if giant[i] { f64::from(largest[i]) } else { share(i) };
            return (0..giant.len()).map(of).collect();
        };
        giant[above] = true;
    }
}

fn furthest_off(cluster: &Cluster) -> f64 {
    let loads = cluster.owned_load().into_iter().zip(shares_besides_giants(cluster));
    loads.map(|(load, share)| (load as f64 / share - 1.0).abs()).fold(0.0, f64::max)
}

fn squares(cluster: &Cluster) -> f64 {
    let loads = cluster.owned_load().into_iter().zip(&cluster.members);
    loads.map(|(load, member)| (load as f64).powi(2) / f64::from(member.weight)).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_load_ends_within_a_twentieth_of_its_share(mut cluster in fine_grained()) {
        let converged = cluster.converge(&steady().finishing());
        prop_assert_eq!(converged.idle, Idle::Balanced);
        let loads = cluster.owned_load();
        let shares = shares(&cluster.members, loads.iter().sum(), false);
        for (load, share) in loads.iter().zip(shares) {
            prop_assert!(load.abs_diff(share) * 20 <= share, "{} for {}", load, share);
        }
    }

    #[test]
    fn loads_of_very_different_sizes_end_even(mut cluster in zipf()) {
        cluster.converge(&steady().finishing());
        prop_assert!(furthest_off(&cluster) <= 0.05, "{:?}", cluster.owned_load());
    }

    #[test]
    fn a_new_cluster_by_load_is_even_at_once(mut cluster in zipf()) {
        cluster.shards.iter_mut().for_each(|shard| (shard.owner, shard.target) = (None, None));
        let converged = cluster.converge(&steady());
        prop_assert_eq!(converged.rounds, 1);
        prop_assert!(furthest_off(&cluster) <= 0.05, "{:?}", cluster.owned_load());
    }

    /// The measure that proves the end: each plan lowers it, whatever the batch.
    #[test]
    fn each_plan_lowers_the_sum_of_squares(
        mut cluster in zipf(),
        batch_len_max in 1..30_usize,
        move_gain_permille in 0..20_u32,
    ) {
        let policy = Policy { batch_len_max, move_gain_permille, ..by_load() };
        for round in 0.. {
            prop_assert!(round < 2000);
            let plan = cluster.plan(&policy);
            if plan.moves.is_empty() {
                break;
            }
            let before = squares(&cluster);
            cluster.apply(&plan);
            (0..cluster.shards.len()).for_each(|shard| cluster.settle(shard));
            prop_assert!(squares(&cluster) < before);
        }
    }

    /// Loads that vary while their shards' member stays within the threshold move nothing.
    #[test]
    fn loads_that_waver_move_nothing(
        mut cluster in fine_grained(),
        wavering in prop::collection::vec(prop::collection::vec(-3..=3_i32, 97), 1..8),
    ) {
        // In thousandths, so that the loads can waver by some percent.
        cluster.shards.iter_mut().for_each(|shard| shard.load *= 1000);
        cluster.converge(&steady().finishing());
        let calm = cluster.shards.clone();
        for permilles in &wavering {
            for (i, shard) in cluster.shards.iter_mut().enumerate() {
                let by = calm[i].load as i32 / 100 * permilles[i % permilles.len()];
                shard.load = calm[i].load.saturating_add_signed(by);
            }
            let plan = cluster.plan(&steady());
            prop_assert!(plan.moves.is_empty(), "{:?}", plan);
        }
    }

    /// A member's load changes for good: what moves is little more than what it has too much of.
    #[test]
    fn a_hot_member_sheds_what_is_too_much(mut cluster in fine_grained(), hot in 0..6_usize) {
        cluster.converge(&steady().finishing());
        let hot = hot % cluster.members.len();
        let hot_shards = cluster.shards.iter_mut().filter(|shard| shard.owner == Some(hot));
        hot_shards.for_each(|shard| shard.load = shard.load * 3 / 2);
        let loads = cluster.owned_load();
        let shares = shares(&cluster.members, loads.iter().sum(), false);
        let too_much = loads.iter().zip(&shares).map(|(l, s)| l.saturating_sub(*s)).sum::<u64>();
        let total: u64 = loads.iter().sum();
        let settled = cluster.settled(&steady());
        let load_of = |shard: usize| u64::from(cluster.shards[shard].load);
        let moved: u64 = settled.moves.iter().map(|m| load_of(m.shard.0 as usize)).sum();
        prop_assert!(moved <= too_much + total / 20, "{} of {}", moved, too_much);
    }
}

#[test]
fn a_rebalancing_that_has_ended_stays_ended() {
    let mut cluster = Cluster::new(&[1, 2], loaded(&[&[7, 9, 13, 2, 5, 31], &[3, 8]]));
    cluster.converge(&steady().finishing());
    let rest = cluster.clone();
    for _ in 0..3 {
        assert_eq!(cluster.converge(&steady()).moves, 0);
    }
    assert_eq!(rest.shards, cluster.shards);
}
