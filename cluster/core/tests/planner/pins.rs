//! Shards that an operator pins.

use std::time::Duration;

use greenroom_core::planner::{Furthest, Idle, Move, MoveReason, Pin, Policy, Standing, Strategy};

use crate::support::{Cluster, at_rest, batches_of, policy, step};

fn pinned(weights: &[i32], counts: &[usize], pins: &[(usize, Pin)]) -> Cluster {
    let mut cluster = Cluster::new(weights, at_rest(counts));
    pins.iter().for_each(|(shard, pin)| cluster.shards[*shard].pin = Some(*pin));
    cluster
}

fn pin(shard: u32, from: usize, to: usize) -> Move {
    step(shard, Some(from), to, MoveReason::Pin)
}

#[test]
fn a_pinned_shard_moves_at_once_whatever_the_stability() {
    let cluster = pinned(&[1, 1], &[2, 2], &[(0, Pin::To(1))]);
    let plan = cluster.plan_at(Duration::ZERO, &policy());
    assert_eq!(plan.moves, [pin(0, 0, 1)]);
}

#[test]
fn a_pin_holds_for_members_that_keep_or_weigh_nothing() {
    let mut cluster = pinned(&[1, 1, 0], &[4, 0, 0], &[(0, Pin::To(1)), (1, Pin::To(2))]);
    cluster.members[1].standing = Standing::Keeping;
    assert_eq!(cluster.plan(&policy()).moves, [pin(0, 0, 1), pin(1, 0, 2)]);
    let converged = cluster.converge(&policy());
    assert_eq!(cluster.owned(), [2, 1, 1]);
    assert_eq!(converged.idle, Idle::Balanced, "one shard off is none");
}

#[test]
fn pins_are_bounded_by_the_batch_and_the_rest_follows() {
    let pins = [0, 1, 2].map(|shard| (shard, Pin::To(1)));
    let mut cluster = pinned(&[1, 1], &[3, 3], &pins);
    let plan = cluster.plan(&batches_of(2));
    assert_eq!(plan.moves, [pin(0, 0, 1), pin(1, 0, 1)]);
    assert_eq!(plan.idle, Some(Idle::InMotion { shards: 2 }));
    cluster.apply(&plan);
    assert_eq!(cluster.plan(&batches_of(2)).moves, []);
    cluster.settle(0);
    assert_eq!(cluster.plan(&batches_of(2)).moves, [pin(2, 0, 1)]);
}

/// One is on its way to its pin, which may take no other meanwhile; the other is on its way
/// elsewhere, and waits for a place.
#[test]
fn a_shard_on_its_way_elsewhere_that_waits_for_its_pin_is_in_motion_too() {
    let pins = [(0, Pin::To(1)), (3, Pin::To(1))];
    let mut cluster = pinned(&[1; 4], &[2, 0, 0, 2], &pins);
    cluster.shards[0].target = Some(2);
    cluster.shards[3].target = Some(1);
    let plan = cluster.plan(&Policy { node_moves_max: 1, ..policy() });
    assert_eq!((plan.moves, plan.idle), (Vec::new(), Some(Idle::InMotion { shards: 2 })));
}

#[test]
fn a_shard_that_its_pin_is_still_to_claim_is_in_motion() {
    let mut cluster = pinned(&[1, 1], &[2, 2], &[(2, Pin::To(1))]);
    cluster.shards[2].owner = None;
    let plan = cluster.plan(&policy());
    assert_eq!((plan.moves, plan.idle), (Vec::new(), Some(Idle::InMotion { shards: 1 })));
}

#[test]
fn pins_come_before_drains() {
    let cluster = pinned(&[1, 1, -1], &[1, 0, 1], &[(0, Pin::To(1))]);
    assert_eq!(cluster.plan(&batches_of(1)).moves, [pin(0, 0, 1)]);
}

