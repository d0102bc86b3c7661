//! Follows the store: a read of everything, then the watch from there, again and again.

use std::sync::Arc;
use std::time::Duration;

use greenroom_core::{Event, NodeId};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use crate::codec::Codec;
use crate::quiet::Quiet;
use crate::store::{Store, StoreError, Watch};

/// A watch is a hint: how often everything is read anew, to heal one that stalls silently.
const REREAD_INTERVAL: Duration = Duration::from_secs(30);
/// How long to wait before trying again after a failure; jittered.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct Watcher {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) codec: Codec,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) quiet: Quiet,
    /// For the log.
    pub(crate) node: NodeId,
}

impl Watcher {
    /// Runs until the receiver of the events is gone.
    pub(crate) async fn run(mut self) {
        while !self.events.is_closed() {
            let Err(error) = self.follow().await else { return };
            if let Some(untold) = self.quiet.occurred() {
                let node = &self.node;
                tracing::warn!(%node, %error, untold, "can't follow the store; trying again");
            }
            if self.events.send(Event::WatchLost).await.is_err() {
                return;
            }
            sleep(RETRY_PAUSE / 2 + RETRY_PAUSE.mul_f64(fastrand::f64())).await;
        }
    }

    /// Reads everything and follows from there, until something fails.
    async fn follow(&mut self) -> Result<(), StoreError> {
        loop {
            let revision = self.read_all().await?;
            self.quiet.over();
            let mut watch = self.store.watch(self.codec.prefix(), revision).await?;
            let reread_at = Instant::now() + REREAD_INTERVAL.mul_f64(0.8 + 0.4 * fastrand::f64());
            if !self.forward(&mut *watch, reread_at).await? {
                return Ok(());
            }
        }
    }

    async fn read_all(&self) -> Result<u64, StoreError> {
        let listing = self.store.list(self.codec.prefix()).await?;
        let revision = listing.revision;
        let entries = listing.items.iter().filter_map(|item| self.codec.entry(item)).collect();
        let _ = self.events.send(Event::Snapshot { revision, entries }).await;
        Ok(revision)
    }

    /// Forwards changes until it is time to read everything again (`true`), or nobody listens any
    /// more (`false`).
    async fn forward(&self, watch: &mut dyn Watch, until: Instant) -> Result<bool, StoreError> {
        loop {
            let Ok(batch) = timeout_at(until, watch.next()).await else {
                return Ok(true);
            };
            let batch = batch?;
            let changes = batch.changes.iter();
            let entries: Vec<_> = changes.filter_map(|change| self.codec.change(change)).collect();
            if !entries.is_empty() && self.events.send(Event::Changes { entries }).await.is_err() {
                return Ok(false);
            }
        }
    }
}

#[cfg(test)]
mod tests;
