//! The built command `greenroom`: orders, and topologies in files.

mod support;

use serde_json::Value;
use support::command::{ask, command, complaint, file, greenroom, operate, printed, text};
use support::{FixedNode, TOKEN, shop, topology};

#[test]
fn orders_reach_the_node_by_the_numbers_of_the_shards() {
    let node = FixedNode::start(shop());
    let cases: [(&[&str], &str, &str); 12] = [
        (&["pin", "0", "gpu/0-1"], "pinned 3 shards (by node-b)", r#"pin [0, 2, 3] """#),
        (&["pin", "1", "--to", "node-a"], "pinned 1 shard (by node-b)", r#"pin [1] "node-a""#),
        (&["unpin", "0-1"], "unpinned 2 shards (by node-b)", "unpin [0, 1]"),
        (
            &["move", "gpu/1", "--to", "node-b"],
            "gave 1 shard the target node-b (by node-b)",
            r#"move [3] "node-b""#,
        ),
        (
            &["drain", "node-b"],
            "node-b gives its shards away (by node-b)",
            r#"drain "node-b" false"#,
        ),
        (
            &["drain", "node-b", "--undo"],
            "node-b takes shards again (by node-b)",
            r#"drain "node-b" true"#,
        ),
        (&["rebalance", "hold"], "rebalancing is held (by node-b)", "hold true"),
        (&["rebalance", "resume"], "rebalancing goes on (by node-b)", "hold false"),
        (
            &["group", "set", "gpu", "--require", "make=h1", "--require", "a=b=c", "--force"],
            "group gpu has the new rule (by node-b)",
            r#"rule "gpu" {"a": "b=c", "make": "h1"} {} true"#,
        ),
        (
            &["group", "set", "gpu", "--prefer", "disk=ssd"],
            "group gpu has the new rule (by node-b)",
            r#"rule "gpu" {} {"disk": "ssd"} false"#,
        ),
        (
            &["group", "set", "gpu"],
            "group gpu has the new rule (by node-b)",
            r#"rule "gpu" {} {} false"#,
        ),
        (
            &["log-level", "warn,greenroom::turns=debug"],
            "logs warn,greenroom::turns=debug (by node-b)",
            r#"log "warn,greenroom::turns=debug""#,
        ),
    ];
    for (arguments, expected, _) in cases {
        assert_eq!(printed(&operate(&node, arguments)), format!("{expected}\n"));
    }
    assert_eq!(node.orders(), cases.map(|(_, _, order)| order));
}

#[test]
fn a_refused_order_says_why_and_a_shard_that_is_not_there_is_no_order() {
    let node = FixedNode::start(shop());
    let refused = complaint(&operate(&node, &["move", "0", "--to", "node-z"]), 1);
    let expected = format!(
        "greenroom: {} did not carry the order out: no live node is named node-z\n",
        node.address
    );
    assert_eq!(refused, expected);
    for (shard, hint) in [("4", "no shard 4: each group has 2"), ("cpu/0", "no shard group `cpu`")]
    {
        let unknown = complaint(&operate(&node, &["unpin", shard]), 1);
        assert!(unknown.contains(hint), "{unknown}");
    }
    assert_eq!(node.orders(), [""; 0]);
}

#[test]
fn the_token_comes_from_a_file_or_the_environment_and_is_never_shown() {
    let node = FixedNode::start(shop());
    let path = file("token", &format!("{TOKEN}\n"));
    let hold = ["rebalance", "hold", "--node", &node.address, "--token-file", &path];
    // The file wins.
    let mut both = command(&hold);
    both.env("GREENROOM_OPERATOR_TOKEN", "not-the-cluster's");
    assert!(printed(&both.output().expect("the command starts")).contains("held"));
    assert_eq!(node.orders().len(), 1);

    let wrong = "another-token-of-ours";
    let mut stranger = command(&hold[..4]);
    stranger.env("GREENROOM_OPERATOR_TOKEN", wrong);
    let refused = complaint(&stranger.output().expect("the command starts"), 1);
    assert!(refused.contains("no token") && !refused.contains(wrong), "{refused}");

    let gone = greenroom(&["rebalance", "hold", "--token-file", "no-such-file"]);
    assert!(complaint(&gone, 1).contains("cannot read no-such-file"));
    let odd = file("odd-token", "two words");
    let refused = complaint(&greenroom(&["rebalance", "hold", "--token-file", &odd]), 2);
    assert!(refused.contains("visible ASCII") && !refused.contains("two words"), "{refused}");

    let mut help = command(&["--help"]);
    help.env("GREENROOM_OPERATOR_TOKEN", TOKEN);
    assert!(!printed(&help.output().expect("the command starts")).contains("horse"));
    assert_eq!(node.orders().len(), 1);
}

#[test]
fn a_topology_is_written_down_and_compared() {
    let node = FixedNode::start(shop());
    let printed_topology = ask(&node, &["topology", "export"]);
    let path = file("exported.json", "something older");
    let told = ask(&node, &["topology", "export", &path]);
    assert_eq!(told, format!("wrote 2 shards at revision 214 to {path}\n"));
    let written = std::fs::read_to_string(&path).expect("it was written");
    assert_eq!(written, printed_topology);
    assert_eq!(ask(&node, &["topology", "diff", &path]), "no differences\n");
    assert_eq!(printed(&greenroom(&["topology", "diff", &path, &path])), "no differences\n");

    let mut older = topology();
    older.shards[1].owner = "node-a".to_owned();
    older.shards[0].epoch = 9;
    older.nodes[1].state = "active".to_owned();
    let older = file("older.json", &serde_json::to_string(&older).expect("JSON"));
    let output = greenroom(&["topology", "diff", &older, "--node", &node.address]);
    assert_eq!((text(&output.stderr), output.status.code()), (String::new(), Some(3)));
    let expected = "\
ERROR: the epochs of 1 shard (0) went back, that of 0 from 9 to 2: what was fenced is fenced no more
node node-b: state active became draining
owner node-a became node-b of 1 shard (1)
";
    assert_eq!(text(&output.stdout), expected);
    let output = greenroom(&["topology", "diff", &older, &path, "--output", "json"]);
    assert_eq!(output.status.code(), Some(3));
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let kinds: Vec<_> = answer["differences"].as_array().expect("a list").iter().collect();
    let kinds: Vec<_> = kinds.iter().map(|found| (&found["severity"], &found["kind"])).collect();
    let expected = [("error", "epochs_went_back"), ("info", "node_changed"), ("info", "shards")];
    assert_eq!(
        kinds,
        expected.map(|(a, b)| (Value::from(a), Value::from(b))).each_ref().map(|(a, b)| (a, b))
    );

    let gone = complaint(&greenroom(&["topology", "diff", "no-such-file"]), 1);
    assert!(gone.contains("cannot read no-such-file"), "{gone}");
    let odd = file("odd.json", "{}");
    let refused = complaint(&greenroom(&["topology", "diff", &odd, &path]), 1);
    assert!(refused.contains("odd.json: its format must be 1, got 0"), "{refused}");
}
