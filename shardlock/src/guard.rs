//! The proof that its holder is alone.

use std::fmt;

use tokio::time::Instant;

use crate::{
    Gates, OpenError, Revoked,
    gate::Gate,
    queue::{Claim, Ticket},
};

/// A gate held for writing: nobody is inside, and only its holder may open the gate. Dropping it lets
/// the gate go as it is, open or closed.
///
/// A guard may be **revoked**: because it was held for longer than
/// [`Options::hold_max`](crate::Options::hold_max), or because the owner of the table
/// [revoked](Gates::revoke) the gate. Then it does nothing any more, and says so.
#[must_use = "a guard that is dropped at once protects nothing"]
pub struct WriteGuard<'a> {
    gates: &'a Gates,
    shard: u32,
    ticket: Ticket,
    revoked_permits: u32,
}

impl<'a> WriteGuard<'a> {
    pub(crate) fn new(gates: &'a Gates, shard: u32, ticket: Ticket, revoked_permits: u32) -> Self {
        Self { gates, shard, ticket, revoked_permits }
    }

    /// The shard whose gate is held.
    #[must_use]
    pub fn shard(&self) -> u32 {
        self.shard
    }

    /// How many permits were taken away for this guard, because they were still out at the deadline
    /// of a [`close`](Gates::close). With 0 every permit came back by itself, and all that was done
    /// under them has happened before; else the turns that held them may still be running.
    #[must_use]
    pub fn revoked_permits(&self) -> u32 {
        self.revoked_permits
    }

    /// False once the guard is revoked; then it never becomes valid again. True is a statement about
    /// the past: the guard may be revoked before the caller acts on the answer.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let (gate, now) = self.look();
        gate.holds(now, self.ticket)
    }

    /// Opens the closed gate with this epoch. Readers come in when the guard is dropped. The last
    /// epoch may come again.
    ///
    /// # Errors
    ///
    /// [`OpenError::Revoked`]; [`OpenError::NotClosed`] if the gate is open already;
    /// [`OpenError::OlderEpoch`] when it has had a greater epoch.
    pub fn open(&self, epoch: u64) -> Result<(), OpenError> {
        let (gate, now) = self.look();
        gate.open_held(now, self.ticket, epoch)
    }

    /// Closes the gate. Those who wait to read are refused at once.
    ///
    /// # Errors
    ///
    /// [`Revoked`].
    pub fn close(&self) -> Result<(), Revoked> {
        let (gate, now) = self.look();
        if gate.close_held(now, self.ticket) { Ok(()) } else { Err(Revoked) }
    }

    /// Lets the gate go, as dropping the guard does, and tells whether it was held until now.
    ///
    /// # Errors
    ///
    /// [`Revoked`].
    pub fn release(self) -> Result<(), Revoked> {
        let (gate, now) = self.look();
        // The drop that follows finds nothing left to do.
        if gate.end_write(now, self.ticket) { Ok(()) } else { Err(Revoked) }
    }

    /// Begins the time of the hold anew.
    pub(crate) fn restart(&self, now: Instant, claim: Claim) -> bool {
        self.gates.gate(self.shard).restart_hold(now, self.ticket, claim)
    }

    /// The gate, where the time of this very guard may be up.
    fn look(&self) -> (&Gate, Instant) {
        let now = Instant::now();
        self.gates.end_overdue(self.shard, now);
        (self.gates.gate(self.shard), now)
    }
}

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        let (gate, now) = self.look();
        gate.end_write(now, self.ticket);
    }
}

impl fmt::Debug for WriteGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteGuard")
            .field("shard", &self.shard)
            .field("revoked_permits", &self.revoked_permits)
            .field("valid", &self.is_valid())
            .finish_non_exhaustive()
    }
}
