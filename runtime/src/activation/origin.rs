//! Where something happened to an actor, in the words that the whole log has for it.

use greenroom_core::NodeId;
use tracing::Span;

use super::cell::{Cell, CellPermit};
use super::turn::Job;
use crate::actor::Actor;
use crate::intercept::Watched;
use crate::interface::Dispatch;
use crate::request_context::RequestContext;

/// An actor, as the log tells of it: the kind, and the key only if that is wanted.
pub(crate) struct Origin<'a> {
    pub(crate) node: &'a NodeId,
    pub(crate) shard: u32,
    pub(crate) epoch: Option<u64>,
    pub(crate) actor: &'a str,
    pub(crate) key: Option<&'a str>,
    pub(crate) trace: Option<&'a str>,
}

/// Logs that something happened to an actor: `tell!(error, origin, "it panicked")`.
macro_rules! tell {
    ($level:ident, $origin:expr, $($rest:tt)+) => {{
        let origin = $origin;
        tracing::$level!(
            target: "greenroom::actors",
            node = %origin.node,
            shard = origin.shard,
            epoch = origin.epoch,
            actor = origin.actor,
            key = origin.key,
            trace = origin.trace,
            $($rest)+
        );
    }};
}

pub(crate) use tell;

/// A span around what an author wrote, so that what it logs says where it comes from. `None` unless the
/// log wants that: then it costs a look at the level.
macro_rules! span {
    ($name:literal, $origin:expr, $parent:expr, $method:expr) => {{
        // The arguments are worked out only if somebody wants them.
        let span = tracing::debug_span!(
            target: "greenroom::turns",
            parent: $parent,
            $name,
            node = %$origin.node,
            shard = $origin.shard,
            epoch = $origin.epoch,
            actor = $origin.actor,
            key = $origin.key,
            trace = $origin.trace,
            method = $method,
        );
        (!span.is_disabled()).then(|| Box::new(span))
    }};
}

impl<A: Actor, I: Dispatch<A>> Cell<A, I> {
    /// The actor in a shard that the permit holds.
    pub(super) fn origin<'a>(
        &'a self,
        permit: &CellPermit<A, I>,
        context: &'a RequestContext,
    ) -> Origin<'a> {
        let epoch = Some(permit.epoch());
        Origin { epoch, trace: context.trace_id(), ..self.origin_in(permit.shard()) }
    }

    /// The actor in its shard, when no call is under way.
    pub(super) fn origin_in(&self, shard: u32) -> Origin<'_> {
        let key = self.shared.log_keys.then(|| self.id.key());
        let (node, actor) = (&self.shared.node, self.id.kind());
        Origin { node, shard, epoch: None, actor, key, trace: None }
    }

    /// The span of a turn. What its caller does is no part of it, though it may be polled inside.
    #[inline(always)]
    pub(super) fn turn_span(&self, permit: &CellPermit<A, I>, job: &Job) -> Option<Box<Span>> {
        span!(
            "turn",
            self.origin(permit, RequestContext::of(job.context.as_ref())),
            job.watched.as_deref().and_then(Watched::span_id),
            I::SPEC.methods.get(job.method).map(|method| method.name)
        )
    }

    /// The span of an activation.
    pub(super) fn activation_span(
        &self,
        permit: &CellPermit<A, I>,
        context: &RequestContext,
        watched: Option<&Watched>,
    ) -> Option<Box<Span>> {
        let parent = watched.and_then(Watched::span_id);
        span!("activation", self.origin(permit, context), parent, None::<&str>)
    }
}
