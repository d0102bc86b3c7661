//! The built command `greenroom` against a real server.

mod support;

use std::net::TcpListener;
use std::process::Stdio;

use serde_json::Value;
use support::command::{ask, command, complaint, greenroom, operate, printed, text};
use support::{FixedNode, largest, shop};

#[test]
fn status_as_table() {
    let node = FixedNode::start(shop());
    let expected = "\
cluster      shop
answered by  node-a
revision     214
leader       node-a@105
term         3
rebalancing  held by an operator

NODE    INCARNATION  STATE     WEIGHT  ADDRESS        KINDS  OWNED  TARGETED  LABELS
node-a  105          active    1       10.0.0.1:7400  2      1      3         disk=ssd,make=h1
node-b  88           draining  2       10.0.0.2:7400  1      1      0         -
node-z  -            unknown   -       -              -      0      1         -

GROUP    KINDS  REQUIRE  PREFER
default  2      -        -
gpu      1      make=h1  disk=ssd

shards         4
owned          2
in motion      2
without owner  2
orphans        1
pinned         1
";
    assert_eq!(ask(&node, &["status"]), expected);
}

#[test]
fn shards_as_table() {
    let node = FixedNode::start(shop());
    let expected = "\
SHARD  TARGET  OWNER       PIN     EPOCH  SINCE                     REASON
0      node-a  node-a@105  node-a  2      2026-01-01T00:00:00.002Z  it had no live node
1      node-a  node-b@88   -       4      2026-01-01T00:00:00.004Z  its node drains
gpu/0  node-z  -           -       0      -                         -
gpu/1  node-a  node-a@7    -       1      2026-01-01T00:00:00.001Z  it had no live node
";
    assert_eq!(ask(&node, &["shards"]), expected);
}

#[test]
fn shards_are_selected_by_owner_motion_pin_and_group() {
    let node = FixedNode::start(shop());
    let numbers = |arguments: &[&str]| -> Vec<String> {
        let table = ask(&node, &[&["shards"], arguments].concat());
        let rows = table.lines().skip(1);
        rows.map(|row| row.split(' ').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(numbers(&["--owner", "node-a"]), ["0", "gpu/1"]);
    assert_eq!(numbers(&["--in-motion"]), ["1", "gpu/1"]);
    assert_eq!(numbers(&["--pinned"]), ["0"]);
    assert_eq!(numbers(&["--group", "gpu"]), ["gpu/0", "gpu/1"]);
    assert_eq!(numbers(&["--group", "default", "--in-motion"]), ["1"]);
    let unknown = greenroom(&["shards", "--group", "cpu", "--node", &node.address]);
    assert!(complaint(&unknown, 1).contains("no shard group `cpu`"));
    assert_eq!(numbers(&["--in-motion", "--owner", "node-b"]), ["1"]);
    assert_eq!(numbers(&["--owner", "node-z"]), [""; 0]);
}

#[test]
fn peek_as_table() {
    let node = FixedNode::start(shop());
    let expected = "shard    1\nowner    node-b\nepoch    4\naddress  10.0.0.2:7400\n";
    assert_eq!(ask(&node, &["peek", "cart/eu/alice"]), expected);
    let expected = "shard    2\nowner    -\nepoch    0\naddress  -\n";
    assert_eq!(ask(&node, &["peek", "cart/nobody"]), expected);
}

#[test]
fn the_level_of_the_log_is_told_and_changed_with_the_token_only() {
    let node = FixedNode::start(shop());
    assert_eq!(ask(&node, &["log-level"]), "node  node-a\nlogs  info\n");
    let own = greenroom_proto::v1::ClusterSnapshot { cluster: "own".to_owned(), ..shop() };
    let own = FixedNode::start(own);
    assert!(ask(&own, &["log-level"]).contains("a log of its program's own"));
    let without = greenroom(&["log-level", "debug", "--node", &node.address]);
    assert!(complaint(&without, 2).contains("orders need the operators' token"));
    assert_eq!(node.orders(), [""; 0]);
}

#[test]
fn nodes_as_table_and_as_json() {
    let node = FixedNode::start(shop());
    let expected = "\
NODE    STATE     WEIGHT  ZONE  OWNED  TARGETED  ARRIVING  LEAVING  ADDRESS        HTTP           VERSION
node-a  active    1       eu-1  1      3         2         0        10.0.0.1:7400  10.0.0.1:8080  0.1.0
node-b  draining  2       -     1      0         0         1        10.0.0.2:7400  -              0.1.0
node-z  unknown   -       -     0      1         0         0        -              -              -
";
    assert_eq!(ask(&node, &["nodes"]), expected);
    let json = |question: &str| -> Value {
        serde_json::from_str(&ask(&node, &[question, "--output", "json"])).expect("JSON")
    };
    let (nodes, status) = (json("nodes"), json("status"));
    assert_eq!(
        (&nodes["nodes"], &nodes["unknown_nodes"]),
        (&status["nodes"], &status["unknown_nodes"])
    );
}

/// Each question whose answer the README shows, and that answer.
fn documented() -> Vec<(Vec<&'static str>, Value)> {
    let blocks = include_str!("../README.md").split("```json\n").skip(1);
    let mut documented = Vec::new();
    for (block, before) in blocks.zip(include_str!("../README.md").split("```json\n")) {
        let (answer, _) = block.split_once("```").expect("the block ends");
        let answer = serde_json::from_str(answer).expect("the block is JSON");
        let question = before.rsplit("$ greenroom ").next().expect("a question");
        let question = question.lines().next().expect("a line");
        documented.push((question.split(' ').collect(), answer));
    }
    documented
}

#[test]
fn json_is_as_the_readme_shows() {
    let node = FixedNode::start(shop());
    let documented = documented();
    let questions: Vec<_> = documented.iter().map(|(question, _)| question[0]).collect();
    assert_eq!(questions, ["status", "peek", "shards", "why", "decisions", "log-level", "pin"]);
    for (question, expected) in documented {
        let answer = printed(&operate(&node, &question));
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer, expected, "greenroom {}", question.join(" "));
    }
}

#[test]
fn the_environment_names_the_node_unless_the_command_line_does() {
    let node = FixedNode::start(shop());
    let mut from_environment = command(&["status"]);
    from_environment.env("GREENROOM_NODE", &node.address);
    let output = from_environment.output().expect("the command starts");
    assert!(printed(&output).contains("shop"));

    let mut overruled = command(&["--node", &node.address, "status"]);
    overruled.env("GREENROOM_NODE", "not an address");
    let output = overruled.output().expect("the command starts");
    assert!(printed(&output).contains("shop"));
}

#[test]
fn an_unreachable_node_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    drop(listener);
    for question in [&["status"][..], &["shards"], &["peek", "cart/alice"]] {
        let output = greenroom(&[question, &["--node", &address]].concat());
        let complaint = complaint(&output, 1);
        let expected = format!("greenroom: cannot connect to {address}: Connection refused");
        assert!(complaint.starts_with(&expected), "{complaint}");
        assert_eq!(complaint.lines().count(), 1);
    }
}

