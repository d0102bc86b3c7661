//! A linearizable store of records, as etcd promises one.

use std::collections::BTreeMap;

use greenroom_core::Outcome;
use greenroom_core::record::{Entry, Guard, Held, Key, Transaction, Write};

#[derive(Default)]
pub(crate) struct Store {
    pub(crate) revision: u64,
    pub(crate) held: BTreeMap<Key, Held>,
    /// Every change, in order.
    pub(crate) log: Vec<Entry>,
}

impl Store {
    pub(crate) fn entry(&self, key: &Key) -> Entry {
        Entry { key: key.clone(), revision: self.revision, held: self.held.get(key).cloned() }
    }

    pub(crate) fn all(&self) -> Vec<Entry> {
        self.held.keys().map(|key| self.entry(key)).collect()
    }

    fn holds(&self, guard: &Guard) -> bool {
        let held = self.held.get(guard.key());
        match guard {
            Guard::ModRevision(_, is) => held.map_or(0, |held| held.mod_revision) == *is,
            Guard::CreateRevision(_, is) => held.map_or(0, |held| held.create_revision) == *is,
            Guard::CreateRevisionNot(_, not) => held.map_or(0, |held| held.create_revision) != *not,
        }
    }

    pub(crate) fn commit(&mut self, transaction: &Transaction) -> Outcome {
        assert!(transaction.guards.len() <= 128, "etcd takes 128 compares");
        assert!(transaction.writes.len() <= 128, "etcd takes 128 operations");
        if !transaction.guards.iter().all(|guard| self.holds(guard)) {
            let current = transaction.guards.iter().map(|guard| self.entry(guard.key()));
            return Outcome::Refused { current: current.collect() };
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
            self.log.push(self.entry(write.key()));
        }
        Outcome::Applied { revision: self.revision }
    }
}
