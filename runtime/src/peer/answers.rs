//! The way of answers back to a peer: those that are known at once, in order, and those of turns that
//! wait, whenever they come.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use fnv::FnvBuildHasher;
use futures_util::task::AtomicWaker;
use greenroom_proto::Frame;
use greenroom_proto::v1::Envelope;
use greenroom_proto::view::put_envelope;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::outbox::{Outbox, Writer, wake};
use super::wire;
use crate::activation::{Answer, RemoteReplier};
use crate::failure::{Failure, FailureCode};
use crate::router::failed;

/// While a peer does not read so many bytes of answers, no more of its calls are read.
const BYTES_WAITING_MAX: usize = 8 << 20;
/// Answers that are known at once go on their way together, but no more than so many, nor more bytes.
const TOGETHER_MAX: usize = 64;
const BYTES_TOGETHER: usize = 64 << 10;

/// What goes back to one peer.
#[derive(Debug)]
pub(super) struct Answers {
    payload_bytes_max: usize,
    outbox: Mutex<Outbox>,
    /// Rung when the connection has taken a frame, and when it takes no more.
    taken: Notify,
    /// The peer's calls whose turns wait, by number.
    waiting: Mutex<HashMap<u64, Arc<Caller>, FnvBuildHasher>>,
}

/// Whether a call of the peer is still waited for.
#[derive(Debug, Default)]
struct Caller {
    is_gone: AtomicBool,
    turn: AtomicWaker,
}

impl Caller {
    fn leave(&self) {
        self.is_gone.store(true, Ordering::Release);
        self.turn.wake();
    }
}

impl Answers {
    pub(super) fn new(payload_bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            payload_bytes_max,
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
        let waker = self.outbox.lock().write(None, |out| put_envelope(out, envelope));
        wake(waker);
    }

    /// Waits until the peer has read most of what was written for it, or reads no more.
    pub(super) async fn read(&self) {
        loop {
            let taken = self.taken.notified();
            {
                let outbox = self.outbox.lock();
                if outbox.bytes() < BYTES_WAITING_MAX || !outbox.is_open() {
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

    /// The way back for a turn that waits.
    pub(super) fn later(self: &Arc<Self>, call: u64) -> LateReply {
        let caller = Arc::new(Caller::default());
        self.waiting.lock().insert(call, Arc::clone(&caller));
        LateReply { answers: Arc::clone(self), caller, call, is_sent: false }
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
        let waker =
            self.answers.outbox.lock().write(None, |out| out.extend_from_slice(&self.bytes));
        self.bytes.clear();
        wake(waker);
    }
}

impl Answers {
    fn write_large(&self, call: u64, rest: Bytes, last: Bytes) {
        let waker = self.outbox.lock().write_large(call, false, rest, last);
        wake(waker);
    }

    fn answer(&self, call: u64, answer: Answer) {
        let mut bytes = BytesMut::new();
        match wire::put_answer(&mut bytes, call, answer, self.payload_bytes_max) {
            Some(rest) => self.write_large(call, rest, bytes.freeze()),
            None => {
                let waker = self.outbox.lock().write(None, |out| out.extend_from_slice(&bytes));
                wake(waker);
            }
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
        self.answers.answer(self.call, answer);
        let mut waiting = self.answers.waiting.lock();
        if waiting.get(&self.call).is_some_and(|caller| Arc::ptr_eq(caller, &self.caller)) {
            waiting.remove(&self.call);
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
        self.caller.turn.register(cx.waker());
        if self.is_gone() { Poll::Ready(()) } else { Poll::Pending }
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
