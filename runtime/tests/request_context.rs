//! What travels with a call: down the whole chain, over nodes, and within its bounds.

mod support;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use greenroom::prelude::*;
use greenroom::{FailureCode, Kind, MemoryStore, RequestContext};
use serde_json::json;
use support::http::request;
use support::probe::probe;
use support::{Pace, alone, begin, config, start, within};

/// So that no deadline passes in a test.
const HOUR: Duration = Duration::from_secs(3600);
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What a turn saw.
type Seen = BTreeMap<String, String>;

/// Tells what came with its calls.
#[greenroom::interface(kind = "test.echo")]
pub trait Echo {
    /// What came with this call.
    async fn seen(&self, ctx: &mut Context) -> Seen;
    /// What came with a call of the last one on the way, each called from a turn of the one before.
    async fn passed_on(&self, ctx: &mut Context, way: Vec<String>) -> Result<Seen, String>;
    /// The same, with a tenant of its own for those that it calls; and what came with a call after that.
    async fn passed_on_as(&self, ctx: &mut Context, tenant: String, to: String) -> (Seen, Seen);
    /// Notes what came with it, when the test lets it.
    async fn note(&mut self, ctx: &mut Context);
    /// Waits until its caller is gone, and notes whether it looks so from inside.
    async fn outlive(&mut self, ctx: &mut Context);
    /// The same where nothing polls what waits but its own waker.
    async fn outlive_apart(&mut self, ctx: &mut Context);
    /// Computes, without ever waiting, until its caller is gone.
    async fn compute(&mut self, ctx: &mut Context);
}

struct EchoActor {
    at_birth: Seen,
}

impl Actor for EchoActor {
    async fn activate(ctx: &mut Activating<'_>) -> Result<Self, ActivateError> {
        let mut at_birth = Seen::new();
        // An activation is a part of the call that needs it.
        if let Some(other) = ctx.key().strip_prefix("child of ") {
            let other: EchoRef = ctx.actor(other)?;
            at_birth = other.seen().await.map_err(|error| ActivateError::new(error.to_string()))?;
        }
        Ok(Self { at_birth })
    }
}

fn seen(context: &RequestContext) -> Seen {
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let mut seen: Seen = context.iter().map(owned).collect();
    seen.extend(context.traceparent().map(|parent| ("traceparent".into(), parent.into())));
    seen.extend(context.tracestate().map(|state| ("tracestate".into(), state.into())));
    seen
}

impl Echo for EchoActor {
    async fn seen(&self, ctx: &mut Context) -> Seen {
        let mut seen = seen(ctx.request());
        seen.extend(
            self.at_birth.iter().map(|(key, value)| (format!("born {key}"), value.clone())),
        );
        seen
    }

    async fn passed_on(&self, ctx: &mut Context, way: Vec<String>) -> Result<Seen, String> {
        let Some((next, rest)) = way.split_first() else { return Ok(self.seen(ctx).await) };
        let next: EchoRef = ctx.actor(next).map_err(|failure| failure.to_string())?;
        next.passed_on(rest.to_vec()).await.map_err(|error| error.to_string())
    }

    async fn passed_on_as(&self, ctx: &mut Context, tenant: String, to: String) -> (Seen, Seen) {
        let to: EchoRef = ctx.actor(&to).expect("a good key");
        let with = to.seen().with("tenant", &tenant).await.expect("it answers");
        let after = to.seen().await.expect("it answers");
        (with, after)
    }

    async fn note(&mut self, ctx: &mut Context) {
        let probe = probe(ctx.key());
        probe.hold().await;
        probe.note(format!("{:?}", seen(ctx.request())));
    }

    async fn outlive(&mut self, ctx: &mut Context) {
        let probe = probe(ctx.key());
        probe.note(format!("gone before: {}", ctx.caller_is_gone()));
        let gone = ctx.caller_gone();
        tokio::select! {
            () = gone => probe.note(format!("gone after: {}", ctx.caller_is_gone())),
            () = async { loop { probe.hold().await } } => unreachable!("it holds for ever"),
        }
        probe.hold().await;
    }

    async fn outlive_apart(&mut self, ctx: &mut Context) {
        let probe = probe(ctx.key());
        let mut gone = FuturesUnordered::new();
        gone.push(ctx.caller_gone());
        probe.note(format!("gone before: {}", ctx.caller_is_gone()));
        assert!(gone.next().now_or_never().is_none(), "its caller polls it at this moment");
        probe.hold().await;
        gone.next().await;
        probe.note(format!("gone after: {}", ctx.caller_is_gone()));
        probe.hold().await;
    }

