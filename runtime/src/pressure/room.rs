//! Room for so many actors: a place is taken before an actor comes to life, and given back when it
//! has gone, so there are never more than that.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::poll;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::Memory;
use super::keeper::MEASURE_EVERY;
use crate::failure::Failure;
use crate::overload::{Limit, Refusals, about};

/// How long an activation waits for a place while nobody is idle: some turns that run end soon.
const PATIENCE: Duration = Duration::from_millis(100);
/// When less than one place in so many is free, places are made before they are needed.
const SPARE_ONE_IN: usize = 20;
/// By how many places more than that, as one in so many.
const MARGIN_ONE_IN: usize = 100;

/// What there is too little of for one more actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scarce {
    /// The node's room.
    OnNode,
    /// The room of the actor's kind.
    OfKind,
    /// Memory.
    Memory,
}

/// Room for so many actors.
pub(crate) struct Room {
    max: usize,
    /// Whose, and by which setting.
    of: String,
    scarce: Scarce,
    /// Places; those who wait for one get it in the order in which they came.
    free: Semaphore,
    /// Activations that wait.
    waiting: AtomicUsize,
    /// Places that have been asked for since the keeper last looked.
    asked_for: AtomicUsize,
    /// Wakes the keeper.
    crowded: Notify,
    /// When the keeper last looked, nobody could go.
    dry: AtomicBool,
}

impl Room {
    /// The room of a node.
    pub(crate) fn of_node(max: usize) -> Self {
        Self::new(max, "on this node (GREENROOM_ACTIVATIONS_MAX)".to_owned(), Scarce::OnNode)
    }

    /// The room of a kind on a node.
    pub(crate) fn of_kind(kind: &str, max: usize) -> Self {
        let of = format!("of kind `{kind}` on this node (Kind::activations_max)");
        Self::new(max, of, Scarce::OfKind)
    }

    fn new(max: usize, of: String, scarce: Scarce) -> Self {
        Self {
            max,
            of,
            scarce,
            free: Semaphore::new(max),
            waiting: AtomicUsize::new(0),
            asked_for: AtomicUsize::new(0),
            crowded: Notify::new(),
            dry: AtomicBool::new(false),
        }
    }

    /// Takes a place: at once if there is one, else when an idle actor has gone for it.
    async fn take(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, Refused> {
        match self.free.try_acquire() {
            Ok(place) => {
                if self.free.available_permits() < self.spare() {
                    self.crowded.notify_one();
                }
                Ok(place)
            }
            // In a box, because most activations don't need all this.
            Err(_) => Box::pin(self.wait(deadline)).await,
        }
    }

    async fn wait(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, Refused> {
        let _counted = Waits::new(&self.waiting);
        let mut place = pin!(self.free.acquire());
        // It must stand in the queue before an actor goes for it, or a newcomer gets the place.
        if let Some(place) = ready(poll!(&mut place)) {
            return Ok(place);
        }
        // Whoever calls must hear of it while it listens, or it can't know that nothing has run.
        let now = Instant::now();
        let deadline = now + deadline.saturating_duration_since(now).mul_f64(0.9);
        loop {
            // Again after each pause: what was made before may have gone elsewhere.
            self.asked_for.fetch_add(1, Ordering::Relaxed);
            self.crowded.notify_one();
            let pause = deadline.min(Instant::now() + PATIENCE);
            if let Ok(Ok(place)) = timeout_at(pause, &mut place).await {
                return Ok(place);
            }
            if self.dry.load(Ordering::Relaxed) || Instant::now() >= deadline {
                return Err(self.full());
            }
        }
    }

    fn full(&self) -> Refused {
        let Self { max, of, scarce, .. } = self;
        let message = format!("at most {max} actors may be in memory {of}, and none is idle");
        Refused { scarce: *scarce, message }
    }

    fn give_back(&self) {
        self.free.add_permits(1);
    }

    /// Places that should be free.
    fn spare(&self) -> usize {
        self.max / SPARE_ONE_IN
    }

    /// Waits until places are needed.
    pub(super) async fn crowded(&self) {
        self.crowded.notified().await;
    }

    /// Places that were asked for since the last time.
    pub(super) fn asked_for(&self) -> usize {
        self.asked_for.swap(0, Ordering::Relaxed)
    }

    /// Activations that wait for a place.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Places to be made before they are needed.
    pub(super) fn short_of(&self) -> usize {
        let (free, spare) = (self.free.available_permits(), self.spare());
        if free < spare { spare + self.max / MARGIN_ONE_IN - free } else { 0 }
    }

    /// Tells those who wait whether there is any hope.
    pub(super) fn set_dry(&self, dry: bool) {
        self.dry.store(dry, Ordering::Relaxed);
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("max", &self.max).field("of", &self.of).finish_non_exhaustive()
    }
}

fn ready<T, E>(polled: std::task::Poll<Result<T, E>>) -> Option<T> {
    match polled {
        std::task::Poll::Ready(Ok(value)) => Some(value),
        _ => None,
    }
}

/// Counts an activation as waiting until it is dropped.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why there is no place for one more actor.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) scarce: Scarce,
    message: String,
}

impl Refused {
    /// Counts and refuses the call that wanted the actor, which surely does not run.
    pub(crate) fn refuse(self, refusals: &Refusals) -> Failure {
        let (limit, hint) = match self.scarce {
            Scarce::OnNode | Scarce::OfKind => (Limit::Activations, PATIENCE),
            // It stays short until it is measured again.
            Scarce::Memory => (Limit::Memory, MEASURE_EVERY),
        };
        refusals.refuse(limit, self.message, about(hint))
    }
}

/// All that an actor of a kind needs room in.
#[derive(Debug)]
pub(crate) struct Rooms {
    pub(crate) node: Arc<Room>,
    /// `None` if the kind may fill the node.
    pub(crate) kind: Option<Arc<Room>>,
    pub(crate) memory: Arc<Memory>,
}

impl Rooms {
    /// Takes a place for one actor.
    pub(crate) async fn take(&self, deadline: Instant) -> Result<Place<'_>, Refused> {
        if let Some(message) = self.memory.refusal() {
            return Err(Refused { scarce: Scarce::Memory, message });
        }
        let of_kind = match &self.kind {
            Some(kind) => Some(kind.take(deadline).await?),
            None => None,
        };
        Ok(Place { of_kind, on_node: self.node.take(deadline).await? })
    }

    /// Gives the place of an actor back that has gone.
    pub(crate) fn give_back(&self) {
        if let Some(kind) = &self.kind {
            kind.give_back();
        }
        self.node.give_back();
    }
}

/// The place of an actor that comes to life; given back when it is dropped.
pub(crate) struct Place<'a> {
    of_kind: Option<SemaphorePermit<'a>>,
    on_node: SemaphorePermit<'a>,
}

impl Place<'_> {
    /// The actor lives: [`Rooms::give_back`] is called when it has gone.
    pub(crate) fn keep(self) {
        if let Some(of_kind) = self.of_kind {
            of_kind.forget();
        }
        self.on_node.forget();
    }
}
