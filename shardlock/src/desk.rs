//! The other half of a gate: what is done under its lock. Opening and closing, holding for writing,
//! revoking, and waiting for any of it.
//!
//! # The rules that every operation keeps, as it leaves the lock
//!
//! 1. The writer bit is set exactly while somebody holds the gate or waits to hold it.
//! 2. Nobody is inside while somebody holds the gate.
//! 3. If nobody holds the gate and nobody is inside, no writer waits.
//! 4. Readers wait only while the gate is open and has a writer.
//!
//! Callers enter and leave without the lock. They can't break rule 2, because the writer bit keeps
//! them out and none is left inside who could let in another beside. They break rule 3 when the last
//! one leaves: then that caller comes here to [settle](Gate::settle). Every operation settles first,
//! so none of them ever meets the moment in between.
//!
//! # Whose turn it is
//!
//! Reading and writing alternate, as in the phase-fair locks of Brandenburg and Anderson
//! ("Spin-Based Reader-Writer Synchronization for Multiprocessor Real-Time Systems", 2010). A writer
//! who waits keeps new readers out, so readers can't starve it. When its phase ends, because it lets
//! go, is revoked or gives up, all readers who wait by then are let in before the next writer, so
//! writers can't starve them either. Writers are served in the order of their arrival.
//!
//! # When a hold begins to count
//!
//! A writer is seated by whoever finds the gate free, which may be long before the writer is polled
//! and told. The time of its hold begins anew then, so that a slow executor costs nobody a hold. A
//! writer who never comes to hear of it loses the hold all the same when its time is up.

use std::task::{Poll, Waker};

use tokio::time::Instant;

use crate::{
    GateState, OpenError, Refused,
    gate::{Entry, Gate},
    queue::{Claim, Holder, Queue, Reader, Ticket},
    sync::{
        AtomicU64, MutexGuard,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
    word::{PERMITS_MAX, Word},
};

/// Most gates have nobody who writes or waits, and then no queue either.
#[derive(Default)]
pub(crate) struct Desk(Option<Box<Queue>>);

/// What became of a closer whose deadline has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forced {
    /// It holds the gate. So many permits were taken away for it.
    Holds { revoked: u32 },
    /// Another one holds it, or is before it.
    InTheWay,
}

/// Why a ticket leads to no hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The gate was taken away from everybody.
    Revoked,
    /// The hold was over before its owner came to hear of it.
    Missed,
}

/// How reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BegunRead {
    Entered(Entry),
    Waits(Ticket),
}

impl Gate {
    /// Lets the next writer in, if nobody is inside or holds the gate.
    #[cold]
    pub(crate) fn settle(&self, now: Instant) {
        self.at_desk(now, |_| ());
    }

    /// Lets callers in, with this epoch.
    pub(crate) fn open(&self, now: Instant, epoch: u64) -> Result<(), OpenError> {
        self.at_desk(now, |desk| {
            if let Some(holder) = desk.holder() {
                return Err(OpenError::Held { by: holder.claim.who });
            }
            desk.open(epoch)
        })
    }

    /// Lets callers in as soon as this hold ends, with this epoch.
    pub(crate) fn open_held(
        &self,
        now: Instant,
        ticket: Ticket,
        epoch: u64,
    ) -> Result<(), OpenError> {
        self.at_desk(now, |desk| match desk.hold(ticket) {
            Some(_) => desk.open(epoch),
            None => Err(OpenError::Revoked),
        })
    }

    /// Lets callers in no more. False if this hold is over.
    pub(crate) fn close_held(&self, now: Instant, ticket: Ticket) -> bool {
        self.at_desk(now, |desk| {
            let holds = desk.hold(ticket).is_some();
            if holds {
                desk.close();
            }
            holds
        })
    }

    /// Lets nobody in from now on, and ends whatever is: permits, a hold, and waiting. Returns how
    /// many permits that were.
    pub(crate) fn revoke(&self, now: Instant) -> u32 {
        self.at_desk(now, |desk| {
            desk.close();
            if let Some(queue) = &mut desk.desk.0 {
                queue.holder = None;
                desk.wakers.extend(queue.remove_writers());
            }
            let permits = desk.void_permits();
            self.word.fetch_and(!Word::WRITER, AcqRel);
            permits
        })
    }

