//! A linearizable store of records in memory, as etcd promises one.

use std::collections::{BTreeMap, HashMap};

use greenroom_core::record::{Entry, Guard, Held, Key, Record, Transaction, Write};
use greenroom_core::{NodeId, Outcome, ShardId};

/// The records, and what was written since the last look.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) revision: u64,
    held: HashMap<Key, Held>,
    /// What the watches have not been told yet.
    pub(crate) news: Vec<Entry>,
    pub(crate) figures: Figures,
    /// Who owned each shard last.
    owners: BTreeMap<ShardId, NodeId>,
}

/// What was written since the last phase began.
#[derive(Default)]
pub(crate) struct Figures {
    /// Transactions besides heartbeats.
    pub(crate) transactions: usize,
    pub(crate) refused: usize,
    /// Shards that got an owner for the first time.
    pub(crate) first_claims: usize,
    /// Shards that got another owner than the last one.
    pub(crate) moves: usize,
}

impl Store {
    fn entry(&self, key: &Key) -> Entry {
        Entry { key: key.clone(), revision: self.revision, held: self.held.get(key).cloned() }
    }

    pub(crate) fn read<'a>(&self, keys: impl Iterator<Item = &'a Key>) -> Vec<Entry> {
        keys.map(|key| self.entry(key)).collect()
    }

    pub(crate) fn all(&self) -> Vec<Entry> {
        self.read(self.held.keys())
    }

    /// Who owned each shard last.
    pub(crate) fn owners(&self) -> &BTreeMap<ShardId, NodeId> {
        &self.owners
    }

    fn holds(&self, guard: &Guard) -> bool {
        let held = self.held.get(guard.key());
        let revisions = held.map_or((0, 0), |held| (held.create_revision, held.mod_revision));
        guard.holds(revisions.0, revisions.1)
    }

    pub(crate) fn commit(&mut self, transaction: &Transaction) -> Outcome {
        if !transaction.guards.iter().all(|guard| self.holds(guard)) {
            return Outcome::Refused {
                current: self.read(transaction.guards.iter().map(Guard::key)),
            };
        }
        self.revision += 1;
        for write in &transaction.writes {
            match write {
                Write::Put(key, record) => self.put(key, record),
                Write::Delete(key) => {
                    self.held.remove(key);
                }
            }
            self.news.push(self.entry(write.key()));
        }
        Outcome::Applied { revision: self.revision }
    }

    fn put(&mut self, key: &Key, record: &Record) {
        if let (Key::Shard(shard), Record::Shard(record)) = (key, record)
            && let Some(owner) = &record.owner
        {
            match self.owners.insert(*shard, owner.node.clone()) {
                None => self.figures.first_claims += 1,
                Some(former) => self.figures.moves += usize::from(former != owner.node),
            }
        }
        let mod_revision = self.revision;
        let create_revision = self.held.get(key).map_or(mod_revision, |held| held.create_revision);
        let held = Held { create_revision, mod_revision, record: record.clone() };
        self.held.insert(key.clone(), held);
    }
}
