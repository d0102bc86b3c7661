//! Ways to the readers of bytes from outside that have no public entrance, for the fuzz targets in
//! `examples/fuzz`; not for people. Nothing here reads or decides anything by itself.

use axum::Router;
use greenroom_core::Restore;
use greenroom_proto::v1::inspect_server::Inspect;
use greenroom_proto::v1::operate_server::Operate;
use greenroom_proto::v1::peer_server::Peer;

use crate::node::Node;
pub use crate::payload::{Arguments, Encoding, Outcome, ReplyForm};
pub use crate::peer::fuzzing::{Callee, Caller, page_of_keys};

/// The HTTP gateway of a node, without its port.
pub fn gateway(node: &Node) -> Router {
    node.gateway()
}

/// What a node answers to its peers, apart from calls.
pub fn peer(node: &Node) -> impl Peer + use<> {
    node.services().0
}

/// What a node answers to operators' questions.
pub fn inspect(node: &Node) -> impl Inspect + use<> {
    node.services().1
}

/// What a node answers to operators' orders.
pub fn operate(node: &Node) -> impl Operate + use<> {
    node.services().2
}

/// Reads the file that an empty cluster begins with.
///
/// # Errors
/// What is wrong with it.
pub fn restore(json: &str, shard_count: u32) -> Result<Restore, String> {
    crate::peer::topology::restore(json, shard_count)
}
