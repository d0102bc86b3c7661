//! The cell of one actor: serialises its turns and finds them a thread.
//!
//! For a turn the actor is taken out of its cell and put back after it, so a turn that panics
//! simply loses the activation. An idle actor owns no task: a turn is polled once on the stack of
//! whoever submitted it, and only a turn that really waits is handed to the executor.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use futures_util::FutureExt;
use greenroom_core::ActorId;
use greenroom_shardlock::{Gates, OwnedPermit, Permit};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::caller::{Reply, with_present};
use super::directory::Shared;
use super::mailbox::{Admission, Cleared, Mailbox, Start, With};
use super::origin::{Origin, tell};
use super::run::{Ran, begin, first_turn, turn};
use super::runtime::enter;
use super::turn::{Answer, Job, Later, Queued, Replier, Submitted};
use crate::actor::{Actor, DeactivateReason};
use crate::ambient::{Home, InlinePlace};
use crate::failure::FailureCode;
use crate::interface::{Access, Dispatch};
use crate::overload::{HINT_DEFAULT, Limit, Place, about, half_of};
use crate::router::Router;

/// How many turns of one actor run in a row before others on the same thread get their chance.
const TURNS_IN_A_ROW_MAX: usize = 32;

pub(super) struct Cell<A, I> {
    pub(super) id: ActorId,
    pub(super) shared: Arc<Shared<A, I>>,
    pub(super) mailbox: Mutex<Mailbox<A>>,
}

/// A permit on behalf of a turn, which holds its cell anyway.
pub(super) type CellPermit<A, I> = OwnedPermit<Arc<Cell<A, I>>>;

impl<A, I> AsRef<Gates> for Cell<A, I> {
    fn as_ref(&self) -> &Gates {
        &self.shared.gates
    }
}

impl<A: Actor, I: Dispatch<A>> Home for Cell<A, I> {
    fn id(&self) -> &ActorId {
        &self.id
    }

    fn router(&self) -> Option<Router> {
        self.shared.router()
    }

    fn origin(&self, shard: u32, epoch: u64) -> Option<Origin<'_>> {
        Some(Origin { epoch: Some(epoch), ..self.origin_in(shard) })
    }
}

/// The way back for a turn that waits, or waits to begin, and what is told of it now.
fn way_back(one_way: bool, later: &mut dyn Later) -> (Replier, Submitted) {
    if one_way {
        (Replier::Nobody, Submitted::Answered(Answer::Accepted))
    } else {
        (later.replier(), Submitted::Later)
    }
}

/// What a caller must do whose cell is gone: look the actor up again.
pub(super) struct Moved<'a> {
    pub(super) job: Job,
    pub(super) permit: Permit<'a>,
}

impl<A: Actor, I: Dispatch<A>> Cell<A, I> {
    pub(super) fn new(id: ActorId, shared: Arc<Shared<A, I>>) -> Self {
        let mailbox = Mutex::new(Mailbox::new(shared.clock.now()));
        Self { id, shared, mailbox }
    }

