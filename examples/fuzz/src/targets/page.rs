//! HTTP requests to the inspector's page, of which the node can't be reached: who is let in, and what is
//! said to the others.
//!
//! Proves: C24

use std::net::IpAddr;
use std::sync::OnceLock;

use axum::Router;
use axum::http::{HeaderMap, Method, header};
use greenroom_inspector::page::PageConfig;

use super::http::{self, Answer};
use super::node::{TOKEN, home};

fn routes() -> Router {
    static ROUTES: OnceLock<Router> = OnceLock::new();
    // Nothing listens there, and the machine says so at once.
    let make = || greenroom_inspector::fuzzing::page(PageConfig::new("127.0.0.1:1"));
    ROUTES.get_or_init(make).clone()
}

pub(super) fn check(input: &[u8]) {
    let Some(request) = http::read(input) else { return };
    let home = home();
    let answer = home.runtime.block_on(http::answer(routes(), &request));
    assert_protected(&answer);
    let status = answer.status.as_u16();
    if !is_known(request.headers()) {
        assert_eq!(status, 421, "a name that the page doesn't know");
    } else if is_foreign(request.headers()) {
        assert_eq!(status, 403, "another site");
    }
    if answer.status.is_success() {
        let path = request.uri().path();
        assert!(!path.starts_with("/api/orders"), "an order without a node");
        return;
    }
    if *request.method() != Method::HEAD {
        http::error(&answer);
    }
}

/// Whether the request calls the page by a name that it has.
fn is_known(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rfind(':') {
        Some(at) if host[at + 1..].chars().all(|letter| letter.is_ascii_digit()) => &host[..at],
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost")
}

/// Whether the request says that it comes from elsewhere.
fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let own = text(header::HOST).map(str::to_ascii_lowercase).unwrap_or_default();
    let origin = origin.to_str().map(str::to_ascii_lowercase).unwrap_or_default();
    origin != format!("http://{own}") && origin != format!("https://{own}")
}

fn assert_protected(answer: &Answer) {
    let has = |name: &str, part: &str| {
        let value = answer.headers.get(name).and_then(|value| value.to_str().ok());
        assert!(value.is_some_and(|value| value.contains(part)), "{name} of {}", answer.status);
    };
    has("content-security-policy", "default-src 'none'");
    has("x-content-type-options", "nosniff");
    has("x-frame-options", "DENY");
    has("cache-control", "no-store");
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let host = "host: 127.0.0.1:7490";
    let bearer = format!("authorization: Bearer {TOKEN}");
    let json = "content-type: application/json";
    let order = |name: &str, body: &str| {
        http::written(&format!("POST /api/orders/{name}"), &[host, json, &bearer], body)
    };
    let mut seeds = vec![
        order("pin", r#"{"shards":["1","gpu/2-4"],"to":"node-1"}"#),
        order("unpin", r#"{"shards":["0-4294967295"]}"#),
        order("move", r#"{"shards":["7"],"to":"node-2"}"#),
        order("drain", r#"{"node":"node-1","undo":true,"force":false}"#),
        order("rebalance", r#"{"hold":true}"#),
        http::written("GET /", &["host: localhost"], ""),
        http::written("GET /", &["host: evil.example"], ""),
        http::written("GET /", &["host: [::1]:80", "origin: http://evil.example"], ""),
        http::written("GET /api/events", &[host, "sec-fetch-site: same-origin"], ""),
        http::written("GET /api/status", &[host, "sec-fetch-site: cross-site"], ""),
        http::written("HEAD /main.js", &[host], ""),
    ];
    let paths = [
        "status",
        "shards?owner=a&in_motion=true&pinned=false&group=gpu",
        "why/gpu/77",
        "why/1-2",
        "decisions?limit=7",
        "peek?kind=a&key=b%2Fc",
        "timeline/9",
    ];
    seeds.extend(paths.map(|path| http::written(&format!("GET /api/{path}"), &[host], "")));
    seeds
}
