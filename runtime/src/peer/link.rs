//! The calling side of a link: takes calls, and hands their answers to those who wait for them.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use greenroom_proto::Frame;
use greenroom_proto::v1::envelope::Body;
use greenroom_proto::v1::peer_client::PeerClient;
use greenroom_proto::v1::{End, Envelope};
use greenroom_proto::view::{Outcome, Response, View, put_cancel, put_credit, put_envelope};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use super::health::Witness;
use super::outbox::{FRAME_BYTES_MAX, Frames, Outbox, Writer, wake};
use super::parts::{Parts, TooLarge};
use super::pending::{Calls, Pending, Reply, Slot};
use super::stream_in::{Inflow, flooded};
use super::{Identity, PeerCall, broken, wire};
use crate::activation::Answer;
use crate::failure::{Failure, FailureCode};
use crate::payload::Outcome::Stream as Streamed;
use crate::router::failed;
use crate::streaming::Flow;

/// Most calls, and most bytes of calls, that wait to be written to one peer.
const CALLS_WAITING_MAX: usize = 4096;
const BYTES_WAITING_MAX: usize = 64 << 20;
/// A link that nobody used for so long, and whose peer may be gone, is closed.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How long to read on when a peer takes no more calls.
const LAST_ANSWERS_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Deadlines are looked for no more often than this.
const DEADLINE_GRAIN: Duration = Duration::from_millis(1);

/// One stream to a peer. Callers write their calls into its outbox themselves; its task connects, reads
/// answers and watches deadlines.
pub(crate) struct Link {
    address: String,
    payload_bytes_max: usize,
    state: Mutex<State>,
    /// Rung when the next deadline has become an earlier one, and when the link is closed.
    clock: Notify,
    /// Rung when the connection takes no more frames.
    unread: Notify,
}

#[derive(Default)]
struct State {
    outbox: Outbox,
    calls: Calls,
    /// Calls that were ever taken, to tell whether anybody uses the link.
    taken: u64,
    /// Why it takes no more calls.
    ended: Option<Ended>,
}

/// Why a link takes no more calls.
#[derive(Clone, Debug)]
pub(super) enum Ended {
    /// The peer answered all that it read, and reads no more.
    Goodbye,
    Unreachable(String),
    Broken(String),
    /// The peer takes no more; what it wrote before may be on its way still.
    Unread,
    /// Nobody used it.
    Idle,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Goodbye => f.write_str("the owner stopped"),
            Self::Unreachable(reason) => write!(f, "the owner can't be reached: {reason}"),
            Self::Broken(reason) => write!(f, "the link to the owner broke: {reason}"),
            Self::Unread => f.write_str("the owner read no more"),
            Self::Idle => f.write_str("the link was idle"),
        }
    }
}

impl Ended {
    /// What callers are told whose calls were in the link.
    fn answer(&self, written: bool) -> Answer {
        match self {
            _ if !written => failed(Failure::new(FailureCode::Unreachable, self.to_string())),
            Self::Goodbye => failed(Failure::new(FailureCode::Stopping, self.to_string())),
            _ => broken(&self.to_string()),
        }
    }
}

/// Why a link does not take a call.
pub(super) enum Refused {
    /// It is full; that passes.
    Full(String),
    /// It has ended: another one may do.
    Ended,
    /// It may not be sent now.
    Withheld,
}

impl Link {
    pub(super) fn new(address: &str, identity: &Identity, payload_bytes_max: usize) -> Arc<Self> {
        let mut state = State::default();
        state.outbox.write(None, |out| put_envelope(out, &identity.hello()));
        Arc::new(Self {
            address: address.to_owned(),
            payload_bytes_max,
            state: Mutex::new(state),
            clock: Notify::new(),
            unread: Notify::new(),
        })
    }

    /// Calls that are not answered yet, and streams that are open.
    pub(super) fn calls(&self) -> usize {
        self.state.lock().calls.len()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state.lock().ended.is_some()
    }

    /// Takes a call, if there is room for it and `may_be_sent` says so, which is asked last.
    pub(super) fn call(
        self: &Arc<Self>,
        call: &PeerCall<'_>,
        may_be_sent: impl FnOnce() -> bool,
    ) -> Result<Reply, Refused> {
        let mut locked = self.state.lock();
        let state = &mut *locked;
        if state.ended.is_some() {
            return Err(Refused::Ended);
        }
        let (waiting, bytes) = (state.outbox.calls(), state.outbox.bytes());
        if waiting >= CALLS_WAITING_MAX || bytes >= BYTES_WAITING_MAX {
            let message = format!("{waiting} calls of {bytes} bytes wait for {}", self.address);
            return Err(Refused::Full(message));
        }
        if !may_be_sent() {
            return Err(Refused::Withheld);
        }
        let (number, slot, is_next) = state.calls.insert(call.deadline);
        state.taken += 1;
        let waker = match wire::parts(call.arguments) {
            None => state
                .outbox
                .write(Some(number), |out| wire::put_call(out, number, call, call.arguments)),
            Some((rest, last)) => {
                let mut head = BytesMut::new();
                wire::put_call(&mut head, number, call, last);
                let rest = Bytes::copy_from_slice(rest);
                state.outbox.write_large(number, true, rest, head.freeze())
            }
        };
        drop(locked);
        wake(waker);
        if is_next {
            self.clock.notify_one();
        }
        Ok(Reply::new(slot, Arc::clone(self), number))
    }