    /// Takes a ticket for writing; `None` if it would have to wait and as many wait already. It holds
    /// the gate at once if that is free: [`Gate::poll_write`] tells.
    pub(crate) fn begin_write(
        &self,
        now: Instant,
        tickets: &AtomicU64,
        claim: Claim,
        waiting_max: usize,
    ) -> Option<Ticket> {
        self.at_desk(now, |desk| {
            if claim.closes {
                desk.close();
            }
            // Drawn under the lock, so that within one gate the numbers grow.
            let ticket = tickets.fetch_add(1, Relaxed);
            desk.queue().add_writer(ticket, claim);
            self.word.fetch_or(Word::WRITER, AcqRel);
            desk.settle();
            if desk.queue().writers_waiting() > waiting_max {
                desk.leave_line(ticket);
                return None;
            }
            Some(ticket)
        })
    }

    /// Whether the ticket holds the gate by now, and how many permits were taken away for it.
    pub(crate) fn poll_write(
        &self,
        now: Instant,
        ticket: Ticket,
        waker: Waker,
    ) -> Poll<Result<u32, Lost>> {
        let mut waker = Some(waker);
        self.at_desk(now, |desk| {
            if let Some(holder) = desk.hold(ticket) {
                holder.tell(now);
                return Poll::Ready(Ok(holder.revoked));
            }
            let Some(queue) = &mut desk.desk.0 else { return Poll::Ready(Err(Lost::Revoked)) };
            if queue.waits_to_write(ticket) {
                let former = waker.take().and_then(|waker| queue.set_writer_waker(ticket, waker));
                desk.spent.extend(former);
                return Poll::Pending;
            }
            let missed = queue.missed.remove(&ticket);
            Poll::Ready(Err(if missed { Lost::Missed } else { Lost::Revoked }))
        })
    }

    /// For a closer whose deadline has passed: revokes the permits that are in its way.
    pub(crate) fn force_write(&self, now: Instant, ticket: Ticket) -> Forced {
        self.at_desk(now, |desk| {
            let waits = |queue: &Queue| queue.holder.is_none() && queue.waits_to_write(ticket);
            if desk.desk.0.as_deref().is_some_and(waits) {
                let revoked = desk.void_permits();
                let waker = desk.queue().seat_first(now, revoked);
                desk.wakers.extend(waker);
            }
            match desk.hold(ticket) {
                Some(holder) => {
                    holder.tell(now);
                    Forced::Holds { revoked: holder.revoked }
                }
                None => Forced::InTheWay,
            }
        })
    }

    /// Ends a hold, or the waiting for it. False if that was over already.
    pub(crate) fn end_write(&self, now: Instant, ticket: Ticket) -> bool {
        self.at_desk(now, |desk| {
            if desk.hold(ticket).is_some() {
                desk.end_hold();
                return true;
            }
            let Some(queue) = &mut desk.desk.0 else { return false };
            queue.missed.remove(&ticket);
            let waits = queue.waits_to_write(ticket);
            if waits {
                desk.leave_line(ticket);
            }
            waits
        })
    }

    /// Whether this hold lasts.
    pub(crate) fn holds(&self, now: Instant, ticket: Ticket) -> bool {
        self.at_desk(now, |desk| desk.hold(ticket).is_some())
    }

    /// Begins the time of this hold anew, with so long to go. False if it is over.
    pub(crate) fn restart_hold(&self, now: Instant, ticket: Ticket, claim: Claim) -> bool {
        self.at_desk(now, |desk| {
            let Some(holder) = desk.hold(ticket) else { return false };
            holder.claim = claim;
            holder.restart(now);
            true
        })
    }

    /// Ends a hold that has lasted for too long; answers with whose it was.
    pub(crate) fn end_overdue(&self, now: Instant) -> Option<Holder> {
        self.at_desk(now, |desk| {
            let holder = *desk.holder()?;
            holder.is_overdue(now).then(|| {
                if !holder.told {
                    desk.queue().missed.insert(holder.ticket);
                }
                desk.end_hold();
                holder
            })
        })
    }

