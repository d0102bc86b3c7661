//! The way of a call to its actor: here, to the owner, or waiting for one, until the deadline.

mod attempt;
mod begun;
mod budget;
mod courtesy;
mod failures;
mod limits;
mod passage;
mod persistence;
mod request;
mod trail;
mod unopened;

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::ops::Deref;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use fnv::FnvBuildHasher;
use greenroom_cluster::{Cluster, Route};
use greenroom_core::{ActorId, NodeId, ShardId};
use greenroom_shardlock::Gates;
use tokio::time::{Instant, sleep_until};

use crate::activation::{Answer, Hosted};
use crate::ambient::{self, CHAIN_LEN_MAX, Chain};
use crate::call::{ActorRef, Address};
use crate::failure::{Failure, FailureCode};
use crate::intercept::Interceptors;
use crate::overload::{HINT_DEFAULT, Limit, Refusals, about};
use crate::peer::Peers;
pub(crate) use attempt::may_pass;
use attempt::{Attempt, Tried};
use begun::InFlight;
pub(crate) use begun::{Begun, UnderWay};
pub(crate) use budget::{Budget, Fare, Income, Retries};
pub(crate) use courtesy::poll_budget;
pub(crate) use failures::{failed, no_cluster, unknown_kind, unknown_method};
use failures::{in_the_dark, out_of_time, stopping};
pub use limits::CallLimits;
pub(crate) use persistence::Persistence;
pub(crate) use request::{Method, Package, Request};
use trail::{Cause, Trail};
use unopened::Unopened;

/// How long a call waits before it tries again, when nothing tells it that something changed.
const RETRY_PAUSE_FIRST: Duration = Duration::from_millis(5);
const RETRY_PAUSE_MAX: Duration = Duration::from_millis(200);
/// Longest that it waits because a peer said so.
const RETRY_HINT_MAX: Duration = Duration::from_secs(2);
/// How often a node that stops looks whether its last calls have ended.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Finds the way of calls. Clones are the same router.
#[derive(Clone)]
pub(crate) struct Router(Arc<Inner>);

/// Does not keep the router alive.
pub(crate) type WeakRouter = Weaker;

/// What cells hold of their node's router, so that actors do not keep their node alive.
pub(crate) struct Weaker(Weak<Inner>);

impl Weaker {
    pub(crate) fn upgrade(&self) -> Option<Router> {
        self.0.upgrade().map(Router)
    }
}

/// What a router brings together.
pub(crate) struct RouterParts {
    pub(crate) node: NodeId,
    /// Of each group.
    pub(crate) shards: u32,
    pub(crate) kinds: HashMap<&'static str, Arc<dyn Hosted>, FnvBuildHasher>,
    pub(crate) gates: Arc<Gates>,
    pub(crate) cluster: Cluster,
    pub(crate) peers: Peers,
    pub(crate) limits: CallLimits,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) retries: Arc<Retries>,
    /// What calls in and out pass; `None` if there is none.
    pub(crate) interceptors: Option<Arc<Interceptors>>,
}

struct Inner {
    parts: RouterParts,
    unopened: Unopened,
    /// Calls that wait.
    in_flight: AtomicUsize,
    /// The node has stopped.
    closed: AtomicBool,
}

impl Deref for Inner {
    type Target = RouterParts;

    fn deref(&self) -> &RouterParts {
        &self.parts
    }
}

/// Where an actor is, as far as this node knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peeked {
    /// The actor's shard.
    pub shard: ShardId,
    /// The shard's live owner; `None` while it has none.
    pub route: Option<Route>,
}

impl Router {
    pub(crate) fn new(parts: RouterParts) -> Self {
        Self(Arc::new(Inner {
            parts,
            unopened: Unopened::default(),
            in_flight: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        }))
    }

    pub(crate) fn downgrade(&self) -> WeakRouter {
        Weaker(Arc::downgrade(&self.0))
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        self.0.limits.call_timeout
    }

    pub(crate) fn node(&self) -> &NodeId {
        &self.0.node
    }

    pub(crate) fn cluster_name(&self) -> &str {
        self.0.peers.cluster()
    }

    /// Shards of each group.
    pub(crate) fn shard_count(&self) -> u32 {
        self.0.shards
    }

