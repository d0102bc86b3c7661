//! A line in the log for each call.

use std::sync::OnceLock;

use greenroom_core::NodeId;

use crate::intercept::{CallEnd, CallOutcome, InterceptedCall, Interceptor};
use crate::interface::InterfaceSpec;

/// Logs the end of every call, at its caller and at its actor, as an event of `tracing` with the target
/// `greenroom::calls`: node, side, actor (the kind), method,
/// source, trace, outcome and the time that it took. Calls that fail
/// are warnings, others have the level INFO. What the calls say, and which actor they are for,
/// it does not log, unless told to.
///
/// One is for one node.
#[derive(Clone, Debug, Default)]
pub struct Log {
    keys: bool,
    node: OnceLock<NodeId>,
}

impl Log {
    /// Without the keys of actors.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With the keys of actors, which often are about people.
    #[must_use]
    pub fn with_keys(mut self) -> Self {
        self.keys = true;
        self
    }
}

impl Interceptor for Log {
    fn started(&self, node: &NodeId, _: &[&'static InterfaceSpec]) {
        let _ = self.node.set(node.clone());
    }

    fn ended(&self, call: &InterceptedCall, end: &CallEnd) {
        macro_rules! log {
            ($level:ident, $message:literal, $may_have_run:expr) => {
                tracing::$level!(
                    target: "greenroom::calls",
                    node = self.node.get().map(NodeId::as_str),
                    side = call.side().as_str(),
                    actor = call.kind(),
                    key = self.keys.then(|| call.id().key()),
                    method = call.method(),
                    source = call.source().as_str(),
                    trace = call.context().trace_id(),
                    outcome = end.outcome.as_str(),
                    may_have_run = $may_have_run,
                    elapsed_us = u64::try_from(end.elapsed.as_micros()).unwrap_or(u64::MAX),
                    $message
                )
            };
        }
        match end.outcome {
            CallOutcome::Failed { may_have_run, .. } => {
                log!(warn, "a call failed", Some(may_have_run));
            }
            _ => log!(info, "a call ended", None::<bool>),
        }
    }
}
