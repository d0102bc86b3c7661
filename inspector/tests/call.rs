//! `greenroom call` against a real node.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};
use std::time::Duration;

use greenroom::prelude::*;
use serde_json::{Value, json};
use support::command::{command, complaint, greenroom, printed, text};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// An account and what can be read of it.
#[greenroom::interface(kind = "test.account")]
pub trait Account {
    /// Adds, and answers with the sum.
    async fn add(&mut self, amount: u64) -> u64;
    /// Refuses all.
    async fn refuse(&mut self, why: String) -> Result<u64, Refusal>;
    /// Takes its time.
    async fn sleep(&self, millis: u64);
    /// Who called, and in which trace.
    async fn seen(&self, ctx: &mut Context) -> Vec<Option<String>>;
    /// So many numbers; then it waits for `go_on`.
    async fn count(&mut self, numbers: u64) -> Streamed<u64>;
    /// Lets the stream end.
    async fn go_on(&mut self);
    /// Panics.
    async fn burst(&mut self);
}

/// Its own error.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Refusal {
    why: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

struct AccountActor {
    sum: u64,
    open: Option<mpsc::Sender<u64>>,
}

impl Actor for AccountActor {
    async fn activate(_: &mut Activating<'_>) -> Result<Self, ActivateError> {
        Ok(Self { sum: 0, open: None })
    }
}

impl Account for AccountActor {
    async fn add(&mut self, amount: u64) -> u64 {
        self.sum += amount;
        self.sum
    }

    async fn refuse(&mut self, why: String) -> Result<u64, Refusal> {
        Err(Refusal { why })
    }

    async fn sleep(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    async fn seen(&self, ctx: &mut Context) -> Vec<Option<String>> {
        let request = ctx.request();
        vec![request.get("tenant").map(str::to_owned), request.trace_id().map(str::to_owned)]
    }

    async fn count(&mut self, numbers: u64) -> Streamed<u64> {
        let (send, receive) = mpsc::channel(64);
        for number in 0..numbers.min(64) {
            let _ = send.try_send(number);
        }
        self.open = Some(send);
        Streamed::from_channel(receive)
    }

    async fn go_on(&mut self) {
        self.open = None;
    }

    async fn burst(&mut self) {
        panic!("it was told to");
    }
}

struct Hosting {
    node: Node,
    runtime: Runtime,
}

impl Hosting {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let node = runtime.block_on(async {
            let kind = AccountRef::served_by::<AccountActor>();
            let small = |config: &mut greenroom::Config| config.shards = 64;
            let node = Node::embedded().host(kind).configure(small).start().await;
            let node = node.expect("the node starts");
            node.ready().await.expect("it becomes ready");
            node
        });
        Self { node, runtime }
    }

    /// `greenroom call ... --node` this one.
    fn call(&self, arguments: &[&str]) -> Output {
        let node = self.node.peer_address().to_string();
        greenroom(&[&["call"], arguments, &["--node", &node]].concat())
    }
}

impl Drop for Hosting {
    fn drop(&mut self) {
        self.runtime.block_on(self.node.stop());
    }
}

