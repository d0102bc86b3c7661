//! Small worlds without faults at random, in which one thing goes wrong on purpose.

use greenroom_core::{NodeId, ShardId};

use crate::world::{MS, SECOND, Shape, World};

/// A cluster of so many nodes that has come to rest.
pub(crate) fn at_rest(seed: u64, nodes: usize) -> World {
    let mut world = World::new(seed, Shape::plain(nodes));
    world.run_until(12 * SECOND);
    assert_eq!(unowned(&world), 0, "seed {seed}: no cluster to begin with");
    world
}

/// Runs until something is so, at most for a span; answers after how long it was.
pub(crate) fn run_until(
    world: &mut World,
    span_us: u64,
    is_so: impl Fn(&World) -> bool,
) -> Option<u64> {
    let begin = world.now_us;
    while !is_so(world) {
        if world.now_us >= begin + span_us {
            return None;
        }
        world.run_for(10 * MS);
    }
    Some(world.now_us - begin)
}

/// How many shards nobody serves.
pub(crate) fn unowned(world: &World) -> usize {
    let served =
        |shard: &ShardId| world.nodes.iter().any(|node| node.passes_check(*shard, world.now_us));
    world.shape.all_shards().filter(|shard| !served(shard)).count()
}

/// How many shards a node serves.
pub(crate) fn served_by(world: &World, node: usize) -> usize {
    let serves = |shard: &ShardId| world.nodes[node].passes_check(*shard, world.now_us);
    world.shape.all_shards().filter(serves).count()
}

/// The place of the node that leads.
pub(crate) fn leader(world: &World) -> usize {
    world.nodes.iter().position(|node| node.agent.leads()).expect("somebody leads")
}

/// The place of a node that does not lead.
pub(crate) fn follower(world: &World) -> usize {
    usize::from(leader(world) == 0)
}

/// The name of the node at a place.
pub(crate) fn name(world: &World, node: usize) -> NodeId {
    world.nodes[node].id.clone()
}
