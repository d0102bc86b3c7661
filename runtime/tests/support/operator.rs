//! Operators in tests: nodes that take their orders, and the orders.

use greenroom::{Config, MemoryStore, Node, Token};
use greenroom_proto::v1::OrderReply;
use greenroom_proto::v1::operate_client::OperateClient;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use super::ledger::tallies;
use super::{Pace, config, start, within};

pub const TOKEN: &str = "correct-horse-battery";

/// The configuration of a node that takes orders.
pub fn operated(store: &MemoryStore, name: &str, pace: Pace) -> Config {
    let mut config = config(&store.handle(), name, pace);
    config.operator_token = Some(Token::new(TOKEN).expect("a good token"));
    config
}

/// A node with this configuration that hosts tallies, ready.
pub async fn ready(config: Config) -> Node {
    let node = start(config, [tallies()]).await;
    within("joining", node.ready()).await.expect("the node becomes ready");
    node
}

pub async fn operate(node: &Node) -> OperateClient<Channel> {
    let address = format!("http://{}", node.peer_address());
    within("connecting", OperateClient::connect(address)).await.expect("the node listens")
}

pub fn with_token<M>(message: M, token: &str) -> Request<M> {
    let mut request = Request::new(message);
    let token = format!("Bearer {token}").parse().expect("ASCII");
    request.metadata_mut().insert("authorization", token);
    request
}

/// A request as an operator makes it.
pub fn order<M>(message: M) -> Request<M> {
    with_token(message, TOKEN)
}

/// Who carried the order out.
#[track_caller]
pub fn by(result: Result<Response<OrderReply>, Status>) -> String {
    result.expect("the order is carried out").into_inner().by
}

/// The words of a refusal with this code.
#[track_caller]
pub fn refused(result: Result<Response<OrderReply>, Status>, code: Code) -> String {
    let status = result.expect_err("the order is refused");
    assert_eq!(status.code(), code, "{status}");
    status.message().to_owned()
}
