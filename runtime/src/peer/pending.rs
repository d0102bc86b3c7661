//! Calls that were given to a link and not answered yet.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use slotmap::{DefaultKey, Key, KeyData, SlotMap};
use tokio::time::Instant;

use super::link::Link;
use super::outbox::{Fates, wake};
use super::stream_in::Inbox;
use crate::activation::Answer;
use crate::payload::Outcome;
use crate::streaming::interrupted;

/// The calls of a link. Their numbers on the wire are never used again, so an answer that comes late,
/// or twice, is taken for no other call's.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: SlotMap<DefaultKey, Pending>,
    /// No call's deadline is earlier.
    next_deadline: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Pending {
    wait: Wait,
    deadline: Instant,
    /// From here on it may run.
    pub(super) written: bool,
}

#[derive(Debug)]
enum Wait {
    ForAnswer(Arc<Slot>),
    /// The answer is a stream, which is open.
    ForItems(Arc<Inbox>),
}

impl Pending {
    /// Tells the caller. A stream that is answered otherwise than by its end is cut short.
    pub(super) fn answer(self, answer: Answer) {
        match self.wait {
            Wait::ForAnswer(slot) => slot.fill(answer),
            Wait::ForItems(inbox) => {
                let why = match answer {
                    Answer::Done(Outcome::Failed(failure)) | Answer::Bounced(failure, _) => {
                        failure.message
                    }
                    _ => "the owner answered the call once more".to_owned(),
                };
                wake(inbox.end(Some(interrupted(why))));
            }
        }
    }

    /// Where the items of its stream go, if that has begun.
    pub(super) fn into_inbox(self) -> Result<Arc<Inbox>, Self> {
        match self.wait {
            Wait::ForAnswer(_) => Err(self),
            Wait::ForItems(inbox) => Ok(inbox),
        }
    }

    /// When it must be answered; a stream that is open has no such time.
    fn deadline(&self) -> Option<Instant> {
        matches!(self.wait, Wait::ForAnswer(_)).then_some(self.deadline)
    }
}

impl Fates for Calls {
    fn write(&mut self, call: u64) -> bool {
        let pending = self.calls.get_mut(key(call));
        pending.map(|pending| pending.written = true).is_some()
    }
}

/// Several numbers would make the same key; only the one that it has is taken for it.
fn key(call: u64) -> DefaultKey {
    let key = KeyData::from_ffi(call);
    if key.as_ffi() == call { key.into() } else { DefaultKey::null() }
}

impl Calls {
    /// A new call: its number, and where its answer will be. Whether its deadline is the next one
    /// tells whether a clock must be set anew.
    pub(super) fn insert(&mut self, deadline: Instant) -> (u64, Arc<Slot>, bool) {
        let slot = Arc::new(Slot::default());
        let wait = Wait::ForAnswer(Arc::clone(&slot));
        let pending = Pending { wait, deadline, written: false };
        let call = self.calls.insert(pending).data().as_ffi();
        let is_next = self.next_deadline.is_none_or(|next| deadline < next);
        if is_next {
            self.next_deadline = Some(deadline);
        }
        (call, slot, is_next)
    }

    /// The answer to a call is a stream: where its caller waits for the answer, if it was not
    /// answered before, and where the items go from now on.
    pub(super) fn stream(
        &mut self,
        call: u64,
        item_bytes_max: usize,
    ) -> Option<(Arc<Slot>, Arc<Inbox>)> {
        let pending = self.calls.get_mut(key(call))?;
        let Wait::ForAnswer(slot) = &pending.wait else { return None };
        let (slot, inbox) = (Arc::clone(slot), Arc::new(Inbox::new(item_bytes_max)));
        pending.wait = Wait::ForItems(Arc::clone(&inbox));
        Some((slot, inbox))
    }

    /// Where the items of a stream go.
    pub(super) fn items(&self, call: u64) -> Option<&Arc<Inbox>> {
        match &self.calls.get(key(call))?.wait {
            Wait::ForAnswer(_) => None,
            Wait::ForItems(inbox) => Some(inbox),
        }
    }

    pub(super) fn remove(&mut self, call: u64) -> Option<Pending> {
        self.calls.remove(key(call))
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// When to look for calls whose time is over.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.next_deadline
    }

