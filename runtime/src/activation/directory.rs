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
use greenroom_core::{ActorId, NodeId, ShardId};
use greenroom_shardlock::{Gates, Permit};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::active::active_keys;
use super::cell::{Cell, Moved};
use super::name::Name;
use super::streams::Streams;
use super::turn::{Job, Later, Submitted};
use crate::actor::{Actor, DeactivateReason};
use crate::interface::{Dispatch, InterfaceSpec};
use crate::kind::{Host, OnPanic};
use crate::load::{Counted, Counts, Tally};
use crate::overload::{Crowd, Refusals};
use crate::pressure::{Clock, Coldest, Place, Room, Rooms, Told, Victim};
use crate::router::{Router, WeakRouter};

/// Most actors of a shard that are deactivated at the same time.
pub(super) const DEACTIVATIONS_IN_FLIGHT_MAX: usize = 64;

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
    /// Most actors of the kind in the memory of a node, if not as many as the node may have.
    pub(crate) activations_max: Option<usize>,
    pub(crate) on_panic: OnPanic,
}

impl Default for KindOptions {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(300),
            mailbox_len_max: 1024,
            calls_waiting_max: 262_144,
            activation_timeout: Duration::from_secs(10),
            activations_max: None,
            on_panic: OnPanic::default(),
        }
    }
}

/// What all cells of a kind share.
pub(super) struct Shared<A, I> {
    /// The kind's name, shared by all its actors.
    kind: Arc<str>,
    pub(super) node: NodeId,
    /// Whether the log may say which actor.
    pub(super) log_keys: bool,
    pub(super) options: KindOptions,
    /// The node's, on which all turns that wait go on.
    pub(super) runtime: Handle,
    pub(super) right: Arc<RightToRun>,
    pub(super) gates: Arc<Gates>,
    /// The node's.
    pub(super) clock: Clock,
    pub(super) rooms: Rooms,
    pub(super) told: Told,
    router: Arc<OnceLock<WeakRouter>>,
    pub(super) refusals: Arc<Refusals>,
    /// Calls that wait, or run on after their first poll.
    pub(super) crowd: Arc<Crowd>,
    pub(super) streams: Arc<Streams>,
    active: AtomicUsize,
    /// By number within the kind's group.
    shards: Box<[Slot<A, I>]>,
    /// Which group that is; known with the first call, and the same for good.
    group: OnceLock<u32>,
}

/// What there is of a kind in a shard. In a cache line of its own, which a call takes for the lock:
/// it has the tally then already, and gets in the way of no other shard.
#[repr(align(64))]
pub(super) struct Slot<A, I> {
    pub(super) cells: Mutex<Cells<A, I>>,
    tally: Tally,
}

impl<A, I> Default for Slot<A, I> {
    fn default() -> Self {
        Self { cells: Mutex::default(), tally: Tally::default() }
    }
}

impl<A, I> Shared<A, I> {
    /// The way to other actors; `None` only while the node is being taken down.
    pub(super) fn router(&self) -> Option<Router> {
        self.router.get()?.upgrade()
    }

    /// An actor has come to life in its place.
    pub(super) fn activated(&self, place: Place<'_>) {
        place.keep();
        self.active.fetch_add(1, Ordering::Relaxed);
    }

    /// An actor has gone, and its place is free.
    pub(super) fn deactivated(&self) {
        self.active.fetch_sub(1, Ordering::Relaxed);
        self.rooms.give_back();
    }

    /// Where the turns in a shard of the kind's group are counted.
    pub(super) fn tally(&self, shard: u32) -> &Tally {
        &self.slot(shard).tally
    }

    /// The shard of an actor that has been called, by its number through all groups.
    pub(super) fn shard_of(&self, id: &ActorId) -> u32 {
        self.group.get().map_or(0, |group| group * self.count()) + id.shard(self.count()).0
    }

    fn slot(&self, shard: u32) -> &Slot<A, I> {
        // A division takes longer than the usual answer.
        let number = if shard < self.count() { shard } else { shard % self.count() };
        &self.shards[number as usize]
    }

    /// Number of shards of a group.
    fn count(&self) -> u32 {
        self.shards.len() as u32
    }

    /// The cells of a shard, if it is of the kind's group.
    pub(super) fn cells(&self, shard: u32) -> Option<&Mutex<Cells<A, I>>> {
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

    /// Shows those of its actors that are at rest in the shard of this number.
    fn look(&self, number: u32, coldest: &mut Coldest<Victim>);

    /// The room of the kind, if it is not that of the node.
    fn room(&self) -> Option<&Arc<Room>>;

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
    pub(super) shared: Arc<Shared<A, I>>,
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
    pub(crate) fn new(host: Host, options: KindOptions) -> Self {
        let Host { node, log_keys, shards, right, gates, router, refusals, clock, room, memory } =
            host;
        let kind = I::SPEC.kind;
        let of_kind = options.activations_max.map(|max| Arc::new(Room::of_kind(kind, max)));
        Self {
            shared: Arc::new(Shared {
                kind: I::SPEC.kind.into(),
                options,
                runtime: Handle::current(),
                right,
                gates,
                clock,
                rooms: Rooms { node: room, kind: of_kind, memory },
                told: Told::of(&node, kind),
                node,
                log_keys,
                router,
                refusals,
                crowd: Arc::default(),
                streams: Arc::default(),
                active: AtomicUsize::new(0),
                shards: (0..shards).map(|_| Slot::default()).collect(),
                group: OnceLock::new(),
            }),
        }
    }

    /// The shards, each with its slot, once the group is known.
    pub(super) fn slots(&self) -> impl Iterator<Item = (u32, &Slot<A, I>)> {
        let group = self.shared.group.get();
        let first = group.map(|group| group * self.shared.count());
        first.into_iter().flat_map(|first| (first..).zip(&self.shared.shards))
    }

    /// The shard of a number, with its slot, once the group is known.
    pub(super) fn numbered_slot(&self, number: u32) -> Option<(u32, &Slot<A, I>)> {
        let first = self.shared.group.get()? * self.shared.count();
        Some((first + number, self.shared.shards.get(number as usize)?))
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
                cell.deactivate(shard.0, actor, DeactivateReason::Handoff).await;
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
                if let Some(actor) = cell.clear() {
                    cell.let_go(actor);
                    self.shared.deactivated();
                }
            }
        }
    }

    fn passivate(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.passivate_for_ever().await })
    }

    fn look(&self, number: u32, coldest: &mut Coldest<Victim>) {
        self.look_at(number, coldest);
    }

    fn room(&self) -> Option<&Arc<Room>> {
        self.shared.rooms.kind.as_ref()
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
