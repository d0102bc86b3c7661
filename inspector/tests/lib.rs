//! The library against a real server.

mod support;

use greenroom_inspector::{
    ANSWER_BYTES_MAX, ClusterView, InspectError, Life, NodeState, Operator, OperatorToken,
    ShardCondition, decisions, export, peek, read_topology, write_topology,
};
use greenroom_proto::v1;
use prost::Message;
use support::{FixedNode, TOKEN, largest, shop, topology};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

#[test]
fn a_view_carries_what_the_node_said() {
    let node = FixedNode::start(shop());
    let view = node.block_on(ClusterView::fetch(&node.address));
    let view = view.expect("the node answers");

    assert_eq!(view.cluster, "shop");
    assert_eq!(view.answered_by, "node-a");
    assert_eq!((view.revision, view.term), (214, 3));
    let leader = Life { node: "node-a".to_owned(), incarnation: 105 };
    assert_eq!(view.leader.as_ref(), Some(&leader));
    assert_eq!(view.nodes["node-b"].state, NodeState::Draining);
    assert_eq!(view.nodes["node-a"].kinds, ["bank.account", "cart"]);
    let conditions: Vec<_> = view.shards.iter().map(|shard| view.condition(shard)).collect();
    let (at_rest, in_motion) = (ShardCondition::AtRest, ShardCondition::InMotion);
    let expected = [at_rest, in_motion, ShardCondition::Orphan, in_motion];
    assert_eq!(conditions, expected);
    assert_eq!(view.shards[1].reason, "its node drains");
    assert_eq!(view.shards[1].since_ms, Some(1_767_225_600_004));
    let names: Vec<_> = view.shards.iter().map(|shard| view.name_of(shard.number)).collect();
    assert_eq!(names, ["0", "1", "gpu/0", "gpu/1"]);
    assert_eq!(view.pinned().map(|shard| shard.number).collect::<Vec<_>>(), [0]);
    assert_eq!(view.groups[1].require["make"], "h1");
    assert_eq!(view.nodes["node-a"].labels["disk"], "ssd");
    assert!(view.rebalancing_held);
    assert_eq!(view.leader_address(), Some("10.0.0.1:7400"));
}

#[test]
fn the_largest_cluster_fits_into_an_answer() {
    let node = FixedNode::start(largest());
    let view = node.block_on(ClusterView::fetch(&node.address));
    assert_eq!(view.expect("it fits").shards.len(), 65_536);
    // Eight groups of them would take a debug build longer than it has, so they are only measured.
    let whole = 8 * largest().encoded_len();
    assert!(whole <= ANSWER_BYTES_MAX, "the largest cluster takes {whole} bytes");
}

