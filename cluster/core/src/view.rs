//! What a node knows of its cluster: the records it has seen, each with its revision.

use std::collections::BTreeMap;

use crate::groups::{GroupIndex, Groups};
use crate::record::{
    Entry, Guard, HeartbeatRecord, Held, Key, LeaderRecord, Meta, NodeRecord, NodeState,
    RebalancingRecord, Record, ShardRecord,
};
use crate::{Epoch, Incarnation, Life, NodeId, ShardId};

/// A node's picture of the store. It may be late, never invented: each part is what the store held
/// at some revision, and parts only move forward.
#[derive(Clone, Debug)]
pub struct View {
    revision: u64,
    changes: u64,
    meta: Option<Meta>,
    leader: Option<(LeaderRecord, u64)>,
    groups: Groups,
    rebalancing: RebalancingRecord,
    /// Shards of each group.
    shard_count: u32,
    nodes: BTreeMap<NodeId, NodeRecord>,
    heartbeats: BTreeMap<NodeId, Beat>,
    shards: Vec<Slot>,
    /// What was last seen of each key that is no shard.
    seen: BTreeMap<Key, Seen>,
}

/// The last news of a key.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Their revision, deletions included, so that an older report can't undo a newer one.
    revision: u64,
    /// At which revision the key was last written; 0 while it is absent.
    written: u64,
}

/// A heartbeat key as last seen.
#[derive(Clone, Debug)]
pub struct Beat {
    /// Revision at which the key was created: the incarnation of its life.
    pub create_revision: u64,
    /// Revision of the last beat.
    pub mod_revision: u64,
    /// What it says.
    pub record: HeartbeatRecord,
}

/// A shard's record as last seen; `mod_revision` 0 while it was never written.
#[derive(Clone, Debug, Default)]
pub struct Slot {
    /// What it says.
    pub record: ShardRecord,
    /// Guards the next write.
    pub mod_revision: u64,
}

/// A live node that has registered.
#[derive(Clone, Debug)]
pub struct MemberView<'a> {
    /// Which life.
    pub life: Life,
    /// What it says of itself.
    pub record: &'a NodeRecord,
}

impl MemberView<'_> {
    /// Whether shards may be given to it at all: not while it drains, nor ever to a weight of 0.
    pub fn takes_shards(&self) -> bool {
        self.record.state == NodeState::Active && self.record.profile.weight > 0
    }
}

/// What a piece of news was about, as far as it makes a difference to those who listen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// Anything at all.
    pub(crate) any: bool,
    /// Who is a member, or what a member says of itself.
    pub(crate) members: bool,
    /// The groups or their rules.
    pub(crate) groups: bool,
}

impl std::ops::BitOrAssign for News {
    fn bitor_assign(&mut self, other: Self) {
        self.any |= other.any;
        self.members |= other.members;
        self.groups |= other.groups;
    }
}

impl View {
    /// An empty picture of a cluster of `shards` shards a group.
    pub(crate) fn new(shards: u32) -> Self {
        Self {
            revision: 0,
            changes: 0,
            meta: None,
            leader: None,
            groups: Groups::default(),
            rebalancing: RebalancingRecord::default(),
            shard_count: shards,
            nodes: BTreeMap::new(),
            heartbeats: BTreeMap::new(),
            shards: vec![Slot::default(); shards as usize],
            seen: BTreeMap::new(),
        }
    }

    /// The newest revision that any news came from.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How often anything has changed, but for the beats of lives that go on.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// What was fixed at the cluster's birth, once known.
    pub fn meta(&self) -> Option<&Meta> {
        self.meta.as_ref()
    }

    /// Who leads, and the revision of that record (0: nobody ever led).
    pub fn leader(&self) -> (Option<&LeaderRecord>, u64) {
        match &self.leader {
            Some((record, revision)) => (Some(record), *revision),
            None => (None, 0),
        }
    }

    /// The shard groups.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// How far rebalancing has come.
    pub fn rebalancing(&self) -> &RebalancingRecord {
        &self.rebalancing
    }

    /// The revision at which a key that is no shard was last written; 0 while it is absent.
    pub(crate) fn revision_of(&self, key: &Key) -> u64 {
        self.seen.get(key).map_or(0, |seen| seen.written)
    }

    /// How many shards each group has.
    pub fn shard_count(&self) -> u32 {
        self.shard_count
    }

