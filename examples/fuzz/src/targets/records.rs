//! Records in etcd: keys and values in turn, read as a node reads them, and given to an agent that acts on
//! them with a store of its own. A key without a slash before it stands below the cluster's.
//!
//! Proves: C24

use std::time::Duration;

use bytes::Bytes;
use greenroom_cluster::store::KeyValue;
use greenroom_cluster::testing::Records;
use greenroom_core::planner::{Policy, Strategy};
use greenroom_core::record::{
    Entry, Guard, HeartbeatRecord, Held, Key, LeaderRecord, Meta, NodeProfile, NodeRecord,
    NodeState, RebalancingRecord, Record, ShardRecord, Transaction, Write,
};
use greenroom_core::{
    Agent, Config, Effect, Epoch, Event, Groups, Incarnation, Life, Moment, NodeId, Now, Outcome,
    Retry, ShardId, Term, Timing,
};
use std::collections::{BTreeMap, VecDeque};

use crate::chunks;

const SHARDS: u32 = 16;
const PREFIX: &str = "/greenroom/fuzz/";
/// How long the agent lives with what it read, in steps of a second.
const SECONDS: u64 = 15;
/// How often an agent may ask for something at one moment.
const EVENTS_MAX: usize = 2000;

pub(super) fn check(input: &[u8]) {
    let records = Records::of("fuzz", SHARDS);
    let mut store = Store::default();
    let mut parts = chunks::split(input);
    while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
        let Ok(key) = std::str::from_utf8(key) else { continue };
        let key = if key.starts_with('/') { key.to_owned() } else { format!("{PREFIX}{key}") };
        store.revision += 1;
        let revision = store.revision;
        let value = Bytes::copy_from_slice(value);
        let item = KeyValue { key, value, create_revision: revision, mod_revision: revision };
        let Some(entry) = records.read(&item) else { continue };
        let held = entry.held.clone().expect("a key with a value holds something");
        assert_stable(&records, &item, &entry.key, &held.record);
        store.held.insert(entry.key, held);
    }
    live(&mut store);
}

/// What was read is written under the same key, and read again it is the same.
fn assert_stable(records: &Records, item: &KeyValue, key: &Key, record: &Record) {
    let (name, value) = records.write(key.clone(), record.clone());
    assert_eq!(name, item.key);
    let again = records.read(&KeyValue { value: value.clone(), ..item.clone() });
    let again = again.expect("what a node writes can be read");
    assert_eq!(again.key, *key);
    assert_eq!(again.held.as_ref().map(|held| &held.record), Some(record));
    assert_eq!(records.write(again.key, record.clone()).1, value);
}

/// An agent that finds these records, with nobody else there.
fn live(store: &mut Store) {
    let mut agent = Agent::new(config());
    let entries = store.held.keys().map(|key| store.entry(key)).collect();
    let mut events = VecDeque::from([Event::Snapshot { revision: store.revision, entries }]);
    for second in 1..=SECONDS {
        let now = Now { moment: Moment(second * 1_000_000_000), wall_ms: second * 1000 };
        events.push_back(Event::Tick);
        let mut count = 0;
        while let Some(event) = events.pop_front() {
            count += 1;
            assert!(count < EVENTS_MAX, "the agent goes round in circles");
            for effect in agent.step(now, event) {
                events.extend(store.carry_out(effect));
            }
        }
    }
}

#[derive(Default)]
struct Store {
    revision: u64,
    held: BTreeMap<Key, Held>,
}

impl Store {
    fn entry(&self, key: &Key) -> Entry {
        Entry { key: key.clone(), revision: self.revision, held: self.held.get(key).cloned() }
    }

    fn carry_out(&mut self, effect: Effect) -> Vec<Event> {
        match effect {
            Effect::Commit { request, transaction, .. } => {
                let before = self.revision;
                let outcome = self.commit(&transaction);
                let mut events = vec![Event::Committed { request, outcome }];
                if self.revision > before {
                    let keys = transaction.writes.iter().map(Write::key);
                    let entries = keys.map(|key| self.entry(key)).collect();
                    events.push(Event::Changes { entries });
                }
                events
            }
            Effect::Read { request, keys } => {
                let entries = keys.iter().map(|key| self.entry(key)).collect();
                vec![Event::Read { request, entries: Some(entries) }]
            }
            Effect::Beat(Life { incarnation, .. }) => {
                vec![Event::HeartbeatAcknowledged { incarnation }]
            }
            Effect::Drain(shards) => vec![Event::Drained { shards }],
            Effect::Probe { life, .. } => vec![Event::Probed { life, refused: true }],
            _ => Vec::new(),
        }
    }

