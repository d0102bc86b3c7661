//! What it decides on is refused when the world has changed meanwhile.

use greenroom_core::record::{
    HeartbeatRecord, Key, LeaderRecord, NodeState, RebalancingRecord, Record, ShardRecord,
};
use greenroom_core::{Epoch, Event, Order, OrderId, Outcome, Refusal, Term};

use crate::support::{Bench, SHARD, name, writes};

/// Proves: C10, P1
#[test]
fn a_shard_is_not_taken_from_an_owner_whose_life_is_not_known_yet() {
    let mut bench = Bench::new();
    bench.led_by("b");
    bench.snapshot();
    // What a refusal or a read tells of a shard may be newer than what the watch told of its owner.
    let (owner, unheard) = bench.join("c");
    let owned = ShardRecord { owner: Some(owner), epoch: Epoch(1), ..ShardRecord::default() };
    bench.put("b", &Key::Shard(SHARD), Record::Shard(owned));
    let meant = bench.retarget("b", "a");
    // The store stops the test if it is taken.
    bench.tell(Event::Changes { entries: vec![meant] }, |_| false);
    assert_eq!(bench.agent.serving().count(), 0);
    bench.tell(Event::Changes { entries: unheard }, |_| false);
    bench.pass(1000, |_| false);
    assert_eq!(bench.agent.serving().count(), 0, "its owner lives");
}

/// Proves: C14
#[test]
fn targets_of_a_leader_that_was_replaced_meanwhile_are_refused() {
    let mut bench = Bench::new();
    let (revision, entries) = (0, Vec::new());
    let shard = Key::Shard(SHARD);
    let sent = bench.tell(Event::Snapshot { revision, entries }, writes(&shard));
    let [(_, targets)] = &sent[..] else { panic!("one assignment: {sent:?}") };
    let (next, _) = bench.join("b");
    let record = LeaderRecord { holder: Some(next), term: Term(2) };
    bench.put("b", &Key::Leader, Record::Leader(record));
    let outcome = bench.store.commit(&name("a"), targets);
    assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
}

/// Proves: C10, P1
#[test]
fn a_burial_is_refused_when_its_node_has_beaten_meanwhile() {
    let mut bench = Bench::new();
    bench.snapshot();
    let (_, entries) = bench.join("b");
    bench.tell(Event::Changes { entries }, |_| false);
    let key = Key::Heartbeat(name("b"));
    let mut burials = Vec::new();
    while burials.is_empty() {
        bench.now_ms += 100;
        burials = bench.own_beat(writes(&key));
        burials.extend(bench.tell(Event::Tick, writes(&key)));
        assert!(bench.now_ms < 20_000, "a silent node is buried in the end");
    }
    let beat = bench.store.held[&key].record.clone();
    bench.put("b", &key, beat);
    let outcome = bench.store.commit(&name("a"), &burials[0].1);
    assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
}

/// Proves: C6
#[test]
fn a_refused_port_tells_nothing_while_the_heartbeat_is_not_overdue() {
    let mut bench = Bench::new();
    bench.snapshot();
    let (life, entries) = bench.join("b");
    bench.tell(Event::Changes { entries }, |_| false);
    // The answer is about the process before, which had the same port.
    let key = Key::Heartbeat(name("b"));
    let refused = Event::Probed { life: life.clone(), refused: true };
    let sent = bench.tell(refused, writes(&key));
    assert!(sent.is_empty(), "buried for an answer of long ago");
    assert_eq!(bench.pass(1400, writes(&key)), 0, "buried for an answer of long ago");
    bench.pass(200, |_| false);
    bench.tell(Event::Probed { life, refused: true }, |_| false);
    bench.pass(200, |_| false);
    assert!(!bench.store.held.contains_key(&key), "overdue and refused: it has crashed");
}

/// A store that is away for longer than the window, while the watch stays: the own beat comes back
/// first, and tells nothing about the others.
///
/// Proves: C22
#[test]
fn nobody_is_buried_because_the_store_was_away() {
    for by_a_list in [false, true] {
        let mut bench = Bench::new();
        bench.snapshot();
        let (_, entries) = bench.join("b");
        bench.tell(Event::Changes { entries }, |_| false);
        let key = Key::Heartbeat(name("b"));
        for _ in 0..80 {
            bench.now_ms += 100;
            assert!(bench.tell(Event::Tick, writes(&key)).is_empty(), "buried while nothing came");
        }
        let buried = if by_a_list {
            let own = Key::Heartbeat(name("a"));
            let beat = bench.store.held[&own].record.clone();
            bench.put("a", &own, beat);
            let (revision, entries) = (bench.store.revision, bench.store.all());
            bench.tell(Event::Snapshot { revision, entries }, writes(&key))
        } else {
            bench.own_beat(writes(&key))
        };
        assert!(buried.is_empty(), "buried as soon as the own beat came");
        assert_eq!(bench.pass(5900, writes(&key)), 0, "buried before a new window was over");
        assert!(bench.pass(1000, writes(&key)) > 0, "and then it is");
    }
}

