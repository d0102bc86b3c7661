//! The HTTP gateway as a client sees it: answers, every refusal with its own code and status, and
//! the probes.

mod support;

use std::net::SocketAddr;

use greenroom::prelude::*;
use greenroom::{Kind, MemoryStore};
use serde::{Deserialize, Serialize};
use serde_json::json;
use support::http::{Answer, get, post, request};
use support::probe::probe;
use support::{Pace, begin, config, start, within};

/// Why a till refuses.
#[derive(Debug, Serialize, Deserialize)]
pub enum Refusal {
    /// There is not enough.
    TooLittle {
        /// How much is missing.
        missing: u64,
    },
}

/// What HTTP clients call.
#[greenroom::interface(kind = "test.till")]
pub trait Till {
    /// Adds and returns the sum.
    async fn put(&mut self, amount: u64, note: Option<String>) -> u64;
    /// Takes, unless there is too little.
    async fn take(&mut self, amount: u64) -> Result<u64, Refusal>;
    /// The sum.
    async fn sum(&self) -> u64;
    /// Waits until the test lets it go on.
    async fn hold(&mut self, ctx: &mut Context);
    /// Panics.
    async fn panic(&mut self);
    /// Says its key and so many letters.
    async fn say(&self, ctx: &mut Context, letters: usize) -> String;
}

struct TillActor(u64);

impl Actor for TillActor {
    async fn activate(ctx: &mut Activating<'_>) -> Result<Self, ActivateError> {
        match ctx.key() {
            "broken" => Err(ActivateError::new("it is broken")),
            _ => Ok(Self(0)),
        }
    }
}

impl Till for TillActor {
    async fn put(&mut self, amount: u64, _: Option<String>) -> u64 {
        self.0 += amount;
        self.0
    }

    async fn take(&mut self, amount: u64) -> Result<u64, Refusal> {
        let missing = amount.saturating_sub(self.0);
        if missing > 0 {
            return Err(Refusal::TooLittle { missing });
        }
        self.0 -= amount;
        Ok(self.0)
    }

    async fn sum(&self) -> u64 {
        self.0
    }

    async fn hold(&mut self, ctx: &mut Context) {
        probe(ctx.key()).hold().await;
    }

    async fn panic(&mut self) {
        panic!("as the test wants it");
    }

    async fn say(&self, ctx: &mut Context, letters: usize) -> String {
        format!("{} {}", ctx.key(), "x".repeat(letters))
    }
}

fn tills() -> Kind {
    TillRef::served_by::<TillActor>().mailbox_len_max(1)
}

async fn node_of(store: &MemoryStore, name: &str, kinds: Vec<Kind>) -> (Node, SocketAddr) {
    let mut config = config(&store.handle(), name, Pace::Calm);
    config.http_listen = Some("127.0.0.1:0".into());
    config.limits.payload_bytes_max = 1024;
    let node = start(config, kinds).await;
    let http = node.http_address().expect("it has a gateway");
    (node, http)
}

/// A node in a cluster of its own, ready, and its gateway.
async fn till_node() -> (Node, SocketAddr) {
    let (node, http) = node_of(&MemoryStore::new(), "tills", vec![tills()]).await;
    within("joining", node.ready()).await.expect("the node becomes ready");
    (node, http)
}

fn assert_refused(answer: &Answer, status: u16, code: &str, may_have_run: bool) {
    assert_eq!((answer.status, answer.code()), (status, code), "{answer:?}");
    assert_eq!(answer.body["error"]["may_have_run"], may_have_run, "{answer:?}");
    assert!(answer.headers.iter().any(|line| line == "content-type: application/json"));
}

