//! The table of gates, and what its owner does with them.

use std::{fmt, sync::Arc};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::{
    Closed, GateState, OpenError, OwnedPermit, Permit, Refused,
    closers::{Closer, Round, Rounds},
    gate::Gate,
};

/// One gate for each shard, numbered from 0. All are closed in the beginning.
///
/// Entering is for the call path and never waits. The other operations are for whoever owns the
/// shards; they take a lock for a moment and **panic** when the shard is beyond the table, because
/// then the owner's own books are wrong.
pub struct Gates {
    gates: Box<[Gate]>,
    /// Who waits for which gate. Also the lock of the administration: a gate opens, closes and is
    /// revoked only while it is held.
    rounds: Mutex<Rounds>,
}

impl Gates {
    /// A table with so many gates, all closed and with a last epoch of 0. It takes 16 bytes a gate.
    #[must_use]
    pub fn new(shards: u32) -> Self {
        Self { gates: (0..shards).map(|_| Gate::new()).collect(), rounds: Mutex::default() }
    }

    /// How many gates there are.
    #[must_use]
    pub fn shards(&self) -> u32 {
        // The table was made from a u32.
        self.gates.len() as u32
    }

    /// Takes a permit of an open gate, whatever its epoch. Never waits.
    ///
    /// # Errors
    ///
    /// Every [`Refused`] but `Epoch`; the caller has not run and may try again or elsewhere.
    #[inline]
    pub fn enter(&self, shard: u32) -> Result<Permit<'_>, Refused> {
        let entry = self.try_gate(shard)?.enter(None)?;
        Ok(Permit::new(self, shard, entry))
    }

    /// Takes a permit of a gate that is open with this very epoch. Never waits.
    ///
    /// # Errors
    ///
    /// Any [`Refused`]. A closed gate says `Closed`, whatever its epoch.
    #[inline]
    pub fn enter_at(&self, shard: u32, epoch: u64) -> Result<Permit<'_>, Refused> {
        let entry = self.try_gate(shard)?.enter(Some(epoch))?;
        Ok(Permit::new(self, shard, entry))
    }

    /// Like [`enter`](Self::enter), with a permit that can move into a task.
    ///
    /// # Errors
    ///
    /// As `enter`.
    #[inline]
    pub fn enter_owned(self: &Arc<Self>, shard: u32) -> Result<OwnedPermit, Refused> {
        let entry = self.try_gate(shard)?.enter(None)?;
        Ok(OwnedPermit::new(Arc::clone(self), shard, entry))
    }

    /// Like [`enter_at`](Self::enter_at), with a permit that can move into a task.
    ///
    /// # Errors
    ///
    /// As `enter_at`.
    #[inline]
    pub fn enter_owned_at(
        self: &Arc<Self>,
        shard: u32,
        epoch: u64,
    ) -> Result<OwnedPermit, Refused> {
        let entry = self.try_gate(shard)?.enter(Some(epoch))?;
        Ok(OwnedPermit::new(Arc::clone(self), shard, entry))
    }

    /// Like [`enter_owned`](Self::enter_owned), or with an `epoch` like
    /// [`enter_owned_at`](Self::enter_owned_at), but also lets into a gate that is closing, as long
    /// as a permit of it is still out.
    ///
    /// For work that a holder of such a permit waits for: without it the permit would not come
    /// back. Whoever lets others in here keeps the gate from draining.
    ///
    /// # Errors
    ///
    /// As `enter_owned_at`; `Closed` means closed and drained.
    pub fn enter_owned_closing(
        self: &Arc<Self>,
        shard: u32,
        epoch: Option<u64>,
    ) -> Result<OwnedPermit, Refused> {
        let entry = self.try_gate(shard)?.enter_closing(epoch)?;
        Ok(OwnedPermit::new(Arc::clone(self), shard, entry))
    }

    /// Whether a gate is closed with permits still out. Like [`Self::enter`] it takes no lock, and
    /// there is no such gate beyond the table.
    #[must_use]
    pub fn is_closing(&self, shard: u32) -> bool {
        self.try_gate(shard).is_ok_and(Gate::is_closing)
    }

    /// Opens a closed gate. The last epoch may come again: so is a handoff called off.
    ///
    /// # Errors
    ///
    /// [`OpenError::NotClosed`] while the gate is open or permits are still out;
    /// [`OpenError::OlderEpoch`] when the gate has had a greater epoch.
    pub fn open(&self, shard: u32, epoch: u64) -> Result<(), OpenError> {
        let mut rounds = self.rounds();
        self.gate(shard).open(epoch)?;
        // The gate was drained, but the last one out may not have come to say so yet. Whoever waits
        // gets the answer now, lest it waits for the permits of the next opening.
        let drained = rounds.answer(shard, Closed::Drained);
        drop(rounds);
        wake(drained);
        Ok(())
    }

    /// Closes a gate: nobody enters from the moment of this call, polled or not.
    ///
    /// The future waits until the last permit is back. At the deadline it revokes those that are
    /// still out; it does so only while it is polled. A gate that is closed and drained is answered
    /// at once, and so is one whose permits were revoked before: whoever revoked them was told. If
    /// several wait for one gate, all get the same answer, at the latest at the earliest deadline.
    /// Dropping the future gives up the waiting and the deadline; the gate stays closed.
    ///
    /// Must be awaited inside a tokio runtime with time enabled.
    pub fn close(&self, shard: u32, deadline: Instant) -> impl Future<Output = Closed> + Send + '_ {
        let closer = {
            let mut rounds = self.rounds();
            // Under the lock, which the last one out takes before it wakes anybody: so the closer is
            // in the table before that, and no wake-up is lost.
            let drained = self.gate(shard).shut();
            (!drained).then(|| Closer::new(self, shard, rounds.join(shard)))
        };
        async move {
            match closer {
                Some(closer) => closer.wait(deadline).await,
                None => Closed::Drained,
            }
        }
    }

    /// Closes a gate and revokes its permits, both at once; returns how many permits that were.
    /// Whoever waits for the gate is told so.
    pub fn revoke(&self, shard: u32) -> u32 {
        let mut rounds = self.rounds();
        let permits = self.gate(shard).revoke();
        let ended = rounds.answer(shard, Closed::after_revoking(permits));
        drop(rounds);
        wake(ended);
        permits
    }

    /// Closes all gates and revokes all permits, as a node must that has lost its right to run.
    /// Returns how many permits that were, `u32::MAX` if more. No gate opens meanwhile.
    pub fn revoke_all(&self) -> u32 {
        let mut rounds = self.rounds();
        let mut ended = Vec::with_capacity(rounds.len());
        let mut total = 0_u32;
        for (shard, gate) in (0..).zip(&self.gates) {
            let permits = gate.revoke();
            total = total.saturating_add(permits);
            ended.extend(rounds.answer(shard, Closed::after_revoking(permits)));
        }
        drop(rounds);
        wake(ended);
        total
    }

    /// What the gate is now, as one consistent picture.
    #[must_use]
    pub fn state(&self, shard: u32) -> GateState {
        let _exclusive = self.rounds();
        self.gate(shard).state()
    }

    /// The end of a wait: the answer that came, or else the deadline's.
    pub(crate) fn answer_or_revoke(&self, shard: u32, round: &Round) -> Closed {
        let mut rounds = self.rounds();
        // No opening passes over a round that waits, so without an answer the permits that are out
        // are those of this round.
        if let Some(closed) = round.answer() {
            return closed;
        }
        let closed = Closed::after_revoking(self.gate(shard).revoke());
        let ended = rounds.answer(shard, closed);
        drop(rounds);
        wake(ended);
        closed
    }

    #[inline]
    pub(crate) fn leave(&self, shard: u32, generation: u64) {
        if self.gate(shard).leave(generation) {
            self.tell_drained(shard);
        }
    }

    #[inline]
    pub(crate) fn is_current(&self, shard: u32, generation: u64) -> bool {
        self.gate(shard).is_current(generation)
    }

    /// The lock of the administration.
    pub(crate) fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock()
    }

    #[cold]
    fn tell_drained(&self, shard: u32) {
        let mut rounds = self.rounds();
        // Before the lock was ours the gate may have been opened and closed again, with others
        // waiting who have nothing to do with us. Only what the gate says now counts.
        if !self.gate(shard).is_drained() {
            return;
        }
        let ended = rounds.answer(shard, Closed::Drained);
        drop(rounds);
        wake(ended);
    }

    #[inline]
    fn try_gate(&self, shard: u32) -> Result<&Gate, Refused> {
        self.gates.get(shard as usize).ok_or(Refused::OutOfRange { shard, shards: self.shards() })
    }

    /// The gate of a shard that must exist.
    #[inline]
    fn gate(&self, shard: u32) -> &Gate {
        match self.try_gate(shard) {
            Ok(gate) => gate,
            Err(refused) => panic!("{refused}"),
        }
    }
}

impl fmt::Debug for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gates")
            .field("shards", &self.shards())
            .field("awaited", &self.rounds().len())
            .finish_non_exhaustive()
    }
}

fn wake(rounds: impl IntoIterator<Item = Arc<Round>>) {
    for round in rounds {
        round.wake();
    }
}

#[cfg(test)]
mod tests;
