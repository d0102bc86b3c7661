//! Sends requests as they are, and makes answers comparable.

use std::fmt::Debug;
use std::time::Duration;

use greenroom_wire::api::{
    CompactionResponse, DeleteResponse, LeaseGrantResponse, LeaseKeepAliveResponse,
    LeaseLeasesResponse, LeaseRevokeResponse, LeaseTimeToLiveResponse, OpResponse, PutResponse,
    RangeResponse, ResponseHeader, TxnResponse, WatchRequest, WatchResponse,
};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

/// Longer than anything takes; it only matters when a test fails.
const PATIENCE: Duration = Duration::from_secs(5);

/// A client of one of the two.
pub(crate) struct Caller {
    grpc: Grpc<Channel>,
}

/// An answer of which everything is left that both must agree on.
pub(crate) trait Comparable: Debug {
    fn strip(&mut self);
}

impl Caller {
    pub(crate) fn of(endpoint: &str) -> Self {
        let endpoint = Endpoint::from_shared(endpoint.to_owned()).expect("a URI");
        Self { grpc: Grpc::new(endpoint.connect_lazy()) }
    }

    /// Sends one request to a method such as `KV/Range`.
    pub(crate) async fn ask<Q, A>(&mut self, method: &str, request: Q) -> Result<A, Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + Comparable + 'static,
    {
        let asked = async {
            self.grpc.ready().await.expect("the server is there");
            let codec = ProstCodec::<Q, A>::default();
            let answer = self.grpc.unary(Request::new(request), path(method), codec).await?;
            let mut answer = answer.into_inner();
            answer.strip();
            Ok(answer)
        };
        timeout(PATIENCE, asked).await.expect("an answer in time")
    }

    /// Opens a stream to a method and sends its first request.
    pub(crate) async fn open<Q, A>(
        &mut self,
        method: &str,
        request: Q,
    ) -> (mpsc::Sender<Q>, Streaming<A>)
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let (sender, requests) = mpsc::channel(4);
        sender.send(request).await.expect("the channel has room");
        self.grpc.ready().await.expect("the server is there");
        let codec = ProstCodec::<Q, A>::default();
        let requests = Request::new(ReceiverStream::new(requests));
        let opened = timeout(PATIENCE, self.grpc.streaming(requests, path(method), codec)).await;
        let stream = opened.expect("an answer in time").expect("a stream");
        (sender, stream.into_inner())
    }

    pub(crate) async fn watch(&mut self, create: WatchRequest) -> Watching {
        let (sender, mut stream) = self.open("Watch/Watch", create).await;
        let created: WatchResponse = next(&mut stream).await;
        assert!(created.created, "{created:?}");
        Watching { _sender: sender, stream }
    }
}

/// An open watch.
pub(crate) struct Watching {
    _sender: mpsc::Sender<WatchRequest>,
    stream: Streaming<WatchResponse>,
}

impl Watching {
    /// All events up to a revision, and how the watch ended if it did.
    pub(crate) async fn until(mut self, revision: i64) -> String {
        let mut events = Vec::new();
        let last = |events: &[greenroom_wire::api::Event]| {
            events.last().and_then(|event| event.kv.as_ref()).map_or(0, |held| held.mod_revision)
        };
        while last(&events) < revision {
            let reply: WatchResponse = next(&mut self.stream).await;
            events.extend(reply.events);
            if reply.canceled {
                return format!("{events:?}, then cancelled at {}", reply.compact_revision);
            }
        }
        format!("{events:?}")
    }
}

pub(crate) async fn next<A>(stream: &mut Streaming<A>) -> A {
    let message = timeout(PATIENCE, stream.message()).await.expect("a reply in time");
    message.expect("no error").expect("an open stream")
}

fn path(method: &str) -> PathAndQuery {
    format!("/etcdserverpb.{method}").parse().expect("a path")
}

/// Revisions are compared; who answered, and in which term, is not.
fn strip(header: &mut Option<ResponseHeader>) {
    let revision = header.as_ref().map_or(0, |header| header.revision);
    *header = Some(ResponseHeader { revision, ..ResponseHeader::default() });
}

macro_rules! comparable {
    ($($answer:ty),+) => {
        $(impl Comparable for $answer {
            fn strip(&mut self) {
                strip(&mut self.header);
            }
        })+
    };
}

comparable!(RangeResponse, PutResponse, DeleteResponse, CompactionResponse, LeaseRevokeResponse);

impl Comparable for TxnResponse {
    fn strip(&mut self) {
        strip(&mut self.header);
        for response in self.responses.iter_mut().filter_map(|op| op.response.as_mut()) {
            match response {
                OpResponse::ResponseRange(range) => range.strip(),
                OpResponse::ResponsePut(put) => put.strip(),
                OpResponse::ResponseDeleteRange(delete) => delete.strip(),
                OpResponse::ResponseTxn(txn) => txn.strip(),
            }
        }
    }
}

impl Comparable for LeaseGrantResponse {
    fn strip(&mut self) {
        self.header = None;
    }
}

impl Comparable for LeaseKeepAliveResponse {
    fn strip(&mut self) {
        self.header = None;
    }
}

impl Comparable for LeaseTimeToLiveResponse {
    fn strip(&mut self) {
        self.header = None;
        // It has gone on by now.
        self.ttl = self.ttl.min(0);
        self.keys.sort();
    }
}

impl Comparable for LeaseLeasesResponse {
    fn strip(&mut self) {
        self.header = None;
        self.leases.sort_by_key(|lease| lease.id);
    }
}
