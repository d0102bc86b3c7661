//! Runs one turn: activation if need be, the checks before and after, and what a panic costs.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use futures_util::{FutureExt, poll};
use greenroom_core::ActorId;
use pin_project_lite::pin_project;
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use super::caller;
use super::cell::{Cell, CellPermit};
use super::mailbox::{ReaderLeft, Start, With};
use super::origin::{Origin, tell};
use super::streams::Tenure;
use super::turn::{Answer, Job, acknowledge, may_start};
use crate::actor::{Activating, Actor};
use crate::ambient::{Ambient, Chain, Home};
use crate::context::Context;
use crate::failure::{Failure, FailureCode};
use crate::intercept::{CallOutcome, Watched};
use crate::interface::{Access, Dispatch};
use crate::kind::OnPanic;
use crate::payload::Outcome;
use crate::request_context::RequestContext;

/// The answer to a call, and what may start after its turn.
pub(super) type Ran<A> = (Answer, Vec<Start<A>>);

/// Runs one turn; returns its answer, and what may start after it.
pub(super) async fn turn<A: Actor, I: Dispatch<A>>(
    permit: CellPermit<A, I>,
    job: Job,
    with: With<A>,
) -> Ran<A> {
    let (actor, access) = match with {
        With::Nobody => return first_turn(permit, job).await,
        With::Alone(actor) => (actor, Access::Write),
        With::Beside(actor) => (actor, Access::Read),
    };
    match begin(permit, job, actor, access, None) {
        Ok(turn) => turn.await,
        Err(ran) => ran,
    }
}

pin_project! {
    /// A turn of an actor that is alive.
    ///
    /// The permit is held to the end, when the actor is back in its place: a handoff that saw the permit
    /// return earlier would find the place empty, and let the actor go without a farewell.
    struct Turn<A, I, F> {
        // What the actor's author wrote, with all that it borrows; gives the actor back. It stands first,
        // because it must be dropped before the permit.
        #[pin]
        work: F,
        ambient: Ambient,
        watched: Option<Box<Watched>>,
        // What the author logs is told to come from here, if the log wants that.
        span: Option<Box<Span>>,
        frame: Frame<A, I>,
    }
}

/// What stands around what the author wrote.
struct Frame<A, I> {
    permit: CellPermit<A, I>,
    access: Access,
    /// When the turn began.
    at: Instant,
    waited: bool,
}

/// Begins a turn, if it may start now; else answers it. `now` is the time if the caller has just read
/// it. The turn is one piece of memory from the beginning, so one that waits can move to another stack.
#[inline(always)]
pub(super) fn begin<A: Actor, I: Dispatch<A>>(
    permit: CellPermit<A, I>,
    job: Job,
    mut actor: Arc<A>,
    access: Access,
    now: Option<Instant>,
) -> Result<Pin<Box<impl Future<Output = Ran<A>> + Send + use<A, I>>>, Ran<A>> {
    let cell = permit.holder();
    let at = match cell.check(&permit, &job, now) {
        Ok(at) => at,
        Err(failure) => return Err(cell.not_begun(job, failure, actor, access)),
    };
    let span = cell.turn_span(&permit, &job);
    let Job { method, arguments, deadline, chain, context, watched, .. } = job;
    let home: Arc<dyn Home> = Arc::clone(cell) as _;
    let ambient = Ambient::new(deadline, Arc::clone(&home), chain, context.clone());
    let work = async move {
        let mut context = Context::new(home, deadline, context);
        // A panic is caught here, so that the actor is not dropped while it goes on: its destructor
        // may find it half-changed, and panic too.
        let outcome = match access {
            Access::Write => {
                let alone = Arc::get_mut(&mut actor).expect("a write turn is alone");
                let turn = I::write(alone, method, &mut context, arguments);
                AssertUnwindSafe(turn).catch_unwind().await
            }
            Access::Read => {
                let turn = I::read(&actor, method, &mut context, arguments);
                AssertUnwindSafe(turn).catch_unwind().await
            }
        };
        (outcome.map_err(|_| Panicked), actor)
    };
    let frame = Frame { permit, access, at, waited: false };
    Ok(Box::pin(Turn { work, ambient, watched, span, frame }))
}

