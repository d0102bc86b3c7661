//! Between the core's records and the store's bytes: the only file that serialises.
//!
//! Keys are readable paths below `/greenroom/{cluster}/` and values are JSON objects, so that
//! `etcdctl get --prefix /greenroom/` explains itself. Unknown fields are ignored, so that a field
//! can be added while older nodes still run.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use greenroom_core::record::{
    Entry, Guard, HeartbeatRecord, Held, Key, LeaderRecord, Meta, NodeProfile, NodeRecord,
    NodeState, Record, ShardRecord, Transaction, Write,
};
use greenroom_core::{Epoch, Incarnation, Life, NodeId, ShardId, Term};
use serde::{Deserialize, Serialize};

use crate::store::{self, Change, KeyValue};

/// The shard group that every kind belongs to.
const GROUP: &str = "default";

/// Translates for one cluster.
#[derive(Clone, Debug)]
pub(crate) struct Codec {
    prefix: String,
}

impl Codec {
    pub(crate) fn new(cluster: &str) -> Self {
        Self { prefix: format!("/greenroom/{cluster}/") }
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
            Key::Shard(shard) => format!("{prefix}shards/{GROUP}/{:05}", shard.0),
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
            "shards" => {
                let number = name.strip_prefix(GROUP)?.strip_prefix('/')?;
                Some(Key::Shard(ShardId(number.parse().ok()?)))
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
                let KeyValue { create_revision, mod_revision, .. } = *item;
                let held = Held { create_revision, mod_revision, record };
                Some(Entry { key, revision: mod_revision, held: Some(held) })
            }
            Err(error) => {
                tracing::error!(key = item.key, %error, "a record in the store is unreadable");
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

fn encode(record: &Record) -> Bytes {
    let bytes = match record {
        Record::Meta(meta) => serde_json::to_vec(&MetaJson::from(meta)),
        Record::Node(node) => serde_json::to_vec(&NodeJson::from(node)),
        Record::Heartbeat(heartbeat) => serde_json::to_vec(&HeartbeatJson::from(heartbeat)),
        Record::Leader(leader) => serde_json::to_vec(&LeaderJson::from(leader)),
        Record::Shard(shard) => serde_json::to_vec(&ShardJson::from(shard)),
    };
    // Plain structs of strings and numbers have no way to fail.
    bytes.expect("records serialise").into()
}

/// Greatest epoch or term that is believed: nobody gets there by counting, and there is room to go on.
const COUNTER_MAX: u64 = 1 << 47;

fn counter(number: u64) -> Result<u64, Unreadable> {
    if number < COUNTER_MAX { Ok(number) } else { Err(Unreadable::Counter(number)) }
}

/// Why a value can't be read.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Name(#[from] greenroom_core::BadName),
    #[error("`{0}` is no state of a node")]
    State(String),
    #[error("{0} is beyond all counting")]
    Counter(u64),
}

fn decode(key: &Key, value: &[u8]) -> Result<Record, Unreadable> {
    Ok(match key {
        Key::Meta => Record::Meta(serde_json::from_slice::<MetaJson>(value)?.into()),
        Key::Node(_) => Record::Node(serde_json::from_slice::<NodeJson<'_>>(value)?.try_into()?),
        Key::Heartbeat(_) => {
            Record::Heartbeat(serde_json::from_slice::<HeartbeatJson>(value)?.into())
        }
        Key::Leader => Record::Leader(serde_json::from_slice::<LeaderJson<'_>>(value)?.try_into()?),
        Key::Shard(_) => Record::Shard(serde_json::from_slice::<ShardJson<'_>>(value)?.try_into()?),
    })
}

#[derive(Serialize, Deserialize)]
struct MetaJson {
    shards: u32,
    hash: String,
    format: u32,
}

impl From<&Meta> for MetaJson {
    fn from(meta: &Meta) -> Self {
        Self { shards: meta.shards, hash: meta.hash.clone(), format: meta.format }
    }
}

impl From<MetaJson> for Meta {
    fn from(meta: MetaJson) -> Self {
        Self { shards: meta.shards, hash: meta.hash, format: meta.format }
    }
}

#[derive(Serialize, Deserialize)]
struct NodeJson<'a> {
    incarnation: u64,
    state: Cow<'a, str>,
    peer_address: Cow<'a, str>,
    #[serde(default)]
    http_address: Cow<'a, str>,
    weight: u32,
    #[serde(default)]
    zone: Cow<'a, str>,
    #[serde(default)]
    labels: Cow<'a, BTreeMap<String, String>>,
    #[serde(default)]
    kinds: Cow<'a, [String]>,
    #[serde(default)]
    version: Cow<'a, str>,
}

impl<'a> From<&'a NodeRecord> for NodeJson<'a> {
    fn from(node: &'a NodeRecord) -> Self {
        let profile = &node.profile;
        Self {
            incarnation: node.incarnation.0,
            state: node.state.as_str().into(),
            peer_address: profile.peer_address.as_str().into(),
            http_address: profile.http_address.as_str().into(),
            weight: profile.weight,
            zone: profile.zone.as_str().into(),
            labels: Cow::Borrowed(&profile.labels),
            kinds: profile.kinds.as_slice().into(),
            version: profile.version.as_str().into(),
        }
    }
}

impl TryFrom<NodeJson<'_>> for NodeRecord {
    type Error = Unreadable;

    fn try_from(node: NodeJson<'_>) -> Result<Self, Unreadable> {
        let state = match &*node.state {
            "active" => NodeState::Active,
            "draining" => NodeState::Draining,
            "dead" => NodeState::Dead,
            other => return Err(Unreadable::State(other.to_owned())),
        };
        let profile = NodeProfile {
            peer_address: node.peer_address.into_owned(),
            http_address: node.http_address.into_owned(),
            weight: node.weight,
            zone: node.zone.into_owned(),
            labels: node.labels.into_owned(),
            kinds: node.kinds.into_owned(),
            version: node.version.into_owned(),
        };
        Ok(Self { incarnation: Incarnation(node.incarnation), state, profile })
    }
}

#[derive(Serialize, Deserialize)]
struct HeartbeatJson {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    incarnation: Option<u64>,
    sequence: u64,
    nonce: u64,
    #[serde(default)]
    window_ms: u64,
}

impl From<&HeartbeatRecord> for HeartbeatJson {
    fn from(heartbeat: &HeartbeatRecord) -> Self {
        let incarnation = heartbeat.incarnation.map(|incarnation| incarnation.0);
        let HeartbeatRecord { sequence, nonce, window_ms, .. } = *heartbeat;
        Self { incarnation, sequence, nonce, window_ms }
    }
}

impl From<HeartbeatJson> for HeartbeatRecord {
    fn from(heartbeat: HeartbeatJson) -> Self {
        let incarnation = heartbeat.incarnation.map(Incarnation);
        let HeartbeatJson { sequence, nonce, window_ms, .. } = heartbeat;
        Self { incarnation, sequence, nonce, window_ms }
    }
}

#[derive(Serialize, Deserialize)]
struct LifeJson<'a> {
    node: Cow<'a, str>,
    incarnation: u64,
}

impl<'a> From<&'a Life> for LifeJson<'a> {
    fn from(life: &'a Life) -> Self {
        Self { node: life.node.as_str().into(), incarnation: life.incarnation.0 }
    }
}

