//! The cell of one actor: at most one `&mut self` turn, or many `&self` turns, at a time, in the
//! order of arrival; the rest waits in a bounded mailbox.
//!
//! For a turn the actor is taken out of its cell and put back after it, so a turn that panics
//! simply loses the activation. An idle actor owns no task: a turn is polled once on the stack of
//! whoever submitted it, and only a turn that really waits is handed to the executor.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use greenroom_core::ActorId;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::directory::Shared;
use super::turn::{Answer, Job, Queued, Submitted, acknowledge};
use crate::actor::{Activating, Actor, DeactivateReason};
use crate::ambient::{Ambient, InlinePlace, Within};
use crate::context::Context;
use crate::failure::{Failure, FailureCode};
use crate::interface::{Access, Dispatch};
use crate::payload::Outcome;

/// How many turns of one actor run in a row before others on the same thread get their chance.
const TURNS_IN_A_ROW_MAX: usize = 32;

pub(super) struct Cell<A, I> {
    id: ActorId,
    inner: Mutex<Inner<A>>,
    interface: PhantomData<fn() -> I>,
}

struct Inner<A> {
    stage: Stage<A>,
    /// `&self` turns that run now.
    readers: usize,
    mailbox: VecDeque<Queued>,
    last_used: Instant,
}

enum Stage<A> {
    /// Not in memory.
    Vacant,
    /// Alive, and no `&mut self` turn runs.
    Idle(Arc<A>),
    /// Coming to life, going, or taken out by a `&mut self` turn.
    Taken,
    /// The cell is out of the directory; nothing starts here any more.
    Gone,
}

/// A turn that may start now.
enum Start<A> {
    /// The actor is not in memory and must be activated first.
    Activate(Queued),
    Write(Queued, Arc<A>),
    Read(Queued, Arc<A>),
}

/// What came of an activation.
enum Woken<A> {
    /// The actor lives, and the turn may start.
    Ready(Queued, Arc<A>),
    /// The call was answered without a turn; the actor, if it came to life all the same.
    Answered(Option<Arc<A>>),
}

/// What a caller must do whose cell is gone: look the actor up again.
pub(super) struct Moved(pub(super) Job);

impl<A: Actor, I: Dispatch<A>> Cell<A, I> {
    pub(super) fn new(id: ActorId) -> Self {
        let inner = Inner {
            stage: Stage::Vacant,
            readers: 0,
            mailbox: VecDeque::new(),
            last_used: Instant::now(),
        };
        Self {
            id,
            inner: Mutex::new(inner),
            interface: PhantomData,
        }
    }

    /// Takes a call: starts its turn at once if nothing is before it, else queues it.
    pub(super) fn submit(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        job: Job,
        cx: &mut TaskContext<'_>,
    ) -> Result<Submitted, Moved> {
        let one_way = job.one_way;
        let (reply, mut answer) = oneshot::channel();
        let start = {
            let mut inner = self.inner.lock();
            if let Stage::Gone = inner.stage {
                return Err(Moved(job));
            }
            inner.last_used = Instant::now();
            match inner.admit(job, reply, shared.options.mailbox_len_max) {
                Admitted::Start(start) => Some(start),
                Admitted::Queued => None,
                Admitted::Refused(answer) => return Ok(Submitted::Answered(answer)),
            }
        };
        if let Some(start) = start {
            self.run_inline(shared, start, cx);
        }
        if one_way {
            return Ok(Submitted::Answered(Answer::Accepted));
        }
        Ok(match answer.try_recv() {
            Ok(answer) => Submitted::Answered(answer),
            Err(_) => Submitted::Waiting(answer),
        })
    }

    /// Polls the turn once here; hands it to the executor if it waits, or if the stack is deep.
    fn run_inline(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        start: Start<A>,
        cx: &mut TaskContext<'_>,
    ) {
        let mut turn: BoxFuture<'static, Vec<Start<A>>> =
            Box::pin(Arc::clone(self).turn(Arc::clone(shared), start));
        let polled = match InlinePlace::take() {
            Some(_place) => turn.as_mut().poll(cx),
            None => Poll::Pending,
        };
        match polled {
            Poll::Ready(next) => self.spawn_all(shared, next),
            Poll::Pending => {
                let (cell, shared) = (Arc::clone(self), Arc::clone(shared));
                tokio::spawn(async move {
                    let next = turn.await;
                    cell.run_on(shared, next).await;
                });
            }
        }
    }

