//! What a stream of gRPC can do at best: many calls a message, each put into the mailbox of one of
//! 1,000 actors.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use super::{ACTORS, Callable, Host, Line, child, tonic_unary};
use crate::case::Role;
use crate::system::{Counter, Result};
use wire::counting_server::{Counting, CountingServer};
use wire::{Addition, Additions, Sum, Sums};

/// The generated messages and service.
#[allow(missing_docs, unreachable_pub, clippy::all)]
#[allow(clippy::explicit_iter_loop, clippy::semicolon_if_nothing_returned)]
pub(super) mod wire {
    tonic::include_proto!("greenroom.bench");
}

pub(super) const NAME: &str = "tonic stream";

const MAILBOX_LEN_MAX: usize = 64;
const CALLS_PER_MESSAGE_MAX: usize = 256;
const MESSAGES_WAITING_MAX: usize = 16;
/// More than any case has in flight, so that nobody waits here.
const CALLS_WAITING_MAX: usize = 8_192;

type Mailbox = mpsc::Sender<(Addition, mpsc::Sender<Sum>)>;

struct Actors(Arc<[Mailbox]>);

fn spawn_actor() -> Mailbox {
    let (mailbox, mut additions) = mpsc::channel::<(Addition, mpsc::Sender<Sum>)>(MAILBOX_LEN_MAX);
    tokio::spawn(async move {
        let mut count = 0;
        while let Some((addition, reply)) = additions.recv().await {
            count += addition.amount;
            let call = addition.call;
            // A stream that closed needs no answer.
            let _ = reply.send(Sum { call, count }).await;
        }
    });
    mailbox
}

#[tonic::async_trait]
impl Counting for Actors {
    async fn echo(&self, request: Request<Addition>) -> Answer<Sum> {
        let Addition { call, amount, .. } = request.into_inner();
        let count = amount;
        Ok(Response::new(Sum { call, count }))
    }

    type AddManyStream = ReceiverStream<Result<Sums, Status>>;

    async fn add_many(
        &self,
        request: Request<Streaming<Additions>>,
    ) -> Answer<Self::AddManyStream> {
        let mut additions = request.into_inner();
        let (reply, mut replies) = mpsc::channel(CALLS_WAITING_MAX);
        let actors = Arc::clone(&self.0);
        tokio::spawn(async move {
            while let Ok(Some(message)) = additions.message().await {
                for addition in message.additions {
                    let Some(actor) = actors.get(addition.actor as usize) else {
                        return;
                    };
                    let _ = actor.send((addition, reply.clone())).await;
                }
            }
        });
        let (out, messages) = mpsc::channel(MESSAGES_WAITING_MAX);
        tokio::spawn(async move {
            let mut sums = Vec::new();
            while replies.recv_many(&mut sums, CALLS_PER_MESSAGE_MAX).await > 0 {
                let sums = std::mem::take(&mut sums);
                if out.send(Ok(Sums { sums })).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

type Answer<T> = Result<Response<T>, Status>;

/// Serves both the stream and single calls.
pub(super) async fn host() -> Result<Host> {
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into())
        .map_err(|error| error.to_string())?
        .with_nodelay(Some(true));
    let address = incoming.local_addr()?;
    let actors = Actors((0..ACTORS).map(|_| spawn_actor()).collect());
    let server = Server::builder().add_service(CountingServer::new(actors));
    let serving = tokio::spawn(server.serve_with_incoming(incoming));
    Ok(Host::new(&address, serving))
}

/// A call on its way to the stream.
struct Outgoing {
    actor: u32,
    amount: u64,
    reply: oneshot::Sender<u64>,
}

#[derive(Clone)]
struct StreamCounter {
    actor: u32,
    calls: mpsc::Sender<Outgoing>,
}

impl Counter for StreamCounter {
    async fn add(&self, amount: u64) -> Result<u64> {
        let (reply, answer) = oneshot::channel();
        let outgoing = Outgoing { actor: self.actor, amount, reply };
        let sent = self.calls.send(outgoing).await;
        sent.map_err(|_| "the stream has ended")?;
        Ok(answer.await?)
    }
}

pub(super) async fn connect() -> Result<Arc<dyn Callable>> {
    let child = child(NAME, "").await?;
    let mut client = tonic_unary::client(&child.said).await?;
    let (out, messages) = mpsc::channel(MESSAGES_WAITING_MAX);
    let sums = client.add_many(ReceiverStream::new(messages)).await?;
    let (calls, outgoing) = mpsc::channel(CALLS_WAITING_MAX);
    tokio::spawn(exchange(outgoing, out, sums.into_inner()));
    let actors = (0..).take(ACTORS);
    let counters = actors.map(|actor| StreamCounter { actor, calls: calls.clone() });
    Line::open(NAME, Role::Orientation, counters.collect(), child).await
}

/// Writes calls and hands their answers out until either side ends.
async fn exchange(
    mut calls: mpsc::Receiver<Outgoing>,
    out: mpsc::Sender<Additions>,
    mut sums: Streaming<Sums>,
) {
    let (mut batch, mut pending, mut last_call) = (Vec::new(), HashMap::new(), 0_u64);
    loop {
        tokio::select! {
            message = sums.message() => {
                let Ok(Some(message)) = message else { return };
                for Sum { call, count } in message.sums {
                    if let Some(reply) = pending.remove(&call) {
                        let _ = oneshot::Sender::send(reply, count);
                    }
                }
            }
            taken = calls.recv_many(&mut batch, CALLS_PER_MESSAGE_MAX) => {
                if taken == 0 {
                    return;
                }
                let mut additions = Vec::with_capacity(taken);
                for Outgoing { actor, amount, reply } in batch.drain(..) {
                    last_call += 1;
                    pending.insert(last_call, reply);
                    additions.push(Addition { call: last_call, actor, amount });
                }
                if out.send(Additions { additions }).await.is_err() {
                    return;
                }
            }
        }
    }
}
