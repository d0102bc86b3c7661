//! Runs one turn: activation if need be, the checks before and after, and what a panic costs.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use greenroom_core::ActorId;
use greenroom_shardlock::OwnedPermit;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::cell::Cell;
use super::directory::Shared;
use super::mailbox::{Start, With};
use super::turn::{Answer, Job, Queued, acknowledge, may_start};
use crate::actor::{Activating, Actor};
use crate::ambient::{Ambient, Within};
use crate::context::Context;
use crate::failure::{Failure, FailureCode};
use crate::interface::{Access, Dispatch};
use crate::load::Begun;
use crate::payload::Outcome;

/// The answer, unless nobody waits for it any more, and what may start after the turn.
type Ran<A> = (Option<Answer>, Vec<Start<A>>);

/// What shows that a turn may run, and that somebody wants it.
struct Leave<'a> {
    permit: &'a OwnedPermit,
    reply: &'a oneshot::Sender<Answer>,
}

impl Leave<'_> {
    /// The job, if its turn may start now, and what that counts for; else the answer, unless nobody
    /// waits for it.
    fn check<'s, A, I>(
        &self,
        shared: &'s Shared<A, I>,
        job: Job,
    ) -> Result<(Job, Begun<'s>), Option<Answer>> {
        if !job.one_way && self.reply.is_closed() {
            return Err(None);
        }
        match may_start(self.permit, &shared.right, job.deadline) {
            Ok(at) => Ok((job, Begun { tally: shared.tally(self.permit.shard()), at })),
            Err(failure) => Err(Some(Answer::Bounced(failure, job.arguments))),
        }
    }
}

impl<A: Actor, I: Dispatch<A>> Cell<A, I> {
    /// Runs one turn and answers it; returns what may start after it.
    pub(super) async fn turn(
        self: Arc<Self>,
        shared: Arc<Shared<A, I>>,
        start: Start<A>,
    ) -> Vec<Start<A>> {
        let Start { queued, with } = start;
        // The permit is held to the end, when the actor is back in its place: a handoff that saw
        // the permit return earlier would find the place empty, and let the actor go without a
        // farewell.
        let Queued { job, permit, reply } = queued;
        let leave = Leave { permit: &permit, reply: &reply };
        let (answer, next) = self.run(&shared, job, &leave, with).await;
        if let Some(answer) = answer {
            if let (Answer::Bounced(failure, _), true) = (&answer, reply.is_closed()) {
                tracing::warn!(kind = self.id.kind(), %failure, "a one-way call was dropped");
            }
            // A caller that is gone needs no answer.
            let _ = reply.send(acknowledge(&permit, &shared.right, answer));
        }
        next
    }

    async fn run(
        self: &Arc<Self>,
        shared: &Arc<Shared<A, I>>,
        job: Job,
        leave: &Leave<'_>,
        with: With<A>,
    ) -> Ran<A> {
        let (job, begun) = match leave.check(shared, job) {
            Ok(begun) => begun,
            Err(answer) => return (answer, self.give_back(shared, with)),
        };
        match with {
            With::Nobody => self.first_turn(shared, job, leave).await,
            With::Alone(actor) => self.write_turn(shared, job, begun, actor).await,
            With::Beside(actor) => self.read_turn(shared, job, begun, actor).await,
        }
    }

    fn give_back(&self, shared: &Shared<A, I>, with: With<A>) -> Vec<Start<A>> {
        match with {
            With::Nobody => self.put_back(shared, None),
            With::Alone(actor) => self.put_back(shared, Some(actor)),
            With::Beside(actor) => {
                drop(actor);
                self.reader_left(shared, true)
            }
        }
    }

    fn reader_left(&self, shared: &Shared<A, I>, healthy: bool) -> Vec<Start<A>> {
        let (next, lost) = self.mailbox.lock().reader_left(healthy);
        if lost.is_some() {
            shared.deactivated();
        }
        next
    }

