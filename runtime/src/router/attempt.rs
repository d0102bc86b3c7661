//! One attempt to bring a call to its actor: here, or at the shard's owner.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use greenroom_cluster::Route;
use greenroom_core::{ActorId, ShardId};
use greenroom_shardlock::{Permit, Refused};
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::{Method, Package, Request, Router, failed, unknown_kind, unknown_method};
use crate::activation::{Answer, Job, Submitted};
use crate::ambient::Chain;
use crate::failure::{Failure, FailureCode};
use crate::payload::Outcome;
use crate::peer::PeerCall;

/// What one attempt came to.
pub(super) enum Attempt {
    Final(Answer),
    /// Surely did not run, for a reason that may pass.
    Again(Failure),
}

/// What a look at this node came to.
pub(super) enum Here {
    /// As good as any attempt.
    Tried(Attempt),
    /// The turn runs or waits here; the answer will come.
    Waits(oneshot::Receiver<Answer>),
    /// The actor's shard is not open here now.
    Elsewhere,
}

impl Here {
    fn failed(failure: Failure) -> Self {
        Self::Tried(Attempt::Final(failed(failure)))
    }
}

impl Router {
    /// One attempt, wherever the actor is by now.
    pub(super) async fn attempt(
        &self,
        request: &Request<'_>,
        chain: Option<&Arc<Chain>>,
        package: &mut dyn Package,
    ) -> Attempt {
        let here = poll_fn(|cx| Poll::Ready(self.attempt_here(request, chain, package, cx)));
        self.go_on_from(here.await, request, chain, package).await
    }

    /// The rest of an attempt that began with a look at this node.
    pub(super) async fn go_on_from(
        &self,
        here: Here,
        request: &Request<'_>,
        chain: Option<&Arc<Chain>>,
        package: &mut dyn Package,
    ) -> Attempt {
        match here {
            Here::Tried(attempt) => attempt,
            Here::Waits(answer) => self.wait_here(request, package, answer).await,
            Here::Elsewhere => self.attempt_elsewhere(request, chain, package).await,
        }
    }

    /// Gives the call to its actor, if that is here.
    pub(super) fn attempt_here(
        &self,
        request: &Request<'_>,
        chain: Option<&Arc<Chain>>,
        package: &mut dyn Package,
        cx: &mut TaskContext<'_>,
    ) -> Here {
        let Ok(permit) = self.enter(request.shard, None, chain.map(|chain| &**chain)) else {
            return Here::Elsewhere;
        };
        // A node learns the group of a kind before it owns any of its shards, so an address that is
        // older than that is found out here.
        if self.in_its_group(request.shard, request.id.kind()) != request.shard {
            return Here::Elsewhere;
        }
        let Some(hosted) = request.hosted else {
            return Here::failed(unknown_kind(request.id.kind()));
        };
        let (method, spec) = match request.method {
            Method::Known { index, spec } => (index, spec),
            Method::Named(name) => match hosted.spec().method(name) {
                Some(found) => found,
                None => return Here::failed(unknown_method(request.id.kind(), name)),
            },
        };
        let Some(arguments) = package.for_this_node() else {
            return Here::failed(lost_arguments());
        };
        let job = Job {
            method,
            access: spec.access,
            arguments,
            made: request.made,
            deadline: request.deadline,
            // Nobody waits for the turn of a one-way call, so it can't close a cycle.
            chain: chain.filter(|_| !request.one_way).cloned(),
            one_way: request.one_way,
        };
        match hosted.submit(request.id, job, permit, cx) {
            Submitted::Answered(answer) => Here::Tried(taken_back(answer, package)),
            Submitted::Waiting(answer) => Here::Waits(answer),
        }
    }

    /// Waits for a turn on this node.
    async fn wait_here(
        &self,
        request: &Request<'_>,
        package: &mut dyn Package,
        answer: oneshot::Receiver<Answer>,
    ) -> Attempt {
        let answer = match timeout_at(request.deadline, answer).await {
            Ok(Ok(answer)) => answer,
            // The cell was dropped with the turn in it: the node was fenced or taken down.
            Ok(Err(_)) => {
                let message = "the actor was dropped while the call waited or ran";
                failed(Failure::new(FailureCode::Fenced, message).that_may_have_run())
            }
            Err(_) => failed(timed_out_after_submit()),
        };
        taken_back(answer, package)
    }

    /// Sends the call to the shard's owner.
    async fn attempt_elsewhere(
        &self,
        request: &Request<'_>,
        chain: Option<&Arc<Chain>>,
        package: &mut dyn Package,
    ) -> Attempt {
        match self.0.cluster.routes().route(request.shard) {
            Some(route) if route.owner.life.node != self.0.node => {
                self.attempt_there(request, chain, package, &route).await
            }
            _ => Attempt::Again(Failure::new(FailureCode::NotOwner, self.why_no_owner(request))),
        }
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

    async fn attempt_there(
        &self,
        request: &Request<'_>,
        chain: Option<&Arc<Chain>>,
        package: &mut dyn Package,
        route: &Route,
    ) -> Attempt {
        let (encoding, arguments) = match package.for_another_node() {
            Some(Ok(written)) => written,
            Some(Err(failure)) => return Attempt::Final(failed(failure)),
            None => return Attempt::Final(failed(lost_arguments())),
        };
        let max = self.0.limits.payload_bytes_max;
        if arguments.len() > max {
            let len = arguments.len();
            let message = format!("the arguments have {len} bytes, at most {max} are allowed");
            return Attempt::Final(failed(Failure::new(FailureCode::TooLarge, message)));
        }
        let call = PeerCall {
            id: request.id.clone(),
            method: request.method.name().to_owned(),
            encoding,
            arguments,
            deadline: request.deadline,
            one_way: request.one_way,
            epoch: route.epoch,
            chain: chain.cloned(),
        };
        match self.0.peers.call(&route.owner, call).await {
            Answer::Done(Outcome::Failed(failure)) if may_pass(&failure) => Attempt::Again(failure),
            answer => Attempt::Final(answer),
        }
    }
}

/// A turn that did not run because its shard moved away gives the arguments back, for another try.
fn taken_back(answer: Answer, package: &mut dyn Package) -> Attempt {
    match answer {
        Answer::Bounced(failure, arguments) if failure.code == FailureCode::NotOwner => {
            package.take_back(arguments);
            Attempt::Again(failure)
        }
        answer => Attempt::Final(answer),
    }
}

/// Whether a call that failed so is worth another try: it surely did not run, and what hindered it
/// passes when the shard has found its owner.
fn may_pass(failure: &Failure) -> bool {
    let passing = matches!(
        failure.code,
        FailureCode::NotOwner | FailureCode::Unreachable | FailureCode::Stopping
    );
    passing && !failure.may_have_run
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
