//! The logs of real node processes: what stands in them, what must not, and how they are changed.

mod support;

use greenroom_cluster::testing::EtcdServer;
use greenroom_inspector::{InspectError, Operator, OperatorToken, log_level};
use serde_json::{Value, json};
use support::{Logged, TOKEN, post};

/// Nothing of these may stand in a log.
const KEY: &str = "zq-marked-key-7q";
const AMOUNT: u64 = 918_273_645_546;
const PAIR: &str = "zq-marked-pair";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Two nodes that log this much; answers with them once each has served a call of the other's.
fn called(etcd: &EtcdServer, more: &[(&str, &str)]) -> [Logged; 2] {
    let nodes = ["node-1", "node-2"].map(|name| Logged::start(name, etcd, more));
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let baggage = format!("tenant={PAIR}");
    let headers = [("traceparent", traceparent.as_str()), ("baggage", baggage.as_str())];
    for node in &nodes {
        node.wait_until_spread(2);
    }
    // One of the two gateways passes each on to the other node.
    for (number, node) in (0..8).flat_map(|number| nodes.iter().map(move |node| (number, node))) {
        let path = format!("bank.account/{KEY}-{number}/deposit");
        let (status, body) = post(&node.http(), &path, &headers, &json!({ "amount": AMOUNT }));
        assert_eq!(status, 200, "{body}");
        // Refused by the actor, and by the runtime.
        let (status, _) = post(
            &node.http(),
            &format!("bank.account/{KEY}-{number}/withdraw"),
            &headers,
            &json!({ "amount": u64::MAX }),
        );
        assert_eq!(status, 409);
        let (status, _) = post(&node.http(), &path, &headers, &json!({ "amount": KEY }));
        assert_eq!(status, 422);
    }
    nodes
}

#[test]
fn no_key_and_no_payload_stands_in_a_log_at_any_level() {
    for format in ["text", "json"] {
        let etcd = EtcdServer::start();
        let more = [("GREENROOM_LOG", "trace"), ("GREENROOM_LOG_FORMAT", format)];
        let nodes = called(&etcd, &more);
        for node in nodes {
            let log = node.end();
            assert!(log.contains("a turn ended"), "turns are logged");
            for secret in [KEY, &AMOUNT.to_string(), &u64::MAX.to_string(), PAIR, TOKEN] {
                let told: Vec<&str> = log.lines().filter(|line| line.contains(secret)).collect();
                assert_eq!(told, [""; 0], "{secret} in the log");
            }
        }
    }
}

#[test]
fn lines_are_json_with_one_vocabulary_of_fields() {
    let etcd = EtcdServer::start();
    let more = [
        ("GREENROOM_LOG", "debug,greenroom::turns=trace"),
        ("GREENROOM_LOG_FORMAT", "json"),
        ("GREENROOM_LOG_KEYS", "on"),
    ];
    let [first, second] = called(&etcd, &more);
    // A stop hands shards over.
    let logs = [(second.end(), "node-2"), (first.end(), "node-1")];
    for (log, name) in logs {
        let lines: Vec<Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect();
        for line in &lines {
            for field in ["timestamp", "level", "target", "message"] {
                assert!(line.get(field).is_some(), "no {field}: {line}");
            }
            let ours = line["target"].as_str().unwrap().starts_with("greenroom");
            // Before there is a node, and of what belongs to none.
            let nobodys = ["greenroom::node::builder"].contains(&line["target"].as_str().unwrap())
                || line["target"].as_str().unwrap().starts_with("greenroom_cluster::store");
            assert!(!ours || nobodys || line["node"] == json!(name), "whose is it? {line}");
        }
        let told = |message: &str| {
            let line = lines.iter().find(|line| line["message"] == json!(message));
            line.unwrap_or_else(|| panic!("nothing was told of: {message}"))
        };
        for message in ["a turn ended", "an actor came to life"] {
            let line = told(message);
            assert_eq!((&line["actor"], &line["trace"]), (&json!("bank.account"), &json!(TRACE)));
            assert!(line["shard"].is_u64() && line["epoch"].is_u64(), "{line}");
            assert!(line["key"].as_str().unwrap().starts_with(KEY), "keys were asked for: {line}");
        }
        let turn = told("a turn ended");
        assert_eq!((&turn["span"], &turn["outcome"]), (&json!("turn"), &json!("ok")));
        assert!(["deposit", "withdraw"].contains(&turn["method"].as_str().unwrap()), "{turn}");
        for message in
            ["claimed: the gate of the shard is open", "empty: the shard can be released"]
        {
            let line = told(message);
            assert!(line["shard"].is_u64() && line["epoch"].is_u64(), "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_level_changes_while_the_node_runs_and_only_with_the_token() {
    let etcd = EtcdServer::start();
    let node = Logged::start("node-1", &etcd, &[]);
    node.wait_until_spread(1);
    let level = async || log_level(&node.peer()).await.expect("it answers").directive;
    assert_eq!(level().await.as_deref(), Some("info"));
    let deposit = |key: &str| {
        let (status, _) =
            post(&node.http(), &format!("bank.account/{key}/deposit"), &[], &json!({"amount": 1}));
        assert_eq!(status, 200);
    };
    let lives = || node.log().matches("an actor came to life").count();
    let set = async |token: &str, directive: &str| {
        let token = OperatorToken::new(token).unwrap();
        let mut operator = Operator::connect(&node.peer(), token).await.unwrap();
        operator.set_log(directive.to_owned()).await
    };

    let refused = set("another-token-of-ours", "trace").await.unwrap_err();
    assert!(matches!(refused, InspectError::NotDone { .. }), "{refused}");
    let bad = set(TOKEN, "greenroom=loud").await.unwrap_err().to_string();
    assert!(bad.contains("got \"greenroom=loud\": \"loud\" is no level"), "{bad}");
    deposit("one");
    assert_eq!((level().await.as_deref(), lives()), (Some("info"), 0));

    assert_eq!(set(TOKEN, "info,greenroom::actors=debug").await.unwrap(), "node-1");
    assert_eq!(level().await.as_deref(), Some("info,greenroom::actors=debug"));
    deposit("two");
    node.wait_for_log("an actor came to life");

    // Of what operators order, there is a line all the same.
    assert_eq!(set(TOKEN, "off").await.unwrap(), "node-1");
    deposit("three");
    assert_eq!(set(TOKEN, "error").await.unwrap(), "node-1");
    node.wait_for_log("log error");
    let log = node.log();
    assert_eq!(lives(), 1, "{log}");
    let audit = |event: &str| {
        log.lines().filter(|line| line.contains("greenroom::audit") && line.contains(event)).count()
    };
    assert_eq!((audit("\"taken\""), audit("\"done\""), audit("\"refused\"")), (3, 3, 2), "{log}");
}

#[test]
fn a_wrong_level_or_format_ends_the_process_with_what_is_allowed() {
    for (name, value, complaint) in [
        ("GREENROOM_LOG", "loud", "GREENROOM_LOG must be a level (off, error, warn, info, debug"),
        ("GREENROOM_LOG_FORMAT", "xml", "GREENROOM_LOG_FORMAT must be text or json, got \"xml\""),
    ] {
        let output = support::command("node-1").env(name, value).output().expect("it starts");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && log.contains(complaint), "{log}");
    }
}
