//! Records as JSON: the serialised twins of the core's types.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use greenroom_core::record::{
    HeartbeatRecord, Key, LeaderRecord, Meta, NodeProfile, NodeRecord, NodeState,
    RebalancingRecord, Record, ShardRecord,
};
use greenroom_core::{
    Epoch, Group, GroupIndex, Groups, Incarnation, Labels, Life, NodeId, PlacementRule, Term,
};
use serde::{Deserialize, Serialize};

pub(super) fn encode(record: &Record) -> Bytes {
    let bytes = match record {
        Record::Meta(meta) => serde_json::to_vec(&MetaJson::from(meta)),
        Record::Node(node) => serde_json::to_vec(&NodeJson::from(node)),
        Record::Heartbeat(heartbeat) => serde_json::to_vec(&HeartbeatJson::from(heartbeat)),
        Record::Leader(leader) => serde_json::to_vec(&LeaderJson::from(leader)),
        Record::Groups(groups) => serde_json::to_vec(&GroupsJson::from(groups)),
        Record::Rebalancing(record) => serde_json::to_vec(&RebalancingJson::from(record)),
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

/// The revision at which something was created. A life with the number 0 would be taken for alive where
/// its key is absent, because absent keys were created at 0.
fn incarnation(number: u64) -> Result<Incarnation, Unreadable> {
    if number > 0 { Ok(Incarnation(number)) } else { Err(Unreadable::Incarnation) }
}

/// Why a value can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Name(#[from] greenroom_core::BadName),
    #[error("{0}")]
    Groups(#[from] greenroom_core::BadGroups),
    #[error("`{0}` is no state of a node")]
    State(String),
    #[error("{0} is beyond all counting")]
    Counter(u64),
    #[error("nobody's life has the number 0")]
    Incarnation,
}

pub(super) fn decode(key: &Key, value: &[u8]) -> Result<Record, Unreadable> {
    Ok(match key {
        Key::Meta => Record::Meta(serde_json::from_slice::<MetaJson>(value)?.into()),
        Key::Node(_) => Record::Node(serde_json::from_slice::<NodeJson<'_>>(value)?.try_into()?),
        Key::Heartbeat(_) => {
            Record::Heartbeat(serde_json::from_slice::<HeartbeatJson>(value)?.into())
        }
        Key::Leader => Record::Leader(serde_json::from_slice::<LeaderJson<'_>>(value)?.try_into()?),
        Key::Groups => Record::Groups(serde_json::from_slice::<GroupsJson>(value)?.try_into()?),
        Key::Rebalancing => {
            Record::Rebalancing(serde_json::from_slice::<RebalancingJson>(value)?.into())
        }
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
        Ok(Self { incarnation: incarnation(node.incarnation)?, state, profile })
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
    #[serde(default)]
    interval_ms: u64,
}

impl From<&HeartbeatRecord> for HeartbeatJson {
    fn from(heartbeat: &HeartbeatRecord) -> Self {
        let incarnation = heartbeat.incarnation.map(|incarnation| incarnation.0);
        let HeartbeatRecord { sequence, nonce, window_ms, interval_ms, .. } = *heartbeat;
        Self { incarnation, sequence, nonce, window_ms, interval_ms }
    }
}

impl From<HeartbeatJson> for HeartbeatRecord {
    fn from(heartbeat: HeartbeatJson) -> Self {
        let incarnation = heartbeat.incarnation.map(Incarnation);
        let HeartbeatJson { sequence, nonce, window_ms, interval_ms, .. } = heartbeat;
        Self { incarnation, sequence, nonce, window_ms, interval_ms }
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
        Ok(Self { node, incarnation: incarnation(life.incarnation)? })
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
    pinned: Option<Cow<'a, str>>,
    since_ms: u64,
    reason: Cow<'a, str>,
}

impl<'a> From<&'a ShardRecord> for ShardJson<'a> {
    fn from(shard: &'a ShardRecord) -> Self {
        Self {
            target: shard.target.as_ref().map(|node| node.as_str().into()),
            owner: shard.owner.as_ref().map(LifeJson::from),
            epoch: shard.epoch.0,
            pinned: shard.pin.as_ref().map(|node| node.as_str().into()),
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
            pin: shard.pinned.map(|node| NodeId::new(&*node)).transpose()?,
            since_ms: shard.since_ms,
            reason: shard.reason.into(),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct GroupsJson {
    groups: Vec<GroupJson>,
}

#[derive(Serialize, Deserialize)]
struct GroupJson {
    name: String,
    kinds: Vec<String>,
    #[serde(default)]
    require: Labels,
    #[serde(default)]
    prefer: Labels,
}

impl From<&Groups> for GroupsJson {
    fn from(groups: &Groups) -> Self {
        let groups = groups.as_slice().iter().cloned().map(|group| GroupJson {
            name: group.name,
            kinds: group.kinds,
            require: group.rule.require,
            prefer: group.rule.prefer,
        });
        Self { groups: groups.collect() }
    }
}

impl TryFrom<GroupsJson> for Groups {
    type Error = Unreadable;

    fn try_from(json: GroupsJson) -> Result<Self, Unreadable> {
        let groups = json.groups.into_iter().map(|group| Group {
            name: group.name,
            kinds: group.kinds,
            rule: PlacementRule { require: group.require, prefer: group.prefer },
        });
        let groups: Vec<Group> = groups.collect();
        Ok(Self::new(&groups)?)
    }
}

#[derive(Serialize, Deserialize)]
struct RebalancingJson {
    /// Places of the groups in the list of groups.
    under_way: BTreeSet<GroupIndex>,
    held: bool,
}

impl From<&RebalancingRecord> for RebalancingJson {
    fn from(RebalancingRecord { under_way, held }: &RebalancingRecord) -> Self {
        Self { under_way: under_way.clone(), held: *held }
    }
}

impl From<RebalancingJson> for RebalancingRecord {
    fn from(RebalancingJson { under_way, held }: RebalancingJson) -> Self {
        Self { under_way, held }
    }
}