    /// The group that a shard belongs to.
    pub fn group_of(&self, shard: ShardId) -> GroupIndex {
        shard.group_and_number(self.shard_count).0
    }

    /// Whether the member may own shards of the group and is to be given some.
    pub fn takes_shards_of(&self, member: &MemberView<'_>, group: GroupIndex) -> bool {
        member.takes_shards() && self.groups.admits(group, &member.record.profile).is_ok()
    }

    /// All node records, those of dead nodes included.
    pub fn nodes(&self) -> impl Iterator<Item = (&NodeId, &NodeRecord)> {
        self.nodes.iter()
    }

    /// The record of a node.
    pub fn node(&self, node: &NodeId) -> Option<&NodeRecord> {
        self.nodes.get(node)
    }

    /// All heartbeat keys that exist.
    pub fn heartbeats(&self) -> impl Iterator<Item = (&NodeId, &Beat)> {
        self.heartbeats.iter()
    }

    /// The heartbeat key of a node.
    pub fn heartbeat(&self, node: &NodeId) -> Option<&Beat> {
        self.heartbeats.get(node)
    }

    /// Whether this life is not over, as far as seen.
    pub fn alive(&self, life: &Life) -> bool {
        self.heartbeats
            .get(&life.node)
            .is_some_and(|beat| beat.create_revision == life.incarnation.0)
    }