    /// Takes a call: starts its turn at once if nothing is before it, else queues it.
    #[inline(always)]
    pub(super) fn submit<'a>(
        self: &Arc<Self>,
        job: Job,
        permit: Permit<'a>,
        cx: &mut TaskContext<'_>,
        later: &mut dyn Later,
    ) -> Result<Submitted, Box<Moved<'a>>> {
        // Before the turn starts: once it was polled it can't be refused.
        if self.shared.crowd.len() >= self.shared.options.calls_waiting_max {
            return Ok(Submitted::Answered(self.refused(Limit::Kind, job, &permit)));
        }
        // Dropped when the lock is free again: what users' types do when dropped is theirs.
        let mut abandoned = Vec::new();
        let mut mailbox = self.mailbox.lock();
        let waiting_max = self.shared.options.mailbox_len_max;
        match mailbox.admit(&self.id, &job, waiting_max, &mut abandoned) {
            Admission::Start(with) => {
                drop(mailbox);
                let permit = permit.into_owned_by(Arc::clone(self));
                Ok(self.run_inline(job, permit, with, cx, later))
            }
            Admission::Wait => {
                let permit = permit.into_owned(&self.shared.gates);
                let (reply, submitted) = way_back(job.one_way, later);
                let place = self.shared.crowd.enter();
                mailbox.wait(Queued { job, permit, reply, place });
                Ok(submitted)
            }
            Admission::Full => {
                drop(mailbox);
                Ok(Submitted::Answered(self.refused(Limit::Mailbox, job, &permit)))
            }
            Admission::Refused(failure) => Ok(Submitted::Answered(job.bounced(failure))),
            Admission::Gone => Err(Box::new(Moved { job, permit })),
        }
    }

    /// Gives a call back that there is no room for.
    #[cold]
    fn refused(&self, limit: Limit, job: Job, permit: &Permit<'_>) -> Answer {
        let Shared { options, refusals, .. } = &*self.shared;
        let turn = self.shared.tally(permit.shard()).mean();
        let (message, hint) = match limit {
            Limit::Mailbox => {
                let max = options.mailbox_len_max;
                let message = format!("{max} calls wait in the mailbox of {}", self.id);
                (message, half_of(max, turn))
            }
            _ => {
                let (max, kind) = (options.calls_waiting_max, self.id.kind());
                let message = format!("{max} calls of kind `{kind}` wait or run on this node");
                (message, about(turn.unwrap_or(HINT_DEFAULT)))
            }
        };
        job.bounced(refusals.refuse(limit, message, hint))
    }

    /// Polls the turn once here; hands it to the executor if it waits, or if the stack is deep.
    #[inline(always)]
    fn run_inline(
        self: &Arc<Self>,
        job: Job,
        permit: CellPermit<A, I>,
        with: With<A>,
        cx: &mut TaskContext<'_>,
        later: &mut dyn Later,
    ) -> Submitted {
        let (one_way, made) = (job.one_way, job.made);
        let Some(_place) = InlinePlace::take() else {
            return self.hand_over(Box::pin(turn(permit, job, with)), one_way, later);
        };
        // Whoever comes here waits, if only a turn whose own caller is gone.
        with_present(|| {
            let (actor, access) = match with {
                With::Nobody => {
                    let first = Box::pin(first_turn(permit, job));
                    return self.poll_inline(first, one_way, cx, later);
                }
                With::Alone(actor) => (actor, Access::Write),
                With::Beside(actor) => (actor, Access::Read),
            };
            match begin(permit, job, actor, access, Some(made)) {
                Ok(turn) => self.poll_inline(turn, one_way, cx, later),
                Err(ran) => self.answered(ran, one_way),
            }
        })
    }

    #[inline(always)]
    fn poll_inline(
        self: &Arc<Self>,
        mut turn: impl Future<Output = Ran<A>> + Send + Unpin + 'static,
        one_way: bool,
        cx: &mut TaskContext<'_>,
        later: &mut dyn Later,
    ) -> Submitted {
        let polled = {
            // The caller may live on another runtime, which may end before the turn does.
            let _runtime = enter(&self.shared.runtime);
            Pin::new(&mut turn).poll(cx)
        };
        match polled {
            Poll::Ready(ran) => self.answered(ran, one_way),
            Poll::Pending => self.hand_over(turn, one_way, later),
        }
    }

    /// Lets the executor bring a turn to its end.
    fn hand_over(
        self: &Arc<Self>,
        mut turn: impl Future<Output = Ran<A>> + Send + Unpin + 'static,
        one_way: bool,
        later: &mut dyn Later,
    ) -> Submitted {
        let (reply, submitted) = way_back(one_way, later);
        let cell = Arc::clone(self);
        let place = self.shared.crowd.enter();
        self.shared.runtime.spawn(async move {
            let next = cell.finish(&mut turn, reply, place).await;
            drop(turn);
            cell.run_on(next).await;
        });
        submitted
    }

    /// A turn has ended at once.
    #[inline(always)]
    fn answered(self: &Arc<Self>, (answer, next): Ran<A>, one_way: bool) -> Submitted {
        if !next.is_empty() {
            self.spawn_all(next);
        }
        Submitted::Answered(match answer {
            // It is known already that it did not run.
            Answer::Bounced(..) => answer,
            _ if one_way => Answer::Accepted,
            answer => answer,
        })
    }

    /// Runs a turn to its end, and answers; returns what may start after it.
    async fn finish(
        &self,
        mut turn: impl Future<Output = Ran<A>> + Unpin,
        reply: Replier,
        place: Place,
    ) -> Vec<Start<A>> {
        let mut reply = Reply::new(reply);
        let (answer, next) = poll_fn(|cx| reply.poll(cx, |cx| Pin::new(&mut turn).poll(cx))).await;
        if let (Answer::Bounced(failure, _), true) = (&answer, reply.is_one_way()) {
            // What failed may be told in words of the author's, with who knows what in them.
            let code = failure.code.as_str();
            tell!(warn, self.origin_in(self.shard()), code, "a one-way call was dropped");
        }
        // Whoever has the answer finds the place free.
        drop(place);
        reply.send(answer);
        next
    }

    pub(super) fn spawn_all(self: &Arc<Self>, starts: Vec<Start<A>>) {
        for start in starts {
            self.shared.runtime.spawn(Arc::clone(self).run_on(vec![start]));
        }
    }

    /// Goes on with what may start, until nothing may.
    async fn run_on(self: Arc<Self>, mut starts: Vec<Start<A>>) {
        for number in 1.. {
            let Some(Start { queued, with }) = starts.pop() else { return };
            self.spawn_all(starts);
            let Queued { job, permit, reply, place } = queued;
            let turn = pin!(turn(permit.hand_to(Arc::clone(&self)), job, with));
            starts = self.finish(turn, reply, place).await;
            if number % TURNS_IN_A_ROW_MAX == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// The shard that the actor belongs to.
    fn shard(&self) -> u32 {
        self.shared.shard_of(&self.id)
    }

    /// Whether the actor is in memory. Asking is no use of it.
    pub(super) fn is_active(&self) -> bool {
        self.mailbox.lock().is_active()
    }

    /// Puts the actor back after a turn of its own, or nobody if it did not come to life or did not
    /// survive; answers with what may start now.
    #[inline]
    pub(super) fn put_back(&self, actor: Option<Arc<A>>, used: Instant) -> Vec<Start<A>> {
        let Some(actor) = actor else { return self.mailbox.lock().leave_empty() };
        let put_back = self.mailbox.lock().put_back(actor, self.shared.clock.ms(used));
        put_back.unwrap_or_else(|dropped| {
            // Its turn was revoked, and the cell cleared: the actor ends here, without a farewell.
            self.let_go(dropped);
            self.shared.deactivated();
            Vec::new()
        })
    }

    /// Takes everything out of the cell: calls that wait are given back, the actor is returned. A
    /// turn that still runs has been revoked; its actor is dropped when it ends.
    pub(super) fn clear(&self) -> Option<Arc<A>> {
        let Cleared { actor, waiting, lost } = self.mailbox.lock().clear();
        self.end_streams();
        if lost {
            self.shared.deactivated();
        }
        for queued in waiting {
            queued.bounce(FailureCode::NotOwner, "the actor's shard moved away");
        }
        actor
    }

    /// Drops an actor, which may be half-changed: then its destructor may panic as well.
    pub(super) fn let_go(&self, actor: Arc<A>) {
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(actor)));
        if dropped.is_err() {
            let origin = self.origin_in(self.shard());
            tell!(error, origin, "an actor panicked while it was dropped");
        }
    }

    pub(super) async fn deactivate(&self, shard: u32, actor: Arc<A>, reason: DeactivateReason) {
        let shared = &self.shared;
        // To the end: for so long it takes memory.
        let _leaves = Leaves(shared);
        // A read that overran its drain deadline may still hold it; then it is not at peace, and
        // what it would save could be torn. And without the right to run, another node may have
        // brought the actor to life already.
        if !shared.right.holds() {
            return self.let_go(actor);
        }
        let Some(actor) = Arc::into_inner(actor) else { return };
        tell!(debug, self.origin_in(shard), ?reason, "an actor takes its leave");
        // Whatever is left of the actor is dropped inside, where a panic of it is caught too.
        let farewell = AssertUnwindSafe(async {
            timeout(shared.options.activation_timeout, actor.deactivate(reason)).await
        });
        match farewell.catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                tell!(error, self.origin_in(shard), "an actor's deactivation took too long");
            }
            Err(_) => {
                tell!(error, self.origin_in(shard), "an actor panicked in its deactivation");
            }
        }
    }
}

/// Counts an actor as gone when it is dropped.
struct Leaves<'a, A, I>(&'a Shared<A, I>);

impl<A, I> Drop for Leaves<'_, A, I> {
    fn drop(&mut self) {
        self.0.deactivated();
    }
}
