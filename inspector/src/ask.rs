//! Asking a node.

use std::time::Duration;

use greenroom_proto::v1::inspect_client::InspectClient;
use greenroom_proto::v1::{
    DecisionsRequest, ExportRequest, LoadsRequest, LogRequest, SnapshotRequest, Topology,
    WhatIfReply, WhatIfRequest,
};
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::client::{ANSWER_BYTES_MAX, Limits, connect};
use crate::{ClusterView, Decisions, InspectError, Loads, LogLevel, Placement, convert};

/// Most decisions that explain one shard: the newest.
pub const WHY_DECISIONS_MAX: u32 = 20;

/// A node that is asked, over a connection that comes about with the first question and is kept.
#[derive(Debug)]
pub(crate) struct Line {
    address: String,
    limits: Limits,
    client: Option<InspectClient<Channel>>,
}

impl Line {
    /// To the node with this peer address (`host:port`).
    pub(crate) fn new(address: &str, limits: Limits) -> Self {
        Self { address: address.to_owned(), limits, client: None }
    }

    /// From now on, an answer may take so long.
    pub(crate) fn set_patience(&mut self, request: Duration) {
        self.limits.request = request;
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) async fn view(&mut self) -> Result<ClusterView, InspectError> {
        let snapshot = self.ask(async |node| node.snapshot(SnapshotRequest {}).await).await?;
        convert::view(snapshot)
            .map_err(|source| InspectError::Malformed { address: self.address.clone(), source })
    }

    pub(crate) async fn decisions(
        &mut self,
        request: DecisionsRequest,
    ) -> Result<Decisions, InspectError> {
        let reply = self.ask(async |node| node.decisions(request).await).await?;
        Ok(convert::decisions(reply))
    }

    pub(crate) async fn loads(&mut self) -> Result<Loads, InspectError> {
        let reply = self.ask(async |node| node.loads(LoadsRequest {}).await).await?;
        Ok(convert::loads(reply))
    }

    /// A connection under which a question failed is not used again.
    async fn ask<T>(
        &mut self,
        question: impl AsyncFnOnce(&mut InspectClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T, InspectError> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => {
                let channel = connect(&self.address, self.limits).await?;
                InspectClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
            }
        };
        let answer = self.limits.answer(&self.address, question(&mut client)).await?;
        self.client = Some(client);
        Ok(answer)
    }
}

impl ClusterView {
    /// Fetches the present picture of the node whose peer address (`host:port`) this is.
    ///
    /// # Errors
    /// When the address is none, or the node can't be reached, doesn't answer within
    /// [`CONNECT_TIMEOUT`](crate::CONNECT_TIMEOUT) and [`REQUEST_TIMEOUT`](crate::REQUEST_TIMEOUT),
    /// refuses, or answers with nonsense or with more than [`ANSWER_BYTES_MAX`].
    pub async fn fetch(address: &str) -> Result<Self, InspectError> {
        line(address).view().await
    }
}

/// Asks the node with this peer address (`host:port`) where the actor `(kind, key)` lives, without
/// activating it.
///
/// # Errors
/// As [`ClusterView::fetch`]; also when the node finds kind or key unfit as a name.
pub async fn peek(address: &str, kind: &str, key: &str) -> Result<Placement, InspectError> {
    let request = convert::peek_request(kind, key);
    let reply = line(address).ask(async |node| node.peek(request).await).await?;
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
    line(address).decisions(DecisionsRequest { after: 0, shard, limit }).await
}

/// Asks the node with this peer address (`host:port`) what runs in the shards. Only a leader knows:
/// ask at [`ClusterView::deciding_address`].
///
/// # Errors
/// As [`ClusterView::fetch`]; a node of an earlier version doesn't tell.
pub async fn loads(address: &str) -> Result<Loads, InspectError> {
    line(address).loads().await
}

/// Asks the node with this peer address (`host:port`) what its process logs.
///
/// # Errors
/// As [`ClusterView::fetch`]; a node of an earlier version doesn't tell.
pub async fn log_level(address: &str) -> Result<LogLevel, InspectError> {
    let reply = line(address).ask(async |node| node.log(LogRequest {}).await).await?;
    Ok(convert::log_level(reply))
}

/// Asks the node with this peer address (`host:port`) what its planner would do, as things are and if
/// they were as supposed. It changes nothing. Only a leader knows the loads: ask at
/// [`ClusterView::deciding_address`].
///
/// # Errors
/// As [`ClusterView::fetch`]; also when it supposes something of a node or shard that is not there.
pub async fn what_if(address: &str, what: WhatIfRequest) -> Result<WhatIfReply, InspectError> {
    line(address).ask(async |node| node.what_if(what).await).await
}

/// Asks the node with this peer address (`host:port`) for the cluster as a document.
///
/// # Errors
/// As [`ClusterView::fetch`].
pub async fn export(address: &str) -> Result<Topology, InspectError> {
    line(address).ask(async |node| node.export(ExportRequest {}).await).await
}

fn line(address: &str) -> Line {
    Line::new(address, Limits::default())
}
