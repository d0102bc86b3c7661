//! The answering side of links.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::Stream;
use greenroom_core::ActorId;
use greenroom_core::{ShardId, ShardLoad};
use greenroom_proto::v1::envelope::Body;
use greenroom_proto::v1::peer_server::Peer;
use greenroom_proto::v1::{self, Envelope, Frame, Goodbye, Hello};
use greenroom_shardlock::Permit;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::frames::{FRAMES_WAITING_MAX, gather};
use super::{Identity, wire};
use crate::activation::{Answer, Hosted, Job, Submitted, submit};
use crate::failure::{Failure, FailureCode};
use crate::payload::Arguments;
use crate::router::{Router, failed, unknown_kind, unknown_method};

/// How often a link that says goodbye looks whether its last turns have ended.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(5);
/// Answers that wait to be gathered into frames.
const ANSWERS_WAITING_MAX: usize = 4096;

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
        let mut envelopes = first.envelopes.into_iter();
        match envelopes.next().and_then(|envelope| envelope.body) {
            Some(Body::Hello(hello)) => self.check(&hello)?,
            _ => return Err(Status::invalid_argument("a link begins with a hello")),
        }
        let (out, stream) = mpsc::channel(FRAMES_WAITING_MAX);
        let (answers, gathered) = mpsc::channel(ANSWERS_WAITING_MAX);
        let cut = Serving::Cut.reached(self.serving.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = gather(gathered, out, Ok::<_, Status>) => {}
                () = cut => {}
            }
        });
        let link = Incoming {
            router: self.router.clone(),
            answers,
            under_way: Arc::new(AtomicUsize::new(0)),
        };
        let hello = Hello {
            protocol: greenroom_proto::PROTOCOL,
            cluster: self.identity.cluster.clone(),
            node: self.identity.node.clone(),
            incarnation: 0,
        };
        link.send(Body::Hello(hello)).await;
        tokio::spawn(link.serve(envelopes.collect(), frames, self.serving.clone()));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
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
}

/// One peer's calls.
struct Incoming {
    router: Router,
    answers: mpsc::Sender<Envelope>,
    /// Calls that were read and not answered yet.
    under_way: Arc<AtomicUsize>,
}

/// Counts a call as under way until it is answered.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// A call that may go to its actor.
struct Arrival<'a> {
    hosted: &'a dyn Hosted,
    id: ActorId,
    job: Job,
    permit: Permit<'a>,
}

impl Incoming {
    async fn serve(
        self,
        first: Vec<Envelope>,
        mut frames: Streaming<Frame>,
        mut serving: watch::Receiver<Serving>,
    ) {
        self.take(first).await;
        loop {
            let frame = tokio::select! {
                frame = frames.message() => frame,
                stopped = serving.wait_for(|serving| *serving != Serving::Open) => {
                    match stopped.map(|serving| *serving) {
                        Ok(Serving::Open | Serving::Goodbye) => break,
                        Ok(Serving::Cut) | Err(_) => return,
                    }
                }
            };
            match frame {
                Ok(Some(frame)) => self.take(frame.envelopes).await,
                // The peer is gone, and its callers with it. Turns that run go on to their end.
                Ok(None) | Err(_) => return,
            }
        }
        self.say_goodbye(frames, serving).await;
    }

    async fn take(&self, envelopes: Vec<Envelope>) {
        for envelope in envelopes {
            if let Some(Body::Request(request)) = envelope.body {
                self.answer(request).await;
            }
        }
    }

