//! What waits to be written to one peer. Whoever has something to say writes it here in its final form;
//! the connection takes a frame whenever it has room for one. So what comes while the connection is busy
//! goes along in the next frame, and nothing waits for company.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use greenroom_proto::Frame;
use greenroom_proto::view;

/// A frame is closed when it has reached this size, so that one envelope more may exceed it.
const FRAME_BYTES: usize = 256 << 10;
/// Largest payload that goes in one piece, and the size of the pieces of others. Each frame takes one
/// piece along, so a small call behind large ones waits for little more than that.
pub(super) const PART_BYTES: usize = 64 << 10;
/// Large payloads that are written side by side; others wait for one of them to end.
pub(super) const LARGE_AT_A_TIME: usize = 4;
/// Largest frame, and so the largest message that a peer may send. An envelope has at most a piece of
/// payload, a chain of actors and a request context, each bounded.
pub(crate) const FRAME_BYTES_MAX: usize = 1 << 20;

/// Envelopes that wait to be written, in order, and large payloads between them.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    frames: VecDeque<Waiting>,
    large: VecDeque<Large>,
    /// Calls that may still be taken back.
    calls: usize,
    bytes: usize,
    /// Of the connection, when it has found nothing to take.
    reader: Option<Waker>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// What is there is written, and nothing more.
    Closing,
    /// Nobody writes it any more.
    Gone,
}

/// A frame that still may grow.
#[derive(Debug, Default)]
struct Waiting {
    bytes: BytesMut,
    calls: Vec<Written>,
}

/// Where a call that may be taken back stands in its frame.
#[derive(Debug)]
struct Written {
    call: u64,
    from: usize,
    to: usize,
}

/// A payload that goes in pieces.
#[derive(Debug)]
struct Large {
    call: u64,
    may_be_taken_back: bool,
    rest: Bytes,
    /// The envelope with the last piece.
    last: Bytes,
}

/// Whether a call is still wanted when it is about to be written for good.
pub(super) trait Fates {
    /// The call is about to be written; `false` if nobody waits for it any more.
    fn write(&mut self, call: u64) -> bool;
}

/// All that is there is wanted.
impl Fates for () {
    fn write(&mut self, _: u64) -> bool {
        true
    }
}

impl Outbox {
    /// Calls that wait to be written.
    pub(super) fn calls(&self) -> usize {
        self.calls
    }

    /// Bytes that wait to be written.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether something written now would still go.
    pub(super) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Adds what `put` writes: envelopes, of which a `call` may be taken back until it is written. The
    /// waker, if there is one, must be woken when the lock is free.
    pub(super) fn write(
        &mut self,
        call: Option<u64>,
        put: impl FnOnce(&mut BytesMut),
    ) -> Option<Waker> {
        if !self.is_open() {
            return None;
        }
        if self.frames.back().is_none_or(|frame| frame.bytes.len() >= FRAME_BYTES) {
            self.frames.push_back(Waiting::default());
        }
        let frame = self.frames.back_mut()?;
        let from = frame.bytes.len();
        put(&mut frame.bytes);
        let to = frame.bytes.len();
        self.bytes += to - from;
        if let Some(call) = call {
            frame.calls.push(Written { call, from, to });
            self.calls += 1;
        }
        self.reader.take()
    }

    /// Adds an envelope whose payload does not fit into it: `rest` goes before it in pieces.
    pub(super) fn write_large(
        &mut self,
        call: u64,
        may_be_taken_back: bool,
        rest: Bytes,
        last: Bytes,
    ) -> Option<Waker> {
        if !self.is_open() {
            return None;
        }
        self.calls += usize::from(may_be_taken_back);
        self.bytes += rest.len() + last.len();
        self.large.push_back(Large { call, may_be_taken_back, rest, last });
        self.reader.take()
    }

    /// The next frame, if there is anything to write.
    fn take(&mut self, fates: &mut impl Fates) -> Option<Bytes> {
        let mut frame = self.frames.pop_front().unwrap_or_default();
        self.bytes -= frame.bytes.len();
        self.calls -= frame.calls.len();
        let mut bytes = match frame.unwanted(fates) {
            0 => frame.bytes,
            _ => frame.wanted(),
        };
        self.take_part(&mut bytes, fates);
        (!bytes.is_empty()).then(|| bytes.freeze())
    }

