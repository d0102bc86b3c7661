//! A linearizable store of records, as etcd promises one.

#[path = "invariants/epochs.rs"]
mod epochs;

use std::collections::{BTreeMap, BTreeSet};

use greenroom_core::record::{Entry, Guard, Held, Key, Record, ShardRecord, Transaction, Write};
use greenroom_core::{Life, NodeId, Outcome, ShardId};

#[derive(Default)]
pub(crate) struct Store {
    pub(crate) revision: u64,
    pub(crate) held: BTreeMap<Key, Held>,
    /// Every change, in order.
    pub(crate) log: Vec<Entry>,
    /// Where in the log the changes of each key are; but for heartbeats, which nobody looks up.
    places: BTreeMap<Key, Vec<usize>>,
    /// How many of those nobody can be told of any more.
    pub(crate) compacted: usize,
    /// Keys whose records decode to nothing: their readers get no entry at all.
    pub(crate) unreadable: BTreeSet<Key>,
}

impl Store {
    pub(crate) fn entry(&self, key: &Key) -> Entry {
        Entry { key: key.clone(), revision: self.revision, held: self.held.get(key).cloned() }
    }

    /// What a reader of these keys gets.
    pub(crate) fn read<'a>(&self, keys: impl Iterator<Item = &'a Key>) -> Vec<Entry> {
        keys.filter(|key| !self.unreadable.contains(key)).map(|key| self.entry(key)).collect()
    }

    pub(crate) fn all(&self) -> Vec<Entry> {
        self.read(self.held.keys())
    }

    /// The record that a shard has, readable or not.
    pub(crate) fn shard(&self, shard: ShardId) -> Option<&ShardRecord> {
        match &self.held.get(&Key::Shard(shard))?.record {
            Record::Shard(record) => Some(record),
            _ => None,
        }
    }

    /// Something foreign overwrites a record.
    pub(crate) fn garble(&mut self, key: &Key) {
        if let Some(held) = self.held.get_mut(key) {
            self.revision += 1;
            held.mod_revision = self.revision;
            self.unreadable.insert(key.clone());
        }
    }

    /// A person puts the record back as it was.
    pub(crate) fn mend(&mut self, key: &Key) {
        if self.unreadable.remove(key)
            && let Some(held) = self.held.get_mut(key)
        {
            self.revision += 1;
            held.mod_revision = self.revision;
            self.note(key);
        }
    }

    /// The log grows by what stands under a key now.
    fn note(&mut self, key: &Key) {
        if !matches!(key, Key::Heartbeat(_)) {
            self.places.entry(key.clone()).or_default().push(self.log.len());
        }
        self.log.push(self.entry(key));
    }

    /// All records that a key ever held, the newest first.
    pub(crate) fn records_of(&self, key: &Key) -> impl Iterator<Item = &Record> {
        let places = self.places.get(key).into_iter().flatten().rev();
        places.filter_map(|place| self.log[*place].held.as_ref()).map(|held| &held.record)
    }

    pub(crate) fn holds(&self, guard: &Guard) -> bool {
        let held = self.held.get(guard.key());
        let revisions = held.map_or((0, 0), |held| (held.create_revision, held.mod_revision));
        guard.holds(revisions.0, revisions.1)
    }

    /// Runs a transaction that `writer` sent.
    pub(crate) fn commit(&mut self, writer: &NodeId, transaction: &Transaction) -> Outcome {
        assert!(transaction.guards.len() <= 128, "etcd takes 128 compares");
        assert!(transaction.writes.len() <= 128, "etcd takes 128 operations");
        if !transaction.guards.iter().all(|guard| self.holds(guard)) {
            let current = self.read(transaction.guards.iter().map(Guard::key));
            return Outcome::Refused { current };
        }
        for write in &transaction.writes {
            self.check(writer, write);
        }
        self.revision += 1;
        for write in &transaction.writes {
            match write {
                Write::Put(key, record) => {
                    let former = self.held.get(key);
                    let create_revision = former.map_or(self.revision, |held| held.create_revision);
                    let mod_revision = self.revision;
                    let held = Held { create_revision, mod_revision, record: record.clone() };
                    self.held.insert(key.clone(), held);
                }
                Write::Delete(key) => {
                    self.held.remove(key);
                }
            }
            self.note(write.key());
        }
        Outcome::Applied { revision: self.revision }
    }

    pub(crate) fn alive(&self, life: &Life) -> bool {
        self.held
            .get(&Key::Heartbeat(life.node.clone()))
            .is_some_and(|held| held.create_revision == life.incarnation.0)
    }
}
