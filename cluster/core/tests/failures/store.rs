//! A store that is away, late, or tells not all: C5, C12, C13, C22.

use greenroom_core::record::Key;
use greenroom_core::{Event, ShardId};

use crate::script::{at_rest, follower, name, run_until, served_by, unowned};
use crate::world::shape::TIMING;
use crate::world::{MS, SECOND, Shape, World};

const WINDOW: u64 = TIMING.window.as_micros() as u64;

/// Proves: C5, P1
#[test]
fn c05_who_is_cut_off_the_store_stops_before_another_takes_over() {
    let mut world = at_rest(1, 3);
    let node = follower(&world);
    world.cut(node, 3 * WINDOW);
    let stopped = run_until(&mut world, 2 * WINDOW, |world| served_by(world, node) == 0);
    let stopped = stopped.expect("its right ends");
    let others = run_until(&mut world, 2 * WINDOW, |world| unowned(world) == 0);
    assert!(stopped < WINDOW, "its right ended after {stopped} us");
    assert!(others.is_some_and(|later| later > 0), "others came later: {others:?}");
}

/// Proves: C12
#[test]
fn c12_news_that_the_watch_lost_is_found_by_the_next_list() {
    let mut world = at_rest(2, 3);
    let (node, other) = (follower(&world), 2);
    // What it would have been told of a node that leaves is gone.
    world.nodes[node].troubles.watch_stalled = u64::MAX;
    world.leave(other);
    assert!(run_until(&mut world, 5 * SECOND, |world| world.nodes[other].stopped).is_some());
    world.lose_watch(node);
    let knows = run_until(&mut world, 5 * SECOND, |world| {
        let view = world.nodes[node].agent.view();
        unowned(world) == 0 && view.member(&name(world, other)).is_none()
    });
    assert!(knows.is_some(), "it serves its part and knows who is gone");
}

/// Proves: C13
#[test]
fn c13_a_lost_reply_is_resolved_by_the_record() {
    // Every reply to one node is lost for a while: what it did stands, and it finds that out.
    let mut world = World::new(3, Shape::plain(3));
    world.faults = true;
    world.run_until(5 * SECOND);
    world.end_faults();
    assert!(world.counts.lost_replies > 0);
    assert!(run_until(&mut world, 30 * SECOND, |world| unowned(world) == 0).is_some());
}

/// Proves: C8, C22
#[test]
fn c22_a_store_that_is_away_briefly_fences_nobody_and_longer_buries_nobody() {
    let spans = [(WINDOW / 2, false), (5 * WINDOW, true)];
    for ((span, fences), told) in spans.into_iter().flat_map(|span| [(span, true), (span, false)]) {
        let mut world = at_rest(4, 3);
        let lives: Vec<_> = world.nodes.iter().map(|node| node.agent.life().cloned()).collect();
        (0..3).for_each(|node| world.cut(node, span));
        world.run_for(span - MS);
        if told {
            // Its watcher notices in the end; if not, its own beats are missing all the same.
            (0..3).for_each(|node| world.lose_watch(node));
        }
        assert_eq!(unowned(&world) > 0, fences, "away for {span} us");
        assert!(run_until(&mut world, 3 * SECOND, |world| unowned(world) == 0).is_some());
        // Nobody saw anybody else silent while he himself heard nothing.
        let after: Vec<_> = world.nodes.iter().map(|node| node.agent.life().cloned()).collect();
        assert_eq!(lives, after, "away for {span} us");
    }
}

/// Proves: C24
#[test]
fn an_unreadable_record_holds_no_other_shard_back() {
    let mut world = at_rest(5, 3);
    let node = follower(&world);
    let theirs = world.shape.all_shards().find(|shard| world.nodes[node].gates.contains_key(shard));
    let bad: ShardId = theirs.expect("it serves some");
    world.garble(bad, 60 * SECOND);
    world.crash(node);
    let others = run_until(&mut world, 20 * SECOND, |world| unowned(world) <= 1);
    assert!(others.is_some(), "{} shards wait for the one", unowned(&world) - 1);
    assert!(world.store.unreadable.contains(&Key::Shard(bad)));
    let mended = run_until(&mut world, 60 * SECOND, |world| unowned(world) == 0);
    assert!(mended.is_some(), "once it can be read it is served too");
}

impl World {
    /// The watch of a node is lost, with what it had not told yet.
    fn lose_watch(&mut self, node: usize) {
        self.nodes[node].troubles.watch_stalled = 0;
        self.nodes[node].followed = self.store.log.len();
        self.tell(node, Event::WatchLost);
        self.list(node);
    }
}