    fn commit(&mut self, transaction: &Transaction) -> Outcome {
        assert!(transaction.guards.len() <= 128 && transaction.writes.len() <= 128);
        let holds = |guard: &Guard| {
            let held = self.held.get(guard.key());
            let (created, modified) =
                held.map_or((0, 0), |held| (held.create_revision, held.mod_revision));
            guard.holds(created, modified)
        };
        if !transaction.guards.iter().all(holds) {
            let keys = transaction.guards.iter().map(Guard::key);
            return Outcome::Refused { current: keys.map(|key| self.entry(key)).collect() };
        }
        self.revision += 1;
        let mod_revision = self.revision;
        for write in &transaction.writes {
            match write {
                Write::Put(key, record) => {
                    let former = self.held.get(key);
                    let create_revision = former.map_or(mod_revision, |held| held.create_revision);
                    let held = Held { create_revision, mod_revision, record: record.clone() };
                    self.held.insert(key.clone(), held);
                }
                Write::Delete(key) => {
                    self.held.remove(key);
                }
            }
        }
        Outcome::Applied { revision: self.revision }
    }
}

fn config() -> Config {
    Config {
        node: name("a"),
        profile: profile(),
        groups: BTreeMap::new(),
        shards: SHARDS,
        timing: Timing::default(),
        policy: Policy {
            stability: Duration::from_secs(1),
            batch_len_max: 8,
            node_moves_max: 8,
            imbalance_threshold_permille: 50,
            strategy: Strategy::Load,
            spread_zones: true,
            move_gain_permille: 10,
        },
        crash_detection: true,
        migration_timeout: Duration::from_secs(3),
        retry: Retry::default(),
        transactions_in_flight_max: 8,
        restore: None,
        seed: 7,
    }
}

fn name(name: &str) -> NodeId {
    NodeId::new(name).expect("it is a name")
}

fn profile() -> NodeProfile {
    NodeProfile {
        peer_address: "127.0.0.1:7400".into(),
        http_address: "127.0.0.1:7480".into(),
        weight: 100,
        zone: "north".into(),
        labels: [("disk".into(), "ssd".into())].into(),
        kinds: vec!["fuzz.echo".into()],
        version: "0.1.0".into(),
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let records = cluster();
    let codec = Records::of("fuzz", SHARDS);
    let pairs: Vec<[Vec<u8>; 2]> = records
        .into_iter()
        .map(|(key, record)| {
            let (key, value) = codec.write(key, record);
            [key.as_bytes()[PREFIX.len()..].to_vec(), value.to_vec()]
        })
        .collect();
    let mut seeds: Vec<Vec<u8>> = pairs.iter().map(chunks::join).collect();
    seeds.push(chunks::join(pairs.iter().flatten()));
    seeds.push(chunks::join(pairs.iter().rev().flatten()));
    seeds
}

/// A cluster of two nodes, one of them dead, with a shard in each condition.
fn cluster() -> Vec<(Key, Record)> {
    let mut groups = Groups::default();
    groups.assign("fuzz.echo", "default").expect("it is new");
    groups.assign("ml.model", "gpu").expect("it is new");
    let beat = HeartbeatRecord {
        incarnation: Some(Incarnation(3)),
        sequence: 9,
        nonce: 5,
        window_ms: 6000,
        interval_ms: 1000,
    };
    let life =
        |node: &str, incarnation| Life { node: name(node), incarnation: Incarnation(incarnation) };
    let node = |incarnation, state| {
        Record::Node(NodeRecord {
            incarnation: Incarnation(incarnation),
            state,
            profile: profile(),
        })
    };
    let shard = |target: Option<&str>, owner, pin: Option<&str>| {
        Record::Shard(ShardRecord {
            target: target.map(name),
            owner,
            epoch: Epoch(4),
            pin: pin.map(name),
            reason: "it had no live node".into(),
            since_ms: 1_700_000_000_000,
        })
    };
    vec![
        (Key::Meta, Record::Meta(Meta::born_with(SHARDS))),
        (Key::Groups, Record::Groups(groups)),
        (Key::Heartbeat(name("b")), Record::Heartbeat(beat)),
        (Key::Node(name("b")), node(3, NodeState::Active)),
        (Key::Node(name("c")), node(2, NodeState::Dead)),
        (Key::Leader, Record::Leader(LeaderRecord { holder: Some(life("b", 3)), term: Term(2) })),
        (
            Key::Rebalancing,
            Record::Rebalancing(RebalancingRecord { under_way: [0].into(), held: false }),
        ),
        (Key::Shard(ShardId(0)), shard(Some("b"), Some(life("b", 3)), None)),
        (Key::Shard(ShardId(1)), shard(Some("a"), Some(life("b", 3)), Some("a"))),
        (Key::Shard(ShardId(2)), shard(Some("c"), Some(life("c", 2)), None)),
        (Key::Shard(ShardId(SHARDS)), shard(Some("a"), None, None)),
    ]
}
