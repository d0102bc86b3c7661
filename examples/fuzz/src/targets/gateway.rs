//! HTTP calls: every answer is one that the README promises, and a value comes back as it was.
//!
//! Proves: C24

use std::sync::OnceLock;

use axum::Router;
use axum::http::{Method, Request, header};
use bytes::Bytes;
use greenroom::ShardId;
use serde::Deserialize;
use serde_json::Value;

use super::arguments::{Everything, something};
use super::http::{self, Answer};
use super::node::{SHARDS, home};

/// Codes and statuses, as the README lists them.
const CODES: &[(u16, &[&str])] = &[
    (400, &["bad_key", "bad_timeout", "bad_body"]),
    (403, &["refused"]),
    (404, &["unknown_kind", "unknown_path", "no_metrics"]),
    (405, &["unknown_method", "wrong_verb"]),
    (409, &["actor_error"]),
    (413, &["too_large"]),
    (422, &["bad_arguments"]),
    (429, &["overloaded", "rate_limited"]),
    (500, &["activation_failed", "panicked", "bad_reply"]),
    (502, &["unreachable", "fenced", "interrupted"]),
    (503, &["not_owner", "stopping", "stopped", "hung"]),
    (504, &["timeout"]),
    (508, &["cycle"]),
];

#[derive(Deserialize)]
struct Arguments {
    value: Everything,
}

/// One gateway: what it remembers of its clients takes memory once.
fn routes() -> Router {
    static ROUTES: OnceLock<Router> = OnceLock::new();
    ROUTES.get_or_init(|| greenroom::fuzzing::gateway(&home().node)).clone()
}

pub(super) fn check(input: &[u8]) {
    let Some(request) = http::read(input) else { return };
    let answer = home().runtime.block_on(http::answer(routes(), &request));
    // Errors have bodies, but for those who ask for none.
    if *request.method() == Method::HEAD {
        return;
    }
    let path = request.uri().path();
    if answer.status.is_success() {
        if path == "/v1/actors/fuzz.echo/a/echo" {
            assert_echoed(&request, &answer);
        } else if *request.method() == Method::GET && path.starts_with("/v1/") {
            assert_peeked(&answer);
        }
        return;
    }
    if path == "/ready" {
        return;
    }
    let (code, error) = http::error(&answer);
    let status = answer.status.as_u16();
    let listed = CODES.iter().find(|(listed, _)| *listed == status);
    assert!(listed.is_some_and(|(_, codes)| codes.contains(&&*code)), "{status} with {code}");
    assert!(error["may_have_run"].is_boolean(), "{error}");
    if status == 429 || status == 503 {
        assert!(answer.headers.contains_key(header::RETRY_AFTER), "{error}");
    }
    if code == "bad_arguments" && path == "/v1/actors/fuzz.echo/a/echo" {
        // Plain JSON looks at no byte of what it passes over.
        let text = std::str::from_utf8(request.body()).unwrap_or_default();
        let read = serde_json::from_str::<Arguments>(text);
        let deep = error["message"].as_str().is_some_and(|text| text.contains("nested deeper"));
        assert!(read.is_err() || deep, "good arguments were refused: {error}");
    }
}

/// The value in the answer is the one in the question, as plain JSON reads both.
fn assert_echoed(request: &Request<Bytes>, answer: &Answer) {
    let asked: Arguments = serde_json::from_slice(request.body()).expect("what was taken is good");
    let told: Everything = serde_json::from_slice(&answer.body).expect("it is such a value");
    assert_eq!(told, asked.value);
}

/// The shard is the one that any language computes.
fn assert_peeked(answer: &Answer) {
    let told: Value = serde_json::from_slice(&answer.body).expect("it is JSON");
    let (kind, key) = (told["kind"].as_str(), told["key"].as_str());
    let (kind, key) = (kind.expect("it has a kind"), key.expect("it has a key"));
    let expected = ShardId::of(kind, key, SHARDS).0;
    assert_eq!(told["shard"], expected, "{told}");
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let value = serde_json::to_string(&something()).expect("it is JSON");
    let value = format!("{{\"value\":{value}}}");
    let echo = "POST /v1/actors/fuzz.echo/a/echo";
    let trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let baggage = "baggage: tenant=acme,user=J%C3%BCrgen;ttl=3";
    let text = "{\"text\":\"abc\"}";
    vec![
        http::written(echo, &[], &value),
        http::written(echo, &[trace, "tracestate: vendor=1", baggage], &value),
        http::written(echo, &["greenroom-timeout-ms: 50"], "{}"),
        http::written("POST /v1/actors/fuzz.echo/caf%C3%A9%2F%7Ba%7D/fail", &[], &value),
        http::written("POST /v1/actors/fuzz.echo/a/later", &[], text),
        http::written("POST /v1/actors/fuzz.echo/a/letters", &["accept: text/event-stream"], text),
        http::written(
            "POST /v1/actors/fuzz.echo/a/letters",
            &["accept: application/x-ndjson"],
            text,
        ),
        http::written("POST /v1/actors/fuzz.echo/a/odd", &[], ""),
        http::written("POST /v1/actors/fuzz.echo/broken/echo", &[], &value),
        http::written("POST /v1/actors/fuzz.echo//echo", &[], ""),
        http::written("GET /v1/actors/fuzz.echo/%7Btag%7Dx", &[], ""),
        http::written("GET /live", &[], ""),
        http::written("GET /ready", &[], ""),
        http::written("HEAD /metrics", &[], ""),
        http::written("PUT /v1/actors/fuzz.echo/a", &[], ""),
    ]
}
