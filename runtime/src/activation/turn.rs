//! One call on its way through an actor: the job, its answer, and the checks around the turn.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use greenroom_cluster::RightToRun;
use greenroom_core::ActorId;
use greenroom_shardlock::OwnedPermit;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::ambient::Chain;
use crate::failure::{Failure, FailureCode};
use crate::intercept::Watched;
use crate::interface::Access;
use crate::overload::Place;
use crate::payload::{Arguments, Outcome};
use crate::request_context::RequestContext;

/// What comes back from an actor's cell.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The call was answered.
    Done(Outcome),
    /// A one-way call stands in the mailbox.
    Accepted,
    /// The call surely did not run; here are its arguments again. Boxed, because answers are moved about
    /// on the way of every call, and this one is rare.
    Bounced(Failure, Box<Arguments>),
}

/// What became of a submitted job.
#[derive(Debug)]
pub(crate) enum Submitted {
    /// It is answered already.
    Answered(Answer),
    /// It waits or runs; the [`Replier`] gets the answer.
    Later,
}

/// One that submits a job, and is asked for a way back only if its turn waits.
pub(crate) trait Later {
    /// Where the answer is to go.
    fn replier(&mut self) -> Replier;
}

/// The way back to a caller.
#[derive(Debug)]
pub(crate) enum Replier {
    /// On this node.
    Here(oneshot::Sender<Answer>),
    /// On another one.
    There(Box<dyn RemoteReplier>),
    /// Of a one-way call, which nobody waits for.
    Nobody,
}

/// The way back to a caller on another node. One that is dropped tells the caller that its call may
/// have run.
pub(crate) trait RemoteReplier: Send + Sync + fmt::Debug {
    /// Answers the call.
    fn send(self: Box<Self>, answer: Answer);

    /// Whether nobody waits for the answer any more.
    fn is_gone(&self) -> bool;

    /// Resolves when nobody does.
    fn poll_gone(&self, cx: &Context<'_>) -> Poll<()>;
}

impl Replier {
    /// A caller that is gone needs no answer.
    pub(super) fn send(self, answer: Answer) {
        match self {
            Self::Here(reply) => {
                let _ = reply.send(answer);
            }
            Self::There(reply) => reply.send(answer),
            Self::Nobody => {}
        }
    }

    /// Whether somebody waited for the answer and does so no more.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Here(reply) => reply.is_closed(),
            Self::There(reply) => reply.is_gone(),
            Self::Nobody => false,
        }
    }

    /// Resolves when somebody waited for the answer and does so no more.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Here(reply) => reply.poll_closed(cx),
            Self::There(reply) => reply.poll_gone(cx),
            Self::Nobody => Poll::Pending,
        }
    }
}

/// A call that has found its actor's node.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) method: usize,
    pub(crate) access: Access,
    /// Whether it may begin inside a turn that waits for it.
    pub(crate) reentrant: bool,
    pub(crate) arguments: Arguments,
    /// When the call was made or came here, if it has not waited since.
    pub(crate) made: Instant,
    pub(crate) deadline: Instant,
    /// The actors that wait on this call.
    pub(crate) chain: Option<Arc<Chain>>,
    pub(crate) one_way: bool,
    /// What travels with the call.
    pub(crate) context: Option<Arc<RequestContext>>,
    /// Interceptors let the call pass, and want to hear how it ends.
    pub(crate) watched: Option<Box<Watched>>,
}

impl Job {
    /// Gives the call back: it surely did not run.
    pub(crate) fn bounce(self, code: FailureCode, message: impl Into<String>) -> Answer {
        self.bounced(Failure::new(code, message))
    }

    /// Gives the call back for this reason.
    pub(crate) fn bounced(self, failure: Failure) -> Answer {
        let answer = Answer::Bounced(failure, Box::new(self.arguments));
        if let Some(watched) = self.watched {
            watched.ended(&answer);
        }
        answer
    }

    /// Whether this call of `actor` would wait for an actor that waits for it; then the cycle in
    /// words.
    pub(crate) fn cycle(&self, actor: &ActorId) -> Option<String> {
        let chain: Vec<&ActorId> = Chain::iter(self.chain.as_deref()).collect();
        let at = chain.iter().position(|waiting| *waiting == actor)?;
        let mut cycle: Vec<String> = chain[..=at].iter().rev().map(ToString::to_string).collect();
        cycle.push(actor.to_string());
        Some(cycle.join(" -> "))
    }
}

/// The check before a turn: whether it may start at all. Answers with the time, which it reads unless
/// the caller has just done so.
pub(super) fn may_start(
    permit_is_valid: bool,
    right: &RightToRun,
    deadline: Instant,
    now: Option<Instant>,
) -> Result<Instant, Failure> {
    let refuse = |code, message: &str| Err(Failure::new(code, message));
    if !permit_is_valid {
        return refuse(FailureCode::NotOwner, "the actor's shard moved away");
    }
    if !right.holds() {
        return refuse(FailureCode::NotOwner, "the node has lost its right to run");
    }
    let now = now.unwrap_or_else(Instant::now);
    if deadline <= now {
        return refuse(FailureCode::Timeout, "the deadline passed before the turn began");
    }
    Ok(now)
}

/// The check after a turn, before anything of it is acknowledged.
pub(super) fn acknowledge(permit_is_valid: bool, right: &RightToRun, answer: Answer) -> Answer {
    let ran = matches!(answer, Answer::Done(_));
    if !ran || (permit_is_valid && right.holds()) {
        return answer;
    }
    let message = "the node lost the actor's shard while the turn ran";
    let failure = Failure::new(FailureCode::Fenced, message).that_may_have_run();
    Answer::Done(Outcome::Failed(failure))
}

/// A job that waits, with its permit and the way back to its caller.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) job: Job,
    /// Held until the turn has ended, so that the shard doesn't move under it.
    pub(crate) permit: OwnedPermit,
    pub(crate) reply: Replier,
    /// Among the calls of its kind, until it is answered.
    pub(crate) place: Place,
}

impl Queued {
    /// Whether nobody waits for the answer any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_gone()
    }

    pub(crate) fn bounce(self, code: FailureCode, message: impl Into<String>) {
        self.reply.send(self.job.bounce(code, message));
    }
}
