//! The library against a real server.

mod support;

use greenroom_inspector::{ClusterView, InspectError, Life, NodeState, ShardCondition, peek};
use greenroom_proto::v1;
use support::{FixedNode, largest, shop};
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
}

#[test]
fn the_largest_cluster_fits_into_an_answer() {
    let node = FixedNode::start(largest());
    let view = node.block_on(ClusterView::fetch(&node.address));
    assert_eq!(view.expect("it fits").shards.len(), 65_536);
}

#[test]
fn an_answer_beyond_the_limit_is_refused() {
    let mut snapshot = largest();
    snapshot.shards[7].reason = "long".repeat(4 * 1024 * 1024);
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
