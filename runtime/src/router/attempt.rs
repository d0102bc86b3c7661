//! One attempt to bring a call to its actor: here, or at the shard's owner.

use std::cell::Cell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use greenroom_cluster::Route;
use greenroom_core::{ActorId, ShardId};
use greenroom_shardlock::{Permit, Refused};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::budget::Fare;
use super::trail::Trail;
use super::{Method, Package, Request, Router, failed, unknown_kind, unknown_method};
use crate::activation::{Answer, Job, Later, Name, Replier, Submitted};
use crate::ambient::Chain;
use crate::failure::{Failure, FailureCode};
use crate::payload::{Encoding, Outcome};
use crate::peer::{PeerCall, Reply, Unsent, too_large};

/// What one attempt came to.
pub(super) enum Attempt {
    Final(Answer),
    /// Surely did not run, for a reason that may pass.
    Again(Failure),
    /// Nothing was sent: an owner that refused the call is not asked again yet.
    Withheld,
}

/// What was tried at once.
pub(super) enum Tried {
    Over(Attempt),
    /// The turn runs or waits here; the answer will come.
    Waits(oneshot::Receiver<Answer>),
    /// The call is on its way to the owner; the answer will come.
    There(Reply),
}

impl Tried {
    fn failed(failure: Failure) -> Self {
        Self::Over(Attempt::Final(failed(failure)))
    }
}

/// Where the answer to a call of this node goes, should its turn wait.
struct LaterHere(Option<oneshot::Receiver<Answer>>);

impl Later for LaterHere {
    fn replier(&mut self) -> Replier {
        let (reply, answer) = oneshot::channel();
        self.0 = Some(answer);
        Replier::Here(reply)
    }
}

impl Router {
    /// One attempt, wherever the actor is by now.
    pub(super) async fn attempt(
        &self,
        request: &Request<'_>,
        chain: Option<&Arc<Chain>>,
        package: &mut dyn Package,
        trail: &mut Trail,
    ) -> Attempt {
        let here = poll_fn(|cx| Poll::Ready(self.attempt_here(request, chain, package, cx))).await;
        let chain = chain.map(|chain| &**chain);
        let tried = here.unwrap_or_else(|| self.attempt_there(request, chain, package, trail));
        self.outcome(tried, request, package, trail).await
    }

    /// Waits for what becomes of an attempt.
    pub(super) async fn outcome(
        &self,
        tried: Tried,
        request: &Request<'_>,
        package: &mut dyn Package,
        trail: &mut Trail,
    ) -> Attempt {
        match tried {
            Tried::Over(attempt) => attempt,
            Tried::Waits(answer) => wait_here(answer, request.deadline, package).await,
            Tried::There(reply) => self.outcome_there(reply.await, request.shard, trail),
        }
    }

    /// What another node's answer means for a call that was sent there.
    pub(super) fn outcome_there(
        &self,
        answer: Answer,
        shard: ShardId,
        trail: &mut Trail,
    ) -> Attempt {
        let Some(epoch) = trail.epoch() else { return Attempt::Final(answer) };
        match answer {
            Answer::Done(Outcome::Failed(failure)) if may_pass(&failure) => {
                trail.tried(epoch, Some(failure.code));
                if failure.code == FailureCode::NotOwner {
                    self.0.unopened.refused(shard, epoch, Instant::now());
                }
                Attempt::Again(failure)
            }
            answer => {
                if !matches!(answer, Answer::Done(Outcome::Failed(_))) {
                    self.0.unopened.answered(shard, epoch);
                }
                Attempt::Final(answer)
            }
        }
    }

