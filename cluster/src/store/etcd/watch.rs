//! A watch on etcd that notices when it hears nothing any more.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};

use super::convert::{change, unsigned};
use super::cursor::{Cursor, Reply};
use super::{EtcdStore, WatchResponse, WatchStream};
use crate::store::{StoreError, Watch, WatchBatch};

/// How many times the request timeout a watch may be silent before it is asked whether it lives.
const SILENCE_REQUEST_TIMEOUTS: u32 = 3;

/// An open watch on etcd.
pub(super) struct EtcdWatch {
    store: EtcdStore,
    /// Which connection the stream runs over.
    generation: u64,
    stream: WatchStream,
    watch_id: i64,
    cursor: Cursor,
    /// How long the stream may be silent before it is asked, and again before it is given up.
    silence_max: Duration,
    /// When the silence will have been too long. It is kept here so that a cancelled `next` doesn't
    /// start it anew.
    heard_by: Instant,
    /// A progress request is under way.
    asked: bool,
    /// Why the watch ended.
    ended: Option<StoreError>,
}

impl EtcdWatch {
    /// Takes over a stream on which etcd has answered `created`.
    ///
    /// # Errors
    /// [`StoreError::Transient`] and [`StoreError::Permanent`] when that answer is a refusal. A
    /// revision that was compacted away is left to `next`, whenever etcd tells it.
    pub(super) fn open(
        store: EtcdStore,
        generation: u64,
        stream: WatchStream,
        cursor: Cursor,
        created: &WatchResponse,
    ) -> Result<Self, StoreError> {
        let silence_max = store.shared.options.request_timeout * SILENCE_REQUEST_TIMEOUTS;
        let mut watch = Self {
            store,
            generation,
            stream,
            watch_id: created.watch_id(),
            cursor,
            silence_max,
            heard_by: Instant::now() + silence_max,
            asked: false,
            ended: None,
        };
        match watch.accept(created) {
            Ok(_) => {}
            Err(error @ StoreError::Compacted { .. }) => watch.ended = Some(error),
            Err(StoreError::WatchLost(why)) => return Err(StoreError::Transient(why)),
            Err(error) => return Err(error),
        }
        Ok(watch)
    }

    fn accept(&mut self, response: &WatchResponse) -> Result<Option<WatchBatch>, StoreError> {
        self.asked = false;
        self.heard_by = Instant::now() + self.silence_max;
        let reply = Reply {
            is_ours: response.watch_id() == self.watch_id,
            is_created: response.created(),
            canceled: response.canceled().then(|| response.cancel_reason().to_owned()),
            compact_revision: unsigned(response.compact_revision()),
            header_revision: response.header().map_or(0, |header| unsigned(header.revision())),
            changes: response.events().iter().filter_map(change).collect(),
        };
        self.cursor.accept(reply)
    }

    /// Waits for what the next reply delivers. Whatever must outlive a cancellation is kept in
    /// `self`.
    async fn hear(&mut self) -> Result<WatchBatch, StoreError> {
        loop {
            match timeout_at(self.heard_by, self.stream.message()).await {
                Ok(Ok(Some(response))) => {
                    if let Some(batch) = self.accept(&response)? {
                        return Ok(batch);
                    }
                }
                Ok(Ok(None)) => return Err(lost("etcd closed the stream")),
                Ok(Err(error)) => return Err(lost(&error.to_string())),
                Err(_) if self.asked => {
                    self.store.give_up(self.generation);
                    return Err(lost("etcd fell silent"));
                }
                Err(_) => {
                    // The queue of requests has room: it holds at most this one.
                    let asked = self.stream.request_progress().await;
                    asked.map_err(|error| lost(&error.to_string()))?;
                    self.asked = true;
                    self.heard_by = Instant::now() + self.store.shared.options.request_timeout;
                }
            }
        }
    }
}

#[async_trait]
impl Watch for EtcdWatch {
    async fn next(&mut self) -> Result<WatchBatch, StoreError> {
        if let Some(error) = &self.ended {
            return Err(error.clone());
        }
        self.hear().await.inspect_err(|error| self.ended = Some(error.clone()))
    }
}

fn lost(why: &str) -> StoreError {
    StoreError::WatchLost(why.to_owned())
}
