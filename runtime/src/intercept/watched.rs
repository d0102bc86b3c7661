//! The passing of calls, and the news of their ends.

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use greenroom_core::{ActorId, NodeId};
use tracing::Span;
use tracing::span::Entered;
use tracing::span::Id;

use super::{CallEnd, CallOutcome, CallSide, InterceptedCall, Interceptor, Source};
use crate::activation::{Answer, Job};
use crate::failure::{Failure, FailureCode};
use crate::interface::{InterfaceSpec, MethodSpec};
use crate::payload::Arguments;
use crate::router::{Method, Request, may_pass};

/// The interceptors of a node, in the order in which calls pass them.
#[derive(Default)]
pub(crate) struct Interceptors(Vec<Box<dyn Interceptor>>);

impl fmt::Debug for Interceptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} interceptors", self.0.len())
    }
}

impl Interceptors {
    pub(crate) fn push(&mut self, interceptor: impl Interceptor) {
        self.0.push(Box::new(interceptor));
    }

    /// Shares them; `None` if there is none, so that calls have but one thing to check.
    pub(crate) fn start(
        self,
        node: &NodeId,
        interfaces: &[&'static InterfaceSpec],
    ) -> Option<Arc<Self>> {
        if self.0.is_empty() {
            return None;
        }
        self.0.iter().for_each(|interceptor| interceptor.started(node, interfaces));
        Some(Arc::new(self))
    }

    /// A call goes out. Kept out of the way of calls without interceptors.
    #[inline(never)]
    pub(crate) fn outgoing(self: &Arc<Self>, request: &mut Request<'_>) -> Result<(), Failure> {
        let known = match request.method {
            Method::Known { spec, .. } => Some(spec),
            Method::Named(name) => {
                request.hosted.and_then(|hosted| hosted.spec().method(name)).map(|(_, spec)| spec)
            }
        };
        let method = match known {
            Some(spec) => Cow::Borrowed(spec.name),
            None => Cow::Owned(request.method.name().to_owned()),
        };
        let watched = self.pass(InterceptedCall {
            side: CallSide::Out,
            id: request.id.clone(),
            method,
            access: known.map(|spec| spec.access),
            source: request.source,
            one_way: request.one_way,
            payload_len: None,
            made: request.made,
            deadline: request.deadline,
            context: request.context.take(),
            span: None,
        })?;
        request.context.clone_from(&watched.call.context);
        request.watched = Some(watched);
        Ok(())
    }

    /// A call comes in.
    #[inline(never)]
    pub(crate) fn incoming(
        self: &Arc<Self>,
        id: &ActorId,
        spec: &'static MethodSpec,
        source: Source,
        job: &mut Job,
    ) -> Result<(), Failure> {
        let payload_len = match &job.arguments {
            Arguments::Typed(_) => None,
            Arguments::Encoded { bytes, .. } => Some(bytes.len()),
        };
        let watched = self.pass(InterceptedCall {
            side: CallSide::In,
            id: id.clone(),
            method: Cow::Borrowed(spec.name),
            access: Some(spec.access),
            source,
            one_way: job.one_way,
            payload_len,
            made: job.made,
            deadline: job.deadline,
            context: job.context.take(),
            span: None,
        })?;
        job.context.clone_from(&watched.call.context);
        job.watched = Some(watched);
        Ok(())
    }

    /// Lets a call pass all of them, or fails it and tells those that it had passed.
    fn pass(self: &Arc<Self>, call: InterceptedCall) -> Result<Box<Watched>, Failure> {
        let mut watched = Box::new(Watched { interceptors: Arc::clone(self), call, passed: 0 });
        for interceptor in &self.0 {
            let call = &mut watched.call;
            let passes = catch_unwind(AssertUnwindSafe(|| match call.side {
                CallSide::Out => interceptor.outgoing(call),
                CallSide::In => interceptor.incoming(call),
            }));
            if let Err(failure) = passes.unwrap_or_else(|_| Err(panicked(call))) {
                let failure = did_not_run(failure);
                watched.tell(CallOutcome::failed(&failure));
                return Err(failure);
            }
            watched.passed += 1;
        }
        Ok(watched)
    }
}

/// The failure of a call that an interceptor did not let pass.
fn did_not_run(mut failure: Failure) -> Failure {
    failure.may_have_run = false;
    // Or the call would be tried again until its deadline.
    if may_pass(&failure) {
        failure.code = FailureCode::Refused;
    }
    failure
}

fn panicked(call: &InterceptedCall) -> Failure {
    tracing::error!(actor = call.kind(), method = call.method(), "an interceptor panicked");
    Failure::new(
        FailureCode::Panicked,
        format!("an interceptor of the call to {} panicked", call.id),
    )
}

/// A call whose end interceptors want to hear. Dropped without one, it was abandoned.
#[derive(Debug)]
pub(crate) struct Watched {
    interceptors: Arc<Interceptors>,
    call: InterceptedCall,
    /// How many interceptors have let it pass, and not heard of its end.
    passed: usize,
}

impl Watched {
    /// Enters the span of the call, if it has one.
    pub(crate) fn enter(&self) -> Option<Entered<'_>> {
        self.call.span.as_ref().map(Span::enter)
    }

    /// The span of the call, as a parent, if it has one.
    pub(crate) fn span_id(&self) -> Option<Id> {
        self.call.span.as_ref().and_then(Span::id)
    }

    pub(crate) fn ended(mut self, answer: &Answer) {
        self.tell(CallOutcome::of(answer));
    }

    fn tell(&mut self, outcome: CallOutcome) {
        let passed = std::mem::take(&mut self.passed);
        if passed == 0 {
            return;
        }
        let end = CallEnd { outcome, elapsed: self.call.made.elapsed() };
        for interceptor in self.interceptors.0[..passed].iter().rev() {
            let told = catch_unwind(AssertUnwindSafe(|| interceptor.ended(&self.call, &end)));
            if told.is_err() {
                let actor = self.call.kind();
                tracing::error!(actor, "an interceptor panicked at a call's end");
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.tell(CallOutcome::Abandoned);
    }
}