#[test]
fn what_the_node_refuses_could_not_be_asked() {
    let node = FixedNode::start(shop());
    let output = greenroom(&["peek", "NO/key", "--node", &node.address]);
    let expected = format!("greenroom: {} gave no answer: `NO`\\nis no kind\n", node.address);
    assert_eq!(complaint(&output, 1), expected);
}

#[test]
fn wrong_usage_is_refused_before_anything_is_asked() {
    let wrong: [(&[&str], &str); 19] = [
        (&[], "Usage"),
        (&["explode"], "explode"),
        (&["status", "--output", "xml"], "xml"),
        (&["peek"], "KIND/KEY"),
        (&["peek", "cart"], "bank.account/alice"),
        (&["peek", "/alice"], "bank.account/alice"),
        (&["shards", "--owner"], "--owner"),
        (&["why"], "SHARD"),
        (&["why", "1-2"], "name one shard"),
        (&["why", "gpu/"], "gpu/77"),
        (&["pin"], "SHARD"),
        (&["pin", "x"], "4711"),
        (&["pin", "1"], "GREENROOM_OPERATOR_TOKEN"),
        (&["move", "1"], "--to"),
        (&["drain"], "NODE"),
        (&["rebalance", "stop"], "resume"),
        (&["group", "set", "gpu", "--require", "make"], "label=value"),
        (&["topology", "diff"], "OLD"),
        (&["status", "--node", "http://node-1:7400"], "host:port"),
    ];
    for (arguments, hint) in wrong {
        let complaint = complaint(&greenroom(arguments), 2);
        assert!(complaint.contains(hint), "{arguments:?}: {complaint}");
    }
}

#[test]
fn why_tells_the_record_and_the_decisions_of_the_leader_itself() {
    let leader = FixedNode::start(shop());
    let mut snapshot = shop();
    snapshot.node = "node-b".to_owned();
    snapshot.nodes[1].peer_address.clone_from(&leader.address);
    let follower = FixedNode::start(snapshot.clone());
    let expected = "\
shard      1
group      default
condition  in_motion
owner      node-b@88
target     node-a
pin        -
epoch      4
since      2026-01-01T00:00:00.004Z
reason     its node drains
leader     node-a@105

NUMBER  TERM  AT                        LAST                      TIMES  KIND   DECISION
41      3     2026-01-01T00:00:00.041Z  2026-01-01T00:00:00.041Z  1      moves  \
from node-b to node-a: its node drains
42      3     2026-01-01T00:00:00.042Z  2026-01-01T00:00:00.053Z  12     idle   \
no rebalancing of group default: an operator holds it
";
    assert_eq!(ask(&follower, &["why", "1"]), expected);
    let by = |arguments: &[&str]| {
        let table = ask(&follower, arguments);
        table.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(by(&["decisions"]), "decided by  node-a");
    assert_eq!(by(&["decisions", "--here"]), "decided by  node-b");
    let newest = ask(&follower, &["decisions", "--limit", "1"]);
    assert!(newest.contains("42  ") && !newest.contains("41  "), "{newest}");

    // A leader that doesn't answer is when people ask why.
    drop(leader);
    let table = ask(&follower, &["why", "1"]);
    assert!(table.starts_with("shard      1\n"), "{table}");
    assert!(table.contains("decisions  unknown: cannot connect to "), "{table}");
    let unknown = greenroom(&["why", "gpu/2", "--node", &follower.address]);
    assert!(complaint(&unknown, 1).contains("no shard gpu/2"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let node = FixedNode::start(largest());
    let mut child = command(&["shards", "--node", &node.address])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    // Far more is printed than a pipe holds.
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the command ends");
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}