impl<A: Actor, I: Dispatch<A>, F> Future for Turn<A, I, F>
where
    F: Future<Output = (Result<Outcome, Panicked>, Arc<A>)>,
{
    type Output = Ran<A>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Ran<A>> {
        let this = self.project();
        let polled = {
            let _entered = this.watched.as_ref().and_then(|watched| watched.enter());
            let _turn = this.span.as_ref().map(|span| span.enter());
            this.ambient.around(|| this.work.poll(cx))
        };
        let Poll::Ready((outcome, actor)) = polled else {
            this.frame.waited = true;
            if let Some(farewell) = this.ambient.farewell() {
                caller::wants_to_know(farewell);
            }
            return Poll::Pending;
        };
        let ran = this.frame.end(outcome, actor, this.ambient);
        if let Some(span) = this.span {
            told(span, &ran.0);
        }
        if let Some(watched) = this.watched.take() {
            watched.ended(&ran.0);
        }
        Poll::Ready(ran)
    }
}

impl<A: Actor, I: Dispatch<A>> Frame<A, I> {
    /// Puts the actor back, if it survived, and checks whether the answer may leave.
    #[inline]
    fn end(
        &self,
        mut outcome: Result<Outcome, Panicked>,
        actor: Arc<A>,
        ambient: &Ambient,
    ) -> Ran<A> {
        let cell = self.permit.holder();
        let shared = &cell.shared;
        // A look at the clock costs more than most turns.
        let used = if self.waited { Instant::now() } else { self.at };
        let healthy = outcome.is_ok();
        if healthy {
            shared.tally(self.permit.shard()).ended(self.at, self.waited);
        }
        // A panic costs the actor nothing if its author wants that.
        let survives = healthy || shared.options.on_panic == OnPanic::Keep;
        if !survives {
            cell.end_streams();
        }
        // Before the actor is back in its place, and looks as if it were at rest.
        if let Ok(Outcome::Stream(flow)) = &mut outcome {
            flow.bind(Tenure::of(&self.permit));
        }
        let next = match self.access {
            Access::Write if survives => cell.put_back(Some(actor), used),
            Access::Write => {
                cell.let_go(actor);
                shared.deactivated();
                cell.put_back(None, used)
            }
            Access::Read => {
                // Let go before the next `&mut self` turn may start.
                drop(actor);
                cell.reader_left(survives, used)
            }
        };
        let outcome = outcome.unwrap_or_else(|Panicked| {
            let origin = cell.origin(&self.permit, ambient.context());
            panicked(&cell.id, origin, survives)
        });
        (acknowledge(self.permit.is_valid(), &shared.right, Answer::Done(outcome)), next)
    }
}

/// Brings the actor to life for a call, and runs its turn.
pub(super) async fn first_turn<A: Actor, I: Dispatch<A>>(
    permit: CellPermit<A, I>,
    job: Job,
) -> Ran<A> {
    let cell = permit.holder();
    // Before and after: it may take long.
    if let Err(failure) = cell.check(&permit, &job, None) {
        return (job.bounced(failure), cell.stay_empty(&permit));
    }
    let place = match cell.shared.rooms.take(job.deadline).await {
        Ok(place) => place,
        Err(refused) => {
            cell.shared.told.refused(refused.scarce);
            let failure = refused.refuse(&cell.shared.refusals);
            return (job.bounced(failure), cell.stay_empty(&permit));
        }
    };
    let (chain, context) = (job.chain.clone(), job.context.clone());
    let watched = job.watched.as_deref();
    let activated = cell.activate(&permit, job.deadline, chain, context, watched).await;
    let actor = match activated {
        Ok(actor) => Arc::new(actor),
        Err(failure) => {
            drop(place);
            return (job.bounced(failure), cell.stay_empty(&permit));
        }
    };
    cell.shared.activated(place);
    let access = job.access;
    if access == Access::Read {
        let Some(beside) = cell.mailbox.lock().share(&actor) else {
            cell.let_go(actor);
            cell.shared.deactivated();
            let answer = job.bounce(FailureCode::NotOwner, "the actor's shard moved away");
            return (answer, Vec::new());
        };
        cell.spawn_all(beside);
    }
    match begin(permit, job, actor, access, None) {
        Ok(turn) => turn.await,
        Err(ran) => ran,
    }
}

/// What an author wrote panicked.
struct Panicked;

