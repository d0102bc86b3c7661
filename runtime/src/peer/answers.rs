//! The way of answers back to a peer: those that are known at once, in order, and those of turns that
//! wait, whenever they come.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use fnv::FnvBuildHasher;
use futures_util::task::AtomicWaker;
use greenroom_proto::Frame;
use greenroom_proto::v1::Envelope;
use greenroom_proto::view::put_envelope;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::outbox::{Outbox, Writer, wake};
use super::stream_out::Outflow;
use super::wire;
use crate::activation::{Answer, RemoteReplier};
use crate::failure::{Failure, FailureCode};
use crate::payload::Outcome;
use crate::router::failed;
use crate::streaming::Flow;

/// While a peer does not read so many bytes of answers, no more of its calls are read.
const BYTES_WAITING_MAX: usize = 8 << 20;
/// Answers that are known at once go on their way together, but no more than so many, nor more bytes.
const TOGETHER_MAX: usize = 64;
const BYTES_TOGETHER: usize = 64 << 10;

/// What goes back to one peer.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) payload_bytes_max: usize,
    /// The node's, on which streams are sent.
    pub(super) runtime: Handle,
    outbox: Mutex<Outbox>,
    /// Rung when the connection has taken a frame, and when it takes no more.
    taken: Notify,
    /// The peer's calls whose turns wait, or whose streams are open, by number.
    waiting: Mutex<HashMap<u64, Arc<Caller>, FnvBuildHasher>>,
}

/// Whether a call of the peer is still waited for.
#[derive(Debug, Default)]
pub(super) struct Caller {
    is_gone: AtomicBool,
    /// For how many bytes of a stream it has room.
    pub(super) credit: AtomicI64,
    turn: AtomicWaker,
}

impl Caller {
    fn new(stream_window: u32) -> Arc<Self> {
        Arc::new(Self { credit: AtomicI64::new(stream_window.into()), ..Self::default() })
    }

    /// Resolves when it is gone; woken as well when it has room for more of a stream.
    pub(super) fn poll_gone(&self, cx: &Context<'_>) -> Poll<()> {
        self.turn.register(cx.waker());
        if self.is_gone.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn leave(&self) {
        self.is_gone.store(true, Ordering::Release);
        self.turn.wake();
    }
}

impl Answers {
    pub(super) fn new(payload_bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            payload_bytes_max,
            runtime: Handle::current(),
            outbox: Mutex::default(),
            taken: Notify::new(),
            waiting: Mutex::default(),
        })
    }

    /// The peer's calls that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Writes an envelope.
    pub(super) fn send(&self, envelope: &Envelope) {
        self.write(|out| put_envelope(out, envelope));
    }

    /// Adds what `put` writes: envelopes.
    pub(super) fn write(&self, put: impl FnOnce(&mut BytesMut)) {
        let waker = self.outbox.lock().write(None, put);
        wake(waker);
    }

    /// Waits until the peer has read most of what was written for it, or reads no more.
    pub(super) async fn read(&self) {
        self.taken_until(|outbox| outbox.bytes() < BYTES_WAITING_MAX).await;
    }

    /// The same, and until nothing is left to write of a large item of this call, which the next one
    /// would overtake.
    pub(super) async fn has_room_after(&self, call: u64) {
        let has_room =
            |outbox: &Outbox| outbox.bytes() < BYTES_WAITING_MAX && !outbox.is_writing(call);
        self.taken_until(has_room).await;
    }

    /// Waits until the connection has taken so much, or takes no more.
    async fn taken_until(&self, is_enough: impl Fn(&Outbox) -> bool) {
        loop {
            let taken = self.taken.notified();
            {
                let outbox = self.outbox.lock();
                if is_enough(&outbox) || !outbox.is_open() {
                    return;
                }
            }
            taken.await;
        }
    }

    /// Writes what is there, and then no more.
    pub(super) fn close(&self) {
        let waker = self.outbox.lock().close();
        wake(waker);
    }

    /// Ends the link at once.
    pub(super) fn cut(&self) {
        let waker = self.outbox.lock().abandon();
        wake(waker);
        self.taken.notify_waiters();
    }

    /// Nobody waits for the answers any more.
    pub(super) fn forget_callers(&self) {
        let callers = std::mem::take(&mut *self.waiting.lock());
        for caller in callers.into_values() {
            caller.leave();
        }
    }

    /// Nobody waits for the answer to this call any more.
    pub(super) fn forget_caller(&self, call: u64) {
        let caller = self.waiting.lock().get(&call).cloned();
        if let Some(caller) = caller {
            caller.leave();
        }
    }

    /// The peer has room for so many more bytes of the stream that answers this call.
    pub(super) fn grant(&self, call: u64, bytes: u64) {
        let Some(caller) = self.waiting.lock().get(&call).cloned() else { return };
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let _ = caller.credit.fetch_update(Ordering::AcqRel, Ordering::Acquire, |credit| {
            Some(credit.saturating_add(bytes))
        });
        caller.turn.wake();
    }

    /// The way back for a turn that waits.
    pub(super) fn later(self: &Arc<Self>, call: u64, stream_window: u32) -> LateReply {
        let caller = self.wait(call, stream_window);
        LateReply { answers: Arc::clone(self), caller, call, is_sent: false }
    }

    fn wait(&self, call: u64, stream_window: u32) -> Arc<Caller> {
        let caller = Caller::new(stream_window);
        let former = self.waiting.lock().insert(call, Arc::clone(&caller));
        // A peer that uses a number again can neither cancel the former call nor be counted for it: a
        // stream would stay open for ever.
        if let Some(former) = former {
            former.leave();
        }
        caller
    }

    /// The call of this caller is no longer under way.
    pub(super) fn forget(&self, call: u64, caller: &Arc<Caller>) {
        let mut waiting = self.waiting.lock();
        if waiting.get(&call).is_some_and(|other| Arc::ptr_eq(other, caller)) {
            waiting.remove(&call);
        }
    }

    /// Answers a call with a stream.
    pub(super) fn stream(self: &Arc<Self>, call: u64, stream_window: u32, flow: Flow) {
        let caller = self.wait(call, stream_window);
        Outflow::begin(Arc::clone(self), caller, call, flow);
    }
}

