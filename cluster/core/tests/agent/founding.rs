//! A cluster's first writes: constants, groups, and what is restored.

use greenroom_core::record::{Key, Record, ShardRecord};
use greenroom_core::{Epoch, Event, Groups, Order, OrderId, Outcome, Restore, ShardId};

use crate::support::{Bench, SHARD, name, writes};

/// Answers the first write of a key with a lost reply, although the store never saw it.
fn lose_the_first_write(key: &Key, begin: impl FnOnce(&mut Bench)) -> Bench {
    let mut bench = Bench::new();
    begin(&mut bench);
    let (revision, entries) = (bench.store.revision, bench.store.all());
    let sent = bench.tell(Event::Snapshot { revision, entries }, writes(key));
    assert_eq!(sent.len(), 1, "the first write of {key:?}");
    let (request, outcome) = (sent[0].0, Outcome::Ambiguous);
    bench.tell(Event::Committed { request, outcome }, |_| false);
    bench.pass(5000, |_| false);
    bench
}

/// Proves: C13
#[test]
fn a_first_node_joins_although_its_first_writes_were_lost() {
    for key in [Key::Meta, Key::Groups, Key::Heartbeat(name("a")), Key::Leader] {
        let bench = lose_the_first_write(&key, |_| {});
        assert_eq!(bench.agent.serving().count(), 1, "a lost write of {key:?}");
    }
}

#[test]
fn a_founding_that_fails_is_not_tried_again_at_once() {
    let mut bench = Bench::new();
    let (revision, entries) = (0, Vec::new());
    let mut sent = bench.tell(Event::Snapshot { revision, entries }, writes(&Key::Meta));
    let mut tries = 0;
    while let Some((request, _)) = sent.pop() {
        tries += 1;
        let outcome = Outcome::Permanent;
        sent.extend(bench.tell(Event::Committed { request, outcome }, writes(&Key::Meta)));
        assert!(tries < 3, "tried again at the same instant");
    }
    bench.pass(5000, |_| false);
    assert_eq!(bench.agent.serving().count(), 1, "but tried again");
}

#[test]
fn a_founding_that_is_not_answered_yet_is_not_begun_again() {
    let mut bench = Bench::new();
    let (revision, entries) = (0, Vec::new());
    let sent = bench.tell(Event::Snapshot { revision, entries }, writes(&Key::Meta));
    assert_eq!(sent.len(), 1);
    assert_eq!(bench.pass(3000, writes(&Key::Meta)), 0);
}

/// Proves: C13
#[test]
fn a_hold_is_written_although_its_first_write_was_lost() {
    let mut bench = Bench::new();
    bench.snapshot();
    bench.pass(3000, |_| false);
    let operate = Event::Operate { id: OrderId(1), order: Order::Hold(true) };
    let sent = bench.tell(operate, writes(&Key::Rebalancing));
    let [(request, _)] = sent[..] else { panic!("one write: {sent:?}") };
    let outcome = Outcome::Ambiguous;
    bench.tell(Event::Committed { request, outcome }, |_| false);
    bench.pass(2000, |_| false);
    assert!(bench.agent.view().rebalancing().held);
}

fn restored() -> Restore {
    let record = ShardRecord { epoch: Epoch(70), pin: Some(name("a")), ..ShardRecord::default() };
    Restore { groups: Groups::default(), shards: vec![(SHARD, record)] }
}

#[test]
fn an_empty_cluster_begins_with_what_is_restored_even_if_writes_are_lost() {
    for key in [Key::Shard(SHARD), Key::Meta] {
        let bench = lose_the_first_write(&key, |bench| *bench = Bench::restoring(restored()));
        assert_eq!(bench.agent.serving().count(), 1, "a lost write of {key:?}");
        let shard = bench.agent.view().shard(SHARD);
        assert_eq!((shard.record.epoch, &shard.record.pin), (Epoch(71), &Some(name("a"))));
    }
}

#[test]
fn groups_that_somebody_left_behind_stop_a_restore_and_not_the_node() {
    let mut left = Groups::default();
    left.assign("other", "elsewhere").unwrap();
    let mut bench = Bench::restoring(restored());
    bench.put("b", &Key::Groups, Record::Groups(left));
    bench.snapshot();
    bench.pass(5000, |_| false);
    assert!(bench.agent.is_active());
    assert_eq!(bench.agent.view().shard(ShardId(0)).record.epoch, Epoch(1), "nothing was restored");
}