    /// Takes out all calls whose deadlines have passed, with their numbers.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<(u64, Pending)> {
        let is_over = |pending: &Pending| pending.deadline().is_some_and(|at| at <= now);
        let over = self.calls.iter().filter(|(_, pending)| is_over(pending));
        let over: Vec<DefaultKey> = over.map(|(key, _)| key).collect();
        let taken = over.into_iter().filter_map(|key| {
            let pending = self.calls.remove(key)?;
            Some((key.data().as_ffi(), pending))
        });
        let taken = taken.collect();
        self.next_deadline = self.calls.values().filter_map(Pending::deadline).min();
        taken
    }

    /// Takes out the calls that were not written.
    pub(super) fn unwritten(&mut self) -> Vec<Pending> {
        let unwritten = self.calls.iter().filter(|(_, pending)| !pending.written);
        let unwritten: Vec<DefaultKey> = unwritten.map(|(key, _)| key).collect();
        unwritten.into_iter().filter_map(|key| self.calls.remove(key)).collect()
    }

    /// Takes out all calls.
    pub(super) fn all(&mut self) -> Vec<Pending> {
        std::mem::take(&mut self.calls).into_iter().map(|(_, pending)| pending).collect()
    }
}

/// Where a caller waits for its answer.
#[derive(Debug, Default)]
pub(super) struct Slot(Mutex<Stage>);

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Empty,
    Awaited(Waker),
    Filled(Answer),
    Taken,
}

impl Slot {
    pub(super) fn fill(&self, answer: Answer) {
        let before = {
            let mut stage = self.0.lock();
            match *stage {
                Stage::Empty | Stage::Awaited(_) => {
                    std::mem::replace(&mut *stage, Stage::Filled(answer))
                }
                Stage::Filled(_) | Stage::Taken => return,
            }
        };
        if let Stage::Awaited(waker) = before {
            waker.wake();
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Answer> {
        let mut stage = self.0.lock();
        match &mut *stage {
            Stage::Filled(_) => match std::mem::replace(&mut *stage, Stage::Taken) {
                Stage::Filled(answer) => Poll::Ready(answer),
                _ => Poll::Pending,
            },
            Stage::Awaited(waker) => {
                waker.clone_from(cx.waker());
                Poll::Pending
            }
            Stage::Empty => {
                *stage = Stage::Awaited(cx.waker().clone());
                Poll::Pending
            }
            Stage::Taken => Poll::Pending,
        }
    }

    /// Nobody waits any more; whether there was no answer yet.
    fn leave(&self) -> bool {
        let stage = std::mem::replace(&mut *self.0.lock(), Stage::Taken);
        matches!(stage, Stage::Empty | Stage::Awaited(_))
    }
}

/// The answer to come. It always comes: the link watches the deadline. Whoever drops it gives the call
/// up.
pub(crate) struct Reply {
    slot: Arc<Slot>,
    link: Arc<Link>,
    call: u64,
}

impl Reply {
    pub(super) fn new(slot: Arc<Slot>, link: Arc<Link>, call: u64) -> Self {
        Self { slot, link, call }
    }
}

impl Future for Reply {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        self.slot.poll(cx)
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.slot.leave() {
            self.link.give_up(self.call);
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("call", &self.call).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_number_is_never_used_again() {
        let (mut calls, mut numbers) = (Calls::default(), std::collections::HashSet::new());
        for _ in 0..100 {
            let (call, _, _) = calls.insert(Instant::now());
            assert!(numbers.insert(call));
            assert!(calls.write(call));
            assert!(calls.remove(call).is_some_and(|pending| pending.written));
            assert!(calls.remove(call).is_none() && !calls.write(call));
        }
        // Whatever a peer answers to, also if only some bits of it are those of a call that waits.
        let (waits, _, _) = calls.insert(Instant::now());
        for call in [0, u64::MAX, 1 << 32, 77, waits ^ 1 << 32, waits & 0xffff_ffff] {
            assert!(calls.remove(call).is_none(), "{call:x}");
            assert!(!calls.write(call) && calls.stream(call, 9).is_none(), "{call:x}");
        }
        assert!(calls.remove(waits).is_some());
    }

    #[test]
    fn calls_expire_at_their_deadlines_and_the_clock_knows_the_next_one() {
        let (mut calls, now) = (Calls::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        let (late, _, first) = calls.insert(at(9));
        let (early, _, earlier) = calls.insert(at(3));
        let (_, _, later) = calls.insert(at(5));
        assert_eq!((first, earlier, later), (true, true, false));
        assert_eq!(calls.next_deadline(), Some(at(3)));
        assert!(calls.write(late));
        let expired: Vec<u64> = calls.expired(at(4)).into_iter().map(|(call, _)| call).collect();
        assert_eq!(expired, [early]);
        assert_eq!(calls.next_deadline(), Some(at(5)));
        assert_eq!((calls.unwritten().len(), calls.len()), (1, 1));
        assert_eq!(calls.all().len(), 1);
    }
}
