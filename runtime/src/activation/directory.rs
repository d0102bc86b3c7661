//! All actors of one kind on this node, by shard and key.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Context as TaskContext;
use std::time::Duration;

use fnv::FnvBuildHasher;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream;
use greenroom_cluster::RightToRun;
use greenroom_core::{ActorId, ShardId};
use greenroom_shardlock::{Gates, OwnedPermit};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::cell::{Cell, Moved};
use super::turn::{Job, Submitted};
use crate::actor::{Actor, DeactivateReason};
use crate::interface::{Dispatch, InterfaceSpec};
use crate::router::{Router, WeakRouter};

/// Most actors of a shard that are deactivated at the same time.
const DEACTIVATIONS_IN_FLIGHT_MAX: usize = 64;

/// How the actors of a kind live.
#[derive(Clone, Debug)]
pub(crate) struct KindOptions {
    /// After how long without a call an actor is deactivated.
    pub(crate) idle_timeout: Duration,
    /// Most calls that wait for one actor.
    pub(crate) mailbox_len_max: usize,
    /// How long an activation or a deactivation may take.
    pub(crate) activation_timeout: Duration,
}

impl Default for KindOptions {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(300),
            mailbox_len_max: 1024,
            activation_timeout: Duration::from_secs(10),
        }
    }
}

/// What all cells of a kind share.
pub(super) struct Shared {
    pub(super) options: KindOptions,
    pub(super) right: Arc<RightToRun>,
    router: Arc<OnceLock<WeakRouter>>,
    active: AtomicUsize,
}

impl Shared {
    /// The way to other actors; `None` only while the node is being taken down.
    pub(super) fn router(&self) -> Option<Router> {
        self.router.get()?.upgrade()
    }

    pub(super) fn activated(&self) {
        self.active.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn deactivated(&self) {
        self.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A kind that this node hosts, whatever its actor type.
pub(crate) trait Hosted: Send + Sync {
    fn spec(&self) -> &'static InterfaceSpec;

    /// Takes a call whose permit shows that its shard is open here.
    fn submit(&self, job: Job, permit: OwnedPermit, cx: &mut TaskContext<'_>) -> Submitted;

    /// Deactivates all actors of a shard whose gate is closed; `None` when there are none.
    fn deactivate_shard(&self, shard: ShardId) -> Option<BoxFuture<'static, ()>>;

    /// Drops all actors at once, without a farewell.
    fn drop_all(&self);

    /// Deactivates idle actors for as long as it is polled.
    fn passivate(self: Arc<Self>, gates: Arc<Gates>) -> BoxFuture<'static, ()>;

    /// Actors in memory.
    fn active_len(&self) -> usize;
}

type Cells<A, I> = HashMap<Arc<str>, Arc<Cell<A, I>>, FnvBuildHasher>;

/// All actors of one kind on this node.
pub(crate) struct Directory<A, I> {
    shards: Box<[Mutex<Cells<A, I>>]>,
    shared: Arc<Shared>,
}

impl<A: Actor, I: Dispatch<A>> Directory<A, I> {
    pub(crate) fn new(
        shards: u32,
        options: KindOptions,
        right: Arc<RightToRun>,
        router: Arc<OnceLock<WeakRouter>>,
    ) -> Self {
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            shared: Arc::new(Shared { options, right, router, active: AtomicUsize::new(0) }),
        }
    }

    fn cell(&self, id: &ActorId, shard: u32) -> Arc<Cell<A, I>> {
        let mut cells = self.shards[shard as usize].lock();
        if let Some(cell) = cells.get(id.key()) {
            return Arc::clone(cell);
        }
        let cell = Arc::new(Cell::new(id.clone()));
        cells.insert(id.shared_key(), Arc::clone(&cell));
        cell
    }

    fn take_out(&self, shard: usize) -> Vec<Arc<Cell<A, I>>> {
        let cells = std::mem::take(&mut *self.shards[shard].lock());
        cells.into_values().collect()
    }

    /// One round of passivation; yields between shards.
    async fn passivate_once(&self, gates: &Arc<Gates>) {
        let before = Instant::now() - self.shared.options.idle_timeout;
        for shard in 0..self.shards.len() {
            if self.shards[shard].lock().is_empty() {
                continue;
            }
            tokio::task::yield_now().await;
            let Ok(number) = u32::try_from(shard) else {
                return;
            };
            // Without a permit the shard is on its way out, and deactivates its actors itself.
            let Ok(_permit) = gates.enter_owned(number) else {
                continue;
            };
            let cells: Vec<_> = self.shards[shard].lock().values().cloned().collect();
            for cell in cells {
                if cell.passivate(&self.shared, before).await {
                    let mut cells = self.shards[shard].lock();
                    if cell.retire() {
                        cells.retain(|_, other| !Arc::ptr_eq(other, &cell));
                    }
                }
            }
        }
    }
}

impl<A: Actor, I: Dispatch<A>> Hosted for Directory<A, I> {
    fn spec(&self) -> &'static InterfaceSpec {
        &I::SPEC
    }

    fn submit(&self, mut job: Job, mut permit: OwnedPermit, cx: &mut TaskContext<'_>) -> Submitted {
        loop {
            let cell = self.cell(&job.id, permit.shard());
            match cell.submit(&self.shared, job, permit, cx) {
                Ok(submitted) => return submitted,
                // Passivated between the look-up and the lock: the directory has let go of that
                // cell, so the next look-up makes a new one.
                Err(Moved(same)) => (job, permit) = (same.job, same.permit),
            }
        }
    }

    fn deactivate_shard(&self, shard: ShardId) -> Option<BoxFuture<'static, ()>> {
        let cells = self.take_out(shard.0 as usize);
        if cells.is_empty() {
            return None;
        }
        let shared = Arc::clone(&self.shared);
        Some(Box::pin(async move {
            let farewells = cells.into_iter().map(|cell| {
                let shared = &shared;
                async move {
                    if let Some(actor) = cell.clear() {
                        cell.deactivate(shared, actor, DeactivateReason::Handoff).await;
                    }
                }
            });
            stream::iter(farewells)
                .buffer_unordered(DEACTIVATIONS_IN_FLIGHT_MAX)
                .for_each(|()| std::future::ready(()))
                .await;
        }))
    }

    fn drop_all(&self) {
        for shard in 0..self.shards.len() {
            for cell in self.take_out(shard) {
                if cell.clear().is_some() {
                    self.shared.deactivated();
                }
            }
        }
    }

    fn passivate(self: Arc<Self>, gates: Arc<Gates>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let pause = (self.shared.options.idle_timeout / 4).max(Duration::from_millis(20));
            loop {
                tokio::time::sleep(pause).await;
                self.passivate_once(&gates).await;
            }
        })
    }

    fn active_len(&self) -> usize {
        self.shared.active.load(Ordering::Relaxed)
    }
}