impl TryFrom<LifeJson<'_>> for Life {
    type Error = Unreadable;

    fn try_from(life: LifeJson<'_>) -> Result<Self, Unreadable> {
        let node = NodeId::new(&*life.node)?;
        Ok(Self { node, incarnation: Incarnation(life.incarnation) })
    }
}

#[derive(Serialize, Deserialize)]
struct LeaderJson<'a> {
    #[serde(borrow)]
    holder: Option<LifeJson<'a>>,
    term: u64,
}

impl<'a> From<&'a LeaderRecord> for LeaderJson<'a> {
    fn from(leader: &'a LeaderRecord) -> Self {
        Self { holder: leader.holder.as_ref().map(LifeJson::from), term: leader.term.0 }
    }
}

impl TryFrom<LeaderJson<'_>> for LeaderRecord {
    type Error = Unreadable;

    fn try_from(leader: LeaderJson<'_>) -> Result<Self, Unreadable> {
        let holder = leader.holder.map(Life::try_from).transpose()?;
        Ok(Self { holder, term: Term(counter(leader.term)?) })
    }
}

#[derive(Serialize, Deserialize)]
struct ShardJson<'a> {
    target: Option<Cow<'a, str>>,
    #[serde(borrow)]
    owner: Option<LifeJson<'a>>,
    epoch: u64,
    #[serde(default)]
    pinned: bool,
    since_ms: u64,
    reason: Cow<'a, str>,
}