    /// Adds one piece of one large payload; the next frame gets one of the next.
    fn take_part(&mut self, out: &mut BytesMut, fates: &mut impl Fates) {
        let Some(mut large) = self.large.pop_front() else { return };
        if !large.rest.is_empty() {
            let part = large.rest.split_to(large.rest.len().min(PART_BYTES));
            self.bytes -= part.len();
            view::put_part(out, large.call, &part);
            let place = self.large.len().min(LARGE_AT_A_TIME - 1);
            self.large.insert(place, large);
            return;
        }
        self.bytes -= large.last.len();
        self.calls -= usize::from(large.may_be_taken_back);
        if !large.may_be_taken_back || fates.write(large.call) {
            out.extend_from_slice(&large.last);
        }
    }

    /// Whether something is left of a large payload of this call.
    pub(super) fn is_writing(&self, call: u64) -> bool {
        self.large.iter().any(|large| large.call == call)
    }

    /// Forgets what is left of a large payload; whether there was anything.
    pub(super) fn take_back(&mut self, call: u64) -> bool {
        let at = self.large.iter().position(|large| large.call == call);
        let Some(large) = at.and_then(|at| self.large.remove(at)) else { return false };
        self.bytes -= large.rest.len() + large.last.len();
        self.calls -= usize::from(large.may_be_taken_back);
        true
    }

    /// Takes nothing more; what is there is written.
    pub(super) fn close(&mut self) -> Option<Waker> {
        if self.stage == Stage::Open {
            self.stage = Stage::Closing;
        }
        self.reader.take()
    }

    /// Drops what is there, and takes nothing more.
    pub(super) fn abandon(&mut self) -> Option<Waker> {
        let reader = self.reader.take();
        *self = Self { stage: Stage::Gone, ..Self::default() };
        reader
    }

    /// A frame as soon as there is one; `None` at the end.
    pub(super) fn poll_take(
        &mut self,
        fates: &mut impl Fates,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Frame>> {
        while !(self.frames.is_empty() && self.large.is_empty()) {
            // A frame of nothing but unwanted calls is none.
            if let Some(bytes) = self.take(fates) {
                return Poll::Ready(Some(Frame::written(bytes)));
            }
        }
        if !self.is_open() {
            return Poll::Ready(None);
        }
        self.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Waiting {
    /// Asks of each call whether it is wanted; how many are not. Only those stay in the list.
    fn unwanted(&mut self, fates: &mut impl Fates) -> usize {
        self.calls.retain(|written| !fates.write(written.call));
        self.calls.len()
    }

    /// The frame without the calls in the list.
    fn wanted(&self) -> BytesMut {
        let mut bytes = BytesMut::with_capacity(self.bytes.len());
        let mut from = 0;
        for unwanted in &self.calls {
            bytes.extend_from_slice(&self.bytes[from..unwanted.from]);
            from = unwanted.to;
        }
        bytes.extend_from_slice(&self.bytes[from..]);
        bytes
    }
}

/// Wakes the connection, once the outbox's lock is free.
pub(super) fn wake(reader: Option<Waker>) {
    if let Some(reader) = reader {
        reader.wake();
    }
}

/// One that has an outbox.
pub(super) trait Writer: Send + Sync + 'static {
    /// See [`Outbox::poll_take`].
    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Frame>>;

    /// The connection takes nothing more.
    fn hung_up(&self);
}

/// The frames of an outbox, as a connection takes them.
pub(super) struct Frames<W: Writer>(pub(super) Arc<W>);

impl<W: Writer> Stream for Frames<W> {
    type Item = Frame;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        self.0.poll_frame(cx)
    }
}

impl<W: Writer> Drop for Frames<W> {
    fn drop(&mut self) {
        self.0.hung_up();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use greenroom_proto::view::View;

    use super::*;

    /// Calls that were given up.
    impl Fates for HashSet<u64> {
        fn write(&mut self, call: u64) -> bool {
            !self.contains(&call)
        }
    }

    fn write(outbox: &mut Outbox, call: u64, bytes: usize) {
        let arguments = vec![0; bytes];
        let request = view::Request { call, arguments: &arguments, ..view::Request::default() };
        outbox.write(Some(call), |out| view::put_request(out, &request));
    }

    fn write_large(outbox: &mut Outbox, call: u64, parts: usize) {
        let mut last = BytesMut::new();
        view::put_cancel(&mut last, call);
        outbox.write_large(call, true, vec![0; parts * PART_BYTES].into(), last.freeze());
    }

    /// What the next frame holds, in short.
    fn next(outbox: &mut Outbox, fates: &mut impl Fates) -> Option<Vec<(&'static str, u64)>> {
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Some(frame)) = outbox.poll_take(fates, &mut cx) else { return None };
        assert!(frame.bytes().len() <= FRAME_BYTES_MAX);
        let views = frame.views().map(|view| match view {
            Ok(View::Request(request)) => ("request", request.call),
            Ok(View::Part(call, data)) => {
                assert_eq!(data.len(), PART_BYTES);
                ("part", call)
            }
            Ok(View::Cancel(call)) => ("last", call),
            other => panic!("{other:?}"),
        });
        Some(views.collect())
    }

