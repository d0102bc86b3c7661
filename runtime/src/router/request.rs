//! A call on its way.

use std::sync::Arc;

use greenroom_core::{ActorId, ShardId};
use tokio::time::Instant;

use super::Persistence;
use crate::activation::{Answer, Hosted};
use crate::failure::Failure;
use crate::intercept::{Source, Watched};
use crate::interface::MethodSpec;
use crate::payload::{Arguments, Encoding};
use crate::request_context::{Changes, RequestContext};

/// A call before it has found its actor.
pub(crate) struct Request<'a> {
    pub(crate) id: &'a ActorId,
    pub(crate) shard: ShardId,
    pub(crate) hosted: Option<&'a Arc<dyn Hosted>>,
    pub(crate) method: Method<'a>,
    /// When the call was made, or is tried again.
    pub(crate) made: Instant,
    pub(crate) deadline: Instant,
    pub(crate) one_way: bool,
    pub(crate) persistence: Persistence,
    /// Whether a limit refused it before.
    pub(crate) is_retry: bool,
    pub(crate) source: Source,
    /// What its caller says about its context.
    pub(crate) changes: Option<Box<Changes>>,
    /// What travels with it.
    pub(crate) context: Option<Arc<RequestContext>>,
    /// Interceptors let it pass, and want to hear how it ends.
    pub(crate) watched: Option<Box<Watched>>,
}

impl<'a> Request<'a> {
    /// The same call, to be made once more.
    pub(super) fn again(&self) -> Request<'a> {
        Request { changes: None, context: self.context.clone(), watched: None, ..*self }
    }

    /// Tells interceptors of the answer.
    pub(crate) fn has_ended(&mut self, answer: &Answer) {
        if let Some(watched) = self.watched.take() {
            watched.ended(answer);
        }
    }
}

/// Which method, as far as the caller knows it.
#[derive(Clone, Copy)]
pub(crate) enum Method<'a> {
    /// From the interface.
    Known { index: usize, spec: &'static MethodSpec },
    /// By its written name alone.
    Named(&'a str),
}

impl Method<'_> {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Known { spec, .. } => spec.name,
            Self::Named(name) => name,
        }
    }
}

/// The arguments of a call, kept for as long as it may have to be tried again.
pub(crate) trait Package: Send {
    /// For a turn on this node; `None` if they are with one already.
    fn for_this_node(&mut self) -> Option<Arguments>;
    /// For the wire: written to the end of `out`. `None` as above.
    fn for_another_node(&self, out: &mut Vec<u8>) -> Option<Result<Encoding, Failure>>;
    /// A turn that surely did not run gives them back.
    fn take_back(&mut self, arguments: Arguments);
}
