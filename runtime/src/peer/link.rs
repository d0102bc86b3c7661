//! The calling side of a link: writes requests, hands answers to those who wait for them.

use std::collections::HashMap;
use std::time::Duration;

use greenroom_proto::v1::envelope::Body;
use greenroom_proto::v1::peer_client::PeerClient;
use greenroom_proto::v1::{Envelope, Frame, Hello};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use super::frames::{ENVELOPES_PER_FRAME_MAX, FRAMES_WAITING_MAX, frames};
use super::{Identity, LINK_IDLE_MAX, Outgoing, broken, wire};
use crate::activation::Answer;
use crate::failure::FailureCode;

/// How long to read on when a peer takes no more calls.
const LAST_ANSWERS_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Link {
    address: String,
    identity: Identity,
    message_bytes_max: usize,
}

/// An open stream.
struct Open {
    out: mpsc::Sender<Frame>,
    answers: Streaming<Frame>,
    /// Calls that were written and not answered yet.
    pending: HashMap<u64, oneshot::Sender<Answer>>,
    last_call: u64,
}

/// Why a stream ended.
enum Ended {
    /// The peer answered all that it read, and reads no more.
    Goodbye,
    Broken(String),
    /// The peer takes no more; what it wrote before may be on its way still.
    Unread,
    /// Nobody used it.
    Idle,
}

impl Link {
    pub(super) fn new(address: &str, identity: Identity, message_bytes_max: usize) -> Self {
        Self { address: address.to_owned(), identity, message_bytes_max }
    }

    /// Serves calls until the link is idle, the peer can't be reached, or all handles are gone.
    /// Callers that are left are told whether their calls may have run; they decide about another
    /// attempt, which opens a new link.
    pub(super) async fn run(self, mut calls: mpsc::Receiver<Outgoing>) {
        let ended = match self.open().await {
            Ok(open) => open.serve(&mut calls).await,
            Err(error) => {
                let address = &self.address;
                let message = format!("the owner at {address} can't be reached: {error}");
                tracing::debug!("{message}");
                message
            }
        };
        calls.close();
        while let Some(outgoing) = calls.recv().await {
            outgoing.not_sent(FailureCode::Unreachable, &ended);
        }
    }

    async fn open(&self) -> Result<Open, String> {
        let channel = timeout(CONNECT_TIMEOUT, self.connect())
            .await
            .map_err(|_| "no answer to the connection attempt".to_owned())??;
        let mut client = PeerClient::new(channel)
            .max_decoding_message_size(self.message_bytes_max)
            .max_encoding_message_size(self.message_bytes_max);
        let (out, frames) = mpsc::channel(FRAMES_WAITING_MAX);
        let hello = Hello {
            protocol: greenroom_proto::PROTOCOL,
            cluster: self.identity.cluster.clone(),
            node: self.identity.node.clone(),
            incarnation: 0,
        };
        let first = Frame { envelopes: vec![wire::envelope(Body::Hello(hello))] };
        out.send(first).await.map_err(|_| "the stream closed".to_owned())?;
        let opening = client.link(ReceiverStream::new(frames));
        let answers = timeout(CONNECT_TIMEOUT, opening)
            .await
            .map_err(|_| "no answer to the hello".to_owned())?
            .map_err(|status| status.message().to_owned())?
            .into_inner();
        Ok(Open { out, answers, pending: HashMap::new(), last_call: 0 })
    }

    async fn connect(&self) -> Result<Channel, String> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address))
            .map_err(|error| error.to_string())?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20);
        endpoint.connect().await.map_err(|error| error.to_string())
    }
}

impl Open {
    /// Returns what to tell callers whose calls were not sent.
    async fn serve(mut self, calls: &mut mpsc::Receiver<Outgoing>) -> String {
        let ended = self.exchange(calls).await;
        let (message, lost) = match ended {
            Ended::Goodbye => ("the owner stopped".to_owned(), false),
            Ended::Idle => ("the link was idle".to_owned(), false),
            Ended::Unread => ("the owner read no more".to_owned(), true),
            Ended::Broken(reason) => (format!("the link to the owner broke: {reason}"), true),
        };
        for (_, reply) in self.pending.drain() {
            let answer = if lost {
                broken(&message)
            } else {
                let failure = crate::Failure::new(FailureCode::Stopping, message.clone());
                crate::router::failed(failure)
            };
            let _ = reply.send(answer);
        }
        message
    }

