//! A store in memory with etcd's semantics, for laptops, tests and simulation.

mod history;
mod link;
mod state;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use self::link::Link;
use self::state::State;
use self::watch::MemoryWatch;
use super::txn::check_key;
use super::{Commit, KeyValue, Listing, Store, StoreError, Txn, Watch};

pub use self::history::{HISTORY_BYTES_MAX, HISTORY_REVISIONS_MAX};

/// A store in memory. A clone is the same store seen through the same handle.
///
/// The history for watches is bounded by [`HISTORY_REVISIONS_MAX`] and [`HISTORY_BYTES_MAX`]; a
/// watch that falls further behind than that is lost.
///
/// ```
/// use greenroom_cluster::store::{MemoryStore, Store, Txn, Write};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), greenroom_cluster::store::StoreError> {
/// let store = MemoryStore::new();
/// let put = Write::Put { key: "colour".to_owned(), value: "green".into() };
/// store.commit(Txn { guards: vec![], writes: vec![put] }).await?;
///
/// let (_, found) = store.get("colour").await?;
/// assert_eq!(found.map(|item| item.value), Some("green".into()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct MemoryStore {
    /// What the store holds, common to all handles.
    shared: Arc<Shared>,
    /// The way from this handle to the store, which tests can cut.
    link: Arc<Link>,
}

/// What all handles of one store share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Wakes every watch after a commit, a compaction or a cut; the watch then looks at `state` for
    /// what it is.
    changed: tokio::sync::watch::Sender<()>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store at revision 1, as a fresh etcd is.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            state: Mutex::new(State::new()),
            changed: tokio::sync::watch::Sender::new(()),
        };
        Self { shared: Arc::new(shared), link: Arc::new(Link::root()) }
    }

    /// A new handle to the same store, which can be cut off without touching this one.
    ///
    /// Cutting off this handle cuts off the new one too: it reaches the store through this one. So
    /// the handle that [`MemoryStore::new`] gave stands for the store itself, and cutting it off is
    /// an outage for all.
    #[must_use]
    pub fn handle(&self) -> Self {
        let link = Link::below(Arc::clone(&self.link));
        Self { shared: Arc::clone(&self.shared), link: Arc::new(link) }
    }

    /// Cuts this handle, and those made from it, off the store, or joins them to it again.
    ///
    /// While it is cut off every call fails with [`StoreError::Transient`]. Open watches are lost
    /// at once, and stay lost.
    pub fn set_available(&self, available: bool) {
        {
            // Under the lock, so that each commit is either before the cut or refused by it.
            let _state = self.shared.state.lock();
            self.link.set_up(available);
        }
        self.shared.changed.send_replace(());
    }

    /// Drops the history up to `revision`, as etcd's compaction does: a watch may then start only
    /// after `revision` or later. What the keys hold now is not touched.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] if that was compacted before, [`StoreError::Permanent`] if
    /// `revision` is in the future.
    pub fn compact(&self, revision: u64) -> Result<(), StoreError> {
        self.shared.state.lock().compact(revision)?;
        self.shared.changed.send_replace(());
        Ok(())
    }

    /// Runs `action` on the store's state, if this handle reaches it.
    fn reach<T>(&self, action: impl FnOnce(&mut State) -> T) -> Result<T, StoreError> {
        let mut state = self.shared.state.lock();
        if !self.link.is_up() {
            return Err(StoreError::Transient("the handle is cut off".to_owned()));
        }
        Ok(action(&mut state))
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        self.reach(|state| state.list(prefix))
    }

    async fn get(&self, key: &str) -> Result<(u64, Option<KeyValue>), StoreError> {
        check_key(key)?;
        self.reach(|state| state.get(key))
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        txn.check()?;
        let commit = self.reach(|state| state.commit(txn))?;
        self.shared.changed.send_replace(());
        Ok(commit)
    }

    async fn watch(&self, prefix: &str, after_revision: u64) -> Result<Box<dyn Watch>, StoreError> {
        let cuts = self.reach(|_| self.link.cuts())?;
        let watch = MemoryWatch::open(self.clone(), prefix, after_revision, cuts);
        Ok(Box::new(watch))
    }
}
