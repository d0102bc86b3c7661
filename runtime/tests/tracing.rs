//! One trace over several nodes: the spans of calls and turns, who is whose parent, and that a trace
//! which is not sampled stays so.

mod support;

use std::sync::LazyLock;

use greenroom::prelude::*;
use greenroom::{Kind, MemoryStore, RequestContext, interceptors};
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceContextExt, TraceId, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use support::http::request;
use support::probe::probe;
use support::{Pace, begin, config, within};
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

/// Calls on.
#[greenroom::interface(kind = "test.relay")]
pub trait Relay {
    /// Has the last one on the way answer with the traceparent that came with the call; each is called
    /// from a turn of the one before.
    async fn relay(&self, ctx: &mut Context, way: Vec<String>) -> Option<String>;
    /// The span in which the turn runs, before and after it waited.
    async fn spans(&mut self, ctx: &mut Context) -> (String, String);
    /// Refuses.
    async fn refuse(&self) -> Result<(), String>;
}

struct RelayActor;

impl Actor for RelayActor {
    async fn activate(ctx: &mut Activating<'_>) -> Result<Self, ActivateError> {
        tracing::info_span!("birth", key = ctx.key()).in_scope(|| {});
        Ok(Self)
    }
}

fn current() -> SpanId {
    tracing::Span::current().context().span().span_context().span_id()
}

impl Relay for RelayActor {
    async fn relay(&self, ctx: &mut Context, way: Vec<String>) -> Option<String> {
        let Some((next, rest)) = way.split_first() else {
            return ctx.request().traceparent().map(str::to_owned);
        };
        let next: RelayRef = ctx.actor(next).expect("a good key");
        // In its midst it may move to another thread.
        tokio::task::yield_now().await;
        next.relay(rest.to_vec()).await.expect("it answers")
    }

    async fn spans(&mut self, ctx: &mut Context) -> (String, String) {
        let before = current();
        probe(ctx.key()).hold().await;
        (before.to_string(), current().to_string())
    }

    async fn refuse(&self) -> Result<(), String> {
        Err("no".to_owned())
    }
}

fn relays() -> Kind {
    RelayRef::served_by::<RelayActor>()
}

fn relay(node: &Node, key: &str) -> RelayRef {
    node.actor(key).expect("a good key")
}

/// All spans of the process that were sampled and have ended.
static EXPORTER: LazyLock<InMemorySpanExporter> = LazyLock::new(|| {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let filter = tracing_subscriber::filter::LevelFilter::INFO;
    let subscriber = tracing_subscriber::registry().with(layer).with(filter);
    tracing::subscriber::set_global_default(subscriber).expect("nobody else sets one");
    exporter
});

/// The spans of one trace, as soon as there are so many.
async fn spans(trace: TraceId, count: usize) -> Vec<SpanData> {
    let of_trace = || {
        let spans = EXPORTER.get_finished_spans().expect("an exporter in memory");
        let of_trace = |span: &SpanData| span.span_context.trace_id() == trace;
        spans.into_iter().filter(of_trace).collect::<Vec<_>>()
    };
    within("the spans of a trace", async {
        while of_trace().len() < count {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    })
    .await;
    of_trace()
}

/// The one span of this name and kind.
fn only<'a>(spans: &'a [SpanData], name: &str, kind: &SpanKind) -> &'a SpanData {
    let mut found = spans.iter().filter(|span| span.name == name && span.span_kind == *kind);
    let span = found.next().unwrap_or_else(|| panic!("no {kind:?} span {name} in {spans:#?}"));
    assert!(found.next().is_none(), "two {kind:?} spans {name} in {spans:#?}");
    span
}

/// The children of a span.
fn children<'a>(spans: &'a [SpanData], parent: &SpanData) -> Vec<&'a SpanData> {
    let id = parent.span_context.span_id();
    spans.iter().filter(|span| span.parent_span_id == id).collect()
}

/// The only child of that kind.
fn child<'a>(spans: &'a [SpanData], parent: &SpanData, kind: &SpanKind) -> &'a SpanData {
    let children = children(spans, parent);
    let mut found = children.iter().filter(|span| span.span_kind == *kind);
    match (found.next(), found.next()) {
        (Some(span), None) => span,
        _ => panic!("not one {kind:?} child of {parent:#?} in {spans:#?}"),
    }
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let mut attributes = span.attributes.iter();
    attributes.find(|pair| pair.key.as_str() == name).map(|pair| pair.value.as_str().into_owned())
}

async fn start(store: &MemoryStore, name: &str) -> Node {
    LazyLock::force(&EXPORTER);
    let mut config = config(&store.handle(), name, Pace::Calm);
    config.http_listen = Some("127.0.0.1:0".to_owned());
    let builder = Node::with(config).host(relays()).intercept(interceptors::Trace::new());
    let node = builder.start().await.expect("the node starts");
    within("joining", node.ready()).await.expect("the node becomes ready");
    node
}