    /// Enters, or takes a ticket for reading if only a writer is in the way.
    pub(crate) fn begin_read(
        &self,
        now: Instant,
        tickets: &AtomicU64,
        asked: Option<u64>,
        waiting_max: usize,
    ) -> Result<BegunRead, Refused> {
        self.at_desk(now, |desk| {
            match self.enter(asked) {
                Err(Refused::Busy) => {}
                Err(refused) => return Err(refused),
                Ok(entry) => return Ok(BegunRead::Entered(entry)),
            }
            // Epochs only grow, so no writer will open with this one again.
            let current = self.epoch.load(Relaxed);
            if let Some(asked) = asked.filter(|asked| *asked < current) {
                return Err(Refused::Epoch { asked, current });
            }
            let queue = desk.queue();
            if queue.readers.len() >= waiting_max {
                return Err(Refused::Full);
            }
            let ticket = tickets.fetch_add(1, Relaxed);
            queue.readers.insert(ticket, Reader { asked, waker: None });
            Ok(BegunRead::Waits(ticket))
        })
    }

    /// The answer to a reader who waits.
    pub(crate) fn poll_read(
        &self,
        now: Instant,
        ticket: Ticket,
        waker: Waker,
    ) -> Poll<Result<Entry, Refused>> {
        let mut waker = Some(waker);
        self.at_desk(now, |desk| {
            let queue = desk.queue();
            if let Some(answer) = queue.answered.remove(&ticket) {
                return Poll::Ready(answer);
            }
            let reader = queue.readers.get_mut(&ticket).expect("a ticket is answered once");
            let former = std::mem::replace(&mut reader.waker, waker.take());
            desk.spent.extend(former);
            Poll::Pending
        })
    }

    /// Ends the waiting of a reader who has not come to hear the answer. What it was given is given
    /// back; if it was given nothing, that counts as refused.
    pub(crate) fn end_read(&self, now: Instant, ticket: Ticket) {
        let answer = self.at_desk(now, |desk| {
            let queue = desk.desk.0.as_mut()?;
            let reader = queue.readers.remove(&ticket);
            desk.spent.extend(reader.and_then(|reader| reader.waker));
            queue.answered.remove(&ticket)
        });
        match answer {
            Some(Ok(entry)) if self.leave(entry.word) => self.settle(now),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => self.count_refused(),
        }
    }

    /// What the gate is now.
    pub(crate) fn state(&self, now: Instant) -> GateState {
        self.at_desk(now, |desk| {
            let (word, epoch) = (desk.word(), self.epoch.load(Relaxed));
            let permits = word.permits();
            match (word.is_closed(), permits) {
                (false, _) => GateState::Open { epoch, permits },
                (true, 0) => GateState::Closed { last_epoch: epoch },
                (true, _) => GateState::Closing { epoch, permits },
            }
        })
    }

    /// Looks at who holds the gate and who waits, without settling anything.
    pub(crate) fn look<T>(&self, what: impl FnOnce(&Queue) -> T) -> Option<T> {
        self.desk.lock().0.as_deref().map(what)
    }

    /// Whether the time of the hold is up. Does not wait for the lock: if somebody is at the desk, it
    /// is not known.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        let Some(desk) = self.desk.try_lock() else { return false };
        let holder = desk.0.as_ref().and_then(|queue| queue.holder);
        holder.is_some_and(|holder| holder.is_overdue(now))
    }

    /// Does something under the lock, then wakes those whom it concerns.
    fn at_desk<T>(&self, now: Instant, what: impl FnOnce(&mut AtDesk<'_>) -> T) -> T {
        let desk = self.desk.lock();
        let mut at = AtDesk { gate: self, desk, now, wakers: Vec::new(), spent: Vec::new() };
        at.settle();
        let result = what(&mut at);
        let AtDesk { mut desk, wakers, spent, .. } = at;
        if desk.0.as_ref().is_some_and(|queue| queue.is_idle()) {
            desk.0 = None;
        }
        // Wakers run code that we don't know, also when they are only dropped: it may come here.
        drop(desk);
        drop(spent);
        wakers.into_iter().for_each(Waker::wake);
        result
    }
}

/// Somebody who has the lock.
struct AtDesk<'a> {
    gate: &'a Gate,
    desk: MutexGuard<'a, Desk>,
    now: Instant,
    /// Whom to wake afterwards.
    wakers: Vec<Waker>,
    /// What to drop afterwards.
    spent: Vec<Waker>,
}

