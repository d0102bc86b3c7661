//! Streams that methods returned, and what binds them to the activation that they come from.
//!
//! A stream outlives the turn that made it and holds no permit while nobody asks for an item, so it keeps
//! no shard from moving. For each item it enters the gate anew, under the epoch of its turn, and
//! checks the right to run before and after: so no item is given away that the answer of a turn could not
//! have been.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use fnv::FnvBuildHasher;
use greenroom_cluster::RightToRun;
use greenroom_shardlock::Gates;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::cell::{Cell, CellPermit};
use super::origin::tell;
use super::runtime::enter;
use crate::actor::Actor;
use crate::ambient::Home;
use crate::failure::{Failure, FailureCode};
use crate::interface::Dispatch;
use crate::overload::Place;
use crate::streaming::interrupted;

/// Which actors of a kind have open streams. Most have none, so it stands beside the cells.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Length of the map, for those who only ask.
    actors: AtomicUsize,
    /// By the cell's address, which is nobody else's while a stream holds the cell. Dropped senders tell
    /// the streams that their activation has ended.
    open: Mutex<HashMap<usize, watch::Sender<()>, FnvBuildHasher>>,
}

impl Streams {
    fn join(&self, cell: usize) -> watch::Receiver<()> {
        let mut open = self.open.lock();
        let ended = open.entry(cell).or_default().subscribe();
        self.actors.store(open.len(), Ordering::Release);
        ended
    }

    /// One that has given its receiver back.
    fn leave(&self, cell: usize) {
        let mut open = self.open.lock();
        if open.get(&cell).is_some_and(|ended| ended.receiver_count() == 0) {
            open.remove(&cell);
        }
        self.actors.store(open.len(), Ordering::Release);
    }

    fn end(&self, cell: usize) {
        let mut open = self.open.lock();
        let ended = open.remove(&cell);
        self.actors.store(open.len(), Ordering::Release);
        drop(open);
        drop(ended);
    }

    fn has(&self, cell: usize) -> bool {
        self.actors.load(Ordering::Acquire) > 0 && self.open.lock().contains_key(&cell)
    }
}

impl<A: Actor, I: Dispatch<A>> Cell<A, I> {
    /// Its name among the cells of its kind.
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Whether streams of the actor are open; then it is not at rest.
    pub(super) fn has_streams(&self) -> bool {
        self.shared.streams.has(self.address())
    }

    /// The activation has ended, or is about to: its streams give no more items.
    pub(super) fn end_streams(&self) {
        self.shared.streams.end(self.address());
    }
}

/// A stream's hold on the activation that it comes from.
pub(crate) struct Tenure {
    /// The actor's cell.
    home: Arc<dyn Home>,
    cell: usize,
    streams: Arc<Streams>,
    gates: Arc<Gates>,
    right: Arc<RightToRun>,
    runtime: Handle,
    shard: u32,
    epoch: u64,
    /// `None` when it has.
    ended: Option<Ended>,
    /// Among the calls of its kind that are under way.
    _place: Place,
}

/// Resolves when the activation has ended.
type Ended = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Tenure {
    /// Of a turn that holds its permit still: so the activation ends later, if it has not been revoked.
    pub(super) fn of<A: Actor, I: Dispatch<A>>(permit: &CellPermit<A, I>) -> Self {
        let cell = permit.holder();
        let shared = &cell.shared;
        let mut ended = shared.streams.join(cell.address());
        Self {
            home: Arc::clone(cell) as _,
            cell: cell.address(),
            streams: Arc::clone(&shared.streams),
            gates: Arc::clone(&shared.gates),
            right: Arc::clone(&shared.right),
            runtime: shared.runtime.clone(),
            shard: permit.shard(),
            epoch: permit.epoch(),
            // Nothing is ever sent: it resolves when the sender is gone.
            ended: Some(Box::pin(async move { while ended.changed().await.is_ok() {} })),
            _place: shared.crowd.enter(),
        }
    }

    /// Asks the author's stream for an item, if it may give one now; `Err` when it may not any more.
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<Option<T>>,
    ) -> Poll<Option<Result<T, Failure>>> {
        let Self { gates, ended, .. } = self;
        let Ok(permit) = gates.enter_at(self.shard, self.epoch) else {
            return Poll::Ready(Some(Err(moved())));
        };
        if !self.right.holds() {
            return Poll::Ready(Some(Err(fenced())));
        }
        let polled = {
            let _runtime = enter(&self.runtime);
            catch_unwind(AssertUnwindSafe(|| poll(cx)))
        };
        let item = match polled {
            Ok(Poll::Ready(item)) => item,
            Ok(Poll::Pending) => {
                drop(permit);
                return poll_ended(ended, cx).map(|failure| Some(Err(failure)));
            }
            Err(_) => {
                if let Some(origin) = self.home.origin(self.shard, self.epoch) {
                    tell!(error, origin, "a streamed reply panicked");
                }
                return Poll::Ready(Some(Err(panicked(&*self.home))));
            }
        };
        // Also at the end: what feeds the stream may be gone with the actor.
        if let Poll::Ready(failure) = poll_ended(ended, cx) {
            return Poll::Ready(Some(Err(failure)));
        }
        if !permit.is_valid() || !self.right.holds() {
            return Poll::Ready(Some(Err(fenced())));
        }
        Poll::Ready(item.map(Ok))
    }

    /// Resolves when the activation has ended.
    pub(crate) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        poll_ended(&mut self.ended, cx)
    }
}

