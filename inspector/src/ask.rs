//! Asking a node.

use greenroom_proto::v1::inspect_client::InspectClient;
use greenroom_proto::v1::{DecisionsRequest, ExportRequest, SnapshotRequest, Topology};
use tonic::transport::Channel;

use crate::client::{ANSWER_BYTES_MAX, Limits, connect};
use crate::{ClusterView, Decisions, InspectError, Placement, convert};

impl ClusterView {
    /// Fetches the present picture of the node whose peer address (`host:port`) this is.
    ///
    /// # Errors
    /// When the address is none, or the node can't be reached, doesn't answer within
    /// [`CONNECT_TIMEOUT`](crate::CONNECT_TIMEOUT) and [`REQUEST_TIMEOUT`](crate::REQUEST_TIMEOUT),
    /// refuses, or answers with nonsense or with more than [`ANSWER_BYTES_MAX`].
    pub async fn fetch(address: &str) -> Result<Self, InspectError> {
        let limits = Limits::default();
        let mut node = node(address, limits).await?;
        let snapshot = limits.answer(address, node.snapshot(SnapshotRequest {})).await?;
        convert::view(snapshot)
            .map_err(|source| InspectError::Malformed { address: address.to_owned(), source })
    }
}

/// Asks the node with this peer address (`host:port`) where the actor `(kind, key)` lives, without
/// activating it.
///
/// # Errors
/// As [`ClusterView::fetch`]; also when the node finds kind or key unfit as a name.
pub async fn peek(address: &str, kind: &str, key: &str) -> Result<Placement, InspectError> {
    let limits = Limits::default();
    let mut node = node(address, limits).await?;
    let reply = limits.answer(address, node.peek(convert::peek_request(kind, key))).await?;
    Ok(convert::placement(reply))
}

/// Asks the node with this peer address (`host:port`) what it decided as a leader: about one shard,
/// by its number among all, or about everything; at most `limit` decisions, the newest, 0 for all
/// that it keeps (the last thousand).
///
/// # Errors
/// As [`ClusterView::fetch`].
pub async fn decisions(
    address: &str,
    shard: Option<u32>,
    limit: u32,
) -> Result<Decisions, InspectError> {
    let limits = Limits::default();
    let mut node = node(address, limits).await?;
    let request = DecisionsRequest { after: 0, shard, limit };
    let reply = limits.answer(address, node.decisions(request)).await?;
    Ok(convert::decisions(reply))
}

/// Asks the node with this peer address (`host:port`) for the cluster as a document.
///
/// # Errors
/// As [`ClusterView::fetch`].
pub async fn export(address: &str) -> Result<Topology, InspectError> {
    let limits = Limits::default();
    let mut node = node(address, limits).await?;
    limits.answer(address, node.export(ExportRequest {})).await
}

async fn node(address: &str, limits: Limits) -> Result<InspectClient<Channel>, InspectError> {
    let channel = connect(address, limits).await?;
    Ok(InspectClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX))
}
