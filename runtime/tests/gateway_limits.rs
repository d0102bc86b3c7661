//! What the gateway refuses because there is too much of it: by the head of a request, with the time
//! when a new one is worth it, and never its probes.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use greenroom::prelude::*;
use greenroom::{GatewayLimits, MemoryStore, Rate};
use support::http::{Answer, get, metric, post, request};
use support::ledger::tallies;
use support::probe::probe;
use support::{Pace, config, start, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ADD: &str = "/v1/actors/test.tally/a/add";

/// A node whose gateway has these limits, ready.
async fn node(name: &str, limits: GatewayLimits) -> (Node, SocketAddr) {
    let mut config = config(&MemoryStore::new(), name, Pace::Calm);
    config.http_listen = Some("127.0.0.1:0".into());
    config.gateway = limits;
    let node = start(config, [tallies()]).await;
    within("joining", node.ready()).await.expect("the node becomes ready");
    let http = node.http_address().expect("it has a gateway");
    (node, http)
}

/// So slow that no token comes while a test runs.
fn two_an_hour() -> Option<Rate> {
    Some(Rate { calls: 2, per: Duration::from_secs(3600), burst: 2 })
}

async fn as_client(http: SocketAddr, client: &str) -> Answer {
    request(http, "POST", ADD, &format!("x-client: {client}\r\n"), b"").await
}

fn refused(node: &str, limit: &str) -> String {
    format!("greenroom_calls_refused_total{{node=\"{node}\",limit=\"{limit}\"}}")
}

#[tokio::test]
async fn a_client_has_its_rate_and_probes_and_metrics_have_none() {
    let client_header = Some("x-client".to_owned());
    let client_rate = two_an_hour();
    let limits = GatewayLimits { client_rate, client_header, ..GatewayLimits::default() };
    let (node, http) = node("per-client", limits).await;
    for _ in 0..2 {
        assert_eq!(as_client(http, "alice").await.status, 200);
    }
    let answer = as_client(http, "alice").await;
    assert_eq!((answer.status, answer.code()), (429, "rate_limited"));
    assert_eq!(answer.body["error"]["may_have_run"], false);
    let hint = answer.body["error"]["retry_after_ms"].as_u64().expect("a hint");
    assert!((1_700_000..=1_800_000).contains(&hint), "half an hour: {answer:?}");
    let seconds = format!("retry-after: {}", hint.div_ceil(1000));
    assert!(answer.headers.contains(&seconds), "{answer:?}");
    // To ask where an actor is counts as well.
    let peek = request(http, "GET", "/v1/actors/test.tally/a", "x-client: alice\r\n", b"").await;
    assert_eq!(peek.status, 429);
    assert_eq!(as_client(http, "bob").await.status, 200);
    // Without a name, it is the address.
    for status in [200, 200, 429] {
        assert_eq!(post(http, ADD, "").await.status, status);
    }
    for _ in 0..10 {
        assert_eq!(get(http, "/live").await.status, 200);
        assert_eq!(get(http, "/ready").await.status, 200);
    }
    assert_eq!(metric(http, &refused("per-client", "client_rate")).await, Some(3.0));
    // What was refused did not run.
    let tally: support::ledger::TallyRef = node.actor("a").expect("a good key");
    assert_eq!(tally.add().await.expect("it is answered").value, 6);
}

#[tokio::test]
async fn all_clients_together_have_a_rate() {
    let limits = GatewayLimits { rate: two_an_hour(), ..GatewayLimits::default() };
    let (_node, http) = node("together", limits).await;
    for status in [200, 200, 429] {
        assert_eq!(post(http, ADD, "").await.status, status);
    }
    assert_eq!(get(http, "/live").await.status, 200);
    assert_eq!(metric(http, &refused("together", "gateway_rate")).await, Some(1.0));
}

#[tokio::test]
async fn a_call_too_many_at_a_time_is_refused_before_its_body_is_read() {
    let limits = GatewayLimits { calls_max: 1, ..GatewayLimits::default() };
    let (_node, http) = node("at-a-time", limits).await;
    let held = tokio::spawn(async move {
        post(http, "/v1/actors/test.tally/gateway-held/pass_on_later", r#"{"way": []}"#).await
    });
    probe("gateway-held").arrival().await;
    let mut stream = TcpStream::connect(http).await.expect("the gateway listens");
    // The body never comes.
    let head = format!("POST {ADD} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("the gateway reads the head");
    let mut answer = vec![0; 4096];
    let len = within("the refusal", stream.read(&mut answer)).await.expect("an answer");
    let answer = String::from_utf8_lossy(&answer[..len]).to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 429"), "{answer}");
    assert!(answer.contains("retry-after: 1") && answer.contains("overloaded"), "{answer}");
    assert_eq!(get(http, "/ready").await.status, 200);
    assert_eq!(metric(http, &refused("at-a-time", "gateway")).await, Some(1.0));
    probe("gateway-held").release(1);
    assert_eq!(within("the call that ran", held).await.expect("no panic").status, 200);
    assert_eq!(post(http, ADD, "").await.status, 200);
}

#[tokio::test]
async fn a_client_that_hangs_up_frees_its_place() {
    let limits = GatewayLimits { calls_max: 1, ..GatewayLimits::default() };
    let (_node, http) = node("hanging-up", limits).await;
    let mut stream = TcpStream::connect(http).await.expect("the gateway listens");
    let head = format!("POST {ADD} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("the gateway reads the head");
    within("the place to be taken", async { while post(http, ADD, "").await.status != 429 {} })
        .await;
    drop(stream);
    within("the place to be free", async { while post(http, ADD, "").await.status != 200 {} })
        .await;
}