    /// Gives the call to its actor, if that is here; `None` if its shard is not open here now.
    #[inline]
    pub(super) fn attempt_here(
        &self,
        request: &Request<'_>,
        chain: Option<&Arc<Chain>>,
        package: &mut dyn Package,
        cx: &mut TaskContext<'_>,
    ) -> Option<Tried> {
        let permit = self.enter(request.shard, None, chain.map(|chain| &**chain)).ok()?;
        // A node learns the group of a kind before it owns any of its shards, so an address that is
        // older than that is found out here.
        if self.in_its_group(request.shard, request.id.kind()) != request.shard {
            return None;
        }
        let Some(hosted) = request.hosted else {
            return Some(Tried::failed(unknown_kind(request.id.kind())));
        };
        let (method, spec) = match request.method {
            Method::Known { index, spec } => (index, spec),
            Method::Named(name) => match hosted.spec().method(name) {
                Some(found) => found,
                None => return Some(Tried::failed(unknown_method(request.id.kind(), name))),
            },
        };
        let Some(arguments) = package.for_this_node() else {
            return Some(Tried::failed(lost_arguments()));
        };
        let mut job = Job {
            method,
            access: spec.access,
            reentrant: spec.reentrant,
            arguments,
            made: request.made,
            deadline: request.deadline,
            // Nobody waits for the turn of a one-way call, so it can't close a cycle.
            chain: chain.filter(|_| !request.one_way).cloned(),
            one_way: request.one_way,
            context: request.context.clone(),
            watched: None,
        };
        if let Some(interceptors) = self.interceptors()
            && let Err(failure) = interceptors.incoming(request.id, spec, request.source, &mut job)
        {
            return Some(Tried::failed(failure));
        }
        let mut later = LaterHere(None);
        Some(match hosted.submit(Name::Known(request.id), job, permit, cx, &mut later) {
            Submitted::Answered(answer) => Tried::Over(taken_back(answer, package)),
            Submitted::Later => match later.0 {
                Some(answer) => Tried::Waits(answer),
                // Only a defect in this crate leads here.
                None => Tried::failed(dropped()),
            },
        })
    }

    fn why_no_owner(&self, request: &Request<'_>) -> String {
        let (shard, kind) = (request.shard, request.id.kind());
        if self.0.cluster.is_hosted(kind) {
            format!("shard {shard} has no owner at present")
        } else {
            format!("shard {shard} has no owner, and no live node hosts kind `{kind}`")
        }
    }

    /// Lets a call into a shard that is open here, and if the shard is on its way out, a call that
    /// a turn waits for which itself keeps some shard of this node from moving: refused, it would
    /// wait for the handoff, and the handoff for it.
    pub(crate) fn enter(
        &self,
        shard: ShardId,
        epoch: Option<u64>,
        chain: Option<&Chain>,
    ) -> Result<Permit<'_>, Refused> {
        let gates = &self.0.gates;
        let entered = match epoch {
            Some(epoch) => gates.enter_at(shard.0, epoch),
            None => gates.enter(shard.0),
        };
        let is_held_up = |actor: &ActorId| gates.is_draining(self.shard_of(actor).0);
        match entered {
            Err(Refused::Closed | Refused::Busy) if Chain::iter(chain).any(is_held_up) => {
                gates.enter_beside(shard.0, epoch)
            }
            entered => entered,
        }
    }

    /// Sends the call to the shard's owner.
    pub(super) fn attempt_there(
        &self,
        request: &Request<'_>,
        chain: Option<&Chain>,
        package: &dyn Package,
        trail: &mut Trail,
    ) -> Tried {
        match self.0.cluster.routes().route(request.shard) {
            Some(route) if route.owner.life.node != self.0.node => {
                let in_grace =
                    || self.0.unopened.is_free(request.shard, route.epoch, Instant::now());
                let Some(fare) = trail.fare(route.epoch, in_grace) else {
                    return Tried::Over(Attempt::Withheld);
                };
                with_scratch(|arguments| match package.for_another_node(arguments) {
                    Some(Ok(encoding)) => {
                        let call = peer_call(request, chain, &route, encoding, arguments);
                        self.send(&call, &route, fare, trail)
                    }
                    Some(Err(failure)) => Tried::failed(failure),
                    None => Tried::failed(lost_arguments()),
                })
            }
            _ => {
                let failure = Failure::new(FailureCode::NotOwner, self.why_no_owner(request));
                Tried::Over(Attempt::Again(failure))
            }
        }
    }

    fn send(&self, call: &PeerCall<'_>, route: &Route, fare: Fare, trail: &mut Trail) -> Tried {
        let max = self.0.limits.payload_bytes_max;
        if call.arguments.len() > max {
            return Tried::failed(too_large("call", call.arguments.len(), max));
        }
        match self.0.peers.call(&route.owner, call, fare) {
            Ok(reply) => {
                trail.tried(route.epoch, None);
                Tried::There(reply)
            }
            Err(Unsent::Failed(failure)) => {
                trail.tried(route.epoch, Some(failure.code));
                Tried::Over(Attempt::Again(failure))
            }
            Err(Unsent::Withheld) => {
                self.0.retries.withheld();
                Tried::Over(Attempt::Withheld)
            }
        }
    }
}