/// The record of a dead node may be read before its heartbeat is known to be gone.
///
/// Proves: C19
#[test]
fn a_shard_is_claimed_whichever_half_of_a_death_is_seen_first() {
    let mut bench = Bench::new();
    let b = bench.led_by("b");
    let owned = ShardRecord {
        owner: Some(b.clone()),
        target: Some(name("a")),
        epoch: Epoch(1),
        ..ShardRecord::default()
    };
    bench.put("b", &Key::Shard(SHARD), Record::Shard(owned));
    bench.snapshot();
    assert_eq!(bench.agent.serving().count(), 0);
    let mut dead = bench.agent.view().node(&b.node).unwrap().clone();
    dead.state = NodeState::Dead;
    let heartbeat = Key::Heartbeat(b.node.clone());
    let record = bench.put("c", &Key::Node(b.node), Record::Node(dead));
    bench.tell(Event::Changes { entries: vec![record] }, |_| false);
    bench.delete("c", &heartbeat);
    let gone = bench.store.entry(&heartbeat);
    bench.tell(Event::Changes { entries: vec![gone] }, |_| false);
    assert_eq!(bench.agent.serving().count(), 1);
}

/// A node whose watch has stalled must not say of an old record that it is as an operator wants it.
#[test]
fn no_order_is_called_done_by_a_node_that_sees_nothing() {
    let mut bench = Bench::new();
    bench.snapshot();
    bench.pass(3000, |_| false);
    bench.now_ms += 5000;
    let order = Event::Operate { id: OrderId(1), order: Order::Hold(false) };
    bench.tell(order, |_| false);
    assert_eq!(bench.answers, [], "its own beats have not come back for five seconds");
    bench.own_beat(|_| false);
    assert_eq!(bench.answers, [(OrderId(1), Ok(()))]);
}

#[test]
fn a_move_whose_shard_is_pinned_elsewhere_meanwhile_is_given_up() {
    let mut bench = Bench::new();
    let key = Key::Shard(SHARD);
    bench.snapshot();
    let (_, entries) = bench.join("b");
    bench.tell(Event::Changes { entries }, |_| false);
    let (id, order) = (OrderId(1), Order::Move { shards: vec![SHARD], to: name("b") });
    let sent = bench.tell(Event::Operate { id, order }, writes(&key));
    let [(request, _)] = sent[..] else { panic!("one target: {sent:?}") };
    let mut record = bench.store.shard(SHARD).cloned().expect("the shard has a record");
    record.pin = Some(name("a"));
    let pinned = bench.put("b", &key, Record::Shard(record));
    bench.tell(Event::Changes { entries: vec![pinned.clone()] }, writes(&key));
    let outcome = Outcome::Refused { current: vec![pinned] };
    let sent = bench.tell(Event::Committed { request, outcome }, writes(&key));
    assert!(sent.is_empty(), "it is sent away from its pin: {sent:?}");
    let pinned = Refusal::Pinned { shard: SHARD, to: name("a") };
    assert_eq!(bench.answers, [(id, Err(pinned))]);
}

/// An order that an agent still had when it began to hang is not carried out when it goes on: it was not answered
/// for so long that another may have been given since.
#[test]
fn an_order_whose_time_is_over_writes_nothing_any_more() {
    let mut bench = Bench::new();
    bench.snapshot();
    let order = Event::Operate { id: OrderId(1), order: Order::Hold(true) };
    let sent = bench.tell(order, writes(&Key::Rebalancing));
    let [(request, _)] = sent[..] else { panic!("one write: {sent:?}") };
    let outcome = Outcome::Transient;
    let sent = bench.tell(Event::Committed { request, outcome }, writes(&Key::Rebalancing));
    assert!(sent.is_empty(), "not before a pause: {sent:?}");
    bench.now_ms += 21_000;
    let sent = bench.own_beat(writes(&Key::Rebalancing));
    assert!(sent.is_empty(), "it is carried out after its time: {sent:?}");
    assert_eq!(bench.answers, [(OrderId(1), Err(Refusal::TimedOut))]);
}

