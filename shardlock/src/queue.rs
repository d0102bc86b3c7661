//! Who holds a gate for writing, and who waits for it. Plain data under the lock of the desk.
//!
//! Everyone who waits has a ticket: a number that grows, so that the order of tickets is the order
//! of arrival. A ticket ends when its owner collects the answer or gives up.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::Location,
    task::Waker,
    time::Duration,
};

use tokio::time::Instant;

use crate::{Refused, gate::Entry};

/// The number of a ticket, unique in its table. A hold has that of the ticket that it came from.
pub(crate) type Ticket = u64;

#[derive(Default)]
pub(crate) struct Queue {
    /// Who holds the gate now.
    pub(crate) holder: Option<Holder>,
    /// Who waits to hold it. The first is next.
    writers: BTreeMap<Ticket, Writer>,
    /// How many of them close the gate.
    closers: usize,
    /// Whose hold was over before its owner came to hear of it.
    pub(crate) missed: BTreeSet<Ticket>,
    /// Who waits to enter. All of them are let in together.
    pub(crate) readers: BTreeMap<Ticket, Reader>,
    /// What readers were told who have not come to hear it yet.
    pub(crate) answered: BTreeMap<Ticket, Result<Entry, Refused>>,
}

/// What somebody wants to hold a gate for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) who: &'static str,
    pub(crate) at: &'static Location<'static>,
    /// Whether the gate is closed from the claim on, and readers are revoked at its deadline.
    pub(crate) closes: bool,
    /// How long the hold may last.
    pub(crate) hold_max: Duration,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder {
    pub(crate) ticket: Ticket,
    pub(crate) claim: Claim,
    pub(crate) since: Instant,
    /// When the hold is over, whatever the holder does. `None`: never.
    pub(crate) overdue_at: Option<Instant>,
    /// How many permits were taken away for it.
    pub(crate) revoked: u32,
    /// Whether the owner of the ticket knows.
    pub(crate) told: bool,
}

impl Holder {
    fn new(ticket: Ticket, claim: Claim, now: Instant, revoked: u32) -> Self {
        let overdue_at = now.checked_add(claim.hold_max);
        Self { ticket, claim, since: now, overdue_at, revoked, told: false }
    }

    /// The owner of the ticket hears of it: now the time of the hold begins, if it hasn't.
    pub(crate) fn tell(&mut self, now: Instant) {
        if !self.told {
            self.told = true;
            self.restart(now);
        }
    }

    /// The time of the hold begins anew.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.since = now;
        self.overdue_at = now.checked_add(self.claim.hold_max);
    }

    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.overdue_at.is_some_and(|overdue_at| overdue_at <= now)
    }
}

struct Writer {
    claim: Claim,
    waker: Option<Waker>,
}

pub(crate) struct Reader {
    pub(crate) asked: Option<u64>,
    pub(crate) waker: Option<Waker>,
}

impl Queue {
    /// Whether nobody needs it any more.
    pub(crate) fn is_idle(&self) -> bool {
        self.holder.is_none()
            && self.writers.is_empty()
            && self.missed.is_empty()
            && self.readers.is_empty()
            && self.answered.is_empty()
    }

    /// The hold that came from this ticket, while it lasts.
    pub(crate) fn hold(&mut self, ticket: Ticket) -> Option<&mut Holder> {
        self.holder.as_mut().filter(|holder| holder.ticket == ticket)
    }

    /// Lets the first writer hold the gate; the caller has seen to it that nobody is inside.
    /// Answers with whom to wake.
    pub(crate) fn seat_first(&mut self, now: Instant, revoked: u32) -> Option<Waker> {
        debug_assert!(self.holder.is_none(), "two hold one gate");
        let (ticket, Writer { claim, waker }) = self.writers.pop_first()?;
        self.closers -= usize::from(claim.closes);
        self.holder = Some(Holder::new(ticket, claim, now, revoked));
        waker
    }

    pub(crate) fn writers_waiting(&self) -> usize {
        self.writers.len()
    }

    /// Whether any of those who wait to write closes the gate.
    pub(crate) fn has_closer(&self) -> bool {
        self.closers > 0
    }

    /// Whether this ticket waits to write, and is the next to do so.
    pub(crate) fn is_first(&self, ticket: Ticket) -> bool {
        self.writers.first_key_value().is_some_and(|(first, _)| *first == ticket)
    }

    pub(crate) fn waits_to_write(&self, ticket: Ticket) -> bool {
        self.writers.contains_key(&ticket)
    }

    pub(crate) fn add_writer(&mut self, ticket: Ticket, claim: Claim) {
        self.closers += usize::from(claim.closes);
        self.writers.insert(ticket, Writer { claim, waker: None });
    }

    /// Whom to wake when the ticket's turn comes. Answers with who was to be woken before.
    pub(crate) fn set_writer_waker(&mut self, ticket: Ticket, waker: Waker) -> Option<Waker> {
        self.writers.get_mut(&ticket)?.waker.replace(waker)
    }

    /// Takes a writer out of the line; answers with its waker.
    pub(crate) fn remove_writer(&mut self, ticket: Ticket) -> Option<Waker> {
        let writer = self.writers.remove(&ticket)?;
        self.closers -= usize::from(writer.claim.closes);
        writer.waker
    }

    /// Takes all writers out of the line.
    pub(crate) fn remove_writers(&mut self) -> impl Iterator<Item = Waker> {
        self.closers = 0;
        std::mem::take(&mut self.writers).into_values().filter_map(|writer| writer.waker)
    }

    /// Answers every reader who waits. Adds whom to wake to `wakers`.
    pub(crate) fn answer_readers(
        &mut self,
        wakers: &mut Vec<Waker>,
        mut answer: impl FnMut(Option<u64>) -> Result<Entry, Refused>,
    ) {
        for (ticket, reader) in std::mem::take(&mut self.readers) {
            self.answered.insert(ticket, answer(reader.asked));
            wakers.extend(reader.waker);
        }
    }
}