    /// Brings the actor to life for this call.
    async fn first_turn(
        self: &Arc<Self>,
        shared: &Arc<Shared<A, I>>,
        job: Job,
        leave: &Leave<'_>,
    ) -> Ran<A> {
        let actor = match self.activate(shared, job.ambient()).await {
            Ok(actor) => Arc::new(actor),
            Err(failure) => {
                let answer = Answer::Bounced(failure, job.arguments);
                return (Some(answer), self.put_back(shared, None));
            }
        };
        shared.activated();
        // It may have taken long.
        let (job, begun) = match leave.check(shared, job) {
            Ok(begun) => begun,
            Err(answer) => return (answer, self.put_back(shared, Some(actor))),
        };
        if job.access == Access::Write {
            return self.write_turn(shared, job, begun, actor).await;
        }
        let Some(beside) = self.mailbox.lock().share(&actor) else {
            shared.deactivated();
            let answer = job.bounce(FailureCode::NotOwner, "the actor's shard moved away");
            return (Some(answer), Vec::new());
        };
        self.spawn_all(shared, beside);
        self.read_turn(shared, job, begun, actor).await
    }

    async fn write_turn(
        &self,
        shared: &Shared<A, I>,
        job: Job,
        begun: Begun<'_>,
        mut actor: Arc<A>,
    ) -> Ran<A> {
        let (ambient, mut context) = (job.ambient(), self.context(shared, &job));
        let alone = Arc::get_mut(&mut actor).expect("a write turn is alone");
        let turn = I::write(alone, job.method, &mut context, job.arguments);
        let turn = AssertUnwindSafe(Within::new(ambient, turn)).catch_unwind();
        let outcome = begun.count(turn).await;
        let (outcome, survivor) = match outcome {
            Ok(outcome) => (outcome, Some(actor)),
            Err(_) => {
                shared.deactivated();
                (panicked(&self.id), None)
            }
        };
        (Some(Answer::Done(outcome)), self.put_back(shared, survivor))
    }

    async fn read_turn(
        &self,
        shared: &Shared<A, I>,
        job: Job,
        begun: Begun<'_>,
        actor: Arc<A>,
    ) -> Ran<A> {
        let (ambient, mut context) = (job.ambient(), self.context(shared, &job));
        let turn = I::read(&actor, job.method, &mut context, job.arguments);
        let turn = AssertUnwindSafe(Within::new(ambient, turn)).catch_unwind();
        let outcome = begun.count(turn).await;
        // Let go before the next `&mut self` turn may start.
        drop(actor);
        let next = self.reader_left(shared, outcome.is_ok());
        let outcome = outcome.unwrap_or_else(|_| panicked(&self.id));
        (Some(Answer::Done(outcome)), next)
    }

    fn context(&self, shared: &Shared<A, I>, job: &Job) -> Context {
        Context::new(self.id.clone(), job.deadline, shared.router())
    }

    /// Activates as a part of the call that needs it: calls made meanwhile inherit its deadline and
    /// chain, as those of a turn do.
    async fn activate(&self, shared: &Shared<A, I>, mut ambient: Ambient) -> Result<A, Failure> {
        let router = shared.router();
        let mut activating = Activating::new(&self.id, router.as_ref());
        let longest = Instant::now() + shared.options.activation_timeout;
        let deadline = ambient.deadline.min(longest);
        ambient.deadline = deadline;
        let failed = |message: String| Failure::new(FailureCode::ActivationFailed, message);
        let activation = Within::new(ambient, A::activate(&mut activating));
        let activation = AssertUnwindSafe(activation).catch_unwind();
        match timeout_at(deadline, pin!(activation)).await {
            Ok(Ok(Ok(actor))) => Ok(actor),
            Ok(Ok(Err(error))) => Err(failed(error.to_string())),
            Ok(Err(_)) => {
                tracing::error!(kind = self.id.kind(), "an actor panicked in its activation");
                Err(failed(format!("the activation of {} panicked", self.id)))
            }
            Err(_) => Err(failed(format!("the activation of {} took too long", self.id))),
        }
    }
}

fn panicked(id: &ActorId) -> Outcome {
    tracing::error!(kind = id.kind(), "an actor's turn panicked; its activation is dropped");
    let message = format!("the turn of {id} panicked");
    Outcome::Failed(Failure::new(FailureCode::Panicked, message).that_may_have_run())
}