impl Writer for Answers {
    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        let polled = self.outbox.lock().poll_take(&mut (), cx);
        if polled.is_ready() {
            self.taken.notify_waiters();
        }
        polled
    }

    fn hung_up(&self) {
        self.cut();
    }
}

/// Answers that are known at once, on their way to the outbox.
#[derive(Debug)]
pub(super) struct Together<'a> {
    answers: &'a Answers,
    bytes: BytesMut,
    count: usize,
}

impl<'a> Together<'a> {
    pub(super) fn new(answers: &'a Answers) -> Self {
        Self { answers, bytes: BytesMut::new(), count: 0 }
    }

    pub(super) fn add(&mut self, call: u64, answer: Answer) {
        let before = self.bytes.len();
        let max = self.answers.payload_bytes_max;
        if let Some(rest) = wire::put_answer(&mut self.bytes, call, answer, max) {
            let last = self.bytes.split_off(before).freeze();
            self.answers.write_large(call, rest, last);
        }
        self.count += 1;
        if self.count >= TOGETHER_MAX || self.bytes.len() >= BYTES_TOGETHER {
            self.send();
        }
    }

    pub(super) fn send(&mut self) {
        self.count = 0;
        if self.bytes.is_empty() {
            return;
        }
        self.answers.write(|out| out.extend_from_slice(&self.bytes));
        self.bytes.clear();
    }
}

impl Answers {
    pub(super) fn write_large(&self, call: u64, rest: Bytes, last: Bytes) {
        let waker = self.outbox.lock().write_large(call, false, rest, last);
        wake(waker);
    }

    fn answer(&self, call: u64, answer: Answer) {
        let mut bytes = BytesMut::new();
        match wire::put_answer(&mut bytes, call, answer, self.payload_bytes_max) {
            Some(rest) => self.write_large(call, rest, bytes.freeze()),
            None => self.write(|out| out.extend_from_slice(&bytes)),
        }
    }
}

/// The way back to a peer's caller, for a turn that waits.
#[derive(Debug)]
pub(super) struct LateReply {
    answers: Arc<Answers>,
    caller: Arc<Caller>,
    call: u64,
    is_sent: bool,
}

impl LateReply {
    fn answer(&mut self, answer: Answer) {
        self.is_sent = true;
        match answer {
            Answer::Done(Outcome::Stream(flow)) => {
                let (answers, caller) = (Arc::clone(&self.answers), Arc::clone(&self.caller));
                Outflow::begin(answers, caller, self.call, *flow);
            }
            answer => {
                self.answers.answer(self.call, answer);
                self.answers.forget(self.call, &self.caller);
            }
        }
    }
}

impl RemoteReplier for LateReply {
    fn send(mut self: Box<Self>, answer: Answer) {
        LateReply::answer(&mut self, answer);
    }

    fn is_gone(&self) -> bool {
        self.caller.is_gone.load(Ordering::Acquire)
    }

    fn poll_gone(&self, cx: &Context<'_>) -> Poll<()> {
        self.caller.poll_gone(cx)
    }
}

impl Drop for LateReply {
    fn drop(&mut self) {
        if !self.is_sent {
            // The cell was dropped with the turn in it: the node was fenced or taken down.
            let message = "the actor was dropped while the call waited or ran";
            let failure = Failure::new(FailureCode::Fenced, message).that_may_have_run();
            self.answer(failed(failure));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_number_that_a_peer_uses_again_ends_its_former_call() {
        let answers = Answers::new(1000);
        let (former, present) = (answers.wait(7, 0), answers.wait(7, 0));
        let is_gone = |caller: &Caller| caller.is_gone.load(Ordering::Acquire);
        assert_eq!((is_gone(&former), is_gone(&present), answers.waiting()), (true, false, 1));
        answers.forget(7, &former);
        assert_eq!(answers.waiting(), 1, "that was another call");
        answers.forget_callers();
        assert!(is_gone(&present));
    }
}