#[test]
fn an_answer_beyond_the_limit_is_refused() {
    let mut snapshot = shop();
    snapshot.shards[1].reason = "long".repeat(ANSWER_BYTES_MAX / 4);
    let node = FixedNode::start(snapshot);
    let error = node.block_on(ClusterView::fetch(&node.address));
    let error = error.expect_err("too long");
    assert!(matches!(error, InspectError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("limit"), "{error}");
}

#[test]
fn a_contradictory_answer_is_refused() {
    let mut snapshot = shop();
    snapshot.shards.swap(1, 2);
    let node = FixedNode::start(snapshot);
    let error = node.block_on(ClusterView::fetch(&node.address));
    let error = error.expect_err("out of order").to_string();
    let expected =
        format!("the answer of {} makes no sense: shard 1 comes after shard 2", node.address);
    assert_eq!(error, expected);
}

#[test]
fn peek_tells_shard_and_owner() {
    let node = FixedNode::start(v1::ClusterSnapshot::default());
    let placement = node.block_on(peek(&node.address, "cart", "eu/alice"));
    let placement = placement.expect("the node answers");
    assert_eq!((placement.shard, placement.epoch), (1, 4));
    assert_eq!(placement.owner.as_deref(), Some("node-b"));
    assert_eq!(placement.owner_address.as_deref(), Some("10.0.0.2:7400"));

    let placement = node.block_on(peek(&node.address, "cart", "nobody"));
    let placement = placement.expect("the node answers");
    assert_eq!((placement.owner, placement.owner_address), (None, None));
}

#[test]
fn decisions_tell_what_a_shard_was_given() {
    let node = FixedNode::start(shop());
    let told = node.block_on(decisions(&node.address, Some(1), 0)).expect("the node answers");
    assert_eq!((told.answered_by.as_str(), told.decisions.len()), ("node-a", 2));
    let (decision, step) = told.last_move(1).expect("it was moved");
    assert_eq!((decision.number, step.from.as_deref()), (41, Some("node-b")));
    assert_eq!((step.to.as_str(), step.reason.as_str()), ("node-a", "its node drains"));
    let newest = node.block_on(decisions(&node.address, None, 1)).expect("the node answers");
    assert_eq!(newest.decisions[0].number, 42);
}

#[test]
fn a_topology_survives_its_file() {
    let node = FixedNode::start(shop());
    let exported = node.block_on(export(&node.address)).expect("the node answers");
    assert_eq!(exported, topology());
    let json = write_topology(&exported).expect("it can be written");
    assert_eq!(read_topology(&json).expect("it can be read"), exported);
    let later = json.replace("\"format\": 1", "\"format\": 2");
    let error = read_topology(&later).expect_err("another format");
    assert_eq!(error.to_string(), "its format must be 1, got 2");
    assert!(read_topology("{}").is_err() && read_topology("no JSON").is_err());
}

#[test]
fn an_order_carries_the_token_and_tells_who_did_it() {
    let node = FixedNode::start(shop());
    node.block_on(async {
        let token = OperatorToken::new(TOKEN).expect("a good token");
        let mut operator = Operator::connect(&node.address, token).await.expect("it listens");
        let done = operator.pin(vec![1, 3], None).await;
        assert_eq!(done.expect("it is done"), "node-b");
        let error = operator.move_shards(vec![1], "node-z".to_owned()).await;
        let error = error.expect_err("nobody").to_string();
        let expected =
            format!("{} did not carry the order out: no live node is named node-z", node.address);
        assert_eq!(error, expected);

        let wrong = OperatorToken::new("another-token-of-ours").expect("a good token");
        let mut stranger = Operator::connect(&node.address, wrong).await.expect("it listens");
        let error = stranger.hold(true).await.expect_err("the wrong token");
        assert!(matches!(error, InspectError::NotDone { .. }), "{error:?}");
    });
    assert_eq!(node.orders(), ["pin [1, 3] \"\""]);
}

#[test]
fn a_refusal_carries_the_words_of_the_node() {
    let node = FixedNode::start(v1::ClusterSnapshot::default());
    let error = node.block_on(peek(&node.address, "NO", "key"));
    let error = error.expect_err("not a kind").to_string();
    let expected = format!("{} gave no answer: `NO`\nis no kind", node.address);
    assert_eq!(error, expected);
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_unreachable() {
    let address = free_address().await;
    let error = ClusterView::fetch(&address).await.expect_err("nobody");
    assert!(matches!(error, InspectError::Unreachable { .. }), "{error:?}");
    let expected = format!("cannot connect to {address}: Connection refused");
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[tokio::test]
async fn a_server_of_another_protocol_gives_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
            // The client may be gone already; then it has its error.
            let _ = stream.write_all(answer).await;
            held.push(stream);
        }
    });
    let error = ClusterView::fetch(&address).await.expect_err("no node");
    assert!(matches!(error, InspectError::Refused { .. }), "{error:?}");
    let expected = format!("{address} gave no answer: ");
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[test]
fn a_grpc_server_without_the_service_is_told_from_a_node() {
    let node = FixedNode::start(v1::ClusterSnapshot::default());
    let (address, served) = node.block_on(async {
        let any_port = "127.0.0.1:0".parse().expect("an address");
        let incoming = tonic::transport::server::TcpIncoming::bind(any_port).expect("a free port");
        let address = incoming.local_addr().expect("bound").to_string();
        let other = tonic::transport::Server::builder()
            .add_routes(tonic::service::Routes::default())
            .serve_with_incoming(incoming);
        (address, tokio::spawn(other))
    });
    let error = node.block_on(ClusterView::fetch(&address));
    served.abort();
    let error = error.expect_err("it serves nothing");
    assert!(matches!(error, InspectError::NotANode { .. }), "{error:?}");
}

/// An address on which nobody listens: it was free a moment ago.
async fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("bound").to_string()
}