    /// Answers a request: at once if its turn doesn't wait, else from a task of its own.
    async fn answer(&self, request: v1::Request) {
        let number = request.call;
        let payload_bytes_max = self.router.limits().payload_bytes_max;
        let under_way = UnderWay(Arc::clone(&self.under_way));
        let busy = self.under_way.fetch_add(1, Ordering::Relaxed);
        let (answer, deadline) = if busy >= self.router.limits().calls_per_peer_max {
            let message = format!("{busy} calls of this peer are under way");
            let refused = failed(Failure::new(FailureCode::Overloaded, message));
            (Submitted::Answered(refused), Instant::now())
        } else {
            self.submit(request).await
        };
        let waiting = match answer {
            Submitted::Answered(answer) => {
                self.send(Body::Response(wire::response(number, answer, payload_bytes_max))).await;
                return;
            }
            Submitted::Waiting(waiting) => waiting,
        };
        let answers = self.answers.clone();
        tokio::spawn(async move {
            let answer = wait(waiting, deadline).await;
            let body = Body::Response(wire::response(number, answer, payload_bytes_max));
            let _ = answers.send(wire::envelope(body)).await;
            drop(under_way);
        });
    }

    async fn submit(&self, request: v1::Request) -> (Submitted, Instant) {
        let asked = match wire::asked(&request) {
            Ok(asked) => asked,
            Err(failure) => return (Submitted::Answered(failed(failure)), Instant::now()),
        };
        let deadline = asked.deadline;
        let submitted = match self.job(request, asked) {
            Ok(Arrival { hosted, id, job, permit }) => submit(hosted, &id, job, permit).await,
            Err(failure) => Submitted::Answered(failed(failure)),
        };
        (submitted, deadline)
    }

    fn job(&self, request: v1::Request, asked: wire::Asked) -> Result<Arrival<'_>, Failure> {
        let max = self.router.limits().payload_bytes_max;
        if request.arguments.len() > max {
            let len = request.arguments.len();
            let message = format!("the arguments have {len} bytes, at most {max} are allowed");
            return Err(Failure::new(FailureCode::TooLarge, message));
        }
        let shard = self.router.shard_of(&asked.id);
        let permit = self
            .router
            .enter(shard, Some(request.epoch), asked.chain.as_deref())
            .map_err(|refused| {
                let message = format!("shard {shard} is not open here: {refused}");
                Failure::new(FailureCode::NotOwner, message)
            })?;
        let hosted =
            self.router.hosted(&request.kind).ok_or_else(|| unknown_kind(&request.kind))?;
        let (method, spec) = hosted
            .spec()
            .method(&request.method)
            .ok_or_else(|| unknown_method(&request.kind, &request.method))?;
        let arguments = Arguments::Encoded { encoding: asked.encoding, bytes: request.arguments };
        let job = Job {
            method,
            access: spec.access,
            arguments,
            made: asked.made,
            deadline: asked.deadline,
            // As on this node: nobody waits for the turn of a one-way call.
            chain: asked.chain.filter(|_| !request.one_way),
            one_way: request.one_way,
        };
        Ok(Arrival { hosted: &**hosted, id: asked.id, job, permit })
    }

    async fn send(&self, body: Body) {
        // If nobody takes it, the peer is gone.
        let _ = self.answers.send(wire::envelope(body)).await;
    }

    /// Waits until all that was read is answered, then says so. By then all gates are closed, so
    /// turns have ended or were revoked, and what comes meanwhile is refused at once.
    async fn say_goodbye(&self, mut frames: Streaming<Frame>, serving: watch::Receiver<Serving>) {
        let mut cut = pin!(Serving::Cut.reached(serving));
        while self.under_way.load(Ordering::Acquire) > 0 {
            tokio::select! {
                frame = frames.message() => match frame {
                    Ok(Some(frame)) => self.take(frame.envelopes).await,
                    Ok(None) | Err(_) => return,
                },
                // The node's patience with turns that do not end is over.
                () = &mut cut => return,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
        self.send(Body::Goodbye(Goodbye {})).await;
    }
}

async fn wait(waiting: oneshot::Receiver<Answer>, deadline: Instant) -> Answer {
    let gone = |code, message: &str| failed(Failure::new(code, message).that_may_have_run());
    match timeout_at(deadline, waiting).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => {
            gone(FailureCode::Fenced, "the actor was dropped while the call waited or ran")
        }
        Err(_) => gone(FailureCode::Timeout, "the deadline passed while the call waited or ran"),
    }
}
