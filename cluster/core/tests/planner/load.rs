//! Rules by load, with numbers that can be checked by hand.

use std::time::Duration;

use greenroom_core::planner::{Idle, MoveReason, Pin, Placement, Policy, Standing};

use crate::support::{Cluster, at_rest, by_load, loaded, placed, policy, step};

fn rebalance(shard: u32, from: usize, to: usize) -> greenroom_core::planner::Move {
    step(shard, Some(from), to, MoveReason::Rebalance)
}

fn orphan_of(load: u32) -> Placement {
    Placement { load, ..placed(None, None) }
}

#[test]
fn the_load_is_shared_not_the_number() {
    let cluster = Cluster::new(&[1, 1], loaded(&[&[30, 30, 30], &[10, 10, 10]]));
    assert_eq!(cluster.plan(&policy()).idle, Some(Idle::Balanced), "by count");
    assert_eq!(cluster.plan(&by_load()).moves, [rebalance(0, 0, 1)]);
}

#[test]
fn without_any_load_the_number_is_shared() {
    let cluster = Cluster::new(&[1, 1], at_rest(&[4, 0]));
    assert_eq!(cluster.plan(&by_load()), cluster.plan(&policy()));
    assert_eq!(cluster.plan(&by_load()).moves.len(), 2);
}

#[test]
fn by_count_the_lightest_shards_move() {
    let cluster = Cluster::new(&[1, 1], loaded(&[&[5, 1, 9, 1], &[]]));
    assert_eq!(cluster.plan(&policy()).moves, [rebalance(1, 0, 1), rebalance(3, 0, 1)]);
}

#[test]
fn the_largest_shard_that_fits_moves() {
    // 100 against 0: 45 and 5 make it even, and 55 would be more than helps.
    let cluster = Cluster::new(&[1, 1], loaded(&[&[5, 40, 55], &[]]));
    let loads = cluster.settled(&by_load()).loads_after;
    assert_eq!(loads.iter().sum::<u64>(), 100);
    assert!(loads.iter().all(|load| load.abs_diff(50) <= 5), "{loads:?}");
    let cluster = Cluster::new(&[1, 1], loaded(&[&[50, 20, 20, 10], &[]]));
    assert_eq!(cluster.plan(&by_load()).moves, [rebalance(0, 0, 1)], "one move, not three");
}

#[test]
fn two_shards_are_exchanged_where_none_fits() {
    let cluster = Cluster::new(&[1, 1], loaded(&[&[60, 60], &[40, 40]]));
    let plan = cluster.plan(&by_load());
    assert_eq!(plan.moves, [rebalance(1, 0, 1), rebalance(3, 1, 0)]);
    assert_eq!(cluster.settled(&by_load()).loads_after, [100, 100]);
}

#[test]
fn where_large_shards_have_met_small_ones_make_way() {
    let small = [5; 20];
    let cluster = Cluster::new(&[1, 1, 1], loaded(&[&[80, 70], &small, &small[..10]]));
    let settled = cluster.settled(&by_load());
    assert!(settled.loads_after.iter().all(|load| load.abs_diff(100) <= 5), "{settled:?}");
}

#[test]
fn a_shard_above_every_share_stays_and_the_others_share_the_rest() {
    let mut cluster = Cluster::new(&[1, 1, 1], loaded(&[&[1000, 30, 30], &[20, 20], &[]]));
    let converged = cluster.converge(&by_load());
    assert_eq!(cluster.owned_load(), [1000, 50, 50]);
    let Idle::Small { furthest } = &converged.idle else { panic!("{}", converged.idle) };
    assert_eq!(
        (furthest.load, furthest.share, converged.idle.to_string().as_str()),
        (
            1000,
            367,
            "no move would gain enough: the furthest off its share is n0, with a load of 1000 \
             for a share of 367"
        )
    );
}

#[test]
fn two_shards_above_every_share_do_not_stay_together() {
    let mut cluster = Cluster::new(&[1, 1, 1], loaded(&[&[1000, 900], &[30, 30], &[30, 30]]));
    cluster.converge(&by_load());
    let mut loads = cluster.owned_load();
    loads.sort_unstable();
    assert_eq!(loads, [120, 900, 1000]);
}

