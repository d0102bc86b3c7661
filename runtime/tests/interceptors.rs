//! Interceptors: every call passes them, out and in; what they refuse does not run; and each that let
//! a call pass hears how it ended.

mod support;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use greenroom::prelude::*;
use greenroom::{
    Access, CallEnd, CallSide, FailureCode, InterceptedCall, Interceptor, InterfaceSpec, Kind,
    MemoryStore, NodeId, interceptors,
};
use greenroom_cluster::metrics::CALL_BUCKETS_S;
use serde_json::json;
use support::http::{post, request};
use support::probe::probe;
use support::{Pace, begin, config, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a test lets interceptors see.
#[greenroom::interface(kind = "test.office")]
pub trait Office {
    /// Who asks, as its context has it.
    async fn whoami(&self, ctx: &mut Context) -> Option<String>;
    /// Notes that it ran.
    async fn write(&mut self, text: String) -> Result<usize, String>;
    /// Ends when the test lets it.
    async fn hold(&mut self);
    /// Panics.
    async fn fall(&mut self);
    /// Asks another one who asks.
    async fn ask(&self, ctx: &mut Context, other: String) -> Option<String>;
}

struct OfficeActor(Arc<support::probe::Probe>);

impl Actor for OfficeActor {
    async fn activate(ctx: &mut Activating<'_>) -> Result<Self, ActivateError> {
        if ctx.key() == "stillborn" {
            return Err(ActivateError::new("not today"));
        }
        Ok(Self(probe(ctx.key())))
    }
}

impl Office for OfficeActor {
    async fn whoami(&self, ctx: &mut Context) -> Option<String> {
        ctx.request().get("user").map(str::to_owned)
    }

    async fn write(&mut self, text: String) -> Result<usize, String> {
        self.0.note(text.clone());
        if text.is_empty() { Err("empty".to_owned()) } else { Ok(text.len()) }
    }

    async fn hold(&mut self) {
        self.0.hold().await;
    }

    async fn fall(&mut self) {
        panic!("as told");
    }

    async fn ask(&self, ctx: &mut Context, other: String) -> Option<String> {
        let other: OfficeRef = ctx.actor(&other).expect("a good key");
        other.whoami().await.expect("it answers")
    }
}

fn offices() -> Kind {
    OfficeRef::served_by::<OfficeActor>()
}

fn office(node: &Node, key: &str) -> OfficeRef {
    node.actor(key).expect("a good key")
}

type Lines = Arc<Mutex<Vec<String>>>;

/// Writes down what it sees, under its name.
#[derive(Clone, Default)]
struct Scribe {
    name: &'static str,
    lines: Lines,
}

impl Scribe {
    fn write(&self, line: &str) {
        let line = format!("{}{line}", self.name);
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// What was written since the last look.
    fn read(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for so many lines.
    async fn lines(&self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        within("lines of a scribe", async {
            while lines.len() < count {
                lines.extend(self.read());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        lines
    }
}

fn told(call: &InterceptedCall) -> String {
    let (side, source) = (call.side().as_str(), call.source().as_str());
    format!("{side} {}.{} {source}", call.id(), call.method())
}

impl Interceptor for Scribe {
    fn started(&self, node: &NodeId, interfaces: &[&'static InterfaceSpec]) {
        let kinds: Vec<_> = interfaces.iter().map(|spec| spec.kind).collect();
        self.write(&format!("started {node} {kinds:?}"));
    }

    fn outgoing(&self, call: &mut InterceptedCall) -> Result<(), Failure> {
        assert!(call.payload_len().is_none() && call.span().is_none());
        self.write(&told(call));
        Ok(())
    }

    fn incoming(&self, call: &mut InterceptedCall) -> Result<(), Failure> {
        self.write(&told(call));
        Ok(())
    }

    fn ended(&self, call: &InterceptedCall, end: &CallEnd) {
        assert!(end.elapsed < Duration::from_secs(30), "{end:?}");
        self.write(&format!("{} {}", told(call), end.outcome.as_str()));
    }
}

/// Knows users by a token; everyone else may only ask who they are.
struct Doorman;

impl Interceptor for Doorman {
    fn incoming(&self, call: &mut InterceptedCall) -> Result<(), Failure> {
        // Nobody can say so by themselves.
        call.context_mut().remove("user");
        match call.context().get("token").map(str::to_owned) {
            Some(token) if token == "secret" => call.context_mut().set("user", "ann"),
            None if call.access() == Some(Access::Read) => Ok(()),
            _ => Err(Failure::refused(format!("{} needs a token", call.method()))),
        }
    }
}

async fn start(store: &MemoryStore, name: &str, scribes: &[&Scribe]) -> Node {
    let mut config = config(&store.handle(), name, Pace::Calm);
    config.http_listen = Some("127.0.0.1:0".to_owned());
    let builder = Node::with(config).host(offices());
    let builder =
        scribes.iter().fold(builder, |builder, scribe| builder.intercept((*scribe).clone()));
    ready(builder).await
}

async fn ready(builder: greenroom::NodeBuilder) -> Node {
    let node = builder.start().await.expect("the node starts");
    within("joining", node.ready()).await.expect("the node becomes ready");
    node
}

fn alone() -> greenroom::NodeBuilder {
    let mut config = config(&MemoryStore::new(), "alone", Pace::Calm);
    config.http_listen = Some("127.0.0.1:0".to_owned());
    Node::with(config).host(offices())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_passes_in_order_out_and_in_and_its_end_comes_back_in_reverse() {
    let first = Scribe { name: "1 ", ..Scribe::default() };
    let second = Scribe { name: "2 ", lines: Arc::clone(&first.lines) };
    let node = start(&MemoryStore::new(), "order", &[&first, &second]).await;
    assert_eq!(
        first.read(),
        [r#"1 started order ["test.office"]"#, r#"2 started order ["test.office"]"#]
    );
    office(&node, "a").write("x".into()).await.expect("it answers");
    let passed = [
        "1 out test.office/a.write local",
        "2 out test.office/a.write local",
        "1 in test.office/a.write local",
        "2 in test.office/a.write local",
        "2 in test.office/a.write local ok",
        "1 in test.office/a.write local ok",
        "2 out test.office/a.write local ok",
        "1 out test.office/a.write local ok",
    ];
    assert_eq!(first.read(), passed);
    within("stopping", node.stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_end_is_told_once_on_each_side() {
    let scribe = Scribe::default();
    let node = start(&MemoryStore::new(), "ends", &[&scribe]).await;
    scribe.read();
    let ends = |lines: Vec<String>| {
        let ends = lines.iter().filter(|line| line.split(' ').count() == 4);
        ends.map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            format!("{} {}", words[0], words[3])
        })
        .collect::<Vec<_>>()
    };
    let office = office(&node, "ends");
    let _ = office.write(String::new()).await;
    assert_eq!(ends(scribe.read()), ["in actor_error", "out actor_error"]);
    let _ = office.fall().await;
    assert_eq!(ends(scribe.read()), ["in panicked", "out panicked"]);
    let stillborn: OfficeRef = node.actor("stillborn").expect("a good key");
    let _ = stillborn.write("x".into()).await;
    assert_eq!(ends(scribe.read()), ["in activation_failed", "out activation_failed"]);
    let never = office.write("x".into()).timeout(Duration::ZERO).await;
    assert!(never.is_err(), "{never:?}");
    assert_eq!(ends(scribe.read()), ["out timeout"]);

    let held = begin(office.hold()).await;
    probe("ends").arrival().await;
    // Waits in the mailbox until its deadline.
    let late = office.write("x".into()).timeout(Duration::from_millis(20)).await;
    assert!(late.is_err(), "{late:?}");
    assert_eq!(ends(scribe.read()), ["out timeout"]);
    office.write("x".into()).send().await.expect("it is accepted");
    assert_eq!(ends(scribe.read()), ["out accepted"]);
    drop(held);
    assert_eq!(ends(scribe.read()), ["out abandoned"]);
    probe("ends").release(1);
    // The turn that was held, the one that nobody waits for any more, and the one-way one.
    let lines = scribe.lines(3).await;
    assert_eq!(ends(lines), ["in ok", "in timeout", "in ok"]);
    within("stopping", node.stop()).await;
    assert_eq!(scribe.read(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_to_another_node_passes_out_here_and_in_there() {
    let (store, here, there) = (MemoryStore::new(), Scribe::default(), Scribe::default());
    let a = start(&store, "a", &[&here]).await;
    let b = start(&store, "b", &[&there]).await;
    for node in [&a, &b] {
        support::spread(node, 2).await;
    }
    let on_b = |key: &String| {
        let peeked = a.peek(office(&a, key).actor());
        peeked.route.is_some_and(|route| route.owner.life.node.as_str() == "b")
    };
    let key = (0..10_000).map(|at| format!("k{at}")).find(on_b).expect("b owns some keys");
    here.read();
    there.read();
    let remote = office(&a, &key);
    within("a call", remote.write("x".into())).await.expect("it answers");
    let name = format!("test.office/{key}.write");
    assert_eq!(here.read(), [format!("out {name} local"), format!("out {name} local ok")]);
    assert_eq!(there.read(), [format!("in {name} peer"), format!("in {name} peer ok")]);

    // What is dropped at its caller is told there, and goes on here.
    let held = begin(remote.hold()).await;
    probe(&key).arrival().await;
    drop(held);
    assert_eq!(here.read().last(), Some(&format!("out test.office/{key}.hold local abandoned")));
    probe(&key).release(1);
    there.lines(2).await;

    let http = a.http_address().expect("it has a gateway");
    let answer =
        post(http, &format!("/v1/actors/test.office/{key}/write"), r#"{"text": ""}"#).await;
    assert_eq!(answer.status, 409, "{answer:?}");
    let gateway = [format!("out {name} gateway"), format!("out {name} gateway actor_error")];
    assert_eq!(here.read(), gateway);
    assert_eq!(there.read(), [format!("in {name} peer"), format!("in {name} peer actor_error")]);
    for node in [a, b] {
        within("stopping", node.stop()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_gets_a_reason_and_nothing_ran() {
    let scribe = Scribe::default();
    let node = ready(alone().intercept(scribe.clone()).intercept(Doorman)).await;
    scribe.read();
    let (office, probe) = (office(&node, "guarded"), probe("guarded"));
    let Err(CallError::Failed(failure)) = office.write("x".into()).await else {
        panic!("it was let in")
    };
    assert_eq!((failure.code, failure.may_have_run), (FailureCode::Refused, false));
    assert_eq!(failure.message, "write needs a token");
    // Those before the doorman hear of it.
    let heard = scribe.read();
    assert_eq!(heard[2], "in test.office/guarded.write local refused");
    assert_eq!(heard[3], "out test.office/guarded.write local refused");
    assert_eq!((probe.log(), node.active_actors()), (Vec::new(), 0));

    assert_eq!(office.whoami().with("user", "ceo").await.expect("it may ask"), None);
    let known = office.whoami().with("token", "secret").await.expect("it may ask");
    assert_eq!(known.as_deref(), Some("ann"));
    office.write("x".into()).with("token", "secret").await.expect("it may write");
    assert_eq!(probe.log(), ["x"]);

    let http = node.http_address().expect("it has a gateway");
    let path = "/v1/actors/test.office/guarded/write";
    let body = json!({"text": "y"}).to_string();
    let refused = post(http, path, &body).await;
    assert_eq!((refused.status, refused.code()), (403, "refused"));
    assert_eq!(refused.body["error"]["may_have_run"], false);
    let let_in = request(http, "POST", path, "baggage: token=secret\r\n", body.as_bytes()).await;
    assert_eq!(let_in.status, 200, "{let_in:?}");
    within("stopping", node.stop()).await;
}

/// Fills in who calls, and counts how often it was asked.
struct Passport;

impl Interceptor for Passport {
    fn outgoing(&self, call: &mut InterceptedCall) -> Result<(), Failure> {
        if call.context().get("user").is_none() {
            call.context_mut().set("user", "system")?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_interceptor_puts_into_the_context_travels_on() {
    let node = ready(alone().intercept(Passport)).await;
    let office = office(&node, "passport");
    assert_eq!(office.whoami().await.expect("it answers").as_deref(), Some("system"));
    let asked = office.ask("another".into()).with("user", "bob").await.expect("it answers");
    assert_eq!(asked.as_deref(), Some("bob"));
    let asked = office.ask("another".into()).await.expect("it answers");
    assert_eq!(asked.as_deref(), Some("system"));
    within("stopping", node.stop()).await;
}

/// Fails in all the ways that it can, by the method.
struct Saboteur;

impl Interceptor for Saboteur {
    fn outgoing(&self, call: &mut InterceptedCall) -> Result<(), Failure> {
        match call.method() {
            "hold" => panic!("outgoing"),
            // The runtime would try again what may pass.
            "fall" => Err(Failure::new(FailureCode::NotOwner, "no").that_may_have_run()),
            _ => Ok(()),
        }
    }

    fn incoming(&self, call: &mut InterceptedCall) -> Result<(), Failure> {
        match call.method() {
            "ask" => panic!("incoming"),
            _ => Ok(()),
        }
    }

    fn ended(&self, call: &InterceptedCall, _: &CallEnd) {
        assert_ne!(call.method(), "whoami", "ended");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interceptor_that_fails_fails_its_call_alone() {
    let scribe = Scribe::default();
    let node = ready(alone().intercept(scribe.clone()).intercept(Saboteur)).await;
    let office = office(&node, "sabotaged");
    let failed = |error: CallError<std::convert::Infallible>| match error {
        CallError::Failed(failure) => (failure.code, failure.may_have_run),
        CallError::Actor(never) => match never {},
    };
    let panicked = (FailureCode::Panicked, false);
    assert_eq!(failed(office.hold().await.expect_err("a panic on the way out")), panicked);
    assert_eq!(failed(office.ask("x".into()).await.expect_err("a panic on the way in")), panicked);
    let refused = within("a refusal", office.fall()).await.expect_err("it is refused");
    assert_eq!(failed(refused), (FailureCode::Refused, false));
    assert_eq!(probe("sabotaged").arrivals(), 0);
    scribe.read();
    // A panic at the end changes no answer, and the others hear of the end all the same.
    assert_eq!(office.whoami().await.expect("it answers"), None);
    let ends = scribe.read().iter().filter(|line| line.ends_with(" ok")).count();
    assert_eq!(ends, 2);
    within("stopping", node.stop()).await;
}

/// Side, access, length of the arguments, whether it is one-way, and whether it has little time.
type Form = (CallSide, Option<Access>, Option<usize>, bool, bool);

/// Keeps what it saw of a call's form.
#[derive(Default)]
struct Forms(Mutex<Vec<Form>>);

impl Interceptor for Forms {
    fn ended(&self, call: &InterceptedCall, _: &CallEnd) {
        let short = call.remaining() <= Duration::from_secs(5);
        let form = (call.side(), call.access(), call.payload_len(), call.one_way(), short);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(form);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interceptor_sees_the_form_of_a_call_and_not_its_arguments() {
    let forms = Arc::new(Forms::default());
    let node = ready(alone().intercept(Arc::clone(&forms))).await;
    let office = office(&node, "form");
    office.write("x".into()).timeout(Duration::from_secs(5)).await.expect("it answers");
    let http = node.http_address().expect("it has a gateway");
    assert_eq!(post(http, "/v1/actors/test.office/form/whoami", "{ }").await.status, 200);
    assert_eq!(post(http, "/v1/actors/test.office/form/nonsense", "{}").await.status, 405);
    let seen = std::mem::take(&mut *forms.0.lock().unwrap_or_else(PoisonError::into_inner));
    let (out, into) = (CallSide::Out, CallSide::In);
    let expected = [
        (into, Some(Access::Write), None, false, true),
        (out, Some(Access::Write), None, false, true),
        (into, Some(Access::Read), Some(3), false, false),
        (out, Some(Access::Read), None, false, false),
        (out, None, None, false, false),
    ];
    assert_eq!(seen, expected);
    within("stopping", node.stop()).await;
}

/// The page of `/metrics`, only the lines of this metric.
async fn scrape(node: SocketAddr, metric: &str) -> BTreeSet<String> {
    let mut stream = TcpStream::connect(node).await.expect("the gateway listens");
    let request = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("the gateway reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the gateway answers in UTF-8");
    let lines = answer.lines().filter_map(|line| line.strip_prefix(metric));
    lines.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_count_calls_and_no_caller_can_make_up_series() {
    let mut config = config(&MemoryStore::new(), "counted", Pace::Calm);
    config.http_listen = Some("127.0.0.1:0".to_owned());
    let builder = Node::with(config).host(offices()).intercept(interceptors::Metrics::new());
    let node = ready(builder).await;
    let http = node.http_address().expect("it has a gateway");
    let office = office(&node, "counted");
    for text in ["x", "y", ""] {
        let _ = office.write(text.into()).await;
    }
    for number in 0..3 {
        let path = format!("/v1/actors/test.office/counted/method{number}");
        assert_eq!(post(http, &path, "{}").await.status, 405);
        let path = format!("/v1/actors/kind{number}/counted/write");
        assert_eq!(post(http, &path, "{}").await.status, 404);
    }
    let line = |side, kind_and_method, source, outcome, count| {
        let (kind, method) = kind_and_method;
        format!(
            "{{node=\"counted\",side=\"{side}\",kind=\"{kind}\",method=\"{method}\",\
             source=\"{source}\",outcome=\"{outcome}\"}} {count}"
        )
    };
    let (write, other) = (("test.office", "write"), ("other", "other"));
    let expected = BTreeSet::from([
        line("in", write, "local", "ok", 2),
        line("in", write, "local", "actor_error", 1),
        line("out", write, "local", "ok", 2),
        line("out", write, "local", "actor_error", 1),
        line("out", other, "gateway", "unknown_method", 3),
        line("out", other, "gateway", "unknown_kind", 3),
    ]);
    assert_eq!(scrape(http, "greenroom_calls_total").await, expected);
    let buckets = scrape(http, "greenroom_call_duration_seconds_bucket").await;
    let other = |line: &&String| line.contains(r#"kind="other""#);
    assert_eq!(buckets.iter().filter(other).count(), CALL_BUCKETS_S.len() + 1, "{buckets:?}");
    let durations = scrape(http, "greenroom_call_duration_seconds_count").await;
    let line = |side, kind, method, count| {
        format!("{{node=\"counted\",side=\"{side}\",kind=\"{kind}\",method=\"{method}\"}} {count}")
    };
    let expected = BTreeSet::from([
        line("in", "test.office", "write", 3),
        line("out", "test.office", "write", 3),
        line("out", "other", "other", 6),
    ]);
    assert_eq!(durations, expected);
    within("stopping", node.stop()).await;
}

/// A place for the lines of a log.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_log_tells_how_calls_ended_and_nobodys_key() {
    let page = Page::default();
    let lines = page.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || lines.clone())
        .with_env_filter("greenroom::calls=info")
        .json()
        .finish();
    // This thread alone, on which the turns run as well.
    let _here = tracing::subscriber::set_default(subscriber);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let node = ready(alone().intercept(interceptors::Log::new())).await;
        office(&node, "nobody").write("x".into()).await.expect("it answers");
        let _ = office(&node, "stillborn").write("x".into()).await;
        within("stopping", node.stop()).await;
        let node = ready(alone().intercept(interceptors::Log::new().with_keys())).await;
        office(&node, "somebody").write("x".into()).await.expect("it answers");
        within("stopping", node.stop()).await;
    });
    let text = page.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let text = String::from_utf8(text).expect("a log is text");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 6, "{text}");
    let (level, fields) = (&lines[0]["level"], &lines[0]["fields"]);
    assert_eq!(
        (level, &fields["side"], &fields["actor"]),
        (&json!("INFO"), &json!("in"), &json!("test.office"))
    );
    assert_eq!((&fields["method"], &fields["outcome"]), (&json!("write"), &json!("ok")));
    assert!(fields["elapsed_us"].is_u64() && fields.get("key").is_none(), "{fields}");
    let (level, fields) = (&lines[3]["level"], &lines[3]["fields"]);
    assert_eq!((level, &fields["outcome"]), (&json!("WARN"), &json!("activation_failed")));
    assert_eq!(fields["may_have_run"], json!(false));
    assert!(!text.contains("nobody"), "{text}");
    assert_eq!(lines[5]["fields"]["key"], json!("somebody"));
}
