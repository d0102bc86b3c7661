//! What it does when an answer is lost, late or odd.

use greenroom_core::record::{HeartbeatRecord, Key, Record};
use greenroom_core::{Epoch, Event, Notice, Outcome};

use crate::support::{Bench, SHARD, name, writes};

/// Proves: C13, C14
#[test]
fn a_resignation_that_was_lost_is_tried_again() {
    let mut bench = Bench::new();
    bench.snapshot();
    assert!(bench.agent.leads());
    let (_, entries) = bench.join("b");
    bench.tell(Event::Changes { entries }, |_| false);
    let sent = bench.tell(Event::Leave, writes(&Key::Leader));
    let [(request, _)] = sent[..] else { panic!("one resignation: {sent:?}") };
    bench.tell(Event::Committed { request, outcome: Outcome::Transient }, |_| false);
    bench.pass(2000, |_| false);
    assert!(!bench.agent.leads(), "a node that drains keeps others from leading");
}

#[test]
fn an_election_that_is_won_while_draining_is_given_up() {
    let mut bench = Bench::new();
    let (revision, entries) = (0, Vec::new());
    let sent = bench.tell(Event::Snapshot { revision, entries }, writes(&Key::Leader));
    let [(request, transaction)] = &sent[..] else { panic!("one candidature: {sent:?}") };
    let (_, entries) = bench.join("b");
    bench.tell(Event::Changes { entries }, |_| false);
    bench.tell(Event::Drain, |_| false);
    let outcome = bench.store.commit(&name("a"), transaction);
    bench.tell(Event::Committed { request: *request, outcome }, |_| false);
    bench.pass(500, |_| false);
    assert!(!bench.agent.leads());
}

/// Proves: C12, C19
#[test]
fn a_shard_that_comes_back_before_its_release_is_answered_is_claimed_again() {
    let mut bench = Bench::new();
    bench.led_by("b");
    bench.snapshot();
    let given = bench.retarget("b", "a");
    bench.tell(Event::Changes { entries: vec![given] }, |_| false);
    assert_eq!(bench.agent.serving().count(), 1);
    let taken = bench.retarget("b", "b");
    bench.tell(Event::Changes { entries: vec![taken] }, |_| false);
    let drained = Event::Drained { shards: vec![(SHARD, Epoch(1))] };
    let sent = bench.tell(drained, |_| true);
    let [(request, release)] = &sent[..] else { panic!("one release: {sent:?}") };
    let outcome = bench.store.commit(&name("a"), release);
    // The watch is faster than the answer, and tells of a new target too.
    let released = bench.store.entry(&Key::Shard(SHARD));
    let back = bench.retarget("b", "a");
    bench.tell(Event::Changes { entries: vec![released, back] }, |_| false);
    bench.tell(Event::Committed { request: *request, outcome }, |_| false);
    assert_eq!(bench.agent.serving().count(), 1, "targeted here, owned by nobody, not claimed");
}

/// A release whose answer was lost may still be applied; a node that is told meanwhile to take
/// shards again must not serve on the record of before.
///
/// Proves: C13, C16, C21, P2
#[test]
fn a_gate_stays_shut_while_a_release_of_before_may_still_be_applied() {
    let mut bench = Bench::new();
    bench.snapshot();
    assert_eq!(bench.agent.serving().count(), 1);
    let shard = Key::Shard(SHARD);
    assert!(bench.tell(Event::Drain, writes(&shard)).is_empty(), "it is drained first");
    let drained = Event::Drained { shards: vec![(SHARD, Epoch(1))] };
    let sent = bench.tell(drained, writes(&shard));
    let [(request, release)] = &sent[..] else { panic!("one release: {sent:?}") };
    // It dawdles on the network; what is read of the record shows nothing of it.
    let lost = Event::Committed { request: *request, outcome: Outcome::Ambiguous };
    bench.tell(lost, writes(&shard));
    let mut again = bench.tell(Event::Undrain, writes(&shard));
    for _ in 0..20 {
        bench.now_ms += 100;
        again.extend(bench.own_beat(writes(&shard)));
        again.extend(bench.tell(Event::Tick, writes(&shard)));
    }
    assert_eq!(bench.agent.serving().count(), 0, "opened on a record that may be released yet");
    bench.store.commit(&name("a"), release);
    for (request, release) in again {
        let outcome = bench.store.commit(&name("a"), &release);
        bench.tell(Event::Committed { request, outcome }, |_| false);
    }
    bench.pass(2000, |_| false);
    assert_eq!(bench.agent.serving().count(), 1, "it takes it again");
    assert_eq!(bench.agent.view().shard(SHARD).record.epoch, Epoch(2), "as a new owner");
}

