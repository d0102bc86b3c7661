//! One agent against a store of its own: what it does when an answer is lost, late or odd.

#[path = "simulation/store.rs"]
mod store;

use std::time::Duration;

use greenroom_core::planner::Policy;
use greenroom_core::record::{
    Entry, HeartbeatRecord, Key, LeaderRecord, Meta, NodeProfile, NodeRecord, NodeState, Record,
    ShardRecord, Transaction, Write,
};
use greenroom_core::{
    Agent, Config, Effect, Epoch, Event, Incarnation, Life, Moment, NodeId, Now, Outcome,
    RequestId, ShardId, Term, Timing,
};
use store::Store;

const SHARD: ShardId = ShardId(0);

struct Bench {
    agent: Agent,
    store: Store,
    now_ms: u64,
}

/// A transaction that was sent and not yet answered.
type Sent = (RequestId, Transaction);

fn name(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn writes(key: &Key) -> impl Fn(&Transaction) -> bool + use<'_> {
    move |transaction| transaction.writes.iter().any(|write| write.key() == key)
}

impl Bench {
    fn new() -> Self {
        let agent = Agent::new(Config {
            node: name("a"),
            profile: NodeProfile { weight: 1, ..NodeProfile::default() },
            shards: 1,
            timing: Timing::default(),
            policy: Policy {
                stability: Duration::from_secs(1),
                batch_len_max: 100,
                imbalance_threshold_permille: 0,
            },
            transactions_in_flight_max: 8,
            seed: 7,
        });
        Self { agent, store: Store::default(), now_ms: 1000 }
    }

    /// Tells an event and answers all that the agent asks, except for transactions that are to be
    /// held back; those are returned.
    fn tell(&mut self, event: Event, hold: impl Fn(&Transaction) -> bool) -> Vec<Sent> {
        let (mut events, mut held) = (vec![event], Vec::new());
        for round in 0.. {
            assert!(round < 1000, "the agent goes round in circles at one instant");
            if events.is_empty() {
                break;
            }
            let event = events.remove(0);
            let moment = Moment(self.now_ms * 1_000_000);
            for effect in self.agent.step(Now { moment, wall_ms: self.now_ms }, event) {
                match effect {
                    Effect::Commit { request, transaction } if hold(&transaction) => {
                        held.push((request, transaction));
                    }
                    Effect::Commit { request, transaction } => {
                        let outcome = self.store.commit(&name("a"), &transaction);
                        events.push(Event::Committed { request, outcome });
                    }
                    Effect::Read { request, keys } => {
                        let entries = keys.iter().map(|key| self.store.entry(key)).collect();
                        events.push(Event::Read { request, entries: Some(entries) });
                    }
                    Effect::Beat(Life { incarnation, .. }) => {
                        events.push(Event::HeartbeatAcknowledged { incarnation });
                    }
                    _ => {}
                }
            }
        }
        held
    }

    fn snapshot(&mut self) {
        let (revision, entries) = (self.store.revision, self.store.all());
        self.tell(Event::Snapshot { revision, entries }, |_| false);
    }

    /// Lets time pass; returns how many transactions were held back.
    fn pass(&mut self, span_ms: u64, hold: impl Fn(&Transaction) -> bool) -> usize {
        let mut held = 0;
        for _ in 0..span_ms / 100 {
            self.now_ms += 100;
            held += self.tell(Event::Tick, &hold).len();
        }
        held
    }

    /// Another process writes a record; what its watchers see.
    fn put(&mut self, writer: &str, key: &Key, record: Record) -> Entry {
        let writes = vec![Write::Put(key.clone(), record)];
        let transaction = Transaction { guards: Vec::new(), writes };
        self.store.commit(&name(writer), &transaction);
        self.store.entry(key)
    }

    /// Another node is a member.
    fn join(&mut self, node: &str) -> (Life, Vec<Entry>) {
        let beat = HeartbeatRecord { incarnation: None, sequence: 0, nonce: 5, window_ms: 6000 };
        let first = self.put(node, &Key::Heartbeat(name(node)), Record::Heartbeat(beat));
        let life = Life { node: name(node), incarnation: Incarnation(self.store.revision) };
        let record = NodeRecord {
            incarnation: life.incarnation,
            state: NodeState::Active,
            profile: NodeProfile { weight: 1, ..NodeProfile::default() },
        };
        let second = self.put(node, &Key::Node(name(node)), Record::Node(record));
        (life, vec![first, second])
    }

    /// The leader, another node, changes the target of the shard.
    fn retarget(&mut self, leader: &str, target: &str) -> Entry {
        let held = self.store.held.get(&Key::Shard(SHARD)).map(|held| held.record.clone());
        let mut record = match held {
            Some(Record::Shard(record)) => record,
            _ => ShardRecord::default(),
        };
        record.target = Some(name(target));
        self.put(leader, &Key::Shard(SHARD), Record::Shard(record))
    }
}

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

#[test]
fn a_shard_that_comes_back_before_its_release_is_answered_is_claimed_again() {
    let mut bench = Bench::new();
    let (leader, _) = bench.join("b");
    bench.put("b", &Key::Meta, Record::Meta(Meta::born_with(1)));
    let record = LeaderRecord { holder: Some(leader), term: Term(1) };
    bench.put("b", &Key::Leader, Record::Leader(record));
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

impl Bench {
    /// Joins, but the first candidature is not answered yet.
    fn snapshot_without_leader(&mut self) {
        let (revision, entries) = (0, Vec::new());
        let sent = self.tell(Event::Snapshot { revision, entries }, writes(&Key::Leader));
        for (request, _) in sent {
            let outcome = Outcome::Refused { current: Vec::new() };
            self.tell(Event::Committed { request, outcome }, writes(&Key::Leader));
        }
    }
}

#[test]
fn nobody_is_buried_before_the_window_that_he_counts_on() {
    let mut bench = Bench::new();
    bench.snapshot();
    assert!(bench.agent.leads());
    // This node waits 6 s, but the other one believes in its right for 20 s.
    let beat = HeartbeatRecord { incarnation: None, sequence: 0, nonce: 5, window_ms: 20_000 };
    let key = Key::Heartbeat(name("b"));
    let entry = bench.put("b", &key, Record::Heartbeat(beat));
    bench.tell(Event::Changes { entries: vec![entry] }, |_| false);
    assert_eq!(bench.pass(19_900, writes(&key)), 0, "buried while it has the right to run");
    assert_eq!(bench.pass(1000, |_| false), 0);
    assert!(!bench.store.held.contains_key(&key), "a silent node is buried in the end");
}
