//! The checks themselves: what looks only at what may be new is held against what looks at everything.

use greenroom_core::{Moment, ShardId};

use crate::world::{SECOND, Shape, World};

/// A cluster at rest, a shard of it, and a node that does not serve that shard.
fn at_rest() -> (World, ShardId, usize) {
    let mut world = World::new(1, Shape::plain(3));
    world.run_until(12 * SECOND);
    let shard = ShardId(0);
    let serves = |node: usize| world.nodes[node].passes_check(shard, world.now_us);
    assert_eq!((0..3).filter(|node| serves(*node)).count(), 1);
    let other = (0..3).find(|node| !serves(*node)).expect("two do not serve it");
    (world, shard, other)
}

/// The epoch of the gate that is rightly open.
fn plant(world: &mut World, shard: ShardId, node: usize, told: bool) {
    let epoch = world.store.shard(shard).expect("a record").epoch;
    world.plant_gate(node, shard, epoch.next(), told);
    world.run_for(SECOND);
}

#[test]
#[should_panic(expected = "shard 0 passes the check on")]
fn a_second_gate_is_found_by_looking_where_it_was_opened() {
    let (mut world, shard, node) = at_rest();
    plant(&mut world, shard, node, true);
}

#[test]
#[should_panic(expected = "and nobody looked")]
fn a_gate_that_nobody_was_told_of_is_found_by_looking_everywhere() {
    let (mut world, shard, node) = at_rest();
    world.thorough = true;
    plant(&mut world, shard, node, false);
}

#[test]
#[should_panic(expected = "passes the check on")]
fn a_right_that_comes_back_is_looked_at_with_all_its_gates() {
    let (mut world, shard, node) = at_rest();
    // Its right is over when the gate is planted, and comes back with its next heartbeat.
    world.nodes[node].heart.right_until = Moment::default();
    assert!(!world.nodes[node].has_right(world.now_us));
    plant(&mut world, shard, node, false);
}