    /// Shards of all groups that this node has seen.
    pub(crate) fn shards_in_all(&self) -> u32 {
        self.0.shards * self.0.cluster.group_count() as u32
    }

    /// Whether the node has stopped, or is about to.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    pub(crate) fn limits(&self) -> &CallLimits {
        &self.0.limits
    }

    pub(crate) fn refusals(&self) -> &Refusals {
        &self.0.refusals
    }

    /// Forgets peers that are gone, for as long as it is polled.
    pub(crate) async fn tidy(&self) {
        self.0.peers.tidy().await;
    }

    /// Makes no call any more: new ones, and those that wait for an owner, are refused.
    pub(crate) fn refuse(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
    }

    /// Waits until no call that was made here is under way.
    pub(crate) async fn idle(&self) {
        while self.0.in_flight.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Ends the links to other nodes.
    pub(crate) fn close(&self) {
        self.refuse();
        self.0.peers.close();
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.0.cluster
    }

    pub(crate) fn hosted(&self, kind: &str) -> Option<&Arc<dyn Hosted>> {
        self.0.kinds.get(kind)
    }

    /// The typed address of an actor, from wherever a router may be missing.
    pub(crate) fn address<R: Address>(router: Option<&Self>, key: &str) -> Result<R, Failure> {
        let router = router.ok_or_else(no_cluster)?;
        Ok(R::from_actor(router.actor(R::KIND, key)?))
    }

    pub(crate) fn actor(&self, kind: &str, key: &str) -> Result<ActorRef, Failure> {
        let hosted = self.hosted(kind).cloned();
        let kind = hosted.as_ref().map_or_else(|| kind.into(), |hosted| hosted.kind());
        let id = ActorId::new(kind, key)
            .map_err(|error| Failure::new(FailureCode::BadKey, error.to_string()))?;
        let shard = self.shard_of(&id);
        Ok(ActorRef::new(id, shard, self.clone(), hosted))
    }

    /// The shard of an actor, in the group of its kind.
    pub(crate) fn shard_of(&self, id: &ActorId) -> ShardId {
        self.shard_of_name(id.kind(), id.key())
    }

    /// The same for a name that is none of ours.
    pub(crate) fn shard_of_name(&self, kind: &str, key: &str) -> ShardId {
        self.in_its_group(ShardId::of(kind, key, self.0.shards), kind)
    }

    /// The shard of the same number in the group of a kind: an address may be older than that.
    pub(crate) fn in_its_group(&self, shard: ShardId, kind: &str) -> ShardId {
        if self.0.cluster.group_count() == 1 {
            return shard;
        }
        let groups = self.0.cluster.groups();
        let (_, number) = shard.group_and_number(self.0.shards);
        ShardId(number).in_group(groups.of_kind(kind), self.0.shards)
    }

    pub(crate) fn peek(&self, id: &ActorId) -> Peeked {
        let shard = self.shard_of(id);
        Peeked { shard, route: self.0.cluster.routes().route(shard) }
    }

    /// Makes a call: tries until it is answered, or surely can't be, or the deadline passes.
    pub(crate) async fn call(&self, mut request: Request<'_>, package: &mut dyn Package) -> Answer {
        poll_fn(poll_budget).await;
        // It may have let others go first.
        request.made = Instant::now();
        let begun = poll_fn(|cx| Poll::Ready(self.begin(&mut request, package, cx))).await;
        self.end(request, package, begun).await
    }

    /// Begins a call: if its actor is here and free, and the turn doesn't wait, that is all there is
    /// to it. Changes nothing on the way that all threads of the node share.
    #[inline]
    fn first_look(
        &self,
        request: &mut Request<'_>,
        package: &mut dyn Package,
        cx: &mut TaskContext<'_>,
    ) -> Begun {
        let chain = match ambient::inherited() {
            Some(inherited) => {
                request.deadline = request.deadline.min(inherited.deadline);
                request.context = inherited.context;
                if Chain::iter(Some(&inherited.chain)).count() >= CHAIN_LEN_MAX {
                    let message = format!("{CHAIN_LEN_MAX} calls wait on each other already");
                    return Begun::failed(Failure::new(FailureCode::Cycle, message));
                }
                Some(inherited.chain)
            }
            None => None,
        };
        if (request.changes.is_some() || self.0.interceptors.is_some())
            && let Err(failure) = self.dress(request)
        {
            return Begun::failed(failure);
        }
        if self.0.closed.load(Ordering::Acquire) {
            return Begun::failed(stopping());
        }
        // Only calls that wait are counted: others are bounded by the threads that make them.
        let max = self.0.limits.calls_in_flight_max;
        if self.0.in_flight.load(Ordering::Relaxed) >= max {
            let message = format!("{max} calls are under way on this node");
            let hint = about(HINT_DEFAULT);
            return Begun::failed(self.0.refusals.refuse(Limit::Node, message, hint));
        }
        if request.deadline <= request.made {
            let message = "the deadline passed before the call was made";
            return Begun::failed(Failure::new(FailureCode::Timeout, message));
        }
        let here = self.attempt_here(request, chain.as_ref(), package, cx);
        if let Some(Tried::Over(Attempt::Final(answer))) = here {
            return Begun::Answered(answer);
        }
        let counted = InFlight::count(self);
        // A node that stops looks for calls under way after it said so.
        if self.0.closed.load(Ordering::SeqCst) && !matches!(here, Some(Tried::Waits(_))) {
            return Begun::failed(stopping());
        }
        let mut trail = Trail::new(if request.is_retry { Cause::Settled } else { Cause::First });
        let there = || self.attempt_there(request, chain.as_deref(), package, &mut trail);
        match here.unwrap_or_else(there) {
            Tried::Over(Attempt::Final(answer)) => Begun::Answered(answer),
            tried => Begun::UnderWay(UnderWay { chain, tried, trail, _counted: counted }),
        }
    }

    /// Brings to an end what was begun.
    async fn try_on(
        &self,
        mut request: Request<'_>,
        package: &mut dyn Package,
        begun: UnderWay,
    ) -> Answer {
        let UnderWay { chain, tried, mut trail, _counted } = begun;
        let chain = chain.as_ref();
        if matches!(tried, Tried::Waits(_)) && !request.is_retry {
            self.0.retries.budget.deposit();
        }
        // Most calls find their way at once; only one that did not listens for changes.
        let mut last = match self.outcome(tried, &request, package, &mut trail).await {
            Attempt::Final(answer) => return answer,
            Attempt::Again(failure) => Some(failure),
            Attempt::Withheld => None,
        };
        trail.cause = Cause::Look;
        let mut pause = RETRY_PAUSE_FIRST;
        loop {
            if let (Persistence::Once, Some(failure)) = (request.persistence, &last) {
                return failed(failure.clone());
            }
            if self.0.closed.load(Ordering::Acquire) {
                return failed(stopping());
            }
            if request.persistence != Persistence::Patient
                && self.0.cluster.right().is_lost_to_silence()
            {
                return failed(in_the_dark(last.as_ref()));
            }
            request.shard = self.in_its_group(request.shard, request.id.kind());
            // Enabled before the attempt, so that a change during it is not missed.
            let mut changed = pin!(self.0.cluster.routes().changed(request.shard));
            changed.as_mut().enable();
            let mut back = pin!(self.0.peers.back());
            back.as_mut().enable();
            request.made = Instant::now();
            let mut rest = pause.mul_f64(0.5 + fastrand::f64());
            match self.attempt(&request, chain, package, &mut trail).await {
                Attempt::Final(answer) => return answer,
                Attempt::Again(failure) => {
                    rest = rest.max(failure.retry_after().unwrap_or_default().min(RETRY_HINT_MAX));
                    last = Some(failure);
                }
                Attempt::Withheld => {}
            }
            pause = RETRY_PAUSE_MAX.min(pause * 2);
            let until = request.deadline.min(Instant::now() + rest);
            trail.cause = tokio::select! {
                biased;
                () = changed => Cause::Change,
                () = back => Cause::Time,
                () = sleep_until(until) => Cause::Time,
            };
            if Instant::now() >= request.deadline {
                return failed(out_of_time(last.as_ref()));
            }
        }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("node", &self.0.node).finish_non_exhaustive()
    }
}
