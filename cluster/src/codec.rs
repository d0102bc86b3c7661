//! Between the core's records and the store's bytes: the only place that serialises.
//!
//! Keys are readable paths below `/greenroom/{cluster}/` and values are JSON objects, so that
//! `etcdctl get --prefix /greenroom/` explains itself. Unknown fields are ignored, so that a field
//! can be added while older nodes still run.

mod json;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use greenroom_core::record::{Entry, Guard, Held, Key, Record, Transaction, Write};
use greenroom_core::{Groups, NodeId, ShardId};
use parking_lot::Mutex;

use crate::store::{self, Change, KeyValue};
use json::{decode, encode};

/// Translates for one cluster. Clones share what they know of its groups.
#[derive(Clone, Debug)]
pub(crate) struct Codec {
    prefix: String,
    shard_count: u32,
    /// The groups as last read or written: shards are named by their group, which always comes
    /// first, both in the store's history and in the order of keys.
    groups: Arc<ArcSwap<Groups>>,
    /// How many they are, for the way of every call: they only grow.
    group_count: Arc<AtomicUsize>,
    /// The revision of those; held while they are changed.
    learned: Arc<Mutex<u64>>,
}

impl Codec {
    pub(crate) fn new(cluster: &str, shard_count: u32) -> Self {
        let prefix = format!("/greenroom/{cluster}/");
        let (groups, learned) = (Arc::<ArcSwap<Groups>>::default(), Arc::default());
        let group_count = Arc::new(AtomicUsize::new(groups.load().len()));
        Self { prefix, shard_count, groups, group_count, learned }
    }

    /// The groups that this codec has read or written last.
    pub(crate) fn groups(&self) -> arc_swap::Guard<Arc<Groups>> {
        self.groups.load()
    }

    /// How many groups there are.
    #[inline]
    pub(crate) fn group_count(&self) -> usize {
        self.group_count.load(Ordering::Acquire)
    }

    /// Takes in a record that stood in the store at a revision, unless a newer one is known: reads
    /// and answers may come in any order.
    pub(crate) fn learn(&self, record: &Record, revision: u64) {
        let Record::Groups(groups) = record else { return };
        let mut learned = self.learned.lock();
        if revision > *learned && groups.len() >= self.groups.load().len() {
            self.groups.store(Arc::new(groups.clone()));
            self.group_count.store(groups.len(), Ordering::Release);
            *learned = revision;
        }
    }

