//! Records as they stand in the store, for the fuzz targets.

use greenroom_core::record::{Entry, Key, Record, Transaction, Write};

use crate::codec::Codec;
use crate::store::{self, KeyValue};

/// Reads and writes the records of one cluster, as its nodes do.
#[derive(Clone, Debug)]
pub struct Records(Codec);

impl Records {
    /// Of a cluster with so many shards a group.
    #[must_use]
    pub fn of(cluster: &str, shard_count: u32) -> Self {
        Self(Codec::new(cluster, shard_count))
    }

    /// What a key holds; `None` for what a node would leave alone.
    #[must_use]
    pub fn read(&self, item: &KeyValue) -> Option<Entry> {
        self.0.entry(item)
    }

    /// Key and value as a node would put them.
    ///
    /// # Panics
    /// Never: a transaction with one write has one.
    #[must_use]
    pub fn write(&self, key: Key, record: Record) -> (String, bytes::Bytes) {
        let put = Transaction { guards: Vec::new(), writes: vec![Write::Put(key, record)] };
        match self.0.transaction(&put).writes.pop() {
            Some(store::Write::Put { key, value }) => (key, value),
            other => panic!("{other:?} is no put"),
        }
    }
}