impl<A: Actor, I: Dispatch<A>> Cell<A, I> {
    /// Whether a turn may start now; answers with the time.
    #[inline]
    fn check(
        &self,
        permit: &CellPermit<A, I>,
        job: &Job,
        now: Option<Instant>,
    ) -> Result<Instant, Failure> {
        if !job.one_way && caller::is_gone() {
            return Err(Failure::new(FailureCode::Timeout, "nobody waits for the turn any more"));
        }
        may_start(permit.is_valid(), &self.shared.right, job.deadline, now)
    }

    /// A turn may not start that has its actor already.
    #[cold]
    fn not_begun(&self, job: Job, failure: Failure, actor: Arc<A>, access: Access) -> Ran<A> {
        let answer = job.bounced(failure);
        let next = match access {
            Access::Write => self.put_back(Some(actor), Instant::now()),
            Access::Read => {
                drop(actor);
                self.reader_left(true, Instant::now())
            }
        };
        (answer, next)
    }

    fn reader_left(&self, healthy: bool, used: Instant) -> Vec<Start<A>> {
        let used = self.shared.clock.ms(used);
        let ReaderLeft { next, lost, ended } = self.mailbox.lock().reader_left(healthy, used);
        if let Some(lost) = lost {
            self.let_go(lost);
        }
        if ended {
            self.shared.deactivated();
        }
        next
    }

    /// The actor did not come to life; answers with what may start now. Without that, nothing is left
    /// of the attempt, or those who ask for many that can't would fill the memory.
    fn stay_empty(self: &Arc<Self>, permit: &CellPermit<A, I>) -> Vec<Start<A>> {
        let next = self.put_back(None, Instant::now());
        if next.is_empty() {
            self.shared.forget(permit.shard(), self);
        }
        next
    }

    /// Activates as a part of the call that needs it: calls made meanwhile inherit its deadline,
    /// chain and context, as those of a turn do.
    async fn activate(
        self: &Arc<Self>,
        permit: &CellPermit<A, I>,
        deadline: Instant,
        outer: Option<Arc<Chain>>,
        context: Option<Arc<RequestContext>>,
        watched: Option<&Watched>,
    ) -> Result<A, Failure> {
        let router = self.shared.router();
        let mut activating = Activating::new(&self.id, router.as_ref());
        let longest = Instant::now() + self.shared.options.activation_timeout;
        let deadline = deadline.min(longest);
        let travels = context.clone();
        let travels = RequestContext::of(travels.as_ref());
        let span = self.activation_span(permit, travels, watched);
        let ambient = Ambient::new(deadline, Arc::clone(self) as _, outer, context);
        let failed = |message: String| Failure::new(FailureCode::ActivationFailed, message);
        let mut activation = pin!(AssertUnwindSafe(A::activate(&mut activating)).catch_unwind());
        let mut activation = poll_fn(move |cx| {
            let _entered = watched.and_then(Watched::enter);
            let _activation = span.as_ref().map(|span| span.enter());
            ambient.around(|| activation.as_mut().poll(cx))
        });
        // Most are done at once, and then need no timer.
        let activated = match poll!(&mut activation) {
            Poll::Ready(activated) => Ok(activated),
            Poll::Pending => timeout_at(deadline, activation).await,
        };
        match activated {
            Ok(Ok(Ok(actor))) => {
                tell!(debug, self.origin(permit, travels), "an actor came to life");
                Ok(actor)
            }
            Ok(Ok(Err(error))) => Err(failed(error.to_string())),
            Ok(Err(_)) => {
                tell!(error, self.origin(permit, travels), "an actor panicked in its activation");
                Err(failed(format!("the activation of {} panicked", self.id)))
            }
            Err(_) => Err(failed(format!("the activation of {} took too long", self.id))),
        }
    }
}

/// Tells whoever follows turns how one ended.
#[cold]
fn told(span: &Span, answer: &Answer) {
    let outcome = CallOutcome::of(answer).as_str();
    tracing::trace!(target: "greenroom::turns", parent: span, outcome, "a turn ended");
}

fn panicked(id: &ActorId, origin: Origin<'_>, survives: bool) -> Outcome {
    if survives {
        tell!(error, origin, "an actor's turn panicked; its activation goes on");
    } else {
        tell!(error, origin, "an actor's turn panicked; its activation is dropped");
    }
    let message = format!("the turn of {id} panicked");
    Outcome::Failed(Failure::new(FailureCode::Panicked, message).that_may_have_run())
}
