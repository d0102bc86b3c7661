//! The store that a cluster agrees through: a linearizable key-value store with etcd's semantics.
//!
//! Every successful transaction that changes something gives the store a new *revision*; a key
//! remembers at which revision it was created and last modified; a transaction can be guarded by
//! those revisions; a watch replays changes in the order of revisions from any one that hasn't been
//! compacted away.
//!
//! There are two implementations, and one conformance suite that both pass: [`EtcdStore`] for
//! clusters, and [`MemoryStore`] for laptops, tests and simulation. Nothing outside this module may
//! depend on which one it has.

mod error;
mod etcd;
mod memory;
mod txn;
mod view;

use std::fmt::Debug;

use async_trait::async_trait;

pub use self::error::StoreError;
pub use self::etcd::{Dial, EtcdOptions, EtcdStore, EtcdTls};
pub use self::memory::{HISTORY_BYTES_MAX, HISTORY_REVISIONS_MAX, MemoryStore};
pub use self::txn::{Commit, Guard, TXN_BYTES_MAX, TXN_GUARDS_MAX, TXN_WRITES_MAX, Txn, Write};
pub use self::view::{Change, KeyValue, Listing, WatchBatch};

/// A linearizable key-value store with revisions, guarded transactions and watches.
///
/// Keys are not empty. Every call ends within a time that the implementation bounds; none retries a
/// write that may have been applied, so the caller decides what a lost reply means.
#[async_trait]
pub trait Store: Send + Sync + Debug + 'static {
    /// Reads all keys that begin with `prefix`, at one revision, sorted by key. The empty prefix
    /// reads everything.
    ///
    /// # Errors
    /// [`StoreError::Transient`] when the read failed, [`StoreError::Permanent`] when trying again
    /// can't help.
    async fn list(&self, prefix: &str) -> Result<Listing, StoreError>;

    /// Reads one key, and says at which revision it was read.
    ///
    /// # Errors
    /// [`StoreError::Transient`] when the read failed, [`StoreError::Permanent`] when trying again
    /// can't help.
    async fn get(&self, key: &str) -> Result<(u64, Option<KeyValue>), StoreError>;

    /// Applies all writes of `txn` if all its guards hold, else none of them.
    ///
    /// A guard that doesn't hold is no error but [`Commit::Refused`].
    ///
    /// # Errors
    /// [`StoreError::Transient`] and [`StoreError::Permanent`] promise that nothing was applied;
    /// [`StoreError::Ambiguous`] says that it isn't known. A transaction over the limits is
    /// `Permanent`.
    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError>;

    /// Watches the changes of keys that begin with `prefix` and that were made after
    /// `after_revision`.
    ///
    /// To follow a [`Listing`], pass its revision. A revision that was compacted away is reported
    /// by the first [`Watch::next`], because etcd too tells it only on the open stream.
    ///
    /// # Errors
    /// [`StoreError::Transient`] when the watch could not be opened, [`StoreError::Permanent`] when
    /// trying again can't help.
    async fn watch(&self, prefix: &str, after_revision: u64) -> Result<Box<dyn Watch>, StoreError>;
}

/// An open watch. Dropping it closes it.
#[async_trait]
pub trait Watch: Send {
    /// Waits for the next changes.
    ///
    /// Cancel-safe: when the future is dropped before it is ready, no change is lost. A watch whose
    /// connection has silently died says so by itself after a while. After an error, the watch only
    /// repeats that error.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] and [`StoreError::WatchLost`]: read everything again and watch
    /// from there. [`StoreError::Permanent`]: the watch is not permitted.
    async fn next(&mut self) -> Result<WatchBatch, StoreError>;
}
