use std::collections::BTreeMap;

use crate::samples::{self, life, node};
use crate::{ClusterView, NodeState, Shard, ShardCondition, Share, Totals};

/// Target and owner of a shard.
type Sides = (Option<&'static str>, Option<(&'static str, u64)>);

/// A view of the nodes a (active, life 10), b (draining, life 20) and c (dead, life 30), with
/// these targets and owners.
fn view(shards: &[Sides]) -> ClusterView {
    let shard = |(number, (target, owner)): (u32, &Sides)| Shard {
        target: target.map(str::to_owned),
        owner: owner.map(|(node, incarnation)| life(node, incarnation)),
        pin: (number == 3).then(|| "a".to_owned()),
        ..samples::shard(number)
    };
    let nodes = [
        node("a", 10, NodeState::Active),
        node("b", 20, NodeState::Draining),
        node("c", 30, NodeState::Dead),
    ];
    samples::view(nodes, (0..).zip(shards).map(shard).collect())
}

#[track_caller]
fn assert_condition(
    target: Option<&'static str>,
    owner: Option<(&'static str, u64)>,
    condition: ShardCondition,
    live: bool,
) {
    let view = view(&[(target, owner)]);
    let shard = &view.shards[0];
    assert_eq!(view.condition(shard), condition);
    assert_eq!(view.live_owner(shard).is_some(), live);
}

#[test]
fn a_shard_whose_live_owner_is_meant_to_have_it_is_at_rest() {
    assert_condition(Some("a"), Some(("a", 10)), ShardCondition::AtRest, true);
    assert_condition(Some("b"), Some(("b", 20)), ShardCondition::AtRest, true);
    assert_condition(None, Some(("a", 10)), ShardCondition::AtRest, true);
}

#[test]
fn a_shard_of_a_live_owner_with_another_target_is_in_motion() {
    assert_condition(Some("a"), Some(("b", 20)), ShardCondition::InMotion, true);
    assert_condition(Some("c"), Some(("a", 10)), ShardCondition::InMotion, true);
    assert_condition(Some("x"), Some(("a", 10)), ShardCondition::InMotion, true);
}

#[test]
fn a_shard_that_nobody_alive_owns_is_in_motion_to_a_node_that_takes_shards() {
    assert_condition(Some("a"), None, ShardCondition::InMotion, false);
    assert_condition(Some("a"), Some(("c", 30)), ShardCondition::InMotion, false);
    // The node came back; what its earlier life owned must be claimed anew.
    assert_condition(Some("a"), Some(("a", 9)), ShardCondition::InMotion, false);
}

#[test]
fn a_shard_without_live_owner_and_fit_target_is_an_orphan() {
    assert_condition(None, None, ShardCondition::Orphan, false);
    assert_condition(None, Some(("c", 30)), ShardCondition::Orphan, false);
    assert_condition(Some("c"), Some(("c", 30)), ShardCondition::Orphan, false);
    assert_condition(Some("b"), None, ShardCondition::Orphan, false);
    assert_condition(Some("x"), Some(("x", 1)), ShardCondition::Orphan, false);
}

#[test]
fn a_state_of_a_later_version_counts_as_alive_and_takes_no_shards() {
    let mut view = view(&[(None, Some(("a", 10))), (Some("a"), None)]);
    let a = view.nodes.get_mut("a").expect("the view has it");
    a.state = NodeState::Other("resting".to_owned());
    assert_eq!(view.condition(&view.shards[0]), ShardCondition::AtRest);
    assert_eq!(view.condition(&view.shards[1]), ShardCondition::Orphan);
}

#[test]
fn shares_and_totals_count_each_side_of_a_move() {
    let view = view(&[
        (Some("a"), Some(("a", 10))),
        (Some("a"), Some(("b", 20))),
        (Some("a"), Some(("c", 30))),
        (Some("x"), Some(("a", 10))),
        (Some("c"), Some(("c", 30))),
        (None, None),
    ]);

    let share = |owned, targeted, arriving, leaving| Share { owned, targeted, arriving, leaving };
    let expected = BTreeMap::from([
        ("a", share(2, 3, 2, 1)),
        ("b", share(1, 0, 0, 1)),
        ("c", share(0, 1, 0, 0)),
        ("x", share(0, 1, 1, 0)),
    ]);
    assert_eq!(view.shares(), expected);
    assert_eq!(view.shares()["a"].in_motion(), 3);

    let expected =
        Totals { shards: 6, owned: 3, in_motion: 3, without_owner: 3, orphans: 2, pinned: 1 };
    assert_eq!(view.totals(), expected);
    let orphans: Vec<u32> = view.orphans().map(|shard| shard.number).collect();
    assert_eq!(orphans, [4, 5]);
    let moving = view.shards_in(ShardCondition::InMotion);
    assert_eq!(moving.map(|shard| shard.number).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn nothing_counts_as_nothing() {
    let view = view(&[]);
    assert_eq!(view.totals(), Totals::default());
    assert_eq!(view.orphans().count(), 0);
    assert_eq!(view.shares().len(), 3);
}