    #[test]
    fn small_envelopes_share_a_frame_and_a_full_frame_takes_no_more() {
        let mut outbox = Outbox::default();
        for (call, bytes) in (0..).zip([10, 10, FRAME_BYTES, 10]) {
            write(&mut outbox, call, bytes);
        }
        assert_eq!(outbox.calls(), 4);
        let first = [("request", 0), ("request", 1), ("request", 2)];
        assert_eq!(next(&mut outbox, &mut ()), Some(first.to_vec()));
        assert_eq!(next(&mut outbox, &mut ()), Some(vec![("request", 3)]));
        assert_eq!(next(&mut outbox, &mut ()), None);
        assert_eq!((outbox.calls(), outbox.bytes()), (0, 0));
    }

    #[test]
    fn small_calls_do_not_wait_for_large_ones() {
        let mut outbox = Outbox::default();
        write_large(&mut outbox, 1, 3);
        assert_eq!(next(&mut outbox, &mut ()), Some(vec![("part", 1)]));
        write(&mut outbox, 2, 10);
        write_large(&mut outbox, 3, 1);
        assert_eq!(next(&mut outbox, &mut ()), Some(vec![("request", 2), ("part", 1)]));
        assert_eq!(next(&mut outbox, &mut ()), Some(vec![("part", 3)]));
        assert_eq!(next(&mut outbox, &mut ()), Some(vec![("part", 1)]));
        assert_eq!(next(&mut outbox, &mut ()), Some(vec![("last", 3)]));
        assert_eq!(next(&mut outbox, &mut ()), Some(vec![("last", 1)]));
        assert_eq!((outbox.calls(), outbox.bytes()), (0, 0));
    }

    #[test]
    fn no_more_large_payloads_go_side_by_side_than_a_peer_keeps_room_for() {
        let mut outbox = Outbox::default();
        let many = LARGE_AT_A_TIME as u64 * 3;
        for call in 0..many {
            write_large(&mut outbox, call, 3);
        }
        let (mut begun, mut ended) = (HashSet::new(), 0);
        while let Some(views) = next(&mut outbox, &mut ()) {
            for (what, call) in views {
                match what {
                    "part" => assert!(begun.insert(call) || begun.contains(&call)),
                    _ => {
                        begun.remove(&call);
                        ended += 1;
                    }
                }
            }
            assert!(begun.len() <= LARGE_AT_A_TIME, "{begun:?}");
        }
        assert_eq!(ended, many);
    }

    #[test]
    fn what_was_given_up_in_time_is_not_written() {
        let mut outbox = Outbox::default();
        for call in 0..4 {
            write(&mut outbox, call, 10);
        }
        write_large(&mut outbox, 9, 1);
        let mut given_up = HashSet::from([0, 2, 3]);
        assert_eq!(next(&mut outbox, &mut given_up), Some(vec![("request", 1), ("part", 9)]));
        assert!(outbox.take_back(9) && !outbox.take_back(9));
        assert_eq!((outbox.calls(), outbox.bytes()), (0, 0));
        write(&mut outbox, 2, 10);
        assert_eq!(next(&mut outbox, &mut given_up), None);
    }

    #[test]
    fn at_the_end_what_is_there_is_written_unless_it_is_abandoned() {
        let mut cx = Context::from_waker(Waker::noop());
        let mut outbox = Outbox::default();
        assert_eq!(outbox.poll_take(&mut (), &mut cx), Poll::Pending);
        write(&mut outbox, 1, 10);
        outbox.close();
        write(&mut outbox, 2, 10);
        assert_eq!(next(&mut outbox, &mut ()), Some(vec![("request", 1)]));
        assert_eq!(outbox.poll_take(&mut (), &mut cx), Poll::Ready(None));
        let mut outbox = Outbox::default();
        write(&mut outbox, 1, 10);
        outbox.abandon();
        assert_eq!(outbox.poll_take(&mut (), &mut cx), Poll::Ready(None));
        assert_eq!((outbox.calls(), outbox.bytes()), (0, 0));
    }
}