    fn spawn_all(self: &Arc<Self>, shared: &Arc<Shared>, starts: Vec<Start<A>>) {
        for start in starts {
            let (cell, shared) = (Arc::clone(self), Arc::clone(shared));
            tokio::spawn(cell.run_on(shared, vec![start]));
        }
    }

    /// Goes on with what may start, until nothing may.
    async fn run_on(self: Arc<Self>, shared: Arc<Shared>, mut starts: Vec<Start<A>>) {
        for turn in 1.. {
            let Some(first) = starts.pop() else { return };
            self.spawn_all(&shared, starts);
            starts = Arc::clone(&self).turn(Arc::clone(&shared), first).await;
            if turn % TURNS_IN_A_ROW_MAX == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Runs one turn and answers it; returns what may start after it.
    async fn turn(self: Arc<Self>, shared: Arc<Shared>, start: Start<A>) -> Vec<Start<A>> {
        let (queued, actor) = match start {
            Start::Activate(queued) => match self.wake(&shared, queued).await {
                Woken::Ready(queued, actor) if queued.job.access == Access::Read => {
                    let Some(beside) = self.share(&actor) else {
                        shared.deactivated();
                        queued.bounce(FailureCode::NotOwner, "the actor's shard moved away");
                        return Vec::new();
                    };
                    self.spawn_all(&shared, beside);
                    return self.read_turn(&shared, queued, actor).await;
                }
                Woken::Ready(queued, actor) => (queued, actor),
                Woken::Answered(actor) => return self.put_back(&shared, actor),
            },
            Start::Write(queued, actor) => (queued, actor),
            Start::Read(queued, actor) => return self.read_turn(&shared, queued, actor).await,
        };
        let actor = self.write_turn(&shared, queued, actor).await;
        self.put_back(&shared, actor)
    }

    async fn wake(&self, shared: &Shared, queued: Queued) -> Woken<A> {
        let Some(queued) = startable(queued, shared) else {
            return Woken::Answered(None);
        };
        match self.activate(shared, queued.job.ambient()).await {
            Ok(actor) => {
                shared.activated();
                let actor = Arc::new(actor);
                // It may have taken long.
                match startable(queued, shared) {
                    Some(queued) => Woken::Ready(queued, actor),
                    None => Woken::Answered(Some(actor)),
                }
            }
            Err(failure) => {
                queued.bounce(failure.code, failure.message);
                Woken::Answered(None)
            }
        }
    }

    /// Returns the actor unless its turn panicked.
    async fn write_turn(
        &self,
        shared: &Shared,
        queued: Queued,
        mut actor: Arc<A>,
    ) -> Option<Arc<A>> {
        let Some(queued) = startable(queued, shared) else {
            return Some(actor);
        };
        let Queued { job, reply } = queued;
        let (ambient, mut context) = (job.ambient(), self.context(shared, &job));
        let Job {
            method,
            arguments,
            permit,
            ..
        } = job;
        let alone = Arc::get_mut(&mut actor).expect("a write turn is alone");
        let turn = I::write(alone, method, &mut context, arguments);
        let outcome = AssertUnwindSafe(Within::new(ambient, turn))
            .catch_unwind()
            .await;
        let (outcome, survivor) = match outcome {
            Ok(outcome) => (outcome, Some(actor)),
            Err(_) => {
                shared.deactivated();
                (panicked(&self.id), None)
            }
        };
        let _ = reply.send(Answer::Done(acknowledge(&permit, &shared.right, outcome)));
        survivor
    }

    /// Returns what may start after it.
    async fn read_turn(&self, shared: &Shared, queued: Queued, actor: Arc<A>) -> Vec<Start<A>> {
        let healthy = self.read(shared, queued, actor).await;
        self.reader_left(shared, healthy)
    }

    /// Returns whether the actor is still sound.
    async fn read(&self, shared: &Shared, queued: Queued, actor: Arc<A>) -> bool {
        let Some(Queued { job, reply }) = startable(queued, shared) else {
            return true;
        };
        let (ambient, mut context) = (job.ambient(), self.context(shared, &job));
        let Job {
            method,
            arguments,
            permit,
            ..
        } = job;
        let turn = I::read(&actor, method, &mut context, arguments);
        let outcome = AssertUnwindSafe(Within::new(ambient, turn))
            .catch_unwind()
            .await;
        let healthy = outcome.is_ok();
        let outcome = outcome.unwrap_or_else(|_| panicked(&self.id));
        let _ = reply.send(Answer::Done(acknowledge(&permit, &shared.right, outcome)));
        healthy
    }

    fn context(&self, shared: &Shared, job: &Job) -> Context {
        Context::new(self.id.clone(), job.deadline, shared.router())
    }

    /// Activates as a part of the call that needs it: calls made meanwhile inherit its deadline and
    /// chain, as those of a turn do.
    async fn activate(&self, shared: &Shared, mut ambient: Ambient) -> Result<A, Failure> {
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
            Err(_) => Err(failed(format!(
                "the activation of {} took too long",
                self.id
            ))),
        }
    }

    fn put_back(&self, shared: &Shared, actor: Option<Arc<A>>) -> Vec<Start<A>> {
        let mut inner = self.inner.lock();
        inner.last_used = Instant::now();
        if let Stage::Gone = inner.stage {
            // Taken away meanwhile; the actor is dropped here.
            if actor.is_some() {
                shared.deactivated();
            }
            return Vec::new();
        }
        inner.stage = actor.map_or(Stage::Vacant, Stage::Idle);
        inner.next()
    }

    /// Puts an actor back that a `&self` turn activated and uses from here on; returns what may
    /// start beside that turn, or `None` when the cell is gone.
    fn share(&self, actor: &Arc<A>) -> Option<Vec<Start<A>>> {
        let mut inner = self.inner.lock();
        if let Stage::Gone = inner.stage {
            return None;
        }
        inner.stage = Stage::Idle(Arc::clone(actor));
        inner.readers += 1;
        Some(inner.next())
    }

    fn reader_left(&self, shared: &Shared, healthy: bool) -> Vec<Start<A>> {
        let mut inner = self.inner.lock();
        inner.readers -= 1;
        if !healthy && matches!(inner.stage, Stage::Idle(_)) {
            inner.stage = Stage::Vacant;
            shared.deactivated();
        }
        inner.next()
    }

    /// Deactivates the actor if it has not been used since `before`. Returns whether the cell may
    /// leave the directory, where the caller then calls [`Cell::retire`].
    pub(super) async fn passivate(self: &Arc<Self>, shared: &Arc<Shared>, before: Instant) -> bool {
        let actor = {
            let mut inner = self.inner.lock();
            let unused = inner.last_used < before && inner.readers == 0 && inner.mailbox.is_empty();
            if !unused {
                return false;
            }
            match std::mem::replace(&mut inner.stage, Stage::Taken) {
                Stage::Idle(actor) => actor,
                Stage::Vacant => {
                    inner.stage = Stage::Vacant;
                    return true;
                }
                other => {
                    inner.stage = other;
                    return false;
                }
            }
        };
        self.deactivate(shared, actor, DeactivateReason::Idle).await;
        let next = self.put_back(shared, None);
        let nothing_waits = next.is_empty();
        self.spawn_all(shared, next);
        nothing_waits
    }

    /// Marks the cell as gone if nothing lives or waits in it.
    pub(super) fn retire(&self) -> bool {
        let mut inner = self.inner.lock();
        let empty =
            matches!(inner.stage, Stage::Vacant) && inner.readers == 0 && inner.mailbox.is_empty();
        if empty {
            inner.stage = Stage::Gone;
        }
        empty
    }

    /// Takes everything out of the cell: calls that wait are given back, the actor is returned. A
    /// turn that still runs has been revoked; its actor is dropped when it ends.
    pub(super) fn clear(&self) -> Option<Arc<A>> {
        let mut inner = self.inner.lock();
        let stage = std::mem::replace(&mut inner.stage, Stage::Gone);
        let mailbox = std::mem::take(&mut inner.mailbox);
        drop(inner);
        for queued in mailbox {
            queued.bounce(FailureCode::NotOwner, "the actor's shard moved away");
        }
        match stage {
            Stage::Idle(actor) => Some(actor),
            _ => None,
        }
    }

    pub(super) async fn deactivate(
        &self,
        shared: &Shared,
        actor: Arc<A>,
        reason: DeactivateReason,
    ) {
        shared.deactivated();
        // A read that overran its drain deadline may still hold it; then it is not at peace, and
        // what it would save could be torn.
        let Some(actor) = Arc::into_inner(actor) else {
            return;
        };
        let farewell = AssertUnwindSafe(actor.deactivate(reason)).catch_unwind();
        if farewell.await.is_err() {
            tracing::error!(
                kind = self.id.kind(),
                "an actor panicked in its deactivation"
            );
        }
    }
}

enum Admitted<A> {
    Start(Start<A>),
    Queued,
    Refused(Answer),
}

impl<A> Inner<A> {
    fn admit(
        &mut self,
        job: Job,
        reply: oneshot::Sender<Answer>,
        mailbox_len_max: usize,
    ) -> Admitted<A> {
        let nothing_before = self.mailbox.is_empty();
        if nothing_before && self.may_start(job.access) {
            return Admitted::Start(self.begin(Queued { job, reply }));
        }
        if let Some(cycle) = job.cycle() {
            let message = format!("the call would wait for itself: {cycle}");
            return Admitted::Refused(job.bounce(FailureCode::Cycle, message));
        }
        // Callers that went away leave no trace.
        if self.mailbox.len() >= mailbox_len_max {
            self.mailbox
                .retain(|queued| queued.job.one_way || !queued.reply.is_closed());
        }
        if self.mailbox.len() >= mailbox_len_max {
            let message = format!("{mailbox_len_max} calls wait in the mailbox of {}", job.id);
            return Admitted::Refused(job.bounce(FailureCode::Overloaded, message));
        }
        self.mailbox.push_back(Queued { job, reply });
        Admitted::Queued
    }