fn poll_ended(ended: &mut Option<Ended>, cx: &mut Context<'_>) -> Poll<Failure> {
    let has_ended = ended.as_mut().is_none_or(|waiting| waiting.as_mut().poll(cx).is_ready());
    if !has_ended {
        return Poll::Pending;
    }
    // A future is polled no more once it has resolved.
    *ended = None;
    Poll::Ready(interrupted("the activation that the stream belonged to has ended"))
}

impl Drop for Tenure {
    fn drop(&mut self) {
        self.ended = None;
        self.streams.leave(self.cell);
    }
}

impl fmt::Debug for Tenure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenure").field("actor", self.home.id()).finish_non_exhaustive()
    }
}

fn moved() -> Failure {
    interrupted("the actor's shard moves to another node")
}

fn fenced() -> Failure {
    let message = "the node lost the actor's shard while the stream was open";
    Failure::new(FailureCode::Fenced, message).that_may_have_run()
}

fn panicked(home: &dyn Home) -> Failure {
    let message = format!("the stream of {} panicked", home.id());
    Failure::new(FailureCode::Panicked, message).that_may_have_run()
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use greenroom_core::ActorId;

    use super::*;
    use crate::overload::Crowd;
    use crate::testing::Homeless;

    /// Of a stream in a shard whose gate is open under epoch 2, on a node without the right to run.
    fn tenure(epoch: u64) -> Tenure {
        let gates = Arc::new(Gates::new(1));
        gates.open(0, 2).expect("it is closed");
        let id = ActorId::new("kind", "key").expect("a good name");
        Tenure {
            home: Arc::new(Homeless(id)),
            cell: 0,
            streams: Arc::default(),
            gates,
            right: Arc::default(),
            runtime: Handle::current(),
            shard: 0,
            epoch,
            ended: Some(Box::pin(std::future::pending())),
            _place: Arc::<Crowd>::default().enter(),
        }
    }

    fn refusal(tenure: &mut Tenure) -> FailureCode {
        let mut cx = Context::from_waker(Waker::noop());
        let polled =
            tenure.poll::<()>(&mut cx, |_| panic!("an author's stream is polled that may not be"));
        match polled {
            Poll::Ready(Some(Err(failure))) => failure.code,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn an_open_gate_is_not_enough_without_the_right_to_run() {
        assert_eq!(refusal(&mut tenure(2)), FailureCode::Fenced);
    }

    #[tokio::test]
    async fn a_gate_that_was_opened_again_is_none_of_an_older_stream() {
        assert_eq!(refusal(&mut tenure(1)), FailureCode::Interrupted);
    }

    #[test]
    fn an_actor_has_streams_until_the_last_one_leaves_or_its_activation_ends() {
        let streams = Streams::default();
        let (first, second, other) = (streams.join(1), streams.join(1), streams.join(2));
        drop(first);
        streams.leave(1);
        assert!(streams.has(1) && streams.has(2) && !streams.has(3));
        assert!(second.has_changed().is_ok());
        streams.end(1);
        assert!(!streams.has(1) && second.has_changed().is_err() && other.has_changed().is_ok());
        drop((second, other));
        streams.leave(1);
        streams.leave(2);
        assert!(!streams.has(2));
    }
}