    /// The live, registered nodes, in order of their ids.
    pub fn members(&self) -> impl Iterator<Item = MemberView<'_>> {
        self.nodes.iter().filter_map(|(node, record)| self.member_of(node, record))
    }

    /// The node, if it is alive and registered.
    pub fn member(&self, node: &NodeId) -> Option<MemberView<'_>> {
        self.member_of(node, self.nodes.get(node)?)
    }

    fn member_of<'a>(&self, node: &NodeId, record: &'a NodeRecord) -> Option<MemberView<'a>> {
        let life = Life { node: node.clone(), incarnation: record.incarnation };
        let live = record.state != NodeState::Dead && self.alive(&life);
        live.then_some(MemberView { life, record })
    }

    /// All shards, in order of their numbers: those of the first group, then those of the next.
    pub fn shards(&self) -> &[Slot] {
        &self.shards
    }

    /// One shard.
    pub fn shard(&self, shard: ShardId) -> &Slot {
        &self.shards[shard.0 as usize]
    }

    /// The owner of a shard, if it is alive.
    pub fn live_owner(&self, shard: ShardId) -> Option<(&Life, Epoch)> {
        let record = &self.shard(shard).record;
        let owner = record.owner.as_ref().filter(|life| self.alive(life))?;
        Some((owner, record.epoch))
    }

    /// Where the calls of a shard go: its owner, if that is alive and has said where it is.
    pub(crate) fn route(&self, shard: ShardId) -> Option<(Life, Epoch)> {
        let (owner, epoch) = self.live_owner(shard)?;
        let known = self.node(&owner.node)?.incarnation == owner.incarnation;
        known.then(|| (owner.clone(), epoch))
    }

    /// Whether a guard would hold, as far as seen.
    pub(crate) fn holds(&self, guard: &Guard) -> bool {
        let (created, modified) = match guard.key() {
            Key::Shard(shard) => {
                let revision =
                    self.shards.get(shard.0 as usize).map_or(0, |slot| slot.mod_revision);
                (revision, revision)
            }
            Key::Heartbeat(node) => self
                .heartbeats
                .get(node)
                .map_or((0, 0), |beat| (beat.create_revision, beat.mod_revision)),
            Key::Leader => (self.leader().1, self.leader().1),
            key @ (Key::Meta | Key::Node(_) | Key::Groups | Key::Rebalancing) => {
                let revision = self.revision_of(key);
                (revision, revision)
            }
        };
        guard.holds(created, modified)
    }

    /// Takes in what the store held.
    pub(crate) fn apply(&mut self, entry: Entry) -> News {
        let Entry { key, revision, held } = entry;
        self.revision = self.revision.max(revision);
        if let Key::Shard(shard) = key {
            return News { any: self.apply_shard(shard, held), ..News::default() };
        }
        let revision = held.as_ref().map_or(revision, |held| held.mod_revision);
        let seen = match self.seen.get_mut(&key) {
            Some(seen) => seen,
            None => self.seen.entry(key.clone()).or_default(),
        };
        if revision <= seen.revision {
            return News::default();
        }
        *seen = Seen { revision, written: held.as_ref().map_or(0, |held| held.mod_revision) };
        let members = match &key {
            Key::Node(_) => true,
            // One more beat changes no membership.
            Key::Heartbeat(node) => {
                let before = self.heartbeats.get(node).map(|beat| beat.create_revision);
                before != held.as_ref().map(|held| held.create_revision)
            }
            _ => false,
        };
        let one_more_beat = matches!(&key, Key::Heartbeat(_)) && !members;
        self.changes += u64::from(!one_more_beat);
        let groups = key == Key::Groups;
        self.apply_other(key, held);
        News { any: true, members, groups }
    }

    fn apply_shard(&mut self, shard: ShardId, held: Option<Held>) -> bool {
        let Some(slot) = self.shards.get_mut(shard.0 as usize) else {
            return false;
        };
        // Shard records are never deleted, so an absence is older than any record seen.
        let Some(Held { mod_revision, record: Record::Shard(record), .. }) = held else {
            return false;
        };
        if mod_revision <= slot.mod_revision {
            return false;
        }
        *slot = Slot { record, mod_revision };
        self.changes += 1;
        true
    }

    fn apply_other(&mut self, key: Key, held: Option<Held>) {
        match (key, held) {
            (Key::Node(node), Some(Held { record: Record::Node(record), .. })) => {
                self.nodes.insert(node, record);
            }
            (Key::Node(node), None) => {
                self.nodes.remove(&node);
            }
            (Key::Heartbeat(node), Some(held)) => {
                let Record::Heartbeat(record) = held.record else {
                    return;
                };
                let Held { create_revision, mod_revision, .. } = held;
                self.heartbeats.insert(node, Beat { create_revision, mod_revision, record });
            }
            (Key::Heartbeat(node), None) => {
                self.heartbeats.remove(&node);
            }
            (Key::Leader, Some(held)) => {
                let Record::Leader(record) = held.record else {
                    return;
                };
                self.leader = Some((record, held.mod_revision));
            }
            // Nobody of ours deletes it; if somebody did, nobody leads, and terms go on growing.
            (Key::Leader, None) => {
                if let Some((record, revision)) = &mut self.leader {
                    record.holder = None;
                    *revision = 0;
                }
            }
            (Key::Meta, Some(Held { record: Record::Meta(meta), .. })) => self.meta = Some(meta),
            // Groups are only ever added, so numbers of shards stay what they are.
            (Key::Groups, Some(Held { record: Record::Groups(groups), .. }))
                if groups.len() >= self.groups.len() =>
            {
                let shards = groups.len() * self.shard_count as usize;
                self.shards.resize(shards, Slot::default());
                self.groups = groups;
            }
            (Key::Rebalancing, held) => {
                self.rebalancing = match held.map(|held| held.record) {
                    Some(Record::Rebalancing(record)) => record,
                    _ => RebalancingRecord::default(),
                };
            }
            // The meta key is never deleted; a record under another one's key is none of ours.
            _ => {}
        }
    }

    /// Takes in everything that the store held at `revision`: what is not among `entries` was
    /// absent then.
    pub(crate) fn apply_snapshot(&mut self, revision: u64, mut entries: Vec<Entry>) {
        let present: std::collections::BTreeSet<Key> =
            entries.iter().map(|entry| entry.key.clone()).collect();
        let nodes = self.nodes.keys().cloned().map(Key::Node);
        let beats = self.heartbeats.keys().cloned().map(Key::Heartbeat);
        let gone: Vec<Key> = nodes.chain(beats).filter(|key| !present.contains(key)).collect();
        for key in gone {
            self.apply(Entry { key, revision, held: None });
        }
        // The groups say how many shards there are.
        if let Some(groups) = entries.iter().position(|entry| entry.key == Key::Groups) {
            self.apply(entries.swap_remove(groups));
        }
        for entry in entries {
            self.apply(entry);
        }
        self.revision = self.revision.max(revision);
    }
}

/// The life whose heartbeat this is.
pub(crate) fn life_of(node: &NodeId, beat: &Beat) -> Life {
    Life { node: node.clone(), incarnation: Incarnation(beat.create_revision) }
}

#[cfg(test)]
pub(crate) mod tests;