fn peer_call<'a>(
    request: &'a Request<'_>,
    chain: Option<&'a Chain>,
    route: &Route,
    encoding: Encoding,
    arguments: &'a [u8],
) -> PeerCall<'a> {
    PeerCall {
        id: request.id,
        shard: request.shard,
        method: request.method.name(),
        encoding,
        arguments,
        now: request.made,
        deadline: request.deadline,
        one_way: request.one_way,
        epoch: route.epoch,
        chain,
        context: request.context.as_deref(),
        takes_stream: match request.method {
            Method::Known { spec, .. } => spec.streamed,
            Method::Named(_) => true,
        },
    }
}

/// Largest memory for arguments that a thread keeps.
const SCRATCH_BYTES_MAX: usize = 64 << 10;

/// Lends memory in which arguments are written down on their way to a link.
fn with_scratch<T>(write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    thread_local! {
        static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    // Taken out: what a user's type does when it is written is its own affair.
    let mut scratch = SCRATCH.take();
    let result = write(&mut scratch);
    if scratch.capacity() <= SCRATCH_BYTES_MAX {
        scratch.clear();
        SCRATCH.set(scratch);
    }
    result
}

/// Waits for a turn on this node.
async fn wait_here(
    answer: oneshot::Receiver<Answer>,
    deadline: Instant,
    package: &mut dyn Package,
) -> Attempt {
    let answer = match timeout_at(deadline, answer).await {
        Ok(Ok(answer)) => answer,
        // The cell was dropped with the turn in it: the node was fenced or taken down.
        Ok(Err(_)) => failed(dropped()),
        Err(_) => failed(timed_out_after_submit()),
    };
    taken_back(answer, package)
}

/// A turn that did not run because its shard moved away gives the arguments back, for another try.
fn taken_back(answer: Answer, package: &mut dyn Package) -> Attempt {
    match answer {
        Answer::Bounced(failure, arguments) if failure.code == FailureCode::NotOwner => {
            package.take_back(*arguments);
            Attempt::Again(failure)
        }
        answer => Attempt::Final(answer),
    }
}

/// Whether a call that failed so is worth another try: it surely did not run, and what hindered it
/// passes when the shard has found its owner.
pub(crate) fn may_pass(failure: &Failure) -> bool {
    let passing = matches!(
        failure.code,
        FailureCode::NotOwner | FailureCode::Unreachable | FailureCode::Stopping
    );
    passing && !failure.may_have_run
}

fn dropped() -> Failure {
    Failure::new(FailureCode::Fenced, "the actor was dropped while the call waited or ran")
        .that_may_have_run()
}

/// Only a defect in this crate leads here: arguments are lent to one turn at a time.
fn lost_arguments() -> Failure {
    Failure::new(FailureCode::BadArguments, "the arguments went with an earlier attempt")
        .that_may_have_run()
}

fn timed_out_after_submit() -> Failure {
    Failure::new(FailureCode::Timeout, "the deadline passed while the call waited or ran")
        .that_may_have_run()
}
