//! Numbers of calls, and how long they take.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use greenroom_cluster::metrics::{CALL_DURATION, CALLS};
use greenroom_core::NodeId;
use metrics::{Counter, Histogram, SharedString};
use parking_lot::RwLock;

use crate::intercept::{CallEnd, CallSide, InterceptedCall, Interceptor, Source};
use crate::interface::{Interface, InterfaceSpec};

/// Counts calls and measures how long they take, as `greenroom_calls_total` and
/// `greenroom_call_duration_seconds` on `/metrics`.
///
/// A call is counted where it is made, and where its actor is. Kind and method are told apart for the
/// interfaces that the node hosts and those named by [`Metrics::and_of`]; all others are `other`, so no
/// caller can make up series. One is for one node.
#[derive(Default)]
pub struct Metrics {
    interfaces: Vec<&'static InterfaceSpec>,
    node: OnceLock<Series>,
}

impl Metrics {
    /// Tells the interfaces apart that the node hosts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells this interface apart as well, whose actors the node calls and does not host.
    #[must_use]
    pub fn and_of<I: Interface>(mut self) -> Self {
        self.interfaces.push(&I::SPEC);
        self
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Interceptor for Metrics {
    fn started(&self, node: &NodeId, interfaces: &[&'static InterfaceSpec]) {
        let mut kinds: HashMap<&'static str, HashMap<&'static str, Method>> = HashMap::new();
        for spec in interfaces.iter().chain(&self.interfaces) {
            let methods = kinds.entry(spec.kind).or_default();
            for method in spec.methods {
                methods.insert(method.name, Method::new(spec.kind, method.name));
            }
        }
        let node = node.as_str().to_owned().into();
        let _ = self.node.set(Series { node, kinds, other: Method::new(OTHER, OTHER) });
    }

    fn ended(&self, call: &InterceptedCall, end: &CallEnd) {
        let Some(series) = self.node.get() else { return };
        let method = series.kinds.get(call.kind()).and_then(|kind| kind.get(call.method()));
        let method = method.unwrap_or(&series.other);
        method.count(&series.node, (call.side(), call.source(), end.outcome.as_str()));
        method.duration(&series.node, call.side()).record(end.elapsed.as_secs_f64());
    }
}

/// The label of what is not told apart.
const OTHER: &str = "other";

struct Series {
    node: SharedString,
    kinds: HashMap<&'static str, HashMap<&'static str, Method>>,
    other: Method,
}

/// The series of one method; each comes to be with the first call that belongs to it.
struct Method {
    kind: &'static str,
    name: &'static str,
    counters: RwLock<HashMap<(CallSide, Source, &'static str), Counter>>,
    durations: [OnceLock<Histogram>; 2],
}

impl Method {
    fn new(kind: &'static str, name: &'static str) -> Self {
        Self { kind, name, counters: RwLock::default(), durations: Default::default() }
    }

    fn count(&self, node: &SharedString, labels: (CallSide, Source, &'static str)) {
        if let Some(counter) = self.counters.read().get(&labels) {
            return counter.increment(1);
        }
        let (side, source, outcome) = labels;
        let values = [side.as_str(), self.kind, self.name, source.as_str(), outcome];
        let new = || CALLS.counter(node, &values.map(SharedString::const_str));
        self.counters.write().entry(labels).or_insert_with(new).increment(1);
    }

    fn duration(&self, node: &SharedString, side: CallSide) -> &Histogram {
        self.durations[side as usize].get_or_init(|| {
            let values = [side.as_str(), self.kind, self.name];
            CALL_DURATION.histogram(node, &values.map(SharedString::const_str))
        })
    }
}