    /// Nobody waits for the answer to a call any more.
    pub(super) fn give_up(&self, call: u64) {
        let waker = {
            let mut state = self.state.lock();
            let Some(pending) = state.calls.remove(call) else { return };
            state.take_back(call, pending.written)
        };
        wake(waker);
    }

    /// The reader of a stream has room for so many more bytes of it.
    pub(super) fn grant(&self, call: u64, bytes: u64) {
        let waker = self.state.lock().outbox.write(None, |out| put_credit(out, call, bytes));
        wake(waker);
    }

    /// Ends the link; its calls fail.
    pub(super) fn close(&self) {
        self.end(&Ended::Broken("this node stopped".to_owned()));
        self.clock.notify_one();
    }

    /// Serves calls until the link is idle or closed, or the peer can't be reached any more. Callers
    /// that are left are told whether their calls may have run; they decide about another attempt,
    /// which opens a new link.
    pub(super) async fn run(self: Arc<Self>, witness: Witness) {
        let ended = tokio::select! {
            ended = self.serve(witness) => ended,
            () = self.watch_deadlines() => Ended::Idle,
        };
        self.end(&ended);
    }

    fn end(&self, ended: &Ended) {
        let (calls, waker) = {
            let mut state = self.state.lock();
            state.ended.get_or_insert_with(|| ended.clone());
            (state.calls.all(), state.outbox.abandon())
        };
        wake(waker);
        for pending in calls {
            let answer = ended.answer(pending.written);
            pending.answer(answer);
        }
    }

    async fn serve(self: &Arc<Self>, witness: Witness) -> Ended {
        match self.open().await {
            Ok(answers) => {
                witness.connected();
                let mut has_answered = false;
                let ended = self.read(answers, &mut has_answered).await;
                let broke = matches!(ended, Ended::Broken(_) | Ended::Unread);
                witness.ended(broke, has_answered);
                ended
            }
            Err(reason) => {
                drop(witness);
                let ended = Ended::Unreachable(reason);
                tracing::debug!(address = self.address, "{ended}");
                ended
            }
        }
    }

