//! Processes and hearts that stop for a while, or for good: C1, C3, C10, C17, C20.

use crate::script::{at_rest, follower, leader, run_until, served_by, unowned};
use crate::world::shape::TIMING;
use crate::world::{MS, SECOND, Shape, World};

const WINDOW: u64 = TIMING.window.as_micros() as u64;

/// Proves: C1, P1
#[test]
fn c01_a_pause_within_the_right_costs_nothing_and_one_past_expiry_only_the_shards() {
    for (permille, survives) in [(500, true), (1100, false), (3000, false)] {
        let mut world = at_rest(permille, 3);
        let node = follower(&world);
        let fences = world.counts.fences;
        world.nodes[node].troubles.paused = world.now_us + WINDOW * permille / 1000;
        // Whether its gates are open at a moment when it has no right is what the world checks.
        world.run_for(4 * WINDOW);
        let fenced = world.counts.fences > fences;
        assert_eq!(fenced, !survives, "a pause of {permille} thousandths of the window");
        let whole = run_until(&mut world, 20 * SECOND, |world| {
            unowned(world) == 0 && served_by(world, node) > 0
        });
        assert!(whole.is_some(), "it joins again by itself");
    }
}

/// Proves: C3, P1
#[test]
fn c03_clocks_that_drift_within_the_margin_never_let_two_serve() {
    // The worst pair: one clock runs fast, that of the one cut off runs slow.
    for seed in 1..=10 {
        for (slow, fast) in [(0, 1), (1, 0)] {
            let mut world = World::new(seed, Shape::plain(2));
            world.nodes[slow].clock_ppm = -20_000;
            world.nodes[fast].clock_ppm = 20_000;
            world.run_until(12 * SECOND);
            // That nobody is buried who may still run turns is checked at each burial.
            world.cut(slow, 3 * WINDOW);
            let taken = run_until(&mut world, 3 * WINDOW, |world| served_by(world, fast) == 32);
            assert!(taken.is_some(), "seed {seed}: the silent node's shards are served elsewhere");
        }
    }
}

/// Proves: C10, C12
#[test]
fn c10_a_live_node_is_not_taken_for_dead_because_an_observer_lost_its_watch() {
    let mut world = at_rest(4, 3);
    let leads = leader(&world);
    let fences = world.counts.fences;
    // The leader hears nothing for longer than the window, and then of everything at once.
    world.nodes[leads].troubles.watch_stalled = world.now_us + 2 * WINDOW;
    world.run_for(3 * WINDOW);
    assert_eq!(world.counts.fences, fences, "somebody was buried alive");
    assert_eq!(world.counts.deaths_by_silence, 0, "its read before the burial shows the beats");
}

/// Proves: C17
#[test]
fn c17_an_agent_that_hangs_keeps_its_life_for_five_windows_and_no_longer() {
    let mut world = at_rest(5, 3);
    let node = follower(&world);
    let fences = world.counts.fences;
    world.nodes[node].troubles.hung = world.now_us + 4 * WINDOW;
    world.run_for(5 * WINDOW);
    assert_eq!(world.counts.fences, fences, "its heart beats for it");
    world.nodes[node].troubles.hung = world.now_us + 12 * WINDOW;
    let elsewhere = run_until(&mut world, 9 * WINDOW, |world| {
        unowned(world) == 0 && served_by(world, node) == 0
    });
    assert!(elsewhere.is_some(), "a process that hangs must not hold its shards for ever");
}

/// Proves: C17
#[test]
fn c17_a_heart_that_is_late_within_the_right_costs_nothing() {
    let mut world = at_rest(6, 3);
    let node = follower(&world);
    world.nodes[node].troubles.heart_late = world.now_us + WINDOW / 2;
    world.run_for(3 * WINDOW);
    assert_eq!(world.counts.fences, 0);
    assert_eq!(world.counts.deaths_by_silence + world.counts.deaths_by_crash, 0);
}

/// Proves: C20
#[test]
fn c20_a_restart_under_the_same_name_is_another_life_and_takes_over_fast() {
    for seed in 1..=10 {
        let mut world = at_rest(seed, 3);
        let node = follower(&world);
        let before = world.nodes[node].agent.life().cloned().unwrap();
        let profile = world.nodes[node].profile.clone();
        world.crash(node);
        world.run_for(20 * MS);
        world.restart_as(node, profile);
        let whole = run_until(&mut world, 10 * SECOND, |world| {
            let life = world.nodes[node].agent.life();
            unowned(world) == 0 && life.is_some_and(|life| *life != before)
        });
        let took = whole.expect("it joins again");
        assert!(took < WINDOW, "seed {seed}: its own port is proof enough, it took {took} us");
        assert!(!world.store.alive(&before));
    }
}

/// Proves: C20
#[test]
fn c20_the_last_node_takes_over_from_its_own_former_life() {
    let mut world = at_rest(7, 1);
    let profile = world.nodes[0].profile.clone();
    world.crash(0);
    world.run_for(SECOND);
    world.restart_as(0, profile);
    assert!(run_until(&mut world, 10 * SECOND, |world| unowned(world) == 0).is_some());
}

/// Proves: P3
#[test]
fn a_node_that_leaves_hands_everything_over_first() {
    let mut world = at_rest(8, 3);
    let node = follower(&world);
    world.leave(node);
    let gone = run_until(&mut world, 10 * SECOND, |world| world.nodes[node].stopped);
    assert!(gone.is_some(), "it is never done");
    let whole = run_until(&mut world, SECOND, |world| unowned(world) == 0);
    assert!(whole.is_some(), "{} shards were given to nobody", unowned(&world));
    assert_eq!(world.counts.deaths_by_silence + world.counts.deaths_by_crash, 0);
}