impl AtDesk<'_> {
    fn queue(&mut self) -> &mut Queue {
        self.desk.0.get_or_insert_default()
    }

    fn holder(&self) -> Option<&Holder> {
        self.desk.0.as_ref()?.holder.as_ref()
    }

    fn hold(&mut self, ticket: Ticket) -> Option<&mut Holder> {
        self.desk.0.as_mut()?.hold(ticket)
    }

    fn word(&self) -> Word {
        self.gate.word(Acquire)
    }

    /// Rule 3.
    fn settle(&mut self) {
        let Some(queue) = &mut self.desk.0 else { return };
        if queue.holder.is_none()
            && queue.writers_waiting() > 0
            && self.gate.word(Acquire).permits() == 0
        {
            self.wakers.extend(queue.seat_first(self.now, 0));
        }
    }

    /// Nobody is inside, because the gate is settled and closed, or held by the caller.
    fn open(&mut self, epoch: u64) -> Result<(), OpenError> {
        let word = self.word();
        if !word.is_drained() {
            return Err(OpenError::NotClosed);
        }
        let last = self.gate.epoch.load(Relaxed);
        if epoch < last {
            return Err(OpenError::OlderEpoch { asked: epoch, last });
        }
        // No caller changes a word that is closed with nobody inside, and everybody else who would
        // is kept out by the lock, so plain stores do. Their order matters: the epoch first.
        self.gate.epoch.store(epoch, Release);
        self.gate.word.store(word.next_open().0, Release);
        Ok(())
    }

    fn close(&mut self) {
        self.gate.word.fetch_or(Word::CLOSED, AcqRel);
        self.refuse_readers();
    }

    /// Rule 4.
    fn refuse_readers(&mut self) {
        if let Some(queue) = &mut self.desk.0 {
            queue.answer_readers(&mut self.wakers, |_| Err(Refused::Closed));
        }
    }

    /// A writer gives up waiting.
    fn leave_line(&mut self, ticket: Ticket) {
        let queue = self.queue();
        let was_first = queue.is_first(ticket);
        let waker = queue.remove_writer(ticket);
        self.spent.extend(waker);
        if was_first && self.holder().is_none() {
            // It was the one that kept readers waiting.
            self.end_phase();
        }
    }

    fn end_hold(&mut self) {
        self.queue().holder = None;
        self.end_phase();
    }

    /// A writer's phase is over: now the readers, then the next writer.
    fn end_phase(&mut self) {
        if self.queue().has_closer() {
            // Whoever had the gate has opened it after somebody else closed it for itself.
            self.close();
        }
        if self.word().is_closed() {
            self.refuse_readers();
        }
        self.admit_readers();
        self.settle();
    }

    /// Lets in all who wait, and those who come by themselves too if no writer is left.
    fn admit_readers(&mut self) {
        let epoch = self.gate.epoch.load(Relaxed);
        let fits = |asked: Option<u64>| asked.is_none_or(|asked| asked == epoch);
        let queue = self.queue();
        let no_writer = queue.writers_waiting() == 0;
        let fitting = queue.readers.values().filter(|reader| fits(reader.asked)).count();
        let mut seen = self.word();
        let (word, mut admitted) = loop {
            let room = PERMITS_MAX - seen.permits();
            let admitted = room.min(u32::try_from(fitting).unwrap_or(u32::MAX));
            let with_them = seen.entered(admitted);
            let word = if no_writer { with_them.without_writer() } else { with_them };
            match self.gate.word.compare_exchange_weak(seen.0, word.0, AcqRel, Acquire) {
                Ok(_) => break (word, admitted),
                Err(now) => seen = Word(now),
            }
        };
        if seen.spilled(admitted) > 0 {
            self.gate.count_spilled(seen.spilled(admitted));
        }
        let Some(queue) = &mut self.desk.0 else { return };
        queue.answer_readers(&mut self.wakers, |asked| match asked {
            Some(asked) if asked != epoch => Err(Refused::Epoch { asked, current: epoch }),
            _ if admitted == 0 => Err(Refused::Full),
            _ => {
                admitted -= 1;
                Ok(Entry { word, epoch })
            }
        });
    }

    /// Makes everybody inside invalid; returns how many that were.
    fn void_permits(&mut self) -> u32 {
        let mut seen = self.word();
        // Without permits there is nothing to make void, and the generation can stay.
        while seen.permits() > 0 {
            let void = seen.next_generation();
            match self.gate.word.compare_exchange_weak(seen.0, void.0, AcqRel, Acquire) {
                Ok(_) => return seen.permits(),
                Err(now) => seen = Word(now),
            }
        }
        0
    }
}
