//! A call as interceptors see it, and how it ended.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use greenroom_core::ActorId;
use tokio::time::Instant;
use tracing::Span;

use crate::activation::Answer;
use crate::failure::{Failure, FailureCode};
use crate::interface::Access;
use crate::payload::Outcome;
use crate::request_context::RequestContext;

/// Which end of a call an interceptor sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallSide {
    /// The caller's.
    Out,
    /// The actor's.
    In,
}

/// Where a call comes from, as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A caller in this process.
    Local,
    /// Another node.
    Peer,
    /// The HTTP gateway of this node.
    Gateway,
}

impl CallSide {
    /// The written name: `out` or `in`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
        }
    }
}

impl Source {
    /// The written name: `local`, `peer` or `gateway`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Peer => "peer",
            Self::Gateway => "gateway",
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallEnd {
    /// With what.
    pub outcome: CallOutcome,
    /// How long it took, from when it was made or came here.
    pub elapsed: Duration,
}

/// What a call ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallOutcome {
    /// The method's value, or the beginning of its stream.
    Answered,
    /// The method's own error.
    ActorError,
    /// A one-way call stands in the mailbox; on the caller's side only.
    Accepted,
    /// No answer of the method.
    Failed {
        /// Why.
        code: FailureCode,
        /// As [`Failure::may_have_run`] has it.
        may_have_run: bool,
    },
    /// The caller went away before the end; or the turn was dropped with its node.
    Abandoned,
}

impl CallOutcome {
    /// The stable name: `ok`, `actor_error`, `accepted`, `abandoned`, or the code of the failure.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "ok",
            Self::ActorError => "actor_error",
            Self::Accepted => "accepted",
            Self::Failed { code, .. } => code.as_str(),
            Self::Abandoned => "abandoned",
        }
    }

    pub(crate) fn of(answer: &Answer) -> Self {
        match answer {
            Answer::Done(Outcome::Typed(_) | Outcome::Ok(_) | Outcome::Stream(_)) => Self::Answered,
            Answer::Done(Outcome::TypedErr(_) | Outcome::Err(_)) => Self::ActorError,
            Answer::Done(Outcome::Failed(failure)) | Answer::Bounced(failure, _) => {
                Self::failed(failure)
            }
            Answer::Accepted => Self::Accepted,
        }
    }

    pub(super) fn failed(failure: &Failure) -> Self {
        Self::Failed { code: failure.code, may_have_run: failure.may_have_run }
    }
}

/// A call as interceptors see it. Of its arguments, they see at most how long they are.
#[derive(Debug)]
pub struct InterceptedCall {
    pub(super) side: CallSide,
    pub(super) id: ActorId,
    pub(super) method: Cow<'static, str>,
    pub(super) access: Option<Access>,
    pub(super) source: Source,
    pub(super) one_way: bool,
    pub(super) payload_len: Option<usize>,
    pub(super) made: Instant,
    pub(super) deadline: Instant,
    pub(super) context: Option<Arc<RequestContext>>,
    pub(super) span: Option<Span>,
}

impl InterceptedCall {
    /// Whether it goes out or comes in.
    pub fn side(&self) -> CallSide {
        self.side
    }

    /// The actor that is called.
    pub fn id(&self) -> &ActorId {
        &self.id
    }

    /// The written name of the actor's interface.
    pub fn kind(&self) -> &str {
        self.id.kind()
    }

    /// The written name of the method. Of a call that goes out of the gateway it is what the client
    /// wrote, and there may be no such method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Whether a turn of the method excludes others; `None` where only its owner knows.
    pub fn access(&self) -> Option<Access> {
        self.access
    }

    /// Where it comes from.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Whether nobody waits for its turn.
    pub fn one_way(&self) -> bool {
        self.one_way
    }

    /// How many bytes its arguments have; `None` while they are values, between actors of one node,
    /// and on the way out.
    pub fn payload_len(&self) -> Option<usize> {
        self.payload_len
    }

    /// How long is left until its deadline.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// What travels with it.
    pub fn context(&self) -> &RequestContext {
        RequestContext::of(self.context.as_ref())
    }

    /// What travels with it, to be changed: on the way out for the whole way, on the way in for the
    /// turn and the calls that it makes.
    pub fn context_mut(&mut self) -> &mut RequestContext {
        Arc::make_mut(self.context.get_or_insert_default())
    }

    /// The span of the call, if an interceptor has given it one.
    pub fn span(&self) -> Option<&Span> {
        self.span.as_ref()
    }

    /// Gives the call a span, in the place of a former one. It is kept until the call has ended, and
    /// of a call that comes in, it is entered whenever the activation or the turn is polled.
    pub fn set_span(&mut self, span: Span) {
        self.span = Some(span);
    }
}
