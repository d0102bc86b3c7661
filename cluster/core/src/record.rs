//! What stands in the store: keys, records, and guarded transactions over them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::groups::{GroupIndex, Groups};
use crate::{Epoch, Incarnation, Life, NodeId, ShardId, Term};

/// Version of the records' format.
pub const FORMAT: u32 = 1;
/// Name of the hash that places actors.
pub const HASH: &str = "fnv1a64";

/// The name of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// What was fixed at the cluster's birth.
    Meta,
    /// What a node says of itself.
    Node(NodeId),
    /// A node's sign of life. Exists exactly as long as the incarnation is alive.
    Heartbeat(NodeId),
    /// Who leads.
    Leader,
    /// Which shard groups there are.
    Groups,
    /// How far rebalancing has come.
    Rebalancing,
    /// Intent and ownership of a shard.
    Shard(ShardId),
}

/// The value of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// See [`Meta`].
    Meta(Meta),
    /// See [`NodeRecord`].
    Node(NodeRecord),
    /// See [`HeartbeatRecord`].
    Heartbeat(HeartbeatRecord),
    /// See [`LeaderRecord`].
    Leader(LeaderRecord),
    /// See [`Groups`].
    Groups(Groups),
    /// See [`RebalancingRecord`].
    Rebalancing(RebalancingRecord),
    /// See [`ShardRecord`].
    Shard(ShardRecord),
}

/// What is fixed at a cluster's birth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Number of shards.
    pub shards: u32,
    /// Name of the hash, [`HASH`].
    pub hash: String,
    /// Version of the records, [`FORMAT`].
    pub format: u32,
}

impl Meta {
    /// What this version of the code writes at birth.
    pub fn born_with(shards: u32) -> Self {
        Self { shards, hash: HASH.to_owned(), format: FORMAT }
    }

    /// Whether it says what [`Meta::born_with`] would.
    pub fn is_born_with(&self, shards: u32) -> bool {
        self.shards == shards && self.hash == HASH && self.format == FORMAT
    }
}

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Takes shards.
    Active,
    /// Gives its shards away and will leave.
    Draining,
    /// Left, or was declared dead.
    Dead,
}

impl NodeState {
    /// The written name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Dead => "dead",
        }
    }
}

/// What a node says of itself. True only while the heartbeat of the same incarnation exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// Which life of the node wrote it.
    pub incarnation: Incarnation,
    /// Where it is in that life.
    pub state: NodeState,
    /// What it brings.
    pub profile: NodeProfile,
}

/// What a node brings to its cluster; the same for the whole life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeProfile {
    /// `host:port` at which other nodes reach it.
    pub peer_address: String,
    /// `host:port` of its HTTP gateway; empty without one.
    pub http_address: String,
    /// Share of the shards that it should bear, relative to the others; 0 for none.
    pub weight: u32,
    /// Where it stands; empty when nobody said.
    pub zone: String,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// Kinds of actors that it hosts, sorted.
    pub kinds: Vec<String>,
    /// Version of Greenroom that it runs.
    pub version: String,
}

/// A node's sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatRecord {
    /// Whose; unknown in the very first, whose revision becomes the incarnation.
    pub incarnation: Option<Incarnation>,
    /// Grows by one each beat.
    pub sequence: u64,
    /// Drawn by the process, so that it recognises its own first heartbeat after a lost reply.
    pub nonce: u64,
    /// The liveness window that its right to run counts on, in milliseconds: an observer waits for
    /// that or for its own, whichever is longer, so that a change of the window can be rolled out.
    pub window_ms: u64,
    /// When the next beat is due after this one, in milliseconds; 0 when the sender does not say.
    pub interval_ms: u64,
}

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderRecord {
    /// The leader; nobody after a resignation.
    pub holder: Option<Life>,
    /// Grows by one with each new leader.
    pub term: Term,
}

/// How far rebalancing has come, so that a new leader goes on where the former one stopped.
/// Absent means the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RebalancingRecord {
    /// The groups in which it has begun, and goes on whatever the threshold until all is even.
    pub under_way: BTreeSet<GroupIndex>,
    /// An operator holds it: what is in motion for balance goes back, and nothing more is moved.
    pub held: bool,
}

/// Intent and ownership of one shard. Never deleted, so that its epoch only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardRecord {
    /// Who should own it: the leader's intent.
    pub target: Option<NodeId>,
    /// Who owns it: written by the owner itself.
    pub owner: Option<Life>,
    /// Fencing token of the present or last owner.
    pub epoch: Epoch,
    /// Where an operator wants it, whatever the balance. Written by whichever node the operator
    /// asked; the leader follows it for as long as that node lives.
    pub pin: Option<NodeId>,
    /// Why the leader chose the target.
    pub reason: Arc<str>,
    /// When the record was last written, on the writer's wall clock; for people only.
    pub since_ms: u64,
}

/// A condition of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The key was last written at this revision (0: it is absent).
    ModRevision(Key, u64),
    /// The key was created at this revision (0: it is absent).
    CreateRevision(Key, u64),
    /// The key was not created at this revision: it is absent or belongs to another life.
    CreateRevisionNot(Key, u64),
}

impl Guard {
    /// That `life` is alive.
    pub fn alive(life: &Life) -> Self {
        Self::CreateRevision(Key::Heartbeat(life.node.clone()), life.incarnation.0)
    }

    /// That `life` is over.
    pub fn dead(life: &Life) -> Self {
        Self::CreateRevisionNot(Key::Heartbeat(life.node.clone()), life.incarnation.0)
    }

    /// Whether it holds for a key that was created and last written at these revisions (both 0: it
    /// is absent).
    pub fn holds(&self, created: u64, modified: u64) -> bool {
        match self {
            Self::ModRevision(_, is) => modified == *is,
            Self::CreateRevision(_, is) => created == *is,
            Self::CreateRevisionNot(_, not) => created != *not,
        }
    }

    /// The key that it looks at.
    pub fn key(&self) -> &Key {
        match self {
            Self::ModRevision(key, _)
            | Self::CreateRevision(key, _)
            | Self::CreateRevisionNot(key, _) => key,
        }
    }
}

/// A change that a transaction makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Writes a record.
    Put(Key, Record),
    /// Removes a key.
    Delete(Key),
}

impl Write {
    /// The key that it changes.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key,
        }
    }
}

/// Writes that happen together if all guards hold, and not at all otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// All must hold.
    pub guards: Vec<Guard>,
    /// What then happens, at one revision.
    pub writes: Vec<Write>,
}

/// What a key held at some revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which key.
    pub key: Key,
    /// The revision that this tells of: of the write or deletion when that is known, else of the
    /// read that found the key so.
    pub revision: u64,
    /// The record, unless the key was absent.
    pub held: Option<Held>,
}

/// A record as the store holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The revision at which the key was created.
    pub create_revision: u64,
    /// The revision at which it was last written.
    pub mod_revision: u64,
    /// The record.
    pub record: Record,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_ours_only_if_all_its_constants_are() {
        let ours = Meta::born_with(8192);
        assert!(ours.is_born_with(8192));
        assert!(!ours.is_born_with(4096));
        let hashed_otherwise = Meta { hash: "fnv1".to_owned(), ..ours.clone() };
        assert!(!hashed_otherwise.is_born_with(8192));
        let of_another_format = Meta { format: ours.format + 1, ..ours };
        assert!(!of_another_format.is_born_with(8192));
    }
}
