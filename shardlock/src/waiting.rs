//! Waiting for a gate, without a clock: deadlines are for whoever polls. Dropping leaves no trace,
//! also when the answer has come and nobody has looked at it yet.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::Instant;

use crate::{
    Refused,
    desk::{Forced, Lost},
    gate::{Entry, Gate},
    queue::Ticket,
};

/// A reader who waits. Ends with an entry, which the owner must see to it is left again.
pub(crate) struct Reading<'a> {
    gate: &'a Gate,
    ticket: Ticket,
    answered: bool,
}

/// A writer who waits. Ends with how many permits were taken away for the hold that its ticket has
/// now, which the owner must see to it is ended.
pub(crate) struct Writing<'a> {
    gate: &'a Gate,
    ticket: Ticket,
    answered: bool,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(gate: &'a Gate, ticket: Ticket) -> Self {
        Self { gate, ticket, answered: false }
    }
}

impl<'a> Writing<'a> {
    pub(crate) fn new(gate: &'a Gate, ticket: Ticket) -> Self {
        Self { gate, ticket, answered: false }
    }

    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Revokes the permits that are out if nobody holds the gate, and takes it if no other writer is
    /// before; else the waiting is over without it.
    pub(crate) fn force(mut self) -> Forced {
        let forced = self.gate.force_write(Instant::now(), self.ticket);
        self.answered = matches!(forced, Forced::Holds { .. });
        forced
    }
}

impl Future for Reading<'_> {
    type Output = Result<Entry, Refused>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.gate.poll_read(Instant::now(), self.ticket, cx.waker().clone());
        self.answered = polled.is_ready();
        polled
    }
}

impl Future for Writing<'_> {
    type Output = Result<u32, Lost>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.gate.poll_write(Instant::now(), self.ticket, cx.waker().clone());
        self.answered = polled.is_ready();
        polled
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.gate.end_read(Instant::now(), self.ticket);
        }
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.gate.end_write(Instant::now(), self.ticket);
        }
    }
}
