//! Shards spread over zones.

use greenroom_core::planner::{Idle, Policy, Standing, Strategy, shares};
use proptest::prelude::*;

use crate::support::{Cluster, at_rest, by_load, by_zone, placed, policy};

/// Members of these weights, each in its zone.
fn zoned(members: &[(i32, u32)], shards: usize) -> Cluster {
    let weights: Vec<i32> = members.iter().map(|(weight, _)| *weight).collect();
    let mut cluster = Cluster::new(&weights, vec![placed(None, None); shards]);
    let zones = cluster.members.iter_mut().zip(members);
    zones.for_each(|(member, (_, zone))| member.zone = *zone);
    cluster
}

fn of_zones(cluster: &Cluster, zones: u32) -> Vec<usize> {
    let owned = cluster.owned();
    let of = |zone| (0..owned.len()).filter(move |i| cluster.members[*i].zone == zone);
    (0..zones).map(|zone| of(zone).map(|i| owned[i]).sum()).collect()
}

/// The member dies with its whole zone.
fn lose_zone(cluster: &mut Cluster, zone: u32) {
    while let Some(i) = cluster.members.iter().position(|member| member.zone == zone) {
        cluster.lose(i);
    }
}

#[test]
fn zones_get_equal_parts_whatever_they_weigh() {
    let members = [(100, 0), (100, 0), (300, 0), (50, 1)];
    let mut cluster = zoned(&members, 100);
    assert_eq!(shares(&cluster.members, 100, true), [10, 10, 30, 50]);
    cluster.converge(&by_zone());
    assert_eq!(cluster.owned(), [10, 10, 30, 50]);
    assert_eq!(shares(&cluster.members, 100, false), [18, 18, 55, 9], "zones are ignored else");
    cluster.converge(&policy());
    assert_eq!(cluster.owned(), [18, 18, 54, 10], "but for the odd shard, which stays");
}

#[test]
fn a_zone_counts_only_with_a_member_that_takes_shards_and_has_a_weight() {
    let mut cluster = zoned(&[(1, 0), (1, 1), (0, 2), (-1, 3), (1, 4)], 30);
    cluster.members[4].standing = Standing::Keeping;
    cluster.converge(&by_zone());
    assert_eq!(cluster.owned(), [15, 15, 0, 0, 0]);
}

/// What a member gives within its zone it does not give to other zones as well.
#[test]
fn each_zone_gives_others_only_what_is_too_much_for_all_of_it() {
    let mut cluster = zoned(&[(1, 0), (1, 0), (1, 1), (1, 2)], 0);
    cluster.shards = at_rest(&[9, 0, 8, 1]);
    let plan = cluster.plan(&by_zone());
    let of = |from, to| {
        plan.moves.iter().filter(|step| (step.from, step.to) == (Some(from), to)).count()
    };
    assert_eq!((of(0, 1), of(0, 3), of(2, 3)), (3, 3, 2));
    assert_eq!(plan.moves.len(), 8);
}

#[test]
fn odd_shards_stay_in_the_zone_that_has_them() {
    let mut cluster = zoned(&[(1, 0), (1, 1)], 0);
    for counts in [[4, 3], [3, 4]] {
        cluster.shards = at_rest(&counts);
        assert_eq!(cluster.plan(&by_zone()).idle, Some(Idle::Balanced));
    }
}

/// Zone 0 may have 7 or 8 of 15 shards, and then its first member, of 57 %, 3.99 or 4.56 of those.
#[test]
fn shards_that_are_odd_twice_stay_where_they_are_and_no_pin_is_blamed() {
    use greenroom_core::planner::Pin;
    let mut cluster = zoned(&[(57, 0), (43, 0), (100, 1)], 0);
    cluster.shards = at_rest(&[3, 4, 8]);
    assert_eq!(shares(&cluster.members, 15, true), [5, 3, 7]);
    assert_eq!(cluster.plan(&by_zone()).idle, Some(Idle::Balanced));
    cluster.shards.iter_mut().skip(3).for_each(|shard| shard.pin = Some(Pin::To(2)));
    cluster.shards[3..7].iter_mut().for_each(|shard| shard.pin = Some(Pin::To(1)));
    let idle = cluster.plan(&by_zone()).idle;
    assert!(matches!(idle, Some(Idle::PinnedOnly { .. })), "{idle:?}");
}

#[test]
fn what_a_keeping_member_has_counts_for_its_zone() {
    let mut cluster = zoned(&[(1, 0), (1, 0), (1, 1)], 0);
    cluster.shards = at_rest(&[4, 0, 8]);
    cluster.members[0].standing = Standing::Keeping;
    cluster.converge(&by_zone());
    assert_eq!(cluster.owned(), [4, 2, 6]);
}

#[test]
fn pins_may_outweigh_a_zone() {
    use greenroom_core::planner::Pin;
    let mut cluster = zoned(&[(1, 0), (1, 1), (1, 2)], 12);
    cluster.shards.iter_mut().take(8).for_each(|shard| shard.pin = Some(Pin::To(0)));
    cluster.converge(&by_zone());
    assert_eq!(cluster.owned(), [8, 2, 2]);
}

#[test]
fn zones_get_equal_parts_of_the_load() {
    let mut cluster = zoned(&[(100, 0), (300, 0), (50, 1)], 0);
    cluster.shards = vec![placed(Some(0), Some(0)); 80];
    let loads = cluster.shards.iter_mut().enumerate();
    loads.for_each(|(i, shard)| shard.load = 5 + i as u32 % 3);
    let total: u64 = cluster.shards.iter().map(|shard| u64::from(shard.load)).sum();
    cluster.converge(&Policy { spread_zones: true, strategy: Strategy::Load, ..by_load() });
    for (load, share) in cluster.owned_load().iter().zip([total / 8, total * 3 / 8, total / 2]) {
        assert!(load.abs_diff(share) * 20 <= share, "{load} for a share of {share}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_loss_of_any_zone_costs_its_part_and_leaves_the_others_even(
        weights in prop::collection::vec(1..=300_i32, 3..12),
        shards in 0..1000_usize,
        zones in 2..4_u32,
        lost in 0..3_u32,
    ) {
        let members: Vec<_> = weights.iter().zip((0..zones).cycle()).map(|(w, z)| (*w, z)).collect();
        let zones = zones.min(members.len() as u32);
        let mut cluster = zoned(&members, shards);
        let converged = cluster.converge(&by_zone());
        prop_assert_eq!(converged.idle, Idle::Balanced);
        for part in of_zones(&cluster, zones) {
            prop_assert!(part == shards / zones as usize || part == shards.div_ceil(zones as usize));
        }
        let lost = lost % zones;
        let orphans = of_zones(&cluster, zones)[lost as usize];
        lose_zone(&mut cluster, lost);
        let moves = cluster.converge(&by_zone()).moves;
        prop_assert!(moves >= orphans && moves <= orphans + cluster.members.len());

        let left = zones as usize - 1;
        for zone in (0..zones).filter(|zone| *zone != lost) {
            let part = of_zones(&cluster, zones)[zone as usize];
            prop_assert!(part.abs_diff(shards / left) <= 1, "{} of {} zones", part, left);
            let weigh = |i: &usize| cluster.members[*i].zone == zone;
            let inside: Vec<usize> = (0..cluster.members.len()).filter(weigh).collect();
            let weight: f64 = inside.iter().map(|i| f64::from(cluster.members[*i].weight)).sum();
            for i in inside {
                let exact = part as f64 * f64::from(cluster.members[i].weight) / weight;
                prop_assert!((cluster.owned()[i] as f64 - exact).abs() < 2.0);
            }
        }
    }
}
