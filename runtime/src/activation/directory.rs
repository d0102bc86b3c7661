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
use greenroom_core::ShardId;
use greenroom_shardlock::{Gates, Permit};
use parking_lot::Mutex;
use tokio::runtime::{EnterGuard, Handle};
use tokio::time::Instant;

use super::active::active_keys;
use super::cell::{Cell, Moved};
use super::name::Name;
use super::turn::{Job, Later, Submitted};
use crate::actor::{Actor, DeactivateReason};
use crate::interface::{Dispatch, InterfaceSpec};
use crate::load::{Counted, Counts, Tally};
use crate::overload::{Crowd, Refusals};
use crate::router::{Router, WeakRouter};

/// Most actors of a shard that are deactivated at the same time.
const DEACTIVATIONS_IN_FLIGHT_MAX: usize = 64;

/// How often idle actors are looked for.
const PASSIVATE_EVERY_MIN: Duration = Duration::from_millis(20);
const PASSIVATE_EVERY_MAX: Duration = Duration::from_secs(5);

/// How the actors of a kind live.
#[derive(Clone, Debug)]
pub(crate) struct KindOptions {
    /// After how long without a call an actor is deactivated.
    pub(crate) idle_timeout: Duration,
    /// Most calls that wait for one actor.
    pub(crate) mailbox_len_max: usize,
    /// Most calls of the kind that wait, or run on after their first poll.
    pub(crate) calls_waiting_max: usize,
    /// How long an activation or a deactivation may take.
    pub(crate) activation_timeout: Duration,
}

impl Default for KindOptions {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(300),
            mailbox_len_max: 1024,
            calls_waiting_max: 262_144,
            activation_timeout: Duration::from_secs(10),
        }
    }
}

/// What all cells of a kind share.
pub(super) struct Shared<A, I> {
    /// The kind's name, shared by all its actors.
    kind: Arc<str>,
    pub(super) options: KindOptions,
    /// The node's, on which all turns that wait go on.
    pub(super) runtime: Handle,
    pub(super) right: Arc<RightToRun>,
    pub(super) gates: Arc<Gates>,
    router: Arc<OnceLock<WeakRouter>>,
    pub(super) refusals: Arc<Refusals>,
    /// Calls that wait, or run on after their first poll.
    pub(super) crowd: Arc<Crowd>,
    active: AtomicUsize,
    /// By number within the kind's group.
    shards: Box<[Slot<A, I>]>,
    /// Which group that is; known with the first call, and the same for good.
    group: OnceLock<u32>,
}

/// What there is of a kind in a shard. In a cache line of its own, which a call takes for the lock:
/// it has the tally then already, and gets in the way of no other shard.
#[repr(align(64))]
struct Slot<A, I> {
    cells: Mutex<Cells<A, I>>,
    tally: Tally,
}

impl<A, I> Default for Slot<A, I> {
    fn default() -> Self {
        Self { cells: Mutex::default(), tally: Tally::default() }
    }
}

impl<A, I> Shared<A, I> {
    /// Enters the node's runtime, unless that is where we are. Asking counts a reference that all
    /// threads share; entering would cost several times as much.
    pub(super) fn enter_runtime(&self) -> Option<EnterGuard<'_>> {
        let is_home = |current: Handle| current.id() == self.runtime.id();
        let home = Handle::try_current().is_ok_and(is_home);
        (!home).then(|| self.runtime.enter())
    }

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

    /// Where the turns in a shard of the kind's group are counted.
    pub(super) fn tally(&self, shard: u32) -> &Tally {
        &self.slot(shard).tally
    }

    fn slot(&self, shard: u32) -> &Slot<A, I> {
        &self.shards[(shard % self.count()) as usize]
    }

    /// Number of shards of a group.
    fn count(&self) -> u32 {
        self.shards.len() as u32
    }

    /// The cells of a shard, if it is of the kind's group.
    fn cells(&self, shard: u32) -> Option<&Mutex<Cells<A, I>>> {
        let ours = *self.group.get()? == shard / self.count();
        ours.then(|| &self.slot(shard).cells)
    }
}

