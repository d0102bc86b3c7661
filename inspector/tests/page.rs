//! The page's server against a real node's services: who may talk to it, and what it answers.

mod support;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};

use greenroom_inspector::page::{ORDER_BYTES_MAX, VIEWERS_MAX};
use serde_json::{Value, json};
use support::command::{ask, command, complaint, greenroom, text};
use support::http::{Answer, Events, get, send};
use support::{FixedNode, TOKEN, shop};

fn order(page: SocketAddr, order: &str, body: &Value, more: &[(&str, &str)]) -> Answer {
    let token = format!("Bearer {TOKEN}");
    let usual = [("content-type", "application/json"), ("authorization", token.as_str())];
    let usual = usual.into_iter().filter(|(name, _)| more.iter().all(|(other, _)| name != other));
    let headers: Vec<_> =
        usual.chain(more.iter().copied()).filter(|(_, value)| !value.is_empty()).collect();
    send(page, "POST", &format!("/api/orders/{order}"), &headers, &body.to_string())
}

#[test]
fn every_answer_tells_the_browser_to_load_nothing_else_and_to_keep_nothing() {
    let node = FixedNode::start(shop());
    let page = node.page(&[]);
    let paths =
        ["/", "/main.js", "/page.css", "/api/status", "/api/why/1", "/nothing", "/api/why/x"];
    for path in paths {
        let answer = get(page, path);
        let policy = answer.header("content-security-policy").expect(path);
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"),
            "{policy}"
        );
        assert!(
            !policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
    }
    let html = get(page, "/");
    assert_eq!((html.status, html.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(html.body.starts_with("<!doctype html>"));
    let script = get(page, "/main.js");
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
}

#[test]
fn another_site_can_neither_read_nor_give_orders() {
    let node = FixedNode::start(shop());
    let page = node.page(&["inspect.example.org"]);
    let own = format!("http://{page}");
    let pin = json!({"shards": ["0"], "to": null});
    let status = |headers: &[(&str, &str)]| send(page, "GET", "/api/status", headers, "").status;

    // By a name that somebody made lead here.
    assert_eq!(status(&[("host", "evil.example")]), 421);
    assert_eq!(send(page, "GET", "/", &[("host", "evil.example:7490")], "").status, 421);
    let refused = order(page, "pin", &pin, &[("host", "evil.example")]);
    assert_eq!(refused.refusal(), (421, "unknown_host".to_owned()));
    assert_eq!(status(&[("host", "inspect.example.org")]), 200);
    assert_eq!(status(&[("host", "localhost:1234")]), 200);

    // By a script of another site.
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost"] {
        assert_eq!(status(&[("origin", origin)]), 403, "{origin}");
        let refused = order(page, "pin", &pin, &[("origin", origin)]);
        assert_eq!(refused.refusal(), (403, "cross_site".to_owned()), "{origin}");
        let events = send(page, "GET", "/api/events", &[("origin", origin)], "");
        assert_eq!(events.status, 403, "{origin}");
    }
    for site in ["cross-site", "same-site"] {
        assert_eq!(status(&[("sec-fetch-site", site)]), 403, "{site}");
        assert_eq!(order(page, "pin", &pin, &[("sec-fetch-site", site)]).status, 403, "{site}");
        // A link may lead here.
        assert_eq!(send(page, "GET", "/", &[("sec-fetch-site", site)], "").status, 200, "{site}");
    }
    // What a form may send without asking first.
    for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let refused = order(page, "pin", &pin, &[("content-type", kind)]);
        assert_eq!(refused.refusal(), (415, "unsupported_media_type".to_owned()), "{kind}");
    }
    let asked_first = send(page, "OPTIONS", "/api/orders/pin", &[("origin", &own)], "");
    assert_eq!(asked_first.status, 405);
    assert_eq!(asked_first.header("access-control-allow-origin"), None);
    assert_eq!(node.orders(), [""; 0]);

    // The page itself.
    assert_eq!(status(&[("origin", &own), ("sec-fetch-site", "same-origin")]), 200);
    assert_eq!(order(page, "pin", &pin, &[("origin", &own)]).status, 200);
    assert_eq!(node.orders(), [r#"pin [0] """#]);
}

#[test]
fn the_api_answers_with_what_the_command_prints() {
    let node = FixedNode::start(shop());
    let page = node.page(&[]);
    let cases: [(&str, &[&str]); 9] = [
        ("/api/status", &["status"]),
        ("/api/shards", &["shards"]),
        ("/api/shards?in_motion=true&group=gpu", &["shards", "--in-motion", "--group", "gpu"]),
        ("/api/shards?owner=node-a&pinned=true", &["shards", "--owner", "node-a", "--pinned"]),
        ("/api/why/1", &["why", "1"]),
        ("/api/why/gpu/1", &["why", "gpu/1"]),
        ("/api/decisions", &["decisions"]),
        ("/api/decisions?limit=1", &["decisions", "--limit", "1"]),
        ("/api/peek?kind=cart&key=eu%2Falice", &["peek", "cart/eu/alice"]),
    ];
    for (path, arguments) in cases {
        let answer = get(page, path);
        let printed = ask(&node, &[arguments, &["--output", "json"]].concat());
        let printed: Value = serde_json::from_str(&printed).expect("JSON");
        assert_eq!((answer.status, answer.json()), (200, printed), "{path}");
    }
}

#[test]
fn questions_that_make_no_sense_are_told() {
    let node = FixedNode::start(shop());
    let page = node.page(&[]);
    let cases = [
        ("/api/why/x", 400, "bad_request"),
        ("/api/why/0-1", 400, "bad_request"),
        ("/api/why/4", 404, "not_found"),
        ("/api/why/cpu/1", 404, "not_found"),
        ("/api/shards?group=cpu", 404, "not_found"),
        ("/api/shards?colour=red", 400, "bad_request"),
        ("/api/decisions?limit=-1", 400, "bad_request"),
        ("/api/peek?kind=cart", 400, "bad_request"),
        ("/api/peek?kind=nonsense&key=x", 400, "bad_request"),
        ("/api/timeline/99", 404, "not_found"),
        ("/api/timeline/x", 400, "bad_request"),
        ("/api", 404, "not_found"),
        ("/../Cargo.toml", 404, "not_found"),
        ("/main.js/", 404, "not_found"),
    ];
    for (path, status, code) in cases {
        assert_eq!(get(page, path).refusal(), (status, code.to_owned()), "{path}");
    }
    for (method, path) in [("POST", "/api/status"), ("GET", "/api/orders/pin"), ("POST", "/")] {
        let refused = send(page, method, path, &[], "");
        assert_eq!(refused.refusal(), (405, "method_not_allowed".to_owned()), "{method} {path}");
    }
}

#[test]
fn a_node_that_is_not_there_is_told_to_whoever_asks_and_whoever_looks() {
    let mut node = FixedNode::start(shop());
    node.address = "127.0.0.1:1".to_owned();
    let page = node.page(&[]);
    assert_eq!(get(page, "/").status, 200);
    assert_eq!(get(page, "/api/status").refusal(), (502, "unreachable".to_owned()));
    let pin = json!({"shards": ["0"], "to": null});
    assert_eq!(order(page, "pin", &pin, &[]).refusal(), (502, "unreachable".to_owned()));
    let (name, trouble) = Events::open(page).unwrap_or_else(|status| panic!("{status}")).next();
    assert_eq!((name.as_str(), &trouble["since_ms"]), ("trouble", &Value::Null));
    let error = trouble["error"].as_str().expect("a reason");
    assert!(error.starts_with("cannot connect to 127.0.0.1:1: "), "{error}");
}

#[test]
fn orders_reach_the_node_with_the_token_that_came_with_them_and_no_other() {
    let node = FixedNode::start(shop());
    let page = node.page(&[]);
    let cases = [
        (
            "pin",
            json!({"shards": ["0", "gpu/0-1"], "to": null}),
            "pinned 3 shards",
            r#"pin [0, 2, 3] """#,
        ),
        ("pin", json!({"shards": ["1"], "to": "node-a"}), "pinned 1 shard", r#"pin [1] "node-a""#),
        ("unpin", json!({"shards": ["0-1"]}), "unpinned 2 shards", "unpin [0, 1]"),
        (
            "move",
            json!({"shards": ["gpu/1"], "to": "node-b"}),
            "gave 1 shard the target node-b",
            r#"move [3] "node-b""#,
        ),
        (
            "drain",
            json!({"node": "node-b"}),
            "node-b gives its shards away",
            r#"drain "node-b" false"#,
        ),
        (
            "drain",
            json!({"node": "node-b", "undo": true}),
            "node-b takes shards again",
            r#"drain "node-b" true"#,
        ),
        ("rebalance", json!({"hold": true}), "rebalancing is held", "hold true"),
        ("rebalance", json!({"hold": false}), "rebalancing goes on", "hold false"),
    ];
    for (name, body, done, _) in &cases {
        let answer = order(page, name, body, &[]);
        let expected = json!({"done": done, "by": "node-b"});
        assert_eq!((answer.status, answer.json()), (200, expected), "{name} {body}");
    }
    let given: Vec<_> = cases.iter().map(|(.., given)| (*given).to_owned()).collect();
    assert_eq!(node.orders(), given);

    for token in ["", "Bearer", "Bearer wrong-horse-battery", "Basic eA==", TOKEN] {
        let refused = order(page, "unpin", &json!({"shards": ["0"]}), &[("authorization", token)]);
        assert_eq!(refused.refusal(), (401, "unauthenticated".to_owned()), "{token:?}");
        assert!(!refused.body.contains("horse"), "{}", refused.body);
    }
    let refused = [
        ("move", json!({"shards": ["0"], "to": "node-z"}), 404, "not_found"),
        ("unpin", json!({"shards": ["4"]}), 404, "not_found"),
        ("unpin", json!({"shards": []}), 400, "bad_request"),
        ("unpin", json!({"shards": ["one"]}), 400, "bad_request"),
        ("unpin", json!({"shards": ["0-65536"]}), 400, "bad_request"),
        ("unpin", json!({"shards": ["0"], "force": true}), 422, "bad_request"),
        ("move", json!({"shards": ["0"]}), 422, "bad_request"),
        ("group", json!({}), 404, "not_found"),
    ];
    for (name, body, status, code) in refused {
        assert_eq!(
            order(page, name, &body, &[]).refusal(),
            (status, code.to_owned()),
            "{name} {body}"
        );
    }
    assert_eq!(node.orders(), given, "and no more");
}

#[test]
fn a_body_that_is_too_long_is_refused_unread() {
    let node = FixedNode::start(shop());
    let page = node.page(&[]);
    let body = json!({"shards": ["0".repeat(ORDER_BYTES_MAX)]});
    assert_eq!(order(page, "unpin", &body, &[]).refusal(), (413, "too_large".to_owned()));
    assert_eq!(node.orders(), [""; 0]);
}

#[test]
fn whoever_looks_gets_the_whole_picture_first_and_only_so_many_may_look() {
    let node = FixedNode::start(shop());
    let page = node.page(&[]);
    let mut viewers: Vec<_> = (0..VIEWERS_MAX)
        .map(|_| Events::open(page).unwrap_or_else(|status| panic!("{status}")))
        .collect();
    let (name, picture) = viewers[0].next();
    assert_eq!(name, "snapshot");
    assert_eq!(picture["cells"].as_array().map(Vec::len), Some(4));
    assert_eq!(picture["status"], get(page, "/api/status").json());
    assert_eq!(picture["loads"], json!([[0, 70, 1400, 3]]));
    let texts: Vec<_> = picture["timeline"].as_array().into_iter().flatten().collect();
    assert_eq!(texts.len(), 2, "what the leader decided: {texts:?}");
    assert_eq!(texts[0]["steps"][0]["reason"], "its node drains");

    assert_eq!(Events::open(page).err(), Some(503));
    viewers.pop();
    // The server notices at its next word to whoever left.
    let freed = (0..600).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        Events::open(page).ok()
    });
    assert!(freed.is_some(), "a place that is left is free again");
}

#[test]
fn the_command_serves_the_page_until_it_is_told_to_end_and_says_nothing_of_tokens() {
    let node = FixedNode::start(shop());
    let arguments = ["inspect", "--listen", "127.0.0.1:0", "--node", &node.address];
    let mut serving = command(&arguments);
    let serving = serving.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut serving = serving.spawn().expect("the command starts");
    let mut told = BufReader::new(serving.stdout.take().expect("piped"));
    let mut line = String::new();
    told.read_line(&mut line).expect("a line");
    let expected = format!(" shows the cluster of {}\n", node.address);
    let url = line.strip_suffix(&expected).unwrap_or_else(|| panic!("{line}"));
    let page = url.strip_prefix("http://").and_then(|place| place.parse().ok()).expect(url);
    assert!(get(page, "/").body.contains("Greenroom"));
    assert_eq!(order(page, "pin", &json!({"shards": ["0"], "to": null}), &[]).status, 200);

    let pid = serving.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
    let output = serving.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output.stderr), "", "not a word, least of all the token");
}

#[test]
fn a_page_that_cannot_be_served_says_why() {
    let occupied = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let place = occupied.local_addr().expect("bound").to_string();
    let failed = complaint(&greenroom(&["inspect", "--listen", &place]), 1);
    assert!(failed.contains(&format!("cannot listen at {place}: ")), "{failed}");
    let failed = complaint(&greenroom(&["inspect", "--allow-host", "http://x"]), 2);
    assert!(failed.contains("`http://x` is no name of a host"), "{failed}");
    let failed = complaint(&greenroom(&["inspect", "--node", "nowhere"]), 2);
    assert!(failed.contains("`nowhere` is not an address"), "{failed}");
}
