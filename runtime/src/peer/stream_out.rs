//! The answering side of a streamed reply: brings an author's items to a peer, as far as that has room
//! for them.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use greenroom_proto::v1::envelope::Body;
use greenroom_proto::v1::{End, Envelope};
use greenroom_proto::view::{Outcome, Response, put_envelope, put_item, put_response};

use tokio::task::coop::consume_budget;

use super::answers::{Answers, Caller};
use super::wire;
use crate::failure::Failure;
use crate::streaming::{EncodedItems, Flow, Guarded, interrupted};

/// What an item takes of its reader's room beside its bytes, so that the number of small ones is
/// bounded, too.
pub(super) const ITEM_COST: usize = 64;

/// What is there to be sent next.
enum Next {
    /// Nobody reads it any more.
    Gone,
    Item(Bytes),
    /// The end, and what cut the stream short, if anything.
    End(Option<Failure>),
}

/// A stream on its way to a peer. However it ends, the peer is told.
pub(super) struct Outflow {
    answers: Arc<Answers>,
    /// The call is under way as long as its stream is.
    caller: Arc<Caller>,
    call: u64,
    is_over: bool,
}

impl Outflow {
    /// Answers a call with a stream, and sends its items from a task of their own.
    pub(super) fn begin(answers: Arc<Answers>, caller: Arc<Caller>, call: u64, flow: Flow) {
        let mut outflow = Self { answers, caller, call, is_over: false };
        outflow.answers.write(|out| {
            put_response(out, &Response { call, outcome: Some(Outcome::Stream) });
        });
        match flow.into_encoded() {
            Ok(items) => {
                let runtime = outflow.answers.runtime.clone();
                runtime.spawn(outflow.send_all(items));
            }
            Err(failure) => outflow.end(Some(failure)),
        }
    }

    async fn send_all(mut self, mut items: Guarded<EncodedItems>) {
        let end = loop {
            let item = match poll_fn(|cx| self.poll_next(&mut items, cx)).await {
                Next::Gone => {
                    self.is_over = true;
                    return;
                }
                Next::Item(item) => item,
                Next::End(end) => break end,
            };
            let max = self.answers.payload_bytes_max;
            if item.len() > max {
                break Some(wire::too_large("item", item.len(), max).that_may_have_run());
            }
            self.caller.credit.fetch_sub((item.len() + ITEM_COST) as i64, Ordering::AcqRel);
            self.write(&item);
            // A stream that always has an item lets others have the thread, too.
            consume_budget().await;
            tokio::select! {
                biased;
                () = self.answers.has_room_after(self.call) => {}
                failure = poll_fn(|cx| items.poll_interrupted(cx)) => break Some(failure),
            }
        };
        self.end(end);
    }

    /// The next item, once there is room for it. Also while there is none, it hears of the end of the
    /// activation, so that no slow reader keeps the node from stopping.
    fn poll_next(&self, items: &mut Guarded<EncodedItems>, cx: &mut Context<'_>) -> Poll<Next> {
        if self.caller.poll_gone(cx).is_ready() {
            return Poll::Ready(Next::Gone);
        }
        if self.caller.credit.load(Ordering::Acquire) <= 0 {
            return items.poll_interrupted(cx).map(|failure| Next::End(Some(failure)));
        }
        items.poll_next_unpin(cx).map(|item| match item {
            Some(Ok(item)) => Next::Item(item),
            Some(Err(failure)) => Next::End(Some(failure)),
            None => Next::End(None),
        })
    }

    fn write(&self, item: &Bytes) {
        match wire::parts(item) {
            None => self.answers.write(|out| put_item(out, self.call, item)),
            Some((rest, last)) => {
                let mut envelope = BytesMut::new();
                put_item(&mut envelope, self.call, last);
                self.answers.write_large(self.call, item.slice_ref(rest), envelope.freeze());
            }
        }
    }

    fn end(&mut self, failure: Option<Failure>) {
        self.is_over = true;
        let failure = failure.map(wire::failure_to_wire);
        let end = Envelope { body: Some(Body::End(End { call: self.call, failure })) };
        self.answers.write(|out| put_envelope(out, &end));
    }
}

impl Drop for Outflow {
    fn drop(&mut self) {
        if !self.is_over {
            self.end(Some(interrupted("the owner stopped sending")));
        }
        self.answers.forget(self.call, &self.caller);
    }
}