/// A kind that this node hosts, whatever its actor type.
pub(crate) trait Hosted: Send + Sync {
    fn spec(&self) -> &'static InterfaceSpec;

    /// The kind's name, to be shared by the names of its actors.
    fn kind(&self) -> Arc<str>;

    /// Takes a call whose permit shows that its shard is open here.
    fn submit(
        &self,
        name: Name<'_>,
        job: Job,
        permit: Permit<'_>,
        cx: &mut TaskContext<'_>,
        later: &mut dyn Later,
    ) -> Submitted;

    /// Deactivates all actors of a shard whose gate is closed; `None` when there are none.
    fn deactivate_shard(&self, shard: ShardId) -> Option<BoxFuture<'static, ()>>;

    /// Drops all actors at once, without a farewell.
    fn drop_all(&self);

    /// Deactivates idle actors for as long as it is polled.
    fn passivate(self: Arc<Self>) -> BoxFuture<'static, ()>;

    /// Actors in memory.
    fn active_len(&self) -> usize;

    /// The keys of a shard's actors in memory, in ascending order, those after a key only; as many as
    /// there is room for, and whether more follow. Each takes its bytes and a few more of the
    /// room; the last one may take more than is left.
    fn active_keys(
        &self,
        shard: ShardId,
        after: Option<&str>,
        room: &mut usize,
    ) -> (Vec<Arc<str>>, bool);

    /// Adds what was counted since the last time, and the actors in memory, by shard.
    fn take_counts(&self, counts: &mut Counts);
}

pub(super) type Cells<A, I> = HashMap<Arc<str>, Arc<Cell<A, I>>, FnvBuildHasher>;

/// All actors of one kind on this node.
pub(crate) struct Directory<A, I> {
    shared: Arc<Shared<A, I>>,
}

/// Cells hold what they share, and that holds them: so somebody has to let go.
impl<A, I> Drop for Directory<A, I> {
    fn drop(&mut self) {
        for slot in &self.shared.shards {
            // Dropped when the lock is free again.
            let cells = std::mem::take(&mut *slot.cells.lock());
            drop(cells);
        }
    }
}

impl<A: Actor, I: Dispatch<A>> Directory<A, I> {
    pub(crate) fn new(
        shards: u32,
        options: KindOptions,
        right: Arc<RightToRun>,
        gates: Arc<Gates>,
        router: Arc<OnceLock<WeakRouter>>,
        refusals: Arc<Refusals>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                kind: I::SPEC.kind.into(),
                options,
                runtime: Handle::current(),
                right,
                gates,
                router,
                refusals,
                crowd: Arc::default(),
                active: AtomicUsize::new(0),
                shards: (0..shards).map(|_| Slot::default()).collect(),
                group: OnceLock::new(),
            }),
        }
    }

    /// The shards, each with its slot, once the group is known.
    fn slots(&self) -> impl Iterator<Item = (u32, &Slot<A, I>)> {
        let group = self.shared.group.get();
        let first = group.map(|group| group * self.shared.count());
        first.into_iter().flat_map(|first| (first..).zip(&self.shared.shards))
    }

    fn cell(&self, name: Name<'_>, shard: u32) -> Arc<Cell<A, I>> {
        let shared = &self.shared;
        shared.group.get_or_init(|| shard / shared.count());
        let mut cells = shared.slot(shard).cells.lock();
        if let Some(cell) = cells.get(name.key()) {
            return Arc::clone(cell);
        }
        let id = name.id(&shared.kind);
        let key = id.shared_key();
        let cell = Arc::new(Cell::new(id, Arc::clone(shared)));
        cells.insert(key, Arc::clone(&cell));
        cell
    }

    fn take_out(cells: &Mutex<Cells<A, I>>) -> Vec<Arc<Cell<A, I>>> {
        std::mem::take(&mut *cells.lock()).into_values().collect()
    }

    /// One round of passivation.
    async fn passivate_once(&self) {
        let before = Instant::now() - self.shared.options.idle_timeout;
        let shards = self.slots().filter(|(_, slot)| !slot.cells.lock().is_empty());
        let cells = shards.flat_map(|(shard, slot)| {
            let cells: Vec<_> = slot.cells.lock().values().cloned().collect();
            cells.into_iter().map(move |cell| (shard, cell))
        });
        stream::iter(cells)
            .for_each_concurrent(DEACTIVATIONS_IN_FLIGHT_MAX, |(shard, cell)| async move {
                tokio::task::coop::consume_budget().await;
                self.passivate_cell(shard, &cell, before).await;
            })
            .await;
    }

    async fn passivate_cell(&self, shard: u32, cell: &Arc<Cell<A, I>>, before: Instant) {
        // Without a permit the shard is on its way out, and deactivates its actors itself.
        let Ok(_permit) = self.shared.gates.enter(shard) else { return };
        if cell.passivate(before).await {
            let Some(cells) = self.shared.cells(shard) else { return };
            let mut cells = cells.lock();
            let same = cells.get(cell.id.key()).is_some_and(|other| Arc::ptr_eq(other, cell));
            if same && cell.retire() {
                cells.remove(cell.id.key());
            }
        }
    }
}

