//! The cell of one actor: serialises its turns and finds them a thread.
//!
//! For a turn the actor is taken out of its cell and put back after it, so a turn that panics
//! simply loses the activation. An idle actor owns no task: a turn is polled once on the stack of
//! whoever submitted it, and only a turn that really waits is handed to the executor.

use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use greenroom_core::ActorId;
use greenroom_shardlock::OwnedPermit;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::directory::Shared;
use super::mailbox::{Admitted, Mailbox, Start, Unused};
use super::turn::{Answer, Job, Queued, Submitted};
use crate::actor::{Actor, DeactivateReason};
use crate::ambient::InlinePlace;
use crate::failure::FailureCode;
use crate::interface::Dispatch;

/// How many turns of one actor run in a row before others on the same thread get their chance.
const TURNS_IN_A_ROW_MAX: usize = 32;

pub(super) struct Cell<A, I> {
    pub(super) id: ActorId,
    pub(super) mailbox: Mutex<Mailbox<A>>,
    interface: PhantomData<fn() -> I>,
}

/// What a caller must do whose cell is gone: look the actor up again.
pub(super) struct Moved(pub(super) Box<Queued>);

impl<A: Actor, I: Dispatch<A>> Cell<A, I> {
    pub(super) fn new(id: ActorId) -> Self {
        Self { id, mailbox: Mutex::new(Mailbox::new()), interface: PhantomData }
    }

    /// Takes a call: starts its turn at once if nothing is before it, else queues it.
    pub(super) fn submit(
        self: &Arc<Self>,
        shared: &Arc<Shared<A, I>>,
        job: Job,
        permit: OwnedPermit,
        cx: &mut TaskContext<'_>,
    ) -> Result<Submitted, Moved> {
        let one_way = job.one_way;
        let (reply, mut answer) = oneshot::channel();
        let queued = Queued { job, permit, reply };
        // Dropped when the lock is free again: what users' types do when dropped is theirs.
        let mut abandoned = Vec::new();
        let waiting_max = shared.options.mailbox_len_max;
        let admitted = self.mailbox.lock().admit(queued, waiting_max, &mut abandoned);
        match admitted {
            Admitted::Start(start) => self.run_inline(shared, start, cx),
            Admitted::Queued => {}
            Admitted::Refused(answer) => return Ok(Submitted::Answered(answer)),
            Admitted::Moved(queued) => return Err(Moved(queued)),
        }
        Ok(match answer.try_recv() {
            // It is known already that it did not run.
            Ok(bounced @ Answer::Bounced(..)) => Submitted::Answered(bounced),
            _ if one_way => Submitted::Answered(Answer::Accepted),
            Ok(answer) => Submitted::Answered(answer),
            Err(_) => Submitted::Waiting(answer),
        })
    }

    /// Polls the turn once here; hands it to the executor if it waits, or if the stack is deep.
    fn run_inline(
        self: &Arc<Self>,
        shared: &Arc<Shared<A, I>>,
        start: Start<A>,
        cx: &mut TaskContext<'_>,
    ) {
        let mut turn: BoxFuture<'static, Vec<Start<A>>> =
            Box::pin(Arc::clone(self).turn(Arc::clone(shared), start));
        // The caller may live on another runtime, which may end before the turn does.
        let _runtime = shared.runtime.enter();
        let polled = match InlinePlace::take() {
            Some(_place) => turn.as_mut().poll(cx),
            None => Poll::Pending,
        };
        match polled {
            Poll::Ready(next) => self.spawn_all(shared, next),
            Poll::Pending => {
                let (cell, same) = (Arc::clone(self), Arc::clone(shared));
                shared.runtime.spawn(async move {
                    let next = turn.await;
                    cell.run_on(same, next).await;
                });
            }
        }
    }

    pub(super) fn spawn_all(self: &Arc<Self>, shared: &Arc<Shared<A, I>>, starts: Vec<Start<A>>) {
        for start in starts {
            let (cell, same) = (Arc::clone(self), Arc::clone(shared));
            shared.runtime.spawn(cell.run_on(same, vec![start]));
        }
    }

    /// Goes on with what may start, until nothing may.
    async fn run_on(self: Arc<Self>, shared: Arc<Shared<A, I>>, mut starts: Vec<Start<A>>) {
        for turn in 1.. {
            let Some(first) = starts.pop() else { return };
            self.spawn_all(&shared, starts);
            starts = Arc::clone(&self).turn(Arc::clone(&shared), first).await;
            if turn % TURNS_IN_A_ROW_MAX == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Puts the actor back after a turn of its own; answers with what may start now.
    pub(super) fn put_back(&self, shared: &Shared<A, I>, actor: Option<Arc<A>>) -> Vec<Start<A>> {
        let put_back = self.mailbox.lock().put_back(actor);
        put_back.unwrap_or_else(|dropped| {
            // Its turn was revoked, and the cell cleared: the actor ends here, without a farewell.
            if dropped.is_some() {
                shared.deactivated();
            }
            Vec::new()
        })
    }

    /// Deactivates the actor if it has not been used since `before`. Returns whether the cell may
    /// leave the directory, where the caller then calls [`Cell::retire`].
    pub(super) async fn passivate(
        self: &Arc<Self>,
        shared: &Arc<Shared<A, I>>,
        before: Instant,
    ) -> bool {
        let unused = self.mailbox.lock().take_unused(before);
        let actor = match unused {
            Unused::Actor(actor) => actor,
            Unused::Empty => return true,
            Unused::InUse => return false,
        };
        self.deactivate(shared, actor, DeactivateReason::Idle).await;
        let next = self.put_back(shared, None);
        let nothing_waits = next.is_empty();
        self.spawn_all(shared, next);
        nothing_waits
    }

    /// Marks the cell as gone if nothing lives or waits in it.
    pub(super) fn retire(&self) -> bool {
        self.mailbox.lock().retire()
    }

    /// Takes everything out of the cell: calls that wait are given back, the actor is returned. A
    /// turn that still runs has been revoked; its actor is dropped when it ends.
    pub(super) fn clear(&self) -> Option<Arc<A>> {
        let (actor, waiting) = self.mailbox.lock().clear();
        for queued in waiting {
            queued.bounce(FailureCode::NotOwner, "the actor's shard moved away");
        }
        actor
    }

    pub(super) async fn deactivate(
        &self,
        shared: &Shared<A, I>,
        actor: Arc<A>,
        reason: DeactivateReason,
    ) {
        shared.deactivated();
        // A read that overran its drain deadline may still hold it; then it is not at peace, and
        // what it would save could be torn. And without the right to run, another node may have
        // brought the actor to life already.
        let Some(actor) = Arc::into_inner(actor).filter(|_| shared.right.holds()) else { return };
        let kind = self.id.kind();
        let farewell = AssertUnwindSafe(actor.deactivate(reason)).catch_unwind();
        match timeout(shared.options.activation_timeout, farewell).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => tracing::error!(kind, "an actor panicked in its deactivation"),
            Err(_) => tracing::error!(kind, "an actor's deactivation took too long"),
        }
    }
}
