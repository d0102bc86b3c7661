//! A watch on a store in memory: a cursor into the history that all watches share.

use async_trait::async_trait;
use tokio::sync::watch::Receiver;

use super::MemoryStore;
use super::state::State;
use crate::store::{Change, StoreError, Watch, WatchBatch};

/// The most revisions that one batch holds, so that a long replay doesn't hold the store's lock for
/// long.
const BATCH_REVISIONS_MAX: usize = 256;

pub(super) struct MemoryWatch {
    store: MemoryStore,
    prefix: String,
    /// Everything up to this revision has been delivered or didn't concern the prefix.
    cursor: u64,
    /// The cursor once pointed into the history. From then on it is lost, rather than compacted,
    /// when it falls out.
    followed: bool,
    /// How often the link had been cut when the watch was opened.
    cuts: u64,
    changed: Receiver<()>,
    /// Why the watch ended.
    ended: Option<StoreError>,
}

impl MemoryWatch {
    pub(super) fn open(store: MemoryStore, prefix: &str, after_revision: u64, cuts: u64) -> Self {
        let changed = store.shared.changed.subscribe();
        Self {
            store,
            prefix: prefix.to_owned(),
            cursor: after_revision,
            followed: false,
            cuts,
            changed,
            ended: None,
        }
    }

    /// What there is to deliver now, if anything.
    fn poll(&mut self) -> Result<Option<WatchBatch>, StoreError> {
        let store = self.store.clone();
        let state = store.shared.state.lock();
        if store.link.cuts() != self.cuts {
            return Err(StoreError::WatchLost("the handle was cut off".to_owned()));
        }
        let oldest = state.history().compacted();
        if self.cursor < oldest {
            if self.followed && self.cursor >= state.history().compacted_on_request() {
                return Err(StoreError::WatchLost("the watch fell too far behind".to_owned()));
            }
            return Err(StoreError::Compacted { oldest });
        }
        self.followed = true;
        Ok(self.advance(&state))
    }

    fn advance(&mut self, state: &State) -> Option<WatchBatch> {
        let mut changes: Vec<Change> = Vec::new();
        let mut taken = 0;
        for (revision, all) in state.history().since(self.cursor) {
            let before = changes.len();
            changes.extend(
                all.iter().filter(|change| change.key().starts_with(&self.prefix)).cloned(),
            );
            self.cursor = revision;
            taken += usize::from(changes.len() > before);
            if taken == BATCH_REVISIONS_MAX {
                break;
            }
        }
        (!changes.is_empty()).then_some(WatchBatch { revision: self.cursor, changes })
    }
}

#[async_trait]
impl Watch for MemoryWatch {
    async fn next(&mut self) -> Result<WatchBatch, StoreError> {
        if let Some(error) = &self.ended {
            return Err(error.clone());
        }
        loop {
            // Before looking, so that a change after the look wakes us.
            self.changed.mark_unchanged();
            match self.poll() {
                Ok(Some(batch)) => return Ok(batch),
                Ok(None) => {}
                Err(error) => {
                    self.ended = Some(error.clone());
                    return Err(error);
                }
            }
            if self.changed.changed().await.is_err() {
                // Not reachable while `store` is held, since it holds the sender; but a lost watch
                // is a safe answer.
                return Err(StoreError::WatchLost("the store is gone".to_owned()));
            }
        }
    }
}