/// Proves: C13
#[test]
fn what_became_of_a_write_without_an_answer_is_read_and_not_found_out_by_a_conflict() {
    let mut bench = Bench::new();
    let sent = bench.given();
    let [(request, claim)] = &sent[..] else { panic!("one claim: {sent:?}") };
    bench.store.commit(&name("a"), claim);
    let lost = Event::Committed { request: *request, outcome: Outcome::Ambiguous };
    bench.tell(lost, |_| false);
    bench.pass(2000, |_| false);
    assert_eq!(bench.agent.serving().count(), 1, "it has been claimed");
    let conflict = bench.notices.iter().find(|notice| matches!(notice, Notice::Conflict { .. }));
    assert_eq!(conflict, None);
}

/// Proves: C19
#[test]
fn a_shard_is_let_be_while_a_write_of_it_is_under_way() {
    let mut bench = Bench::new();
    let sent = bench.given();
    assert_eq!(sent.len(), 1, "one claim: {sent:?}");
    let sent = bench.given_again();
    assert!(sent.is_empty(), "the answer to the first will tell: {sent:?}");
}

/// Proves: C11
#[test]
fn a_list_tells_also_what_is_gone() {
    let mut bench = Bench::new();
    bench.snapshot();
    let (life, entries) = bench.join("b");
    bench.tell(Event::Changes { entries }, |_| false);
    assert!(bench.agent.view().member(&life.node).is_some());
    // Removed by hand, so that no record says of it that it is dead.
    bench.tell(Event::WatchLost, |_| false);
    bench.delete("c", &Key::Heartbeat(life.node.clone()));
    bench.snapshot();
    assert!(bench.agent.view().heartbeat(&life.node).is_none());
    assert!(bench.agent.view().member(&life.node).is_none(), "it is in nobody's plans any more");
}

#[test]
fn a_refusal_that_teaches_nothing_is_not_repeated_at_once() {
    let mut bench = Bench::new();
    // The leader key holds something that this node can't read: it is in no snapshot and in no
    // refusal, yet the guard that it is absent fails.
    bench.snapshot_without_leader();
    let mut tried = 0;
    for _ in 0..100 {
        bench.now_ms += 10;
        for (request, _) in bench.tell(Event::Tick, writes(&Key::Leader)) {
            tried += 1;
            let outcome = Outcome::Refused { current: Vec::new() };
            bench.tell(Event::Committed { request, outcome }, writes(&Key::Leader));
        }
    }
    assert!((1..20).contains(&tried), "{tried} candidatures in a second");
}

/// Proves: C1, P1
#[test]
fn nobody_is_buried_before_the_window_that_he_counts_on() {
    let mut bench = Bench::new();
    bench.snapshot();
    assert!(bench.agent.leads());
    // This node waits 6 s, but the other one believes in its right for 20 s.
    let beat = HeartbeatRecord {
        incarnation: None,
        sequence: 0,
        nonce: 5,
        window_ms: 20_000,
        interval_ms: 1000,
    };
    let key = Key::Heartbeat(name("b"));
    let entry = bench.put("b", &key, Record::Heartbeat(beat));
    bench.tell(Event::Changes { entries: vec![entry] }, |_| false);
    assert_eq!(bench.pass(19_900, writes(&key)), 0, "buried while it has the right to run");
    assert_eq!(bench.pass(1000, |_| false), 0);
    assert!(!bench.store.held.contains_key(&key), "a silent node is buried in the end");
}
