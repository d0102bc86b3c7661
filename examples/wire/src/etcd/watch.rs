//! The service of watches.

use std::collections::BTreeMap;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::faults::WatchFate;
use super::mvcc::{DELETE, Span};
use super::{Etcd, Member, header, refusal};
use crate::api::{Event, WatchRequest, WatchRequestUnion, WatchResponse, WatchService};

/// Replies that wait for a client that does not read.
const REPLIES_WAITING_MAX: usize = 64;

/// What is left out of a watch.
const NO_PUT: i32 = 0;
const NO_DELETE: i32 = 1;

struct Watcher {
    span: Span,
    /// The revision that is told next.
    next: i64,
    filters: Vec<i32>,
    prev_kv: bool,
    fate: WatchFate,
    /// Since when it has this fate.
    began: Instant,
    disturbances_seen: u64,
}

impl Watcher {
    /// Its fate changes when the watches are disturbed.
    fn look_for_fate(&mut self, etcd: &Etcd) {
        let fate = etcd.faults(|faults| faults.of_disturbed_watch(&mut self.disturbances_seen));
        if let Some(fate) = fate {
            (self.fate, self.began) = (fate, Instant::now());
        }
    }

    fn is_silent(&self) -> bool {
        let age = self.began.elapsed();
        matches!(self.fate, WatchFate::Stalls(from, to, _) if (from..to).contains(&age))
    }

    /// Neither does it say that it lives.
    fn is_deaf(&self) -> bool {
        self.is_silent() && matches!(self.fate, WatchFate::Stalls(_, _, false))
    }

    fn is_over(&self) -> bool {
        matches!(self.fate, WatchFate::Ends(at) if self.began.elapsed() >= at)
    }

    /// When its fate changes it next.
    fn changes_at(&self) -> Option<Instant> {
        let at = match self.fate {
            WatchFate::Fine => return None,
            WatchFate::Stalls(_, to, _) => to,
            WatchFate::Ends(at) => at,
        };
        Some(self.began + at).filter(|at| *at > Instant::now())
    }

    /// What it has to tell; `None` when it is so far behind that this was compacted away.
    fn news(&mut self, etcd: &Etcd) -> Option<Vec<Event>> {
        etcd.read(|store, _| {
            if self.next < store.compacted() {
                return None;
            }
            let mine = store.changes_from(self.next).filter(|event| {
                let filter = if event.r#type == DELETE { NO_DELETE } else { NO_PUT };
                let key = event.kv.as_ref().map_or(&b""[..], |held| &held.key);
                self.span.contains(key) && !self.filters.contains(&filter)
            });
            let mine = mine.cloned().map(|mut event| {
                if self.prev_kv {
                    event.prev_kv = store.before(&event);
                }
                event
            });
            let news = mine.collect();
            self.next = self.next.max(store.revision + 1);
            Some(news)
        })
    }
}

/// The watches of one stream.
struct Watches {
    member: Member,
    watchers: BTreeMap<i64, Watcher>,
    replies: mpsc::Sender<Result<WatchResponse, Status>>,
}

#[tonic::async_trait]
impl WatchService for Member {
    type WatchStream = ReceiverStream<Result<WatchResponse, Status>>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (replies, stream) = mpsc::channel(REPLIES_WAITING_MAX);
        let watches = Watches { member: self.clone(), watchers: BTreeMap::new(), replies };
        tokio::spawn(watches.run(request.into_inner()));
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

impl Watches {
    /// Runs until the client has gone, or the stream has to end.
    async fn run(mut self, mut requests: Streaming<WatchRequest>) -> Option<()> {
        let mut revisions = self.member.etcd.revisions();
        loop {
            let change = self.watchers.values().filter_map(Watcher::changes_at).min();
            tokio::select! {
                biased;
                () = self.replies.closed() => return None,
                request = requests.message() => self.hear(request.ok()??).await?,
                changed = revisions.changed() => changed.ok()?,
                () = sleep_until(change.unwrap_or_else(Instant::now)), if change.is_some() => {}
            }
            self.tell().await?;
        }
    }

    async fn hear(&mut self, request: WatchRequest) -> Option<()> {
        let etcd = &self.member.etcd;
        let mut reply = WatchResponse { header: header(etcd.revision()), ..Default::default() };
        match request.request_union? {
            WatchRequestUnion::CreateRequest(create) => {
                if etcd.faults(|faults| faults.leaderless.contains(&self.member.number)) {
                    let _ = self.replies.send(Err(refusal::no_leader())).await;
                    return None;
                }
                let free = (0..).find(|id| !self.watchers.contains_key(id))?;
                reply.watch_id = if create.watch_id == 0 { free } else { create.watch_id };
                reply.created = true;
                let next = match create.start_revision {
                    ..=0 => etcd.revision() + 1,
                    start => start,
                };
                let fate = etcd.faults(super::Faults::of_watch);
                let mut disturbances_seen = 0;
                etcd.faults(|faults| faults.of_disturbed_watch(&mut disturbances_seen));
                let watcher = Watcher {
                    span: Span::new(&create.key, &create.range_end),
                    next,
                    filters: create.filters,
                    prev_kv: create.prev_kv,
                    fate,
                    began: Instant::now(),
                    disturbances_seen,
                };
                self.watchers.insert(reply.watch_id, watcher);
            }
            WatchRequestUnion::CancelRequest(cancel) => {
                self.watchers.remove(&cancel.watch_id)?;
                (reply.watch_id, reply.canceled) = (cancel.watch_id, true);
            }
            WatchRequestUnion::ProgressRequest(_) => {
                if self.watchers.values().any(Watcher::is_deaf) {
                    return Some(());
                }
                reply.watch_id = -1;
            }
        }
        self.replies.send(Ok(reply)).await.ok()
    }

    /// Tells all watches what is new to them.
    async fn tell(&mut self) -> Option<()> {
        let mut gone = Vec::new();
        for (&watch_id, watcher) in &mut self.watchers {
            let etcd = &self.member.etcd;
            watcher.look_for_fate(etcd);
            if watcher.is_silent() {
                continue;
            }
            let mut reply = WatchResponse {
                header: header(etcd.revision()),
                watch_id,
                ..WatchResponse::default()
            };
            match watcher.news(etcd) {
                _ if watcher.is_over() => reply.canceled = true,
                None => {
                    etcd.faults(|faults| faults.count("watch compacted"));
                    reply.canceled = true;
                    reply.compact_revision = etcd.read(|store, _| store.compacted());
                }
                Some(news) if news.is_empty() => continue,
                Some(news) => reply.events = news,
            }
            if reply.canceled {
                gone.push(watch_id);
            }
            self.replies.send(Ok(reply)).await.ok()?;
        }
        gone.iter().for_each(|id| drop(self.watchers.remove(id)));
        Some(())
    }
}
