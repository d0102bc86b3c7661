//! Guarded transactions, and the limits that every store keeps.

use std::collections::HashSet;

use bytes::Bytes;

use super::{KeyValue, StoreError};

/// The most guards in a transaction, as in etcd's default configuration.
pub const TXN_GUARDS_MAX: usize = 128;

/// The most writes in a transaction, as in etcd's default configuration, which counts them apart
/// from guards.
pub const TXN_WRITES_MAX: usize = 128;

/// The most bytes of keys and values in a transaction. etcd refuses requests over 1.5 MiB; the rest
/// is for framing.
pub const TXN_BYTES_MAX: usize = 1024 * 1024;

/// A condition on one key. Revision 0 stands for "the key is absent".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// The key was last written at revision `is`.
    ModRevision {
        /// The guarded key.
        key: String,
        /// The revision it must have; 0: the key is absent.
        is: u64,
    },
    /// The key was created at revision `is`.
    CreateRevision {
        /// The guarded key.
        key: String,
        /// The revision it must have; 0: the key is absent.
        is: u64,
    },
    /// The key was not created at revision `not`.
    CreateRevisionNot {
        /// The guarded key.
        key: String,
        /// The revision it must not have; 0: the key exists.
        not: u64,
    },
}

impl Guard {
    /// The guarded key.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::ModRevision { key, .. }
            | Self::CreateRevision { key, .. }
            | Self::CreateRevisionNot { key, .. } => key,
        }
    }

    /// Whether the guard holds when the key is `current`.
    pub(super) fn holds(&self, current: Option<&KeyValue>) -> bool {
        let created = current.map_or(0, |item| item.create_revision);
        match self {
            Self::ModRevision { is, .. } => current.map_or(0, |item| item.mod_revision) == *is,
            Self::CreateRevision { is, .. } => created == *is,
            Self::CreateRevisionNot { not, .. } => created != *not,
        }
    }
}

/// A write of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Creates the key or replaces what it holds.
    Put {
        /// The key; not empty.
        key: String,
        /// What it shall hold.
        value: Bytes,
    },
    /// Deletes the key. Deleting an absent key changes nothing and takes no revision.
    Delete {
        /// The key; not empty.
        key: String,
    },
}

impl Write {
    /// The key that is written.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// Writes that happen together if all guards hold, at most one a key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Txn {
    /// What must hold; at most [`TXN_GUARDS_MAX`].
    pub guards: Vec<Guard>,
    /// What is written then; at most [`TXN_WRITES_MAX`].
    pub writes: Vec<Write>,
}

impl Txn {
    /// Checks the limits that every store keeps, before anything is sent.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let refuse = |why: String| Err(StoreError::Permanent(why));
        if self.guards.len() > TXN_GUARDS_MAX {
            let count = self.guards.len();
            return refuse(format!(
                "{count} guards in a transaction, at most {TXN_GUARDS_MAX} are allowed"
            ));
        }
        if self.writes.len() > TXN_WRITES_MAX {
            let count = self.writes.len();
            return refuse(format!(
                "{count} writes in a transaction, at most {TXN_WRITES_MAX} are allowed"
            ));
        }
        let keys = || self.guards.iter().map(Guard::key).chain(self.writes.iter().map(Write::key));
        if keys().any(str::is_empty) {
            return refuse("a transaction names an empty key".to_owned());
        }
        let values = self.writes.iter().map(|write| match write {
            Write::Put { value, .. } => value.len(),
            Write::Delete { .. } => 0,
        });
        let bytes = keys().map(str::len).chain(values).sum::<usize>();
        if bytes > TXN_BYTES_MAX {
            return refuse(format!(
                "{bytes} bytes in a transaction, at most {TXN_BYTES_MAX} are allowed"
            ));
        }
        let mut written = HashSet::with_capacity(self.writes.len());
        match self.writes.iter().map(Write::key).find(|key| !written.insert(*key)) {
            Some(key) => refuse(format!("a transaction writes the key {key:?} twice")),
            None => Ok(()),
        }
    }

    /// The guarded keys, each once, in the order of their first guard.
    pub(super) fn guarded_keys(&self) -> Vec<&str> {
        let mut seen = HashSet::with_capacity(self.guards.len());
        self.guards.iter().map(Guard::key).filter(|key| seen.insert(*key)).collect()
    }
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commit {
    /// All guards held and all writes were applied.
    Applied {
        /// The revision of the writes, or the store's present one if nothing changed.
        revision: u64,
    },
    /// A guard did not hold and nothing was applied.
    Refused {
        /// The revision at which the guards were looked at.
        revision: u64,
        /// What each guarded key held at that revision, in the order of their first guard.
        current: Vec<(String, Option<KeyValue>)>,
    },
}

/// Checks a key that is to be read.
pub(super) fn check_key(key: &str) -> Result<(), StoreError> {
    if key.is_empty() {
        return Err(StoreError::Permanent("the empty key can't be read".to_owned()));
    }
    Ok(())
}