impl<'a> From<&'a ShardRecord> for ShardJson<'a> {
    fn from(shard: &'a ShardRecord) -> Self {
        Self {
            target: shard.target.as_ref().map(|node| node.as_str().into()),
            owner: shard.owner.as_ref().map(LifeJson::from),
            epoch: shard.epoch.0,
            pinned: shard.pinned,
            since_ms: shard.since_ms,
            reason: Cow::Borrowed(&shard.reason),
        }
    }
}

impl TryFrom<ShardJson<'_>> for ShardRecord {
    type Error = Unreadable;

    fn try_from(shard: ShardJson<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            target: shard.target.map(|node| NodeId::new(&*node)).transpose()?,
            owner: shard.owner.map(Life::try_from).transpose()?,
            epoch: Epoch(counter(shard.epoch)?),
            pinned: shard.pinned,
            since_ms: shard.since_ms,
            reason: Cow::Owned(shard.reason.into_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life() -> Life {
        Life { node: NodeId::new("node-1").unwrap(), incarnation: Incarnation(42) }
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
            pinned: false,
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
                }),
                "/greenroom/demo/heartbeats/node-1",
                r#"{"incarnation":42,"sequence":7,"nonce":9,"window_ms":6000}"#,
            ),
            (
                Key::Leader,
                Record::Leader(LeaderRecord { holder: Some(life()), term: Term(4) }),
                "/greenroom/demo/leader",
                r#"{"holder":{"node":"node-1","incarnation":42},"term":4}"#,
            ),
            (
                Key::Shard(ShardId(77)),
                Record::Shard(shard),
                "/greenroom/demo/shards/default/00077",
                r#"{"target":"node-1","owner":{"node":"node-1","incarnation":42},"epoch":3,"pinned":false,"since_ms":1700000000000,"reason":"it had no live node"}"#,
            ),
        ]
    }

    /// What operators and other languages read in etcd: a change here is a change of the format.
    #[test]
    fn keys_and_values_are_as_documented() {
        let codec = Codec::new("demo");
        for (key, record, path, json) in examples() {
            assert_eq!(codec.key(&key), path);
            assert_eq!(std::str::from_utf8(&encode(&record)).unwrap(), json);
        }
    }

    #[test]
    fn what_is_written_can_be_read_and_unknown_fields_are_ignored() {
        let codec = Codec::new("demo");
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

    #[test]
    fn escaped_characters_are_read() {
        let value = r#"{"target":null,"owner":null,"epoch":1,"since_ms":0,"reason":"a \"b\""}"#;
        let record = decode(&Key::Shard(ShardId(1)), value.as_bytes()).unwrap();
        let Record::Shard(shard) = record else { panic!("{record:?}") };
        assert_eq!(shard.reason, "a \"b\"");
    }

    #[test]
    fn foreign_keys_and_garbage_are_left_out() {
        let codec = Codec::new("demo");
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
    }
}
