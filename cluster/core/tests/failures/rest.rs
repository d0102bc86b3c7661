//! A leader that has nothing to move says so again without planning again, until something has
//! changed: these are the changes that no news of a record tells.

use greenroom_core::planner::Strategy;
use greenroom_core::{Decided, Event, ShardId, ShardLoad};

use crate::script::{at_rest, follower, leader, run_until, served_by};
use crate::world::shape::MIGRATION_TIMEOUT;
use crate::world::{MS, SECOND, Shape, World};

#[test]
fn doing_nothing_is_noted_at_each_tick() {
    let mut world = at_rest(1, 3);
    let last = |world: &World| {
        let decision = world.nodes[leader(world)].agent.decisions().next_back().cloned();
        let decision = decision.expect("it has decided something");
        assert!(matches!(decision.what, Decided::Idle { name: "balanced", .. }), "{decision:?}");
        (decision.number, decision.times, decision.last_ms)
    };
    let (number, times, at_ms) = last(&world);
    world.run_for(2 * SECOND);
    let (same, more_times, later_ms) = last(&world);
    assert_eq!(same, number);
    assert!(more_times >= times + 19 && later_ms >= at_ms + 1900, "{times} to {more_times}");
}

#[test]
fn the_end_of_the_stability_duration_is_noticed() {
    let mut world = at_rest(1, 3);
    let leader = leader(&world);
    let victim = follower(&world);
    world.crash(victim);
    let names = |world: &World| {
        let decisions = world.nodes[leader].agent.decisions();
        let names = decisions.filter_map(|decision| match decision.what {
            Decided::Idle { name, .. } => Some(name),
            _ => None,
        });
        names.collect::<Vec<_>>()
    };
    world.run_for(10 * SECOND);
    let all = names(&world);
    assert!(all.ends_with(&["unstable", "balanced"]), "{all:?}");
}

#[test]
fn loads_that_are_reported_are_evened_out() {
    let mut shape = Shape::plain(3);
    shape.policy.strategy = Strategy::Load;
    let mut world = World::new(1, shape);
    world.run_until(12 * SECOND);
    let leader = leader(&world);
    let before = served_by(&world, leader);
    let heavy = ShardLoad { calls_per_s: 1000, busy_us_per_s: 100_000, activations: 100 };
    let shards = world
        .shape
        .all_shards()
        .filter(|shard| world.nodes[leader].passes_check(*shard, world.now_us));
    let loads: Vec<(ShardId, ShardLoad)> = shards.map(|shard| (shard, heavy)).collect();
    world.tell(leader, Event::Loads(loads));
    let moved = run_until(&mut world, 5 * SECOND, |world| served_by(world, leader) < before);
    assert!(moved.is_some(), "all load is at {before} shards of one node");
}

#[test]
fn a_node_that_claimed_nothing_is_given_shards_again_after_a_while() {
    let mut world = at_rest(1, 4);
    let leads = leader(&world);
    let mut others = (0..4).filter(|node| *node != leads);
    let (dies, unable) = (others.next().unwrap(), others.next().unwrap());
    // It has nothing, and can't claim what it is given.
    world.crash(unable);
    world.run_for(4 * SECOND);
    let profile = world.nodes[unable].profile.clone();
    world.restart_as(unable, profile);
    world.nodes[unable].troubles.unable = world.now_us + 12 * SECOND;
    world.run_for(500 * MS);
    world.crash(dies);
    let timeout = MIGRATION_TIMEOUT.as_micros() as u64;
    world.run_for(12 * SECOND);
    assert_eq!(served_by(&world, unable), 0);
    let again =
        run_until(&mut world, 4 * timeout + 5 * SECOND, |world| served_by(world, unable) > 0);
    assert!(again.is_some(), "it was to be let be for a while and not for ever");
}
