//! What a store in memory holds, and what transactions do to it.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::history::History;
use crate::store::{Change, Commit, KeyValue, Listing, StoreError, Txn, Write};

/// The revision of a fresh store, as in etcd.
const FIRST_REVISION: u64 = 1;

/// The keys at the present revision, and the history that led there.
#[derive(Debug)]
pub(super) struct State {
    revision: u64,
    keys: BTreeMap<String, KeyValue>,
    history: History,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            revision: FIRST_REVISION,
            keys: BTreeMap::new(),
            // Nothing happened before the first write, so a watch after revision 0 has nothing to
            // miss.
            history: History::after(0),
        }
    }

    pub(super) fn history(&self) -> &History {
        &self.history
    }

    pub(super) fn list(&self, prefix: &str) -> Listing {
        let items = self
            .keys
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(_, item)| item.clone())
            .collect();
        Listing { revision: self.revision, items }
    }

    pub(super) fn get(&self, key: &str) -> (u64, Option<KeyValue>) {
        (self.revision, self.keys.get(key).cloned())
    }

    /// Applies a transaction that has passed its check.
    pub(super) fn commit(&mut self, txn: Txn) -> Commit {
        if !txn.guards.iter().all(|guard| guard.holds(self.keys.get(guard.key()))) {
            let current = txn
                .guarded_keys()
                .into_iter()
                .map(|key| (key.to_owned(), self.keys.get(key).cloned()))
                .collect();
            return Commit::Refused { revision: self.revision, current };
        }
        let revision = self.revision + 1;
        let changes: Vec<Change> =
            txn.writes.into_iter().filter_map(|write| self.write(write, revision)).collect();
        if !changes.is_empty() {
            self.revision = revision;
            self.history.push(revision, changes);
        }
        Commit::Applied { revision: self.revision }
    }

    pub(super) fn compact(&mut self, revision: u64) -> Result<(), StoreError> {
        if revision > self.revision {
            let now = self.revision;
            return Err(StoreError::Permanent(format!(
                "revision {revision} can't be compacted, the store is at {now}"
            )));
        }
        let oldest = self.history.compacted();
        if revision <= oldest {
            return Err(StoreError::Compacted { oldest });
        }
        self.history.compact(revision);
        Ok(())
    }

    fn write(&mut self, write: Write, revision: u64) -> Option<Change> {
        match write {
            Write::Put { key, value } => {
                let create_revision =
                    self.keys.get(&key).map_or(revision, |item| item.create_revision);
                let item =
                    KeyValue { key: key.clone(), value, create_revision, mod_revision: revision };
                self.keys.insert(key, item.clone());
                Some(Change::Put(item))
            }
            Write::Delete { key } => {
                self.keys.remove(&key)?;
                Some(Change::Delete { key, mod_revision: revision })
            }
        }
    }
}