    /// What all keys of the cluster begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn key(&self, key: &Key) -> String {
        let prefix = &self.prefix;
        match key {
            Key::Meta => format!("{prefix}meta"),
            Key::Node(node) => format!("{prefix}nodes/{node}"),
            Key::Heartbeat(node) => format!("{prefix}heartbeats/{node}"),
            Key::Leader => format!("{prefix}leader"),
            Key::Groups => format!("{prefix}groups"),
            Key::Rebalancing => format!("{prefix}rebalancing"),
            Key::Shard(shard) => {
                let (group, number) = shard.group_and_number(self.shard_count);
                let groups = self.groups.load();
                let name = groups.as_slice().get(group).map_or("unknown", |group| &group.name);
                format!("{prefix}shards/{name}/{number:05}")
            }
        }
    }

    /// `None` for a key that is none of ours, such as one of a newer version.
    fn parse_key(&self, key: &str) -> Option<Key> {
        // One name a record: another spelling of a key of ours is no key of ours.
        self.read_key(key).filter(|parsed| self.key(parsed) == key)
    }

    fn read_key(&self, key: &str) -> Option<Key> {
        let rest = key.strip_prefix(&self.prefix)?;
        let (folder, name) = rest.split_once('/').unwrap_or((rest, ""));
        match folder {
            "meta" => Some(Key::Meta),
            "leader" => Some(Key::Leader),
            "nodes" => Some(Key::Node(NodeId::new(name).ok()?)),
            "heartbeats" => Some(Key::Heartbeat(NodeId::new(name).ok()?)),
            "groups" => Some(Key::Groups),
            "rebalancing" => Some(Key::Rebalancing),
            "shards" => {
                let (group, number) = name.split_once('/')?;
                let group = self.groups.load().index_of(group)?;
                let number: u32 = number.parse().ok()?;
                let known = number < self.shard_count;
                known.then(|| Key::Shard(ShardId(number).in_group(group, self.shard_count)))
            }
            _ => None,
        }
    }

    pub(crate) fn transaction(&self, transaction: &Transaction) -> store::Txn {
        let guards = transaction.guards.iter().map(|guard| match guard {
            Guard::ModRevision(key, is) => {
                store::Guard::ModRevision { key: self.key(key), is: *is }
            }
            Guard::CreateRevision(key, is) => {
                store::Guard::CreateRevision { key: self.key(key), is: *is }
            }
            Guard::CreateRevisionNot(key, not) => {
                store::Guard::CreateRevisionNot { key: self.key(key), not: *not }
            }
        });
        let writes = transaction.writes.iter().map(|write| match write {
            Write::Put(key, record) => {
                store::Write::Put { key: self.key(key), value: encode(record) }
            }
            Write::Delete(key) => store::Write::Delete { key: self.key(key) },
        });
        store::Txn { guards: guards.collect(), writes: writes.collect() }
    }

    /// What a key holds. A value that can't be read is reported and left out: acting on a guess
    /// would be worse than not acting on that key.
    pub(crate) fn entry(&self, item: &KeyValue) -> Option<Entry> {
        let key = self.parse_key(&item.key)?;
        match decode(&key, &item.value) {
            Ok(record) => {
                self.learn(&record, item.mod_revision);
                let KeyValue { create_revision, mod_revision, .. } = *item;
                let held = Held { create_revision, mod_revision, record };
                Some(Entry { key, revision: mod_revision, held: Some(held) })
            }
            Err(error) => {
                tracing::error!(record = item.key, %error, "a record in the store is unreadable");
                None
            }
        }
    }

    pub(crate) fn absence(&self, key: &str, revision: u64) -> Option<Entry> {
        Some(Entry { key: self.parse_key(key)?, revision, held: None })
    }

    pub(crate) fn change(&self, change: &Change) -> Option<Entry> {
        match change {
            Change::Put(item) => self.entry(item),
            Change::Delete { key, mod_revision } => self.absence(key, *mod_revision),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use greenroom_core::record::{
        HeartbeatRecord, LeaderRecord, Meta, NodeProfile, NodeRecord, NodeState, RebalancingRecord,
        Record, ShardRecord,
    };
    use greenroom_core::{Epoch, Incarnation, Life, PlacementRule, Term};

    use super::*;

    fn life() -> Life {
        Life { node: NodeId::new("node-1").unwrap(), incarnation: Incarnation(42) }
    }

    fn groups() -> Groups {
        let mut groups = Groups::default();
        groups.assign("bank.account", "default").unwrap();
        groups.assign("ml.model", "gpu").unwrap();
        groups
    }

    fn examples() -> Vec<(Key, Record, &'static str, &'static str)> {
        let node = || NodeId::new("node-1").unwrap();
        let profile = NodeProfile {
            peer_address: "10.0.0.1:7400".into(),
            http_address: "10.0.0.1:7480".into(),
            weight: 2,
            zone: "a".into(),
            labels: BTreeMap::from([("disk".into(), "ssd".into())]),
            kinds: vec!["bank.account".into()],
            version: "0.1.0".into(),
        };
        let shard = ShardRecord {
            target: Some(node()),
            owner: Some(life()),
            epoch: Epoch(3),
            pin: None,
            reason: "it had no live node".into(),
            since_ms: 1_700_000_000_000,
        };
        vec![
            (
                Key::Meta,
                Record::Meta(Meta::born_with(8192)),
                "/greenroom/demo/meta",
                r#"{"shards":8192,"hash":"fnv1a64","format":1}"#,
            ),
            (
                Key::Node(node()),
                Record::Node(NodeRecord {
                    incarnation: Incarnation(42),
                    state: NodeState::Draining,
                    profile,
                }),
                "/greenroom/demo/nodes/node-1",
                r#"{"incarnation":42,"state":"draining","peer_address":"10.0.0.1:7400","http_address":"10.0.0.1:7480","weight":2,"zone":"a","labels":{"disk":"ssd"},"kinds":["bank.account"],"version":"0.1.0"}"#,
            ),
            (
                Key::Heartbeat(node()),
                Record::Heartbeat(HeartbeatRecord {
                    incarnation: Some(Incarnation(42)),
                    sequence: 7,
                    nonce: 9,
                    window_ms: 6000,
                    interval_ms: 1000,
                }),
                "/greenroom/demo/heartbeats/node-1",
                r#"{"incarnation":42,"sequence":7,"nonce":9,"window_ms":6000,"interval_ms":1000}"#,
            ),
            (
                Key::Leader,
                Record::Leader(LeaderRecord { holder: Some(life()), term: Term(4) }),
                "/greenroom/demo/leader",
                r#"{"holder":{"node":"node-1","incarnation":42},"term":4}"#,
            ),
            (
                Key::Groups,
                Record::Groups(groups()),
                "/greenroom/demo/groups",
                r#"{"groups":[{"name":"default","kinds":["bank.account"],"require":{},"prefer":{}},{"name":"gpu","kinds":["ml.model"],"require":{},"prefer":{}}]}"#,
            ),
            (
                Key::Rebalancing,
                Record::Rebalancing(RebalancingRecord { under_way: [0].into(), held: false }),
                "/greenroom/demo/rebalancing",
                r#"{"under_way":[0],"held":false}"#,
            ),
            (
                Key::Shard(ShardId(77)),
                Record::Shard(shard),
                "/greenroom/demo/shards/default/00077",
                r#"{"target":"node-1","owner":{"node":"node-1","incarnation":42},"epoch":3,"pinned":null,"since_ms":1700000000000,"reason":"it had no live node"}"#,
            ),
        ]
    }

    /// What operators and other languages read in etcd: a change here is a change of the format.
    #[test]
    fn keys_and_values_are_as_documented() {
        let codec = Codec::new("demo", 8192);
        for (key, record, path, json) in examples() {
            assert_eq!(codec.key(&key), path);
            assert_eq!(std::str::from_utf8(&encode(&record)).unwrap(), json);
        }
    }

    #[test]
    fn what_is_written_can_be_read_and_unknown_fields_are_ignored() {
        let codec = Codec::new("demo", 8192);
        for (key, record, path, json) in examples() {
            let newer = json.replacen('{', r#"{"added_later":[1],"#, 1);
            for value in [json.to_owned(), newer] {
                let item = KeyValue {
                    key: path.to_owned(),
                    value: value.into(),
                    create_revision: 5,
                    mod_revision: 6,
                };
                let held = Held { create_revision: 5, mod_revision: 6, record: record.clone() };
                let expected = Entry { key: key.clone(), revision: 6, held: Some(held) };
                assert_eq!(codec.entry(&item), Some(expected));
            }
        }
    }

    /// The shards of the second group follow those of the first, whatever their keys are named.
    #[test]
    fn shards_are_named_by_their_group_once_that_is_known() {
        let codec = Codec::new("demo", 8192);
        let path = "/greenroom/demo/shards/gpu/00003";
        assert_eq!(codec.parse_key(path), None);
        codec.learn(&Record::Groups(groups()), 7);
        assert_eq!(codec.parse_key(path), Some(Key::Shard(ShardId(8195))));
        assert_eq!(codec.key(&Key::Shard(ShardId(8195))), path);
        assert_eq!(codec.parse_key("/greenroom/demo/shards/gpu/08192"), None);
        let mut older = groups();
        older.set_rule("gpu", PlacementRule::default()).unwrap();
        older.assign("late.kind", "gpu").unwrap();
        codec.learn(&Record::Groups(older), 6);
        assert_eq!(**codec.groups(), groups(), "an answer that came late");
    }

    #[test]
    fn escaped_characters_are_read() {
        let value = r#"{"target":null,"owner":null,"epoch":1,"since_ms":0,"reason":"a \"b\""}"#;
        let record = decode(&Key::Shard(ShardId(1)), value.as_bytes()).unwrap();
        let Record::Shard(shard) = record else { panic!("{record:?}") };
        assert_eq!(&*shard.reason, "a \"b\"");
    }

    #[test]
    fn foreign_keys_and_garbage_are_left_out() {
        let codec = Codec::new("demo", 8192);
        let item = |key: &str, value: &'static [u8]| KeyValue {
            key: key.to_owned(),
            value: Bytes::from_static(value),
            create_revision: 1,
            mod_revision: 1,
        };
        assert_eq!(codec.entry(&item("/greenroom/demo/later/x", b"{}")), None);
        assert_eq!(codec.entry(&item("/greenroom/other/meta", b"{}")), None);
        assert_eq!(codec.entry(&item("/greenroom/demo/shards/default/x", b"{}")), None);
        assert_eq!(codec.entry(&item("/greenroom/demo/shards/default/00001", b"\xff")), None);
        assert_eq!(codec.entry(&item("/greenroom/demo/nodes/a b", b"{}")), None);
        // Other spellings of keys of ours, and counters that nobody counted.
        let shard = br#"{"target":null,"owner":null,"epoch":1,"since_ms":0,"reason":""}"#;
        assert!(codec.entry(&item("/greenroom/demo/shards/default/00001", shard)).is_some());
        assert_eq!(codec.entry(&item("/greenroom/demo/shards/default/1", shard)), None);
        assert_eq!(
            codec.entry(&item("/greenroom/demo/leader/x", br#"{"holder":null,"term":1}"#)),
            None
        );
        let leader = br#"{"holder":null,"term":18446744073709551615}"#;
        assert_eq!(codec.entry(&item("/greenroom/demo/leader", leader)), None);
        // Absent keys were created at 0, so such a life would never be over.
        let leader = br#"{"holder":{"node":"a","incarnation":0},"term":1}"#;
        assert_eq!(codec.entry(&item("/greenroom/demo/leader", leader)), None);
    }
}