#[test]
fn an_orphan_goes_where_it_is_pinned() {
    let mut cluster = pinned(&[1, 1], &[4, 0], &[(0, Pin::To(0))]);
    (cluster.shards[0].owner, cluster.shards[0].target) = (None, None);
    let plan = cluster.plan_at(Duration::ZERO, &batches_of(1));
    assert_eq!(plan.moves, [step(0, None, 0, MoveReason::Orphan)], "though 1 has none");
}

#[test]
fn a_shard_on_its_way_elsewhere_turns_towards_its_pin() {
    let mut cluster = pinned(&[1, 1, 1], &[2, 2, 2], &[(0, Pin::To(2)), (1, Pin::To(2))]);
    cluster.shards[0].target = Some(1);
    (cluster.shards[1].owner, cluster.shards[1].target) = (None, Some(1));
    let plan = cluster.plan(&batches_of(1));
    // It was on its way already, so it needs no place in the batch.
    assert_eq!(plan.moves, [step(1, None, 2, MoveReason::Pin), pin(0, 0, 2)]);
}

#[test]
fn a_shard_pinned_to_its_owner_is_called_back() {
    let mut cluster = pinned(&[1, 1], &[2, 2], &[(0, Pin::To(0)), (1, Pin::To(0))]);
    cluster.shards[0].target = Some(1);
    cluster.shards[1].target = None;
    let plan = cluster.plan(&policy());
    assert_eq!(plan.moves, [pin(0, 0, 0), step(1, Some(0), 0, MoveReason::Recall)]);
}

#[test]
fn a_pin_that_must_wait_leaves_no_shard_without_a_target() {
    let mut cluster = pinned(&[1, 1, 1], &[2, 2, 2], &[(0, Pin::To(1)), (1, Pin::To(1))]);
    cluster.shards[0].target = Some(1);
    cluster.shards[1].target = None;
    let plan = cluster.plan(&batches_of(1));
    assert_eq!(plan.moves, [step(1, Some(0), 0, MoveReason::Recall)]);
}

#[test]
fn pinned_shards_are_not_rebalanced() {
    let pins: Vec<_> = (0..6).map(|shard| (shard, Pin::To(0))).collect();
    let mut cluster = pinned(&[1, 1], &[8, 0], &pins);
    let rebalance = |shard| step(shard, Some(0), 1, MoveReason::Rebalance);
    assert_eq!(cluster.plan(&policy()).moves, [rebalance(6), rebalance(7)], "only what is free");
    let converged = cluster.converge(&policy());
    let node = cluster.members[0].node.clone();
    let furthest = Furthest { node, load: 6, share: 4, strategy: Strategy::Count };
    assert_eq!(converged.idle, Idle::PinnedOnly { furthest });
    assert_eq!(
        converged.idle.to_string(),
        "only pinned shards keep nodes off their shares: n0, with 6 shards for a share of 4"
    );
}

#[test]
fn the_others_share_what_pins_leave() {
    let pins: Vec<_> = (0..6).map(|shard| (shard, Pin::To(0))).collect();
    let mut cluster = pinned(&[1, 1, 1], &[12, 0, 0], &pins);
    cluster.converge(&policy());
    assert_eq!(cluster.owned(), [6, 3, 3]);
}

#[test]
fn a_pin_to_a_node_that_is_away_holds_the_shard_where_it_is() {
    for away in [Pin::Elsewhere, Pin::To(9), Pin::To(2)] {
        let pins = [0, 1, 2, 3].map(|shard| (shard, away));
        let mut cluster = pinned(&[1, 1, -1], &[4, 0, 0], &pins);
        assert_eq!(cluster.plan(&policy()).moves, [], "{away:?}");

        // But it is served: its owner dies, or drains.
        cluster.shards[0].owner = None;
        cluster.shards[0].target = None;
        let orphan = step(0, None, 1, MoveReason::Orphan);
        assert_eq!(cluster.plan(&policy()).moves, [orphan], "{away:?}");
        cluster.members[0].standing = Standing::Leaving;
        cluster.converge(&policy());
        assert_eq!(cluster.owned(), [0, 4, 0], "{away:?}");
    }
}
