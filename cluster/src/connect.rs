//! Which store a node uses.

use std::sync::Arc;

use crate::store::{EtcdOptions, EtcdStore, MemoryStore, Store, StoreError};

/// Which store a node uses. A node opens two connections: one for its heartbeat, one for all else.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a node has two")]
pub enum StoreConfig {
    /// A store inside this process, shared by the nodes that are given the same one.
    Memory(MemoryStore),
    /// An etcd cluster.
    Etcd(EtcdOptions),
}

impl StoreConfig {
    /// Opens a connection of its own.
    pub(crate) async fn connect(&self) -> Result<Arc<dyn Store>, StoreError> {
        Ok(match self {
            Self::Memory(store) => Arc::new(store.clone()),
            Self::Etcd(options) => Arc::new(EtcdStore::connect(options.clone()).await?),
        })
    }
}