    async fn open(self: &Arc<Self>) -> Result<Streaming<Frame>, String> {
        let channel = timeout(CONNECT_TIMEOUT, self.connect())
            .await
            .map_err(|_| "no answer to the connection attempt".to_owned())??;
        let mut client = PeerClient::new(channel)
            .max_decoding_message_size(FRAME_BYTES_MAX)
            .max_encoding_message_size(FRAME_BYTES_MAX);
        let opening = client.link(Frames(Arc::clone(self)));
        let answers = timeout(CONNECT_TIMEOUT, opening)
            .await
            .map_err(|_| "no answer to the hello".to_owned())?
            .map_err(|status| status.message().to_owned())?;
        Ok(answers.into_inner())
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

    async fn read(
        self: &Arc<Self>,
        mut answers: Streaming<Frame>,
        has_answered: &mut bool,
    ) -> Ended {
        let mut parts = Parts::new(self.payload_bytes_max);
        let mut patience = pin!(tokio::time::sleep(LAST_ANSWERS_TIMEOUT));
        let mut is_unread = false;
        loop {
            tokio::select! {
                frame = answers.message() => match frame {
                    Ok(Some(frame)) => {
                        if let Some(ended) = self.take(&frame, &mut parts, has_answered) {
                            return ended;
                        }
                    }
                    Ok(None) => return Ended::Broken("the owner closed it".to_owned()),
                    Err(status) => return Ended::Broken(status.message().to_owned()),
                },
                () = self.unread.notified() => {
                    patience.as_mut().reset(Instant::now() + LAST_ANSWERS_TIMEOUT);
                    is_unread = true;
                }
                () = &mut patience, if is_unread => return Ended::Unread,
            }
        }
    }

    /// Hands out the answers and items of a frame.
    pub(super) fn take(
        self: &Arc<Self>,
        frame: &Frame,
        parts: &mut Parts,
        has_answered: &mut bool,
    ) -> Option<Ended> {
        let mut answered: Vec<(Pending, Answer)> = Vec::new();
        let mut streams: Vec<(Arc<Slot>, Flow)> = Vec::new();
        let mut readers: Vec<Waker> = Vec::new();
        let mut ended = None;
        let mut state = self.state.lock();
        for view in frame.views() {
            match view {
                Ok(View::Response(Response { call, outcome: Some(Outcome::Stream) })) => {
                    *has_answered = true;
                    let stream = state.calls.stream(call, self.payload_bytes_max);
                    streams.extend(stream.map(|(slot, inbox)| {
                        let items = Inflow::new(inbox, Arc::clone(self), call);
                        (slot, Flow::from_peer(items.boxed()))
                    }));
                }
                Ok(View::Item(call, last)) => {
                    let whole = parts.whole(call, last, frame.bytes());
                    readers.extend(state.take_item(call, whole).into_iter().flatten());
                }
                Ok(View::Response(response)) => {
                    *has_answered = true;
                    let call = response.call;
                    let answer = wire::answer(response, frame.bytes(), parts);
                    // A caller that is gone needs no answer.
                    if let Some(pending) = state.calls.remove(call) {
                        answered.push((pending, answer));
                    }
                }
                Ok(View::Part(call, data)) => {
                    if !parts.keep(call, data) {
                        ended = Some(Ended::Broken("too many unfinished replies".to_owned()));
                        break;
                    }
                }
                Ok(View::Other(Envelope { body: Some(Body::End(End { call, failure })) })) => {
                    let failure = failure.map(wire::failure_from_wire);
                    match state.calls.remove(call).map(Pending::into_inbox) {
                        Some(Ok(inbox)) => readers.extend(inbox.end(failure)),
                        Some(Err(pending)) => answered.push((pending, never_begun(failure))),
                        None => {}
                    }
                }
                Ok(View::Other(Envelope { body: Some(Body::Goodbye(_)) })) => {
                    ended = Some(Ended::Goodbye);
                    break;
                }
                // The peer's hello, or something newer.
                Ok(_) => {}
                Err(malformed) => {
                    ended = Some(Ended::Broken(malformed.to_string()));
                    break;
                }
            }
        }
        drop(state);
        for (pending, answer) in answered {
            pending.answer(answer);
        }
        for (slot, flow) in streams {
            slot.fill(Answer::Done(Streamed(Box::new(flow))));
        }
        readers.into_iter().for_each(Waker::wake);
        ended
    }

    /// Answers calls whose deadlines pass. Returns when nobody uses the link any more.
    async fn watch_deadlines(&self) {
        let (mut idle_at, mut taken) = (Instant::now() + IDLE_MAX, 0);
        loop {
            let next = {
                let mut state = self.state.lock();
                if state.taken != taken || state.calls.len() > 0 {
                    taken = state.taken;
                    idle_at = Instant::now() + IDLE_MAX;
                } else if Instant::now() >= idle_at {
                    state.ended.get_or_insert(Ended::Idle);
                }
                if state.ended.is_some() && state.calls.len() == 0 {
                    return;
                }
                state.calls.next_deadline().map_or(idle_at, |next| next.min(idle_at))
            };
            tokio::select! {
                () = sleep_until(next.max(Instant::now() + DEADLINE_GRAIN)) => {
                    self.expire(Instant::now());
                }
                () = self.clock.notified() => {}
            }
        }
    }

    fn expire(&self, now: Instant) {
        let mut wakers = Vec::new();
        let expired = {
            let mut state = self.state.lock();
            let expired = state.calls.expired(now);
            for (call, pending) in &expired {
                wakers.extend(state.take_back(*call, pending.written));
            }
            expired
        };
        for waker in wakers {
            waker.wake();
        }
        for (_, pending) in expired {
            let written = pending.written;
            pending.answer(failed(if written {
                let message = "the owner did not answer before the deadline";
                Failure::new(FailureCode::Timeout, message).that_may_have_run()
            } else {
                let message = "the deadline passed before the call was sent to the owner";
                Failure::new(FailureCode::Timeout, message)
            }));
        }
    }
}

/// What the caller is told of a stream that ended before it began.
fn never_begun(failure: Option<Failure>) -> Answer {
    failed(failure.unwrap_or_else(|| {
        let message = "the owner ended a stream that it had not begun";
        Failure::new(FailureCode::BadReply, message).that_may_have_run()
    }))
}

impl State {
    /// Puts an item where its reader finds it; whom to wake.
    fn take_item(&mut self, call: u64, whole: Result<Bytes, TooLarge>) -> [Option<Waker>; 2] {
        let Some(inbox) = self.calls.items(call) else { return [None, None] };
        let failure = match whole {
            Ok(item) => match inbox.push(&item) {
                (true, reader) => return [reader, None],
                (false, _) => flooded(),
            },
            Err(TooLarge(len)) => wire::too_large_here("item", len),
        };
        let reader = inbox.end(Some(failure));
        self.calls.remove(call);
        [reader, self.take_back(call, true)]
    }

    /// A call is over that the peer need not run, if it has it at all.
    fn take_back(&mut self, call: u64, written: bool) -> Option<Waker> {
        if written {
            return self.outbox.write(None, |out| put_cancel(out, call));
        }
        // What stands in a frame is left out when that is written.
        if self.outbox.take_back(call) {
            return self.outbox.write(None, |out| put_cancel(out, call));
        }
        None
    }
}

impl Writer for Link {
    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        let State { outbox, calls, .. } = &mut *self.state.lock();
        outbox.poll_take(calls, cx)
    }

    fn hung_up(&self) {
        let unsent = {
            let mut state = self.state.lock();
            state.ended.get_or_insert(Ended::Unread);
            let _ = state.outbox.abandon();
            state.calls.unwritten()
        };
        for pending in unsent {
            pending.answer(Ended::Unread.answer(false));
        }
        self.unread.notify_one();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("address", &self.address).finish_non_exhaustive()
    }
}
