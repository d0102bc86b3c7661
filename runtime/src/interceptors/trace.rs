//! Spans of calls and turns, linked across nodes.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::failure::Failure;
use crate::intercept::{CallEnd, CallOutcome, InterceptedCall, Interceptor};
use crate::request_context::RequestContext;

/// Opens a span for each call that goes out, and one for each that comes in, with the attributes
/// that OpenTelemetry has for remote calls: `rpc.system` is `greenroom`, `rpc.service` the kind, and
/// `rpc.method` the method. They are spans of `tracing`, with the target `greenroom::trace` and the level
/// INFO; `tracing_opentelemetry::layer()` in the subscriber makes OpenTelemetry's of them.
///
/// The span of a call is a child of the span in which the call is made; without one, of the
/// `traceparent` in the request context, such as the gateway finds in the header of that name. It
/// travels to the actor as `traceparent` and `tracestate`. There the span of the turn is its child: it
/// begins when the call arrives, so it has the wait in the mailbox in it, and is the current span
/// of the activation and the turn. A trace that is not sampled goes on not being sampled.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trace {
    keys: bool,
}

impl Trace {
    /// Without the keys of actors.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With the keys of actors as `greenroom.key`; they often are about people.
    #[must_use]
    pub fn with_keys(mut self) -> Self {
        self.keys = true;
        self
    }

    fn describe(self, span: &Span, call: &InterceptedCall) {
        if self.keys {
            span.record("greenroom.key", call.id().key());
        }
    }
}

macro_rules! span {
    ($call:expr, $kind:literal $(, parent: $parent:expr)?) => {
        tracing::info_span!(
            target: "greenroom::trace",
            $(parent: $parent,)?
            "call",
            otel.name = format_args!("{}/{}", $call.kind(), $call.method()),
            otel.kind = $kind,
            otel.status_code = field::Empty,
            otel.status_description = field::Empty,
            rpc.system = "greenroom",
            rpc.service = $call.kind(),
            rpc.method = $call.method(),
            greenroom.source = $call.source().as_str(),
            greenroom.key = field::Empty,
            error.type = field::Empty,
        )
    };
}

impl Interceptor for Trace {
    fn outgoing(&self, call: &mut InterceptedCall) -> Result<(), Failure> {
        let span = span!(call, "client");
        if span.is_disabled() {
            return Ok(());
        }
        self.describe(&span, call);
        let has_parent = Span::current().context().span().span_context().is_valid();
        if !has_parent && let Some(parent) = remote(call.context()) {
            // It fails only without a layer, which is no matter then.
            let _ = span.set_parent(parent);
        }
        let context = span.context();
        let own = context.span().span_context().clone();
        if own.is_valid() {
            let flags = own.trace_flags() & TraceFlags::SAMPLED;
            let parent = format!("00-{}-{}-{flags:02x}", own.trace_id(), own.span_id());
            // What OpenTelemetry writes is as the specification has it.
            let _ = call.context_mut().set_trace(&parent, &own.trace_state().header());
        }
        call.set_span(span);
        Ok(())
    }

    fn incoming(&self, call: &mut InterceptedCall) -> Result<(), Failure> {
        // Its parent is wherever the call was made, and not what this thread does at the moment.
        let span = span!(call, "server", parent: None);
        if span.is_disabled() {
            return Ok(());
        }
        self.describe(&span, call);
        if let Some(parent) = remote(call.context()) {
            let _ = span.set_parent(parent);
        }
        call.set_span(span);
        Ok(())
    }

    fn ended(&self, call: &InterceptedCall, end: &CallEnd) {
        let Some(span) = call.span() else { return };
        match end.outcome {
            CallOutcome::Answered | CallOutcome::Accepted => {}
            outcome => {
                span.record("otel.status_code", "ERROR");
                span.record("error.type", outcome.as_str());
            }
        }
    }
}

/// The trace context in a request context, as a parent.
fn remote(context: &RequestContext) -> Option<Context> {
    // Its form was checked when it was set.
    let mut parts = context.traceparent()?.split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(parts.next()?, 16).ok()?) & TraceFlags::SAMPLED;
    let state: TraceState = context.tracestate().unwrap_or_default().parse().unwrap_or_default();
    let parent = SpanContext::new(trace, span, flags, true, state);
    Some(Context::new().with_remote_span_context(parent))
}