#[test]
fn a_move_must_gain_enough() {
    // It would lower the distance from about 14 to 0, and the average share is 50.
    let cluster = Cluster::new(&[1, 1], loaded(&[&[10, 50], &[40]]));
    let asking = |move_gain_permille| Policy { move_gain_permille, ..by_load() };
    assert_eq!(cluster.plan(&asking(260)).moves, [rebalance(0, 0, 1)]);
    let plan = cluster.plan(&asking(300));
    assert_eq!(plan.moves, []);
    assert!(matches!(plan.idle, Some(Idle::Small { .. })), "{:?}", plan.idle);
}

#[test]
fn rebalancing_by_load_starts_beyond_the_threshold_and_goes_on_until_even() {
    let ones = [1; 200];
    let cluster = Cluster::new(&[1, 1], loaded(&[&ones[..109], &ones[..91]]));
    let tenth = Policy { imbalance_threshold_permille: 100, ..by_load() };
    let plan = cluster.plan(&tenth);
    assert_eq!(plan.moves, []);
    let idle = plan.idle.expect("within the threshold");
    assert_eq!(
        idle.to_string(),
        "every node is near enough to its share: the furthest off is n0, with a load of 109 for \
         a share of 100, and may be off by 10"
    );
    assert!(!cluster.plan(&tenth.finishing()).moves.is_empty());
    let mut far = Cluster::new(&[1, 1], loaded(&[&ones[..111], &ones[..89]]));
    assert!(!far.plan(&tenth).moves.is_empty());
    assert_eq!(far.converge(&tenth.finishing()).idle, Idle::Balanced);
}

#[test]
fn orphans_go_to_whoever_is_furthest_below_its_share_of_the_load() {
    let mut cluster = Cluster::new(&[1, 1], loaded(&[&[50], &[5, 5, 5]]));
    cluster.shards.extend([orphan_of(10), orphan_of(25)]);
    let plan = cluster.plan_at(Duration::ZERO, &by_load());
    let orphan = |shard, to| step(shard, None, to, MoveReason::Orphan);
    assert_eq!(plan.moves, [orphan(5, 1), orphan(4, 1)], "the largest first");
}

#[test]
fn drained_shards_go_to_whoever_is_furthest_below_its_share_of_the_load() {
    let cluster = Cluster::new(&[1, 1, -1], loaded(&[&[50], &[5, 5, 5], &[10, 20]]));
    let plan = cluster.plan_at(Duration::ZERO, &by_load());
    let drain = |shard| step(shard, Some(2), 1, MoveReason::Drain);
    assert_eq!(plan.moves, [drain(5), drain(4)]);
}

#[test]
fn a_newcomer_takes_load_from_all_and_nothing_else_moves() {
    let ones = [10; 40];
    let mut cluster = Cluster::new(&[1, 1, 1, 1], loaded(&[&ones, &ones, &ones, &[]]));
    let plan = cluster.plan(&by_load());
    assert!(plan.moves.iter().all(|step| step.to == 3), "{plan:?}");
    let moves = cluster.converge(&by_load()).moves;
    assert!((29..=30).contains(&moves), "{moves} moves for a share of 30 shards, give or take 3 %");
}

#[test]
fn pins_and_keeping_members_hold_by_load_too() {
    let mut cluster = Cluster::new(&[1, 1, 1], loaded(&[&[40, 40, 40], &[20], &[]]));
    cluster.shards[0].pin = Some(Pin::To(0));
    cluster.shards[1].pin = Some(Pin::To(0));
    cluster.members[1].standing = Standing::Keeping;
    let mut pinned = cluster.clone();
    pinned.converge(&by_load());
    assert_eq!(pinned.owned_load(), [80, 20, 40]);
    cluster.shards[2].pin = Some(Pin::To(0));
    let converged = cluster.converge(&by_load());
    assert_eq!(cluster.owned_load(), [120, 20, 0]);
    assert!(matches!(converged.idle, Idle::PinnedOnly { .. }), "{}", converged.idle);
}

#[test]
fn a_member_without_weight_is_emptied_by_load_too() {
    let mut cluster = Cluster::new(&[0, 1, 1], loaded(&[&[10, 20, 1], &[30], &[30]]));
    // Not even a gain that is asked for holds the small ones there.
    cluster.converge(&Policy { move_gain_permille: 100, ..by_load() });
    assert_eq!(cluster.owned_load()[0], 0);
}