    async fn exchange(&mut self, calls: &mut mpsc::Receiver<Outgoing>) -> Ended {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                frame = self.answers.message() => match frame {
                    Ok(Some(frame)) => {
                        if let Some(ended) = self.answered(frame) {
                            return ended;
                        }
                    }
                    Ok(None) => return Ended::Broken("the owner closed it".to_owned()),
                    Err(status) => return Ended::Broken(status.message().to_owned()),
                },
                taken = calls.recv_many(&mut batch, ENVELOPES_PER_FRAME_MAX) => {
                    if taken == 0 {
                        return match self.pending.len() {
                            0 => Ended::Idle,
                            _ => Ended::Broken("this node stopped".to_owned()),
                        };
                    }
                    match self.write(&mut batch).await {
                        None => {}
                        Some(Ended::Unread) => {
                            calls.close();
                            while let Ok(outgoing) = calls.try_recv() {
                                outgoing.not_sent(FailureCode::Unreachable, "the owner reads no more");
                            }
                            return self.last_answers().await;
                        }
                        Some(ended) => return ended,
                    }
                }
                () = tokio::time::sleep(LINK_IDLE_MAX), if self.pending.is_empty() => {
                    return Ended::Idle;
                }
            }
        }
    }

    fn answered(&mut self, frame: Frame) -> Option<Ended> {
        for envelope in frame.envelopes {
            match envelope.body {
                Some(Body::Response(response)) => {
                    // A caller that is gone needs no answer.
                    if let Some(reply) = self.pending.remove(&response.call) {
                        let _ = reply.send(wire::answer(response));
                    }
                }
                Some(Body::Goodbye(_)) => return Some(Ended::Goodbye),
                // The peer's hello, or something newer.
                _ => {}
            }
        }
        None
    }

    async fn write(&mut self, batch: &mut Vec<Outgoing>) -> Option<Ended> {
        let mut envelopes: Vec<Envelope> = Vec::with_capacity(batch.len());
        for Outgoing { call, reply, fate } in batch.drain(..) {
            if reply.is_closed() || !fate.write() {
                continue;
            }
            self.last_call += 1;
            envelopes.push(wire::envelope(Body::Request(wire::request(self.last_call, &call))));
            self.pending.insert(self.last_call, reply);
        }
        for frame in frames(envelopes) {
            // While the connection takes no frame, answers must still be read, or two nodes that
            // fill each other's windows would wait for ever.
            let mut sending = std::pin::pin!(self.out.clone().reserve_owned());
            let permit = loop {
                tokio::select! {
                    permit = &mut sending => break permit,
                    frame = self.answers.message() => match frame {
                        Ok(Some(frame)) => {
                            if let Some(ended) = self.answered(frame) {
                                return Some(ended);
                            }
                        }
                        Ok(None) => return Some(Ended::Broken("the owner closed it".to_owned())),
                        Err(status) => return Some(Ended::Broken(status.message().to_owned())),
                    },
                }
            };
            match permit {
                Ok(permit) => {
                    permit.send(frame);
                }
                Err(_) => return Some(Ended::Unread),
            }
        }
        // Callers that went away while the peer was silent.
        if self.pending.len() > 2 * super::CALLS_WAITING_MAX {
            self.pending.retain(|_, reply| !reply.is_closed());
        }
        None
    }

    /// The peer reads no more. What it wrote before, its goodbye perhaps, may be on its way still.
    async fn last_answers(&mut self) -> Ended {
        let patience = Instant::now() + LAST_ANSWERS_TIMEOUT;
        while let Ok(Ok(Some(frame))) = timeout_at(patience, self.answers.message()).await {
            if let Some(ended) = self.answered(frame) {
                return ended;
            }
        }
        Ended::Broken("the stream closed".to_owned())
    }
}
