//! The answering side of links.

use std::pin::{Pin, pin};
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use greenroom_core::{ShardId, ShardLoad};
use greenroom_proto::Frame;
use greenroom_proto::v1::envelope::Body;
use greenroom_proto::v1::peer_server::Peer;
use greenroom_proto::v1::{self, Envelope, Goodbye, Hello};
use greenroom_proto::view::View;
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

use super::Identity;
use super::answers::Answers;
use super::incoming::Incoming;
use super::outbox::Frames;
use crate::router::Router;

/// How often a link that says goodbye looks whether its last turns have ended.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(5);

/// What a node does with the calls of its peers; it only goes on from one to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Serving {
    /// Takes them.
    Open,
    /// Takes no more: every link answers what it has read, says goodbye and ends.
    Goodbye,
    /// Drops every link at once, as the death of the process would.
    Cut,
}

impl Serving {
    /// Waits until the node has come to this, or further.
    pub(crate) async fn reached(self, mut serving: watch::Receiver<Self>) {
        // An error means that the node is gone, which is further than anything.
        let _ = serving.wait_for(|now| *now >= self).await;
    }
}

/// Takes calls from other nodes.
pub(crate) struct PeerService {
    router: Router,
    identity: Identity,
    serving: watch::Receiver<Serving>,
}

impl PeerService {
    pub(crate) fn new(
        router: Router,
        identity: Identity,
        serving: watch::Receiver<Serving>,
    ) -> Self {
        Self { router, identity, serving }
    }

    fn check(&self, hello: &Hello) -> Result<(), Status> {
        if hello.protocol != greenroom_proto::PROTOCOL {
            let (theirs, ours) = (hello.protocol, greenroom_proto::PROTOCOL);
            let message = format!("protocol {theirs} is not {ours}, which this node speaks");
            return Err(Status::failed_precondition(message));
        }
        if hello.cluster != self.identity.cluster {
            let (theirs, ours) = (&hello.cluster, &self.identity.cluster);
            let message = format!("cluster {theirs:?} is not {ours:?}, which this node is in");
            return Err(Status::failed_precondition(message));
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl Peer for PeerService {
    type LinkStream = Pin<Box<dyn Stream<Item = Result<Frame, Status>> + Send>>;

    async fn link(
        &self,
        request: Request<Streaming<Frame>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        let mut frames = request.into_inner();
        let first = frames.message().await?.unwrap_or_default();
        match first.views().next() {
            Some(Ok(View::Other(Envelope { body: Some(Body::Hello(hello)) }))) => {
                self.check(&hello)?;
            }
            _ => return Err(Status::invalid_argument("a link begins with a hello")),
        }
        let answers = Answers::new(self.router.limits().payload_bytes_max);
        answers.send(&self.identity.hello());
        let incoming = Incoming::new(self.router.clone(), Arc::clone(&answers));
        let node = self.identity.node.clone();
        let link = Link { answers: Arc::clone(&answers), incoming, frames, node };
        tokio::spawn(link.serve(first, self.serving.clone()));
        Ok(Response::new(Box::pin(Frames(answers).map(Ok))))
    }

    async fn report(
        &self,
        request: Request<v1::LoadReport>,
    ) -> Result<Response<v1::LoadReceipt>, Status> {
        let report = request.into_inner();
        if report.cluster != self.identity.cluster {
            return Err(Status::failed_precondition("the report is of another cluster"));
        }
        let cluster = self.router.cluster();
        let leads = cluster.status().leads;
        if leads {
            let loads = report.loads.into_iter().map(|load| {
                let v1::ShardLoad { shard, calls_per_s, busy_us_per_s, activations } = load;
                (ShardId(shard), ShardLoad { calls_per_s, busy_us_per_s, activations })
            });
            cluster.report_loads(loads.collect()).await;
        }
        Ok(Response::new(v1::LoadReceipt { leads }))
    }

    async fn active_keys(
        &self,
        request: Request<v1::ActiveKeysRequest>,
    ) -> Result<Response<v1::ActiveKeysReply>, Status> {
        super::active::answer(&self.router, request.into_inner()).await.map(Response::new)
    }
}

/// The answering side of one link.
struct Link {
    answers: Arc<Answers>,
    incoming: Incoming,
    frames: Streaming<Frame>,
    /// For the log.
    node: String,
}

/// How the answering side of a link ends.
enum End {
    /// All that was read is answered, and nothing more is read.
    Goodbye,
    /// The peer is gone, and its callers with it.
    Gone,
    /// The node drops its links.
    Cut,
}

impl Link {
    async fn serve(mut self, first: Frame, serving: watch::Receiver<Serving>) {
        let answers = Arc::clone(&self.answers);
        let mut cut = pin!(Serving::Cut.reached(serving.clone()));
        let end = tokio::select! {
            end = self.exchange(first, serving) => end,
            () = &mut cut => End::Cut,
        };
        match end {
            End::Goodbye => {
                answers.send(&Envelope { body: Some(Body::Goodbye(Goodbye {})) });
                answers.close();
            }
            // Turns that run go on to their end; those that wait need not begin.
            End::Gone | End::Cut => answers.cut(),
        }
        answers.forget_callers();
        // What is left to be read of a goodbye may still be cut off.
        if let End::Goodbye = end {
            cut.await;
            answers.cut();
        }
    }

    async fn exchange(&mut self, first: Frame, serving: watch::Receiver<Serving>) -> End {
        let mut goodbye = pin!(Serving::Goodbye.reached(serving));
        let mut frame = first;
        loop {
            if let Err(reason) = self.incoming.take(&frame).await {
                tracing::warn!(node = self.node, reason, "the link of a peer is cut");
                return End::Gone;
            }
            frame = tokio::select! {
                next = self.frames.message() => match next {
                    Ok(Some(next)) => next,
                    Ok(None) | Err(_) => return End::Gone,
                },
                () = &mut goodbye => return self.last_answers().await,
            };
        }
    }

    /// Waits until all that was read is answered. By now all gates are closed, so turns have ended or
    /// were revoked, and what comes meanwhile is refused at once.
    async fn last_answers(&mut self) -> End {
        while self.answers.waiting() > 0 {
            tokio::select! {
                frame = self.frames.message() => match frame {
                    Ok(Some(frame)) => if self.incoming.take(&frame).await.is_err() {
                        return End::Gone;
                    },
                    Ok(None) | Err(_) => return End::Gone,
                },
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
        End::Goodbye
    }
}
