//! One call on its way through an actor: the job, its answer, and the checks around the turn.

use std::sync::Arc;

use greenroom_cluster::RightToRun;
use greenroom_core::ActorId;
use greenroom_shardlock::OwnedPermit;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::ambient::{Ambient, Chain};
use crate::failure::{Failure, FailureCode};
use crate::interface::Access;
use crate::payload::{Arguments, Outcome};

/// What comes back from an actor's cell.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The call was answered.
    Done(Outcome),
    /// A one-way call stands in the mailbox.
    Accepted,
    /// The call surely did not run; here are its arguments again.
    Bounced(Failure, Arguments),
}

/// What became of a submitted job.
#[derive(Debug)]
pub(crate) enum Submitted {
    /// It is answered already.
    Answered(Answer),
    /// It waits or runs; the answer will come.
    Waiting(oneshot::Receiver<Answer>),
}

/// A call that has found its actor's node.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: ActorId,
    pub(crate) method: usize,
    pub(crate) access: Access,
    pub(crate) arguments: Arguments,
    pub(crate) deadline: Instant,
    /// The actors that wait on this call.
    pub(crate) chain: Option<Arc<Chain>>,
    pub(crate) one_way: bool,
}

impl Job {
    /// Gives the call back: it surely did not run.
    pub(crate) fn bounce(self, code: FailureCode, message: impl Into<String>) -> Answer {
        Answer::Bounced(Failure::new(code, message), self.arguments)
    }

    /// Whether this call would wait for an actor that waits for it; then the cycle in words.
    pub(crate) fn cycle(&self) -> Option<String> {
        let chain: Vec<&ActorId> = Chain::iter(self.chain.as_deref()).collect();
        let at = chain.iter().position(|actor| **actor == self.id)?;
        let mut cycle: Vec<String> = chain[..=at].iter().rev().map(ToString::to_string).collect();
        cycle.push(self.id.to_string());
        Some(cycle.join(" -> "))
    }

    /// What the calls made in this call's turn inherit.
    pub(crate) fn ambient(&self) -> Ambient {
        let chain = Chain::push(self.chain.clone(), self.id.clone());
        Ambient { deadline: self.deadline, chain }
    }
}

/// The check before a turn: whether it may start at all. Answers with the time, which it had to read.
pub(super) fn may_start(
    permit: &OwnedPermit,
    right: &RightToRun,
    deadline: Instant,
) -> Result<Instant, Failure> {
    let refuse = |code, message: &str| Err(Failure::new(code, message));
    if !permit.is_valid() {
        return refuse(FailureCode::NotOwner, "the actor's shard moved away");
    }
    if !right.holds() {
        return refuse(FailureCode::NotOwner, "the node has lost its right to run");
    }
    let now = Instant::now();
    if deadline <= now {
        return refuse(FailureCode::Timeout, "the deadline passed before the turn began");
    }
    Ok(now)
}

/// The check after a turn, before anything of it is acknowledged.
pub(super) fn acknowledge(permit: &OwnedPermit, right: &RightToRun, answer: Answer) -> Answer {
    let ran = matches!(answer, Answer::Done(_));
    if !ran || (permit.is_valid() && right.holds()) {
        return answer;
    }
    let message = "the node lost the actor's shard while the turn ran";
    let failure = Failure::new(FailureCode::Fenced, message).that_may_have_run();
    Answer::Done(Outcome::Failed(failure))
}

/// A job with its permit and the way back to its caller.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) job: Job,
    /// Held until the turn has ended, so that the shard doesn't move under it.
    pub(crate) permit: OwnedPermit,
    pub(crate) reply: oneshot::Sender<Answer>,
}

impl Queued {
    /// Whether nobody waits for the answer any more.
    pub(super) fn is_abandoned(&self) -> bool {
        !self.job.one_way && self.reply.is_closed()
    }

    pub(crate) fn bounce(self, code: FailureCode, message: impl Into<String>) {
        // A caller that is gone needs no answer.
        let _ = self.reply.send(self.job.bounce(code, message));
    }
}
