//! What a store shows: keys, listings and changes.

use bytes::Bytes;

/// A key, what it holds, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key; never empty.
    pub key: String,
    /// What it holds.
    pub value: Bytes,
    /// The revision at which the key was created; a key that was deleted and put again has a new
    /// one.
    pub create_revision: u64,
    /// The revision of the last write of this key.
    pub mod_revision: u64,
}

/// All keys under a prefix, as they were at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The revision that was read. A watch after it misses nothing and repeats nothing.
    pub revision: u64,
    /// The keys, sorted by key.
    pub items: Vec<KeyValue>,
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The key was written and now holds this.
    Put(KeyValue),
    /// The key was deleted.
    Delete {
        /// The key that no longer exists.
        key: String,
        /// The revision of the deletion.
        mod_revision: u64,
    },
}

impl Change {
    /// The key that changed.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Put(item) => &item.key,
            Self::Delete { key, .. } => key,
        }
    }

    /// The revision at which it changed.
    #[must_use]
    pub fn mod_revision(&self) -> u64 {
        match self {
            Self::Put(item) => item.mod_revision,
            Self::Delete { mod_revision, .. } => *mod_revision,
        }
    }
}

/// Changes that a watch delivers together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchBatch {
    /// Everything up to this revision has been delivered: a new watch may resume after it.
    pub revision: u64,
    /// The changes of one or more whole revisions, in order. Empty when the store only shows that
    /// the watch lives.
    pub changes: Vec<Change>,
}
