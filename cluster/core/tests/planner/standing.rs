//! Members that keep what they have, members without a weight, and shards that avoid a member.

use std::time::Duration;

use greenroom_core::planner::{Idle, MoveReason, Placement, Standing};

use crate::support::{Cluster, at_rest, batches_of, placed, policy, step};

fn avoiding(avoid: usize, placement: Placement) -> Placement {
    Placement { avoid: Some(avoid), ..placement }
}

#[test]
fn a_keeping_member_keeps_and_gets_nothing() {
    let mut cluster = Cluster::new(&[1, 1, 1], at_rest(&[8, 1, 0]));
    cluster.members[1].standing = Standing::Keeping;
    cluster.shards.extend([placed(None, None); 2]);
    cluster.converge(&policy());
    assert_eq!(cluster.owned(), [5, 1, 5]);

    let mut cluster = Cluster::new(&[1, 1], at_rest(&[8, 0]));
    cluster.members[0].standing = Standing::Keeping;
    assert_eq!(cluster.plan(&policy()).idle, Some(Idle::Balanced), "nor does it give");
}

#[test]
fn a_shard_on_its_way_to_a_keeping_member_does_not_go_there() {
    let shards = vec![placed(Some(0), Some(1)), placed(None, Some(1)), placed(Some(2), Some(1))];
    let mut cluster = Cluster::new(&[1, 1, -1], shards);
    cluster.members[1].standing = Standing::Keeping;
    let plan = cluster.plan(&policy());
    assert_eq!(
        plan.moves,
        [
            step(1, None, 0, MoveReason::Orphan),
            step(0, Some(0), 0, MoveReason::Recall),
            step(2, Some(2), 0, MoveReason::Drain),
        ]
    );
}

#[test]
fn where_all_keep_nothing_new_is_given() {
    let mut cluster = Cluster::new(&[1, 1], vec![placed(None, None), placed(Some(0), Some(0))]);
    cluster.members.iter_mut().for_each(|member| member.standing = Standing::Keeping);
    let plan = cluster.plan(&policy());
    assert_eq!((plan.moves, plan.idle), (vec![], Some(Idle::NoMembers)));
}

#[test]
fn a_member_without_weight_is_emptied_if_another_has_one() {
    let mut cluster = Cluster::new(&[0, 1], at_rest(&[3, 1]));
    cluster.converge(&policy());
    assert_eq!(cluster.owned(), [0, 4]);

    let mut nobody = Cluster::new(&[0, 0], at_rest(&[4, 0]));
    nobody.converge(&policy());
    assert_eq!(nobody.owned(), [2, 2], "where nobody has one, all count alike");

    let mut draining = Cluster::new(&[0, -5], at_rest(&[0, 4]));
    draining.converge(&policy());
    assert_eq!(draining.owned(), [4, 0], "who drains counts for nothing");
}

#[test]
fn a_stuck_shard_goes_to_another_member_at_once() {
    let stuck = avoiding(0, placed(None, Some(0)));
    let mut cluster = Cluster::new(&[1, 1], at_rest(&[0, 4]));
    cluster.shards.push(stuck);
    let plan = cluster.plan_at(Duration::ZERO, &batches_of(1));
    assert_eq!(plan.moves, [step(4, None, 1, MoveReason::Stuck)], "though 0 has none");

    cluster.members[1].standing = Standing::Keeping;
    let plan = cluster.plan(&policy());
    assert_eq!(plan.moves, [], "but there must be another");
    assert_eq!(plan.idle, Some(Idle::InMotion { shards: 1 }));
}

#[test]
fn a_member_that_failed_to_claim_is_only_avoided_by_that_shard() {
    let shards = vec![avoiding(0, placed(None, None)), placed(None, None)];
    let plan = Cluster::new(&[1, 1], shards).plan(&policy());
    let orphan = |shard, to| step(shard, None, to, MoveReason::Orphan);
    assert_eq!(plan.moves, [orphan(0, 1), orphan(1, 0)]);
}

#[test]
fn an_orphan_that_avoids_the_only_member_goes_there_all_the_same() {
    let plan = Cluster::new(&[1], vec![avoiding(0, placed(None, None))]).plan(&policy());
    assert_eq!(plan.moves, [step(0, None, 0, MoveReason::Orphan)]);
}

#[test]
fn rebalancing_sends_no_shard_to_the_member_that_it_avoids() {
    let mut cluster = Cluster::new(&[1, 1], at_rest(&[4, 0]));
    cluster.shards[0].avoid = Some(1);
    let rebalance = |shard| step(shard, Some(0), 1, MoveReason::Rebalance);
    assert_eq!(cluster.plan(&policy()).moves, [rebalance(1), rebalance(2)]);
    cluster.shards.iter_mut().for_each(|shard| shard.avoid = Some(1));
    let plan = cluster.plan(&policy());
    assert_eq!(plan.moves, []);
    assert!(matches!(plan.idle, Some(Idle::PinnedOnly { .. })));
}

#[test]
fn a_pin_is_not_followed_to_the_member_that_the_shard_avoids() {
    use greenroom_core::planner::Pin;
    let stuck = Placement { pin: Some(Pin::To(0)), ..avoiding(0, placed(None, Some(0))) };
    let mut cluster = Cluster::new(&[1, 1], vec![stuck]);
    assert_eq!(cluster.plan(&policy()).moves, [step(0, None, 1, MoveReason::Stuck)]);
    cluster.converge(&policy());
    assert_eq!(cluster.plan(&policy()).moves, [], "nor pulled back while it avoids that");
    cluster.shards[0].avoid = None;
    assert_eq!(cluster.plan(&policy()).moves, [step(0, Some(1), 0, MoveReason::Pin)]);
}
