//! The calling side of a streamed reply: items that came from a peer, until their reader takes them.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::Stream;
use parking_lot::Mutex;

use super::link::Link;
use super::stream_out::ITEM_COST;
use crate::failure::{Failure, FailureCode};

/// For how many bytes of items a caller has room: enough that a peer need not wait for a reader that is
/// as fast as the connection.
pub(super) const WINDOW: u32 = 256 << 10;
/// The peer is told of room again when so much has become free.
const GRANT: usize = WINDOW as usize / 2;

/// Items that came and were not taken yet. The link fills it, the reader empties it.
#[derive(Debug)]
pub(super) struct Inbox {
    /// Most bytes that a peer which keeps to its window can have sent ahead.
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Bytes>,
    /// What the items in it take of the window.
    bytes: usize,
    /// What was taken and not granted again.
    taken: usize,
    reader: Option<Waker>,
    end: End,
}

#[derive(Debug, Default)]
enum End {
    /// More may come.
    #[default]
    Open,
    /// After what is there; with what cut it short.
    Came(Option<Failure>),
    Told,
}

/// What a reader takes.
#[derive(Debug, PartialEq)]
struct Taken {
    /// The next item, or what cut the stream short.
    item: Result<Bytes, Failure>,
    /// How much room the reader has made since the last grant, if that is worth one.
    grant: Option<u64>,
}

impl Inbox {
    /// For items of so many bytes at most.
    pub(super) fn new(item_bytes_max: usize) -> Self {
        // The last item may take more than what is left.
        let bytes_max = WINDOW as usize + item_bytes_max + ITEM_COST;
        Self { bytes_max, state: Mutex::default() }
    }

    /// Adds an item, which is copied: a slice of a frame would hold the whole frame for as long as its
    /// reader likes. `false` if the peer sends more than there is room for. The waker must be woken
    /// when no lock is held.
    pub(super) fn push(&self, item: &[u8]) -> (bool, Option<Waker>) {
        let mut state = self.state.lock();
        if !matches!(state.end, End::Open) {
            return (true, None);
        }
        let cost = item.len() + ITEM_COST;
        if state.bytes + cost > self.bytes_max {
            return (false, None);
        }
        state.bytes += cost;
        state.items.push_back(Bytes::copy_from_slice(item));
        (true, state.reader.take())
    }

    /// Nothing more comes.
    pub(super) fn end(&self, failure: Option<Failure>) -> Option<Waker> {
        let mut state = self.state.lock();
        if matches!(state.end, End::Open) {
            state.end = End::Came(failure);
        }
        state.reader.take()
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Taken>> {
        let mut state = self.state.lock();
        if let Some(item) = state.items.pop_front() {
            let cost = item.len() + ITEM_COST;
            state.bytes -= cost;
            state.taken += cost;
            let grant = state.taken >= GRANT && matches!(state.end, End::Open);
            let grant = grant.then(|| std::mem::take(&mut state.taken) as u64);
            return Poll::Ready(Some(Taken { item: Ok(item), grant }));
        }
        match &mut state.end {
            End::Open => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            End::Came(failure) => {
                let failure = failure.take();
                state.end = End::Told;
                Poll::Ready(failure.map(|failure| Taken { item: Err(failure), grant: None }))
            }
            End::Told => Poll::Ready(None),
        }
    }

    fn is_open(&self) -> bool {
        matches!(self.state.lock().end, End::Open)
    }
}

/// What a peer that sends too much gets.
pub(super) fn flooded() -> Failure {
    Failure::new(FailureCode::BadReply, "the owner sent more items than there was room for")
        .that_may_have_run()
}

/// The items of a stream from a peer. Whoever drops it gives the rest up.
pub(super) struct Inflow {
    inbox: Arc<Inbox>,
    link: Arc<Link>,
    call: u64,
}

impl Inflow {
    pub(super) fn new(inbox: Arc<Inbox>, link: Arc<Link>, call: u64) -> Self {
        Self { inbox, link, call }
    }
}

impl Stream for Inflow {
    type Item = Result<Bytes, Failure>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inbox.poll(cx).map(|next| {
            let Taken { item, grant } = next?;
            if let Some(bytes) = grant {
                self.link.grant(self.call, bytes);
            }
            Some(item)
        })
    }
}

impl Drop for Inflow {
    fn drop(&mut self) {
        if self.inbox.is_open() {
            self.link.give_up(self.call);
        }
    }
}

impl fmt::Debug for Inflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflow").field("call", &self.call).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(inbox: &Inbox) -> Poll<Option<Taken>> {
        inbox.poll(&Context::from_waker(Waker::noop()))
    }

    fn taken(item: Result<Bytes, Failure>) -> Poll<Option<Taken>> {
        Poll::Ready(Some(Taken { item, grant: None }))
    }

    #[test]
    fn items_come_in_order_and_then_the_end_once() {
        let inbox = Inbox::new(100);
        assert!(next(&inbox).is_pending());
        for item in ["a", "b"] {
            assert!(inbox.push(item.as_bytes()).0);
        }
        let _ = inbox.end(Some(flooded()));
        // What comes after the end is none of this stream's.
        assert!(inbox.push(b"c").0);
        assert_eq!(next(&inbox), taken(Ok("a".into())));
        assert_eq!(next(&inbox), taken(Ok("b".into())));
        assert_eq!(next(&inbox), taken(Err(flooded())));
        assert_eq!(next(&inbox), Poll::Ready(None));
    }

    #[test]
    fn room_is_granted_again_in_large_pieces_and_all_of_it() {
        let (inbox, item) = (Inbox::new(1 << 20), vec![0; 1000]);
        let (mut granted, mut grants) = (0, 0);
        for _ in 0..1000 {
            assert!(inbox.push(&item).0);
            let Poll::Ready(Some(Taken { item: Ok(_), grant })) = next(&inbox) else {
                panic!("an item came")
            };
            granted += grant.unwrap_or(0);
            grants += u64::from(grant.is_some());
        }
        let used = 1000 * (item.len() + ITEM_COST) as u64;
        assert!(granted <= used && granted > used - GRANT as u64, "{granted} of {used}");
        assert!(grants < 10, "{grants}");
    }

    #[test]
    fn a_peer_that_ignores_the_window_is_found_out() {
        let inbox = Inbox::new(1000);
        let fits = (0..).take_while(|_| inbox.push(&[0; 1000]).0).count();
        assert_eq!(fits, (WINDOW as usize + 1064) / 1064);
    }
}