impl<A: Actor, I: Dispatch<A>> Hosted for Directory<A, I> {
    fn spec(&self) -> &'static InterfaceSpec {
        &I::SPEC
    }

    fn kind(&self) -> Arc<str> {
        Arc::clone(&self.shared.kind)
    }

    fn submit(
        &self,
        name: Name<'_>,
        mut job: Job,
        mut permit: Permit<'_>,
        cx: &mut TaskContext<'_>,
        later: &mut dyn Later,
    ) -> Submitted {
        loop {
            match self.cell(name, permit.shard()).submit(job, permit, cx, later) {
                Ok(submitted) => return submitted,
                // Passivated between the look-up and the lock: the directory has let go of that
                // cell, so the next look-up makes a new one.
                Err(moved) => Moved { job, permit } = *moved,
            }
        }
    }

    fn deactivate_shard(&self, shard: ShardId) -> Option<BoxFuture<'static, ()>> {
        let cells = Self::take_out(self.shared.cells(shard.0)?);
        if cells.is_empty() {
            return None;
        }
        // Nothing may start in any of them, however long the farewells take.
        let actors: Vec<_> =
            cells.into_iter().filter_map(|cell| cell.clear().map(|actor| (cell, actor))).collect();
        Some(Box::pin(async move {
            let farewells = actors.into_iter().map(|(cell, actor)| async move {
                cell.deactivate(actor, DeactivateReason::Handoff).await;
            });
            stream::iter(farewells)
                .buffer_unordered(DEACTIVATIONS_IN_FLIGHT_MAX)
                .for_each(|()| std::future::ready(()))
                .await;
        }))
    }

    fn drop_all(&self) {
        for slot in &self.shared.shards {
            for cell in Self::take_out(&slot.cells) {
                if cell.clear().is_some() {
                    self.shared.deactivated();
                }
            }
        }
    }

    fn passivate(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let pause = (self.shared.options.idle_timeout / 4)
                .clamp(PASSIVATE_EVERY_MIN, PASSIVATE_EVERY_MAX);
            loop {
                tokio::time::sleep(pause).await;
                self.passivate_once().await;
            }
        })
    }

    fn active_len(&self) -> usize {
        self.shared.active.load(Ordering::Relaxed)
    }

    fn active_keys(
        &self,
        shard: ShardId,
        after: Option<&str>,
        room: &mut usize,
    ) -> (Vec<Arc<str>>, bool) {
        match self.shared.cells(shard.0) {
            Some(cells) => active_keys(cells, after, room),
            None => (Vec::new(), false),
        }
    }

    fn take_counts(&self, counts: &mut Counts) {
        for (shard, slot) in self.slots() {
            let activations = slot.cells.lock().len();
            let counted = Counted { activations, ..slot.tally.take() };
            if counted != Counted::default() {
                counts.entry(ShardId(shard)).or_default().add(counted);
            }
        }
    }
}