async fn cluster(names: &[&str]) -> Vec<Node> {
    let store = MemoryStore::new();
    let mut nodes = Vec::new();
    for name in names {
        nodes.push(start(&store, name).await);
    }
    for node in &nodes {
        support::spread(node, names.len()).await;
    }
    nodes
}

/// A key whose actor is on the node with this name.
fn key_on(node: &Node, owner: &str) -> String {
    let is_there = |key: &String| {
        let peeked = node.peek(relay(node, key).actor());
        peeked.route.is_some_and(|route| route.owner.life.node.as_str() == owner)
    };
    (0..10_000).map(|at| format!("relay-{at}")).find(is_there).expect("each node owns some keys")
}

/// A trace context with this trace id.
fn from(trace: TraceId, sampled: bool) -> RequestContext {
    let mut context = RequestContext::new();
    let flags = if sampled { "01" } else { "00" };
    let parent = format!("00-{trace}-b7ad6b7169203331-{flags}");
    context.set_trace(&parent, "vendor=1").expect("a good trace context");
    context
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_call_over_three_nodes_is_one_trace_with_the_right_parents() {
    let nodes = cluster(&["a", "b", "c"]).await;
    let [b, c] = ["b", "c"].map(|name| key_on(&nodes[0], name));
    let caller = tracing::info_span!("caller");
    let trace = caller.context().span().span_context().trace_id();
    let first = relay(&nodes[0], &b);
    let call = async { first.relay(vec![c.clone()]).await }.instrument(caller.clone());
    let last = within("a call", call).await.expect("it answers").expect("a traceparent came");
    drop(caller);

    // The caller's, two calls, two turns, and two births.
    let spans = spans(trace, 7).await;
    let root = only(&spans, "caller", &SpanKind::Internal);
    let to_b = child(&spans, root, &SpanKind::Client);
    let at_b = child(&spans, to_b, &SpanKind::Server);
    let to_c = child(&spans, at_b, &SpanKind::Client);
    let at_c = child(&spans, to_c, &SpanKind::Server);
    for span in [to_b, at_b, to_c, at_c] {
        assert_eq!(span.name, "test.relay/relay");
        assert_eq!(attribute(span, "rpc.system").as_deref(), Some("greenroom"));
        assert_eq!(attribute(span, "rpc.service").as_deref(), Some("test.relay"));
        assert_eq!(attribute(span, "rpc.method").as_deref(), Some("relay"));
        assert_eq!((attribute(span, "greenroom.key"), &span.status), (None, &Status::Unset));
    }
    assert_eq!(attribute(to_b, "greenroom.source").as_deref(), Some("local"));
    assert_eq!(attribute(at_c, "greenroom.source").as_deref(), Some("peer"));
    // What an author does in an activation belongs to the call that needed it.
    for turn in [at_b, at_c] {
        assert_eq!(child(&spans, turn, &SpanKind::Internal).name, "birth");
    }
    assert_eq!(spans.len(), 7, "{spans:#?}");
    let (id, parent) = (to_c.span_context.trace_id(), to_c.span_context.span_id());
    assert_eq!(last, format!("00-{id}-{parent}-01"), "what the turn saw");
    for node in nodes {
        within("stopping", node.stop()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn local_calls_beside_each_other_keep_to_their_own_traces() {
    let node = start(&MemoryStore::new(), "local").await;
    let traces = (1..=20_u128).map(|number| TraceId::from(0xbe51de00 + number));
    let calls = traces.clone().map(|trace| {
        let first = relay(&node, &format!("first {trace}"));
        async move {
            let way = vec![format!("second {trace}"), format!("third {trace}")];
            let last = first.relay(way).with_context(from(trace, true)).await;
            assert!(last.expect("it answers").expect("it came").contains(&trace.to_string()));
        }
    });
    within("calls", futures_util::future::join_all(calls)).await;
    for trace in traces {
        let spans = spans(trace, 9).await;
        assert_eq!(spans.len(), 9, "{spans:#?}");
        let roots =
            spans.iter().filter(|span| span.parent_span_id.to_string() == "b7ad6b7169203331");
        let roots: Vec<_> = roots.collect();
        assert!(matches!(roots[..], [root] if root.span_kind == SpanKind::Client), "{spans:#?}");
        let mut at = roots[0];
        for kind in [
            SpanKind::Server,
            SpanKind::Client,
            SpanKind::Server,
            SpanKind::Client,
            SpanKind::Server,
        ] {
            at = child(&spans, at, &kind);
            assert_eq!(at.span_context.trace_state().header(), "vendor=1");
        }
    }
    within("stopping", node.stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_trace_that_is_not_sampled_is_not_exported_and_travels_on() {
    let nodes = cluster(&["ua", "ub"]).await;
    let [a, b] = ["ua", "ub"].map(|name| key_on(&nodes[0], name));
    let (unsampled, sampled) = (TraceId::from(0xdead_u128), TraceId::from(0xbeef_u128));
    let first = relay(&nodes[0], &b);
    for (trace, flags) in [(unsampled, "-00"), (sampled, "-01")] {
        let call = first.relay(vec![a.clone()]).with_context(from(trace, flags == "-01"));
        let last = within("a call", call).await.expect("it answers").expect("it came");
        assert!(last.contains(&trace.to_string()) && last.ends_with(flags), "{last}");
        assert!(!last.contains("b7ad6b7169203331"), "its own span is the parent: {last}");
    }
    // When the second is there, the first had its time.
    assert!(spans(sampled, 4).await.len() >= 4);
    assert!(spans(unsampled, 0).await.is_empty());
    for node in nodes {
        within("stopping", node.stop()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_turn_runs_in_its_span_also_after_it_waited_and_a_span_tells_a_failure() {
    let node = start(&MemoryStore::new(), "spans").await;
    let trace = TraceId::from(0xfee1_u128);
    let office = relay(&node, "spans");
    let held = begin(office.spans().with_context(from(trace, true))).await;
    probe("spans").arrival().await;
    probe("spans").release(1);
    let (before, after) = within("a call", held).await.expect("it answers");
    let turn = spans(trace, 3).await;
    let turn = only(&turn, "test.relay/spans", &SpanKind::Server).span_context.span_id();
    assert_eq!((before, after), (turn.to_string(), turn.to_string()));

    let trace = TraceId::from(0xfa11_u128);
    let _ = office.refuse().with_context(from(trace, true)).await.expect_err("it refuses");
    let late = office.refuse().with_context(from(trace, true)).timeout(std::time::Duration::ZERO);
    let _ = late.await.expect_err("it is late");
    let spans = spans(trace, 3).await;
    let kinds = spans.iter().map(|span| (span.span_kind.clone(), attribute(span, "error.type")));
    let kinds: Vec<_> = kinds.collect();
    let of = |kind, error: &str| (kind, Some(error.to_owned()));
    let expected = [
        of(SpanKind::Server, "actor_error"),
        of(SpanKind::Client, "actor_error"),
        of(SpanKind::Client, "timeout"),
    ];
    assert_eq!(kinds, expected);
    assert!(spans.iter().all(|span| matches!(span.status, Status::Error { .. })), "{spans:#?}");
    within("stopping", node.stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_one_way_call_keeps_no_span_of_its_caller_open() {
    let node = start(&MemoryStore::new(), "one-way").await;
    let caller = tracing::info_span!("sender");
    let trace = caller.context().span().span_context().trace_id();
    let held = relay(&node, "one-way");
    held.spans().send().instrument(caller.clone()).await.expect("it is accepted");
    probe("one-way").arrival().await;
    drop(caller);
    // The caller's own, its call, and the birth.
    let ended = spans(trace, 3).await;
    let sender = only(&ended, "sender", &SpanKind::Internal);
    let call = child(&ended, sender, &SpanKind::Client);
    assert!(ended.iter().all(|span| span.span_kind != SpanKind::Server), "{ended:#?}");
    probe("one-way").release(1);
    let ended = spans(trace, 4).await;
    let turn = child(&ended, call, &SpanKind::Server);
    assert!(turn.end_time >= sender.end_time);
    within("stopping", node.stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_trace_begins_at_the_header_of_the_gateway() {
    let node = start(&MemoryStore::new(), "gateway").await;
    let http = node.http_address().expect("it has a gateway");
    let trace = TraceId::from(0x6a7e_u128);
    let headers = format!("traceparent: 00-{trace}-b7ad6b7169203331-01\r\n");
    let path = "/v1/actors/test.relay/at-the-gate/relay";
    let answer = request(http, "POST", path, &headers, br#"{"way": []}"#).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let spans = spans(trace, 3).await;
    let call = only(&spans, "test.relay/relay", &SpanKind::Client);
    assert_eq!(call.parent_span_id.to_string(), "b7ad6b7169203331");
    assert!(call.parent_span_is_remote);
    assert_eq!(attribute(call, "greenroom.source").as_deref(), Some("gateway"));
    let turn = child(&spans, call, &SpanKind::Server);
    let (id, parent) = (call.span_context.trace_id(), call.span_context.span_id());
    assert_eq!(answer.body, format!("00-{id}-{parent}-01"));
    assert_eq!(turn.span_context.trace_id(), trace);
    within("stopping", node.stop()).await;
}
