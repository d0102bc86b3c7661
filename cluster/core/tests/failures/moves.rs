//! Leaders, and shards on their way: C14, C15, C18, C19.

use greenroom_core::record::{Key, Record};
use greenroom_core::{Order, ShardId};

use crate::script::{at_rest, follower, leader, name, run_until, served_by, unowned};
use crate::world::shape::{MIGRATION_TIMEOUT, TIMING};
use crate::world::{MS, SECOND, World};

const WINDOW: u64 = TIMING.window.as_micros() as u64;
const TIMEOUT: u64 = MIGRATION_TIMEOUT.as_micros() as u64;

/// Proves: C14
#[test]
fn c14_a_leader_that_wakes_up_has_no_effect_under_the_next_one() {
    for seed in 1..=20 {
        let mut world = at_rest(seed, 4);
        let old = leader(&world);
        let victim = follower(&world);
        let term = term(&world);
        // It has just seen a node die, and sleeps while others act on it. That it writes no targets
        // without the lead is checked at each write.
        world.crash(victim);
        world.run_for(600 * MS);
        world.nodes[old].troubles.paused = world.now_us + 3 * WINDOW;
        let whole = run_until(&mut world, 3 * WINDOW, |world| unowned(world) == 0);
        assert!(whole.is_some(), "seed {seed}: another leads on");
        world.run_for(4 * WINDOW);
        assert!(self::term(&world) > term, "seed {seed}");
        // What it is given back may be on its way.
        let whole = run_until(&mut world, SECOND, |world| unowned(world) == 0);
        assert!(whole.is_some(), "seed {seed}: what the old leader decided spoils nothing");
    }
}

/// Proves: C15
#[test]
fn c15_a_shard_whose_target_dies_goes_on_to_another() {
    for seed in 1..=10 {
        let mut world = at_rest(seed, 4);
        let (leads, dies) = (leader(&world), follower(&world));
        let (from, to) = (name(&world, leads), name(&world, dies));
        let shards = owned_by(&world, leads);
        assert!(!shards.is_empty());
        world.order(leads, Order::Move { shards, to });
        // Targets are written and nothing has arrived yet.
        world.run_for(40 * MS);
        world.crash(dies);
        let whole = run_until(&mut world, 6 * SECOND, |world| unowned(world) == 0);
        assert!(whole.is_some(), "seed {seed}: shards of {from} hang in the air");
    }
}

/// Proves: C15
#[test]
fn c15_a_node_that_never_claims_keeps_no_shard_for_longer_than_the_timeout() {
    for seed in 1..=20 {
        let mut world = at_rest(seed, 4);
        let leads = leader(&world);
        let mut others = (0..4).filter(|node| *node != leads);
        let (dies, unable) = (others.next().unwrap(), others.next().unwrap());
        world.nodes[unable].troubles.unable = u64::MAX;
        world.crash(dies);
        let bound = WINDOW + TIMEOUT + SECOND;
        let whole = run_until(&mut world, bound, |world| unowned(world) == 0);
        let left = unowned(&world);
        assert!(whole.is_some(), "seed {seed}: {left} shards without an owner after {bound} us");
        assert!(world.counts.claims_swallowed > 0, "seed {seed}: nothing was given to it");
    }
}

/// Its pin must not send it there again and again: it would be without an owner for as long as its
/// target lets it wait, each time.
///
/// Proves: C15
#[test]
fn c15_a_shard_pinned_to_a_node_that_never_claims_is_served_elsewhere_meanwhile() {
    for seed in 1..=10 {
        let mut world = at_rest(seed, 3);
        let (leads, unable) = (leader(&world), follower(&world));
        world.nodes[unable].troubles.unable = u64::MAX;
        let (shards, to) = (owned_by(&world, leads), name(&world, unable));
        world.order(leads, Order::Pin { shards, node: Some(to) });
        let released = run_until(&mut world, 5 * SECOND, |world| unowned(world) > 0);
        assert!(released.is_some(), "seed {seed}: its owner hands it over");
        let bound = 2 * TIMEOUT + SECOND;
        let whole = run_until(&mut world, bound, |world| unowned(world) == 0);
        let left = unowned(&world);
        assert!(whole.is_some(), "seed {seed}: {left} shards wait for the node of their pin");
        let again = run_until(&mut world, 2 * TIMEOUT, |world| unowned(world) > 0);
        assert_eq!(again, None, "seed {seed}: it is given them again at once");
    }
}

/// Proves: C19
#[test]
fn c19_a_release_and_a_pin_that_race_with_the_leader_leave_whole_records() {
    for seed in 1..=10 {
        let mut world = at_rest(seed, 3);
        let (leads, other) = (leader(&world), follower(&world));
        let shards: Vec<ShardId> = world.shape.all_shards().collect();
        let (here, there) = (name(&world, leads), name(&world, other));
        world.nodes[other].troubles.watch_stalled = world.now_us + 400 * MS;
        world.order(leads, Order::Move { shards: owned_by(&world, other), to: here });
        world.run_for(5 * MS);
        // Through a node that has not heard of the move.
        world.order(other, Order::Pin { shards: shards.clone(), node: Some(there) });
        let pinned =
            run_until(&mut world, 20 * SECOND, |world| served_by(world, other) == shards.len());
        assert!(pinned.is_some(), "seed {seed}: {} at the pin", served_by(&world, other));
    }
}

fn term(world: &World) -> u64 {
    match world.store.held.get(&Key::Leader).map(|held| &held.record) {
        Some(Record::Leader(leader)) => leader.term.0,
        _ => 0,
    }
}

fn owned_by(world: &World, node: usize) -> Vec<ShardId> {
    let owner = &world.nodes[node].id;
    let owns = |shard: &ShardId| {
        let record = world.store.shard(*shard);
        record.and_then(|record| record.owner.as_ref()).is_some_and(|life| life.node == *owner)
    };
    world.shape.all_shards().filter(owns).collect()
}

/// Proves: C18
#[test]
fn c18_a_failover_takes_few_transactions_and_no_shard_moves_that_need_not() {
    let mut world = at_rest(3, 4);
    let (leads, dies) = (leader(&world), follower(&world));
    let kept: Vec<_> =
        (0..4).filter(|node| *node != dies).map(|node| (node, owned_by(&world, node))).collect();
    let (revision, lost) = (world.store.revision, owned_by(&world, dies).len());
    world.crash(dies);
    assert!(run_until(&mut world, 2 * WINDOW, |world| unowned(world) == 0).is_some());
    let log = world.store.log.iter().filter(|entry| entry.revision > revision);
    let written: std::collections::BTreeSet<u64> = log
        .filter(|entry| matches!(entry.key, Key::Shard(_)))
        .map(|entry| entry.revision)
        .collect();
    // One for the targets, one for each claimer.
    assert!(written.len() <= 4, "{} transactions for {lost} shards of {leads}", written.len());
    for (node, before) in kept {
        let now = owned_by(&world, node);
        assert!(before.iter().all(|shard| now.contains(shard)), "node-{node} lost some");
    }
}