    async fn compute(&mut self, ctx: &mut Context) {
        let probe = probe(ctx.key());
        probe.hold().await;
        tokio::task::block_in_place(|| {
            while !ctx.caller_is_gone() {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        probe.note("saw it");
        probe.hold().await;
    }
}

fn echoes() -> Kind {
    EchoRef::served_by::<EchoActor>()
}

fn echo(node: &Node, key: &str) -> EchoRef {
    node.actor(key).expect("a good key")
}

fn of(pairs: &[(&str, &str)]) -> Seen {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn trace() -> RequestContext {
    let mut context = RequestContext::new();
    context.set_trace(PARENT, "vendor=1").expect("a good trace context");
    context
}

/// Nodes of one cluster with a gateway each, over which the shards are spread.
async fn cluster(names: &[&str]) -> Vec<Node> {
    let store = MemoryStore::new();
    let mut nodes = Vec::new();
    for name in names {
        let mut config = config(&store.handle(), name, Pace::Calm);
        config.http_listen = Some("127.0.0.1:0".to_owned());
        let node = start(config, [echoes()]).await;
        within("joining", node.ready()).await.expect("the node becomes ready");
        nodes.push(node);
    }
    for node in &nodes {
        support::spread(node, names.len()).await;
    }
    nodes
}

/// A key whose actor is on the node with this name.
fn key_on(node: &Node, owner: &str) -> String {
    let is_there = |key: &String| {
        let peeked = node.peek(echo(node, key).actor());
        peeked.route.is_some_and(|route| route.owner.life.node.as_str() == owner)
    };
    (0..10_000).map(|at| format!("echo {at}")).find(is_there).expect("each node owns some keys")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_context_has_none_and_one_with_it_brings_it() {
    let node = alone([echoes()]).await;
    let echo = echo(&node, "plain");
    assert_eq!(echo.seen().await.expect("it answers"), Seen::new());
    let with = echo.seen().with("tenant", "acme").with("user", "ann").with("user", "bob");
    assert_eq!(with.await.expect("it answers"), of(&[("tenant", "acme"), ("user", "bob")]));
    let whole = echo.seen().with("tenant", "acme").with_context(trace()).with("user", "cy");
    let expected = of(&[("traceparent", PARENT), ("tracestate", "vendor=1"), ("user", "cy")]);
    assert_eq!(whole.await.expect("it answers"), expected);
    assert_eq!(echo.seen().await.expect("it answers"), Seen::new(), "it stayed");
    within("stopping", node.stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_travels_down_the_chain_over_all_nodes_and_back_to_the_first() {
    let nodes = cluster(&["a", "b", "c"]).await;
    let [a, b, c] = ["a", "b", "c"].map(|name| key_on(&nodes[0], name));
    let first = echo(&nodes[0], &b);
    let travelled = first.passed_on(vec![c.clone(), a.clone()]).with_context(trace());
    let travelled = within("a chain", travelled.with("tenant", "acme")).await;
    let expected = of(&[("tenant", "acme"), ("traceparent", PARENT), ("tracestate", "vendor=1")]);
    assert_eq!(travelled.expect("it answers"), expected);
    let none = within("a chain", first.passed_on(vec![c, a])).await;
    assert_eq!(none.expect("it answers"), Seen::new());
    for node in &nodes {
        within("stopping", node.stop()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_may_change_it_for_one_call_and_not_for_the_next() {
    let node = alone([echoes()]).await;
    let outer = echo(&node, "outer");
    let call = outer.passed_on_as("other".into(), "inner".into());
    let (with, after) = call.with("tenant", "acme").with("user", "ann").await.expect("it answers");
    assert_eq!(with, of(&[("tenant", "other"), ("user", "ann")]));
    assert_eq!(after, of(&[("tenant", "acme"), ("user", "ann")]));
    within("stopping", node.stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_activation_passes_it_on_and_a_one_way_call_brings_it() {
    let node = alone([echoes()]).await;
    let born = echo(&node, "child of someone").seen().with("tenant", "acme").await;
    assert_eq!(born.expect("it answers"), of(&[("born tenant", "acme"), ("tenant", "acme")]));

    let (noted, probe) = (echo(&node, "noted"), probe("noted"));
    noted.note().with("tenant", "one").send().await.expect("it is accepted");
    // This one waits in the mailbox.
    noted.note().with("tenant", "two").send().await.expect("it is accepted");
    probe.release(2);
    within("the turns", noted.seen()).await.expect("it answers");
    assert_eq!(probe.log(), [r#"{"tenant": "one"}"#, r#"{"tenant": "two"}"#]);
    within("stopping", node.stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_breaks_a_bound_is_refused_and_does_not_run() {
    let node = alone([echoes()]).await;
    let (noted, probe) = (echo(&node, "never"), probe("never"));
    let long = "v".repeat(257);
    let calls = [
        (noted.note().with("Tenant", "acme"), "a-z 0-9 . _ -"),
        (noted.note().with("tenant", &long).with("good", "x"), "at most 256"),
        ((0..17).fold(noted.note(), |call, at| call.with(format!("k{at}"), "")), "16 pairs"),
    ];
    for (call, rule) in calls {
        let Err(CallError::Failed(failure)) = call.await else { panic!("it was not refused") };
        assert_eq!((failure.code, failure.may_have_run), (FailureCode::BadArguments, false));
        assert!(failure.message.contains(rule), "{}", failure.message);
    }
    let failure = noted.note().with("", "").send().await.expect_err("it is refused");
    assert_eq!(failure.code, FailureCode::BadArguments);
    assert_eq!((probe.arrivals(), probe.log()), (0, Vec::new()));
    within("stopping", node.stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_at_the_gateway_become_the_context_of_a_chain_to_another_node() {
    let nodes = cluster(&["a", "b"]).await;
    let [a, b] = ["a", "b"].map(|name| key_on(&nodes[0], name).replace(' ', "%20"));
    let http = nodes[0].http_address().expect("it has a gateway");
    let path = format!("/v1/actors/test.echo/{a}/passed_on");
    let body = json!({"way": [b.replace("%20", " ")]}).to_string();
    let headers = format!(
        "traceparent: {PARENT}\r\ntracestate: vendor=1\r\n\
         baggage: tenant=acme%20inc;p=1,Not-Ours=1\r\nbaggage: user=ann\r\n"
    );
    let answer = request(http, "POST", &path, &headers, body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let expected = json!({
        "tenant": "acme inc", "user": "ann", "traceparent": PARENT, "tracestate": "vendor=1",
    });
    assert_eq!(answer.body, expected);
    let none = request(http, "POST", &path, "traceparent: 00-0-0-00\r\n", body.as_bytes()).await;
    assert_eq!(none.body, json!({}));
    for node in &nodes {
        within("stopping", node.stop()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_hears_that_its_caller_went_away() {
    let node = alone([echoes()]).await;
    for (key, apart) in [("outlived", false), ("outlived apart", true)] {
        let (echo, probe) = (echo(&node, key), probe(key));
        // The first poll is on the caller's stack, the rest is not.
        let call: Pin<Box<dyn Future<Output = _>>> = if apart {
            begin(echo.outlive_apart().timeout(HOUR)).await
        } else {
            begin(echo.outlive().timeout(HOUR)).await
        };
        probe.arrival().await;
        assert_eq!(probe.log(), ["gone before: false"], "{key}");
        if apart {
            probe.release(1);
        }
        drop(call);
        probe.arrival().await;
        assert_eq!(probe.log(), ["gone before: false", "gone after: true"], "{key}");
        probe.release(1);
        within("the end of the turn", echo.seen()).await.expect("it answers");
    }
    within("stopping", node.stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_never_waits_can_see_that_its_caller_went_away() {
    let node = alone([echoes()]).await;
    let (echo, probe) = (echo(&node, "computes"), probe("computes"));
    let call = begin(echo.compute().timeout(HOUR)).await;
    probe.arrival().await;
    probe.release(1);
    drop(call);
    probe.arrival().await;
    assert_eq!(probe.log(), ["saw it"]);
    probe.release(1);
    within("stopping", node.stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_that_passes_counts_as_a_caller_that_went_away() {
    let node = alone([echoes()]).await;
    let (echo, probe) = (echo(&node, "late"), probe("late"));
    let late = echo.outlive().timeout(Duration::from_millis(50)).await;
    assert_eq!(late.expect_err("it holds").code(), Some(FailureCode::Timeout));
    probe.arrival().await;
    probe.arrival().await;
    assert_eq!(probe.log(), ["gone before: false", "gone after: true"]);
    probe.release(1);
    // Nobody waits for a one-way call, so nobody goes away but by the deadline.
    echo.outlive().timeout(Duration::from_millis(200)).send().await.expect("it is accepted");
    probe.arrival().await;
    probe.arrival().await;
    assert_eq!(probe.log()[2..], ["gone before: false", "gone after: true"]);
    probe.release(1);
    within("stopping", node.stop()).await;
}

#[tokio::test]
async fn a_unit_test_gives_the_context_by_hand() {
    let mut request = RequestContext::new();
    request.set("tenant", "acme").expect("it fits");
    let mut ctx = greenroom::testing::context_with::<EchoRef>("unit", request);
    let actor: EchoActor =
        greenroom::testing::activate::<_, EchoRef>("unit").await.expect("it comes to life");
    assert_eq!(actor.seen(&mut ctx).await, of(&[("tenant", "acme")]));
    assert!(!ctx.caller_is_gone());
    assert!(ctx.caller_gone().now_or_never().is_none());
}