#[tokio::test]
async fn calls_are_answered_in_json() {
    let (_node, http) = till_node().await;
    let put = post(http, "/v1/actors/test.till/a/put", r#"{"amount": 5, "note": "hi"}"#).await;
    assert_eq!((put.status, put.body), (200, json!(5)));
    // A field that may be missing, and one that nobody knows yet.
    let put = post(http, "/v1/actors/test.till/a/put", r#"{"amount": 2, "colour": "green"}"#).await;
    assert_eq!((put.status, put.body), (200, json!(7)));
    for body in ["", "{}", " \n"] {
        let sum = post(http, "/v1/actors/test.till/a/sum", body).await;
        assert_eq!((sum.status, sum.body), (200, json!(7)), "{body:?}");
    }
    let key = post(http, "/v1/actors/test.till/caf%C3%A9%2F%7Ba%7D/say", r#"{"letters":1}"#).await;
    assert_eq!((key.status, key.body), (200, json!("café/{a} x")));
}

#[tokio::test]
async fn each_mistake_of_a_client_has_its_own_code_and_status() {
    let (node, http) = till_node().await;
    let refused = |path: &'static str, body: &'static str| post(http, path, body);
    let put = "/v1/actors/test.till/a/put";

    let answer = refused("/v1/actors/test.tiller/a/put", "{}").await;
    assert_refused(&answer, 404, "unknown_kind", false);
    assert!(answer.message().contains("test.tiller"), "{answer:?}");
    let answer = refused("/v1/actors/test.till/a/pet", "{}").await;
    assert_refused(&answer, 405, "unknown_method", false);
    assert!(answer.message().contains("`pet`"), "{answer:?}");

    let answer = refused(put, "{}").await;
    assert_refused(&answer, 422, "bad_arguments", false);
    assert!(answer.message().contains("missing field `amount`"), "{answer:?}");
    for wrong in [r#"{"amount": "five"}"#, r#"{"amount": -1}"#, r#"{"amount": null}"#] {
        let answer = refused(put, wrong).await;
        assert_refused(&answer, 422, "bad_arguments", false);
        assert!(answer.message().contains("argument `amount`"), "{wrong}: {answer:?}");
    }
    for wrong in [r#"{"amount": 5"#, "{\"amount\": 5} x", "\u{1}", "amount=5"] {
        let answer = refused(put, wrong).await;
        assert_refused(&answer, 422, "bad_arguments", false);
        assert!(answer.message().contains("not JSON"), "{wrong}: {answer:?}");
    }
    for wrong in ["[5]", "5", "\"five\"", "null"] {
        let answer = refused(put, wrong).await;
        assert_refused(&answer, 422, "bad_arguments", false);
        assert!(answer.message().contains("JSON object"), "{wrong}: {answer:?}");
    }
    let answer = post(http, put, [b'{', 0xff, b'}']).await;
    assert_refused(&answer, 422, "bad_arguments", false);
    assert_eq!(node.active_actors(), 1, "a till that was asked in vain, and nothing else");
}

#[tokio::test]
async fn what_is_too_large_is_refused_by_its_size() {
    let (_node, http) = till_node().await;
    let put = "/v1/actors/test.till/a/put";
    let padded = |len: usize| format!("{:<len$}", r#"{"amount": 5}"#);
    let answer = post(http, put, padded(1024)).await;
    assert_eq!((answer.status, answer.body), (200, json!(5)));
    let answer = post(http, put, padded(1025)).await;
    assert_refused(&answer, 413, "too_large", false);
    assert!(answer.message().contains("1024"), "{answer:?}");
}

#[tokio::test]
async fn keys_that_break_their_rule_are_refused() {
    let (_node, http) = till_node().await;
    let long = "k".repeat(513);
    for key in ["", "a%00b", "a%0Ab", "%7F", long.as_str()] {
        let answer = post(http, &format!("/v1/actors/test.till/{key}/sum"), "{}").await;
        assert_refused(&answer, 400, "bad_key", false);
        let answer = get(http, &format!("/v1/actors/test.till/{key}")).await;
        assert_refused(&answer, 400, "bad_key", false);
    }
    // Bytes that are no UTF-8, and a kind that can't be one.
    let answer = post(http, "/v1/actors/test.till/%FF/sum", "{}").await;
    assert_refused(&answer, 400, "bad_key", false);
    let answer = post(http, "/v1/actors/No%20Kind/a/sum", "{}").await;
    assert_refused(&answer, 400, "bad_key", false);
    let long = &long[..512];
    let answer = post(http, &format!("/v1/actors/test.till/{long}/sum"), "{}").await;
    assert_eq!((answer.status, answer.body), (200, json!(0)));
}

#[tokio::test]
async fn unknown_paths_wrong_verbs_and_bad_headers_are_told() {
    let (_node, http) = till_node().await;
    let sum = "/v1/actors/test.till/a/sum";
    for path in ["/", "/v1/actors", "/v1/actors/test.till", "/v2/actors/test.till/a/sum"] {
        assert_refused(&get(http, path).await, 404, "unknown_path", false);
    }
    let answer = post(http, "/v1/actors/test.till/a/sum/more", "{}").await;
    assert_refused(&answer, 404, "unknown_path", false);
    for (verb, path) in [("GET", sum), ("PUT", sum), ("DELETE", "/v1/actors/test.till/a")] {
        let answer = request(http, verb, path, "", b"").await;
        assert_refused(&answer, 405, "wrong_verb", false);
    }
    assert_refused(&post(http, "/ready", "").await, 405, "wrong_verb", false);
    for value in ["0", "-5", "soon", "3600001", "99999999999999999999", "\u{e9}"] {
        let header = format!("greenroom-timeout-ms: {value}\r\n");
        let answer = request(http, "POST", sum, &header, b"{}").await;
        assert_refused(&answer, 400, "bad_timeout", false);
        assert!(answer.message().contains("greenroom-timeout-ms"), "{answer:?}");
    }
}

#[tokio::test]
async fn what_the_actor_does_is_told_apart_from_what_befalls_it() {
    let (node, http) = till_node().await;
    let answer = post(http, "/v1/actors/test.till/a/take", r#"{"amount": 3}"#).await;
    assert_refused(&answer, 409, "actor_error", true);
    assert_eq!(answer.body["error"]["actor"], json!({"TooLittle": {"missing": 3}}));
    let answer = post(http, "/v1/actors/test.till/broken/sum", "").await;
    assert_refused(&answer, 500, "activation_failed", false);
    assert!(answer.message().contains("it is broken"), "{answer:?}");
    let answer = post(http, "/v1/actors/test.till/a/panic", "").await;
    assert_refused(&answer, 500, "panicked", true);

    let hold = "/v1/actors/test.till/held/hold";
    let header = "greenroom-timeout-ms: 50\r\n";
    let answer = request(http, "POST", hold, header, b"").await;
    assert_refused(&answer, 504, "timeout", true);
    probe("held").arrival().await;
    // The turn runs on; one call may wait behind it, and the next is one too many.
    let held: TillRef = node.actor("held").expect("a good key");
    let waiting = begin(held.hold()).await;
    let answer = post(http, hold, "").await;
    assert_refused(&answer, 429, "overloaded", false);
    assert!(answer.headers.iter().any(|line| line == "retry-after: 1"), "{answer:?}");
    probe("held").release(2);
    assert_eq!(within("the call that waits", waiting).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_owns_nothing_passes_calls_on() {
    let store = MemoryStore::new();
    let (client, http) = node_of(&store, "client", vec![]).await;
    let (server, _) = node_of(&store, "server", vec![tills()]).await;
    within("joining", server.ready()).await.expect("the server becomes ready");
    within("joining", client.ready()).await.expect("the client becomes ready");
    let put = "/v1/actors/test.till/a/put";
    let answer = post(http, put, r#"{"amount": 5}"#).await;
    assert_eq!((answer.status, answer.body), (200, json!(5)));
    assert_eq!((client.active_actors(), server.active_actors()), (0, 1));
    let answer = post(http, put, r#"{"amount": "five"}"#).await;
    assert_refused(&answer, 422, "bad_arguments", false);
    assert!(answer.message().contains("argument `amount`"), "{answer:?}");
    let answer = post(http, "/v1/actors/test.tiller/a/put", "").await;
    assert_refused(&answer, 404, "unknown_kind", false);
    let answer = post(http, "/v1/actors/test.till/a/pet", "").await;
    assert_refused(&answer, 405, "unknown_method", false);
    let answer = post(http, "/v1/actors/test.till/a/take", r#"{"amount": 9}"#).await;
    assert_refused(&answer, 409, "actor_error", true);
    assert_eq!(answer.body["error"]["actor"], json!({"TooLittle": {"missing": 4}}));
    let answer = post(http, "/v1/actors/test.till/a/say", r#"{"letters": 2000}"#).await;
    assert_refused(&answer, 413, "too_large", true);
}

#[tokio::test]
async fn a_look_at_an_actor_does_not_wake_it() {
    let (node, http) = till_node().await;
    let answer = get(http, "/v1/actors/test.till/sleeper").await;
    assert_eq!(answer.status, 200);
    let life = node.status().life.expect("it is a member");
    let actor: TillRef = node.actor("sleeper").expect("a good key");
    let route = node.peek(actor.actor()).route.expect("it has an owner");
    let expected = json!({
        "kind": "test.till",
        "key": "sleeper",
        "shard": actor.actor().shard().0,
        "owner": {
            "node": "tills",
            "incarnation": life.incarnation.0,
            "address": node.peer_address().to_string(),
            "epoch": route.epoch.0,
        },
    });
    assert_eq!(answer.body, expected);
    assert_eq!(node.active_actors(), 0);
}

#[tokio::test]
async fn probes_tell_life_and_readiness() {
    let store = MemoryStore::new();
    store.set_available(false);
    let (node, http) = node_of(&store, "early", vec![tills()]).await;
    assert_eq!(get(http, "/live").await.status, 200);
    let answer = get(http, "/ready").await;
    assert_eq!((answer.status, &answer.body["ready"]), (503, &json!(false)), "{answer:?}");
    let reasons = answer.body["reasons"].as_array().expect("a list of reasons");
    assert!(reasons.iter().any(|why| why == "the node has not joined yet"), "{reasons:?}");

    store.set_available(true);
    within("joining", node.ready()).await.expect("the node becomes ready");
    let answer = get(http, "/ready").await;
    let (claimed, targeted) = (support::SHARDS, support::SHARDS);
    let expected = json!({"ready": true, "claimed": claimed, "targeted": targeted, "reasons": []});
    assert_eq!((answer.status, answer.body), (200, expected));
    assert_eq!(get(http, "/live").await.status, 200);

    // A turn that waits keeps the node draining.
    let held: TillRef = node.actor("draining").expect("a good key");
    let call = tokio::spawn(async move { held.hold().await });
    probe("draining").arrival().await;
    let stopping = tokio::spawn({
        let node = node.clone();
        async move { node.stop().await }
    });
    let draining = async {
        loop {
            let answer = get(http, "/ready").await;
            if answer.status != 200 {
                return answer;
            }
        }
    };
    let answer = within("draining", draining).await;
    assert_eq!(answer.status, 503);
    let reasons = answer.body["reasons"].as_array().expect("a list of reasons");
    assert!(reasons.iter().any(|why| why == "the node gives its shards away"), "{reasons:?}");
    assert_eq!(get(http, "/live").await.status, 200);
    probe("draining").release(1);
    assert_eq!(within("the call", call).await.expect("no panic"), Ok(()));
    within("the stop", stopping).await.expect("no panic");
    assert!(tokio::net::TcpStream::connect(http).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn a_node_that_its_cluster_refuses_is_not_alive() {
    let store = MemoryStore::new();
    let (first, _) = node_of(&store, "first", vec![tills()]).await;
    within("joining", first.ready()).await.expect("the node becomes ready");
    let mut other = config(&store.handle(), "other", Pace::Calm);
    (other.shards, other.http_listen) = (7, Some("127.0.0.1:0".into()));
    let other = start(other, []).await;
    assert!(within("the refusal", other.ready()).await.is_err());
    let http = other.http_address().expect("it has a gateway");
    let answer = get(http, "/live").await;
    assert_refused(&answer, 503, "stopped", false);
    assert!(answer.message().contains("7 shards"), "{answer:?}");
    assert_eq!(get(http, "/ready").await.status, 503);
}