/// What an order asks for may stand in the view because another order, that is done already, has not been seen yet.
#[test]
fn an_order_is_not_called_done_because_of_what_stood_there_before() {
    let mut bench = Bench::new();
    bench.snapshot();
    let held = RebalancingRecord { held: true, ..RebalancingRecord::default() };
    bench.put("b", &Key::Rebalancing, Record::Rebalancing(held));
    let order = Event::Operate { id: OrderId(1), order: Order::Hold(false) };
    let sent = bench.tell(order, writes(&Key::Rebalancing));
    assert_eq!(sent.len(), 1, "it takes the record of before for the present one");
    assert_eq!(bench.answers, []);
}

/// Proves: C4
#[test]
fn a_wall_clock_that_jumps_changes_nothing_but_what_people_read() {
    const YEAR_MS: i64 = 365 * 24 * 3600 * 1000;
    let run = |jump_ms: i64| {
        let mut bench = Bench::new();
        bench.led_by("b");
        bench.snapshot();
        bench.pass(3000, |_| false);
        bench.wall_off_ms = jump_ms;
        // The other falls silent, is buried, and followed as leader and as owner.
        bench.pass(20_000, |_| false);
        let mut held = bench.store.held;
        for held in held.values_mut() {
            if let Record::Shard(shard) = &mut held.record {
                shard.since_ms = 0;
            }
        }
        (held, bench.notices, bench.agent.leads())
    };
    let usual = run(0);
    assert!(usual.2, "the wall clock had nothing to decide: {usual:?}");
    for jump_ms in [-YEAR_MS, -5000, 5000, YEAR_MS] {
        assert_eq!(run(jump_ms), usual, "a jump of {jump_ms} ms");
    }
}

/// The guard of the burial would refuse it; the read before it keeps it from being sent.
///
/// Proves: C10, C12
#[test]
fn a_node_that_beats_is_not_buried_because_the_watch_is_silent() {
    let mut bench = Bench::new();
    bench.snapshot();
    assert!(bench.agent.leads());
    let (life, entries) = bench.join("b");
    bench.tell(Event::Changes { entries }, |_| false);
    let key = Key::Heartbeat(name("b"));
    for sequence in 1..=20 {
        let beat = HeartbeatRecord {
            incarnation: Some(life.incarnation),
            sequence,
            nonce: 0,
            window_ms: 6000,
            interval_ms: 1000,
        };
        bench.put("b", &key, Record::Heartbeat(beat));
        assert_eq!(bench.pass(1000, writes(&key)), 0, "a burial was sent");
    }
}

/// A record that can't be read is not in the view, where the shard looks as if it had no pin.
#[test]
fn an_order_about_a_record_that_cannot_be_read_is_refused() {
    let mut bench = Bench::new();
    let key = Key::Shard(SHARD);
    bench.led_by("b");
    let pinned = ShardRecord { pin: Some(name("b")), ..ShardRecord::default() };
    bench.put("b", &key, Record::Shard(pinned));
    bench.store.garble(&key);
    bench.snapshot();
    let order = Event::Operate { id: OrderId(1), order: Order::Unpin { shards: vec![SHARD] } };
    let sent = bench.tell(order, writes(&key));
    assert!(sent.is_empty(), "it writes over what it can't read: {sent:?}");
    assert_eq!(bench.answers, [(OrderId(1), Err(Refusal::Unreadable(key)))]);
}

/// A store that fails again and again keeps an agent from deciding anything, but not from saying so.
#[test]
fn an_order_is_answered_in_time_although_the_store_fails() {
    let mut bench = Bench::new();
    bench.snapshot();
    let order = Event::Operate { id: OrderId(1), order: Order::Hold(true) };
    let began = bench.now_ms;
    let mut sent = bench.tell(order, writes(&Key::Rebalancing));
    while bench.answers.is_empty() {
        for (request, _) in std::mem::take(&mut sent) {
            let failed = Event::Committed { request, outcome: Outcome::Transient };
            sent.extend(bench.tell(failed, writes(&Key::Rebalancing)));
        }
        bench.now_ms += 10;
        sent.extend(bench.own_beat(writes(&Key::Rebalancing)));
        sent.extend(bench.tell(Event::Tick, writes(&Key::Rebalancing)));
    }
    assert_eq!(bench.now_ms - began, 20_000, "not when the store may be asked again");
    assert_eq!(bench.answers, [(OrderId(1), Err(Refusal::TimedOut))]);
}