#[test]
fn answers_are_printed_and_arguments_come_from_the_line_or_the_standard_input() {
    let node = Hosting::start();
    let alice = "test.account/eu/alice & co";
    assert_eq!(printed(&node.call(&[alice, "add", r#"{"amount": 5}"#])), "5\n");
    let answer = printed(&node.call(&[alice, "add", r#"{"amount": 2}"#, "--output", "json"]));
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), json!({ "answer": 7 }));
    // Through the gateway itself, with arguments that nobody else on the machine can read.
    let gateway = node.node.http_address().expect("it has one").to_string();
    let mut piped = command(&["call", alice, "add", "-", "--gateway", &gateway]);
    let mut child =
        piped.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"{\"amount\": 1}").unwrap();
    assert_eq!(printed(&child.wait_with_output().unwrap()), "8\n");
    assert_eq!(printed(&node.call(&["test.account/x", "go_on"])), "null\n");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let context = ["--context", "tenant=J\u{fc}rgen, & Co", "--traceparent", &parent];
    let seen = printed(&node.call(&[&["test.account/x", "seen"][..], &context].concat()));
    assert_eq!(serde_json::from_str::<Value>(&seen).unwrap(), json!(["J\u{fc}rgen, & Co", trace]));
}

#[test]
fn exit_codes_tell_the_actors_own_error_from_the_clusters_failures_and_bad_usage() {
    let node = Hosting::start();
    let refuse = ["test.account/bob", "refuse", r#"{"why": "no money"}"#];
    let own = complaint(&node.call(&refuse), 4);
    assert_eq!(own, "greenroom: the actor's own error: {\"why\":\"no money\"}\n");
    let own = node.call(&[&refuse[..], &["--output", "json"]].concat());
    assert_eq!((own.status.code(), text(&own.stderr)), (Some(4), String::new()));
    let own: Value = serde_json::from_slice(&own.stdout).unwrap();
    assert_eq!(
        (&own["error"]["code"], &own["error"]["actor"]),
        (&json!("actor_error"), &json!({"why": "no money"}))
    );

    for (arguments, code, told) in [
        (&["no.kind/x", "add"][..], "unknown_kind", "the call did not run"),
        (&["test.account/x", "nothing"], "unknown_method", "the call did not run"),
        (
            &["test.account/x", "add", r#"{"amount": "much"}"#],
            "bad_arguments",
            "the call did not run",
        ),
        (&["test.account/x", "burst"], "panicked", "the call may have run"),
        (
            &["test.account/x", "sleep", r#"{"millis": 20000}"#, "--timeout", "50ms"],
            "timeout",
            "the call may have run",
        ),
    ] {
        let failed = complaint(&node.call(arguments), 1);
        assert!(failed.starts_with(&format!("greenroom: {code}: ")), "{failed}");
        assert!(failed.contains(told), "{failed}");
        let failed = node.call(&[arguments, &["--output", "json"]].concat());
        let answer: Value = serde_json::from_slice(&failed.stdout).unwrap();
        assert_eq!((failed.status.code(), &answer["error"]["code"]), (Some(1), &json!(code)));
        assert_eq!(answer["error"]["may_have_run"], json!(told.contains("may have run")));
    }

    for (arguments, hint) in [
        (&["test.account/x", "add", "{"][..], "must be a JSON object"),
        (&["test.account/x", "add", "[5]"], "must be a JSON object"),
        (&["test.account", "add"], "named by kind and key"),
        (&["test.account/x", "add", "--timeout", "2h"], "1ms to 1h"),
        (&["test.account/x", "add", "--context", "Upper=1"], "a pair is key=value"),
        (&["test.account/x", "add", "--traceparent", "00-1-2-3"], "a traceparent is 00-"),
        (
            &["test.account/x", "add", "--gateway", "nowhere"],
            "not an address of the form host:port",
        ),
    ] {
        let bad = complaint(&node.call(arguments), 2);
        assert!(bad.contains(hint), "{bad}");
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = node.call(&["test.account/x", "add", "--gateway", &closed.to_string()]);
    assert!(complaint(&gone, 1).contains("cannot connect to the gateway"));
    // A peer's port speaks another language.
    let peer = node.node.peer_address().to_string();
    let other = complaint(&node.call(&["test.account/x", "add", "--gateway", &peer]), 1);
    assert!(other.contains("broke") || other.contains("no gateway's"), "{other}");
}

#[test]
fn a_streamed_reply_is_printed_line_by_line_as_it_comes() {
    let node = Hosting::start();
    let peer = node.node.peer_address().to_string();
    for (output, items, end) in [
        ("table", ["0", "1", "2"], None),
        ("json", [r#"{"item":0}"#, r#"{"item":1}"#, r#"{"item":2}"#], Some("{\"end\":true}")),
    ] {
        let arguments =
            ["call", "test.account/s", "count", r#"{"numbers": 3}"#, "--output", output];
        let mut streaming = command(&[&arguments[..], &["--node", &peer]].concat());
        let mut child = streaming.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        // They are here while the stream is open still.
        assert_eq!([(); 3].map(|()| lines.next().unwrap()), items);
        assert_eq!(printed(&node.call(&["test.account/s", "go_on"])), "null\n");
        assert_eq!(lines.next().as_deref(), end);
        assert_eq!((lines.next(), child.wait().unwrap().code()), (None, Some(0)));
    }
}

#[test]
fn a_stream_that_is_interrupted_is_no_success() {
    let node = Hosting::start();
    let peer = node.node.peer_address().to_string();
    let mut streaming =
        command(&["call", "test.account/s", "count", r#"{"numbers": 1}"#, "--node", &peer]);
    let mut child = streaming.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut first).unwrap();
    assert_eq!(first, "0\n");
    drop(node);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended.stderr).starts_with("greenroom: interrupted: "), "{}", text(&ended.stderr));
}