    fn may_start(&self, access: Access) -> bool {
        match &self.stage {
            Stage::Idle(_) => access == Access::Read || self.readers == 0,
            Stage::Vacant => self.readers == 0,
            Stage::Taken | Stage::Gone => false,
        }
    }

    /// Starts a turn that may start.
    fn begin(&mut self, queued: Queued) -> Start<A> {
        match std::mem::replace(&mut self.stage, Stage::Taken) {
            Stage::Idle(actor) if queued.job.access == Access::Read => {
                self.readers += 1;
                self.stage = Stage::Idle(Arc::clone(&actor));
                Start::Read(queued, actor)
            }
            Stage::Idle(actor) => Start::Write(queued, actor),
            _ => Start::Activate(queued),
        }
    }

    /// What may start now from the mailbox: one `&mut self` turn, or all `&self` turns up to the
    /// next one.
    fn next(&mut self) -> Vec<Start<A>> {
        let mut starts = Vec::new();
        while let Some(front) = self.mailbox.front() {
            if !self.may_start(front.job.access) {
                break;
            }
            if let Some(queued) = self.mailbox.pop_front() {
                starts.push(self.begin(queued));
            }
        }
        starts
    }
}

/// The job, if it may start; else its caller is told why not.
fn startable(queued: Queued, shared: &Shared) -> Option<Queued> {
    if !queued.job.one_way && queued.reply.is_closed() {
        return None;
    }
    match queued.job.may_start(&shared.right) {
        Ok(()) => Some(queued),
        Err(failure) => {
            queued.bounce(failure.code, failure.message);
            None
        }
    }
}

fn panicked(id: &ActorId) -> Outcome {
    tracing::error!(
        kind = id.kind(),
        "an actor's turn panicked; its activation is dropped"
    );
    let message = format!("the turn of {id} panicked");
    Outcome::Failed(Failure::new(FailureCode::Panicked, message).that_may_have_run())
}
