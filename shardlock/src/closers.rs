//! Those who closed a gate and wait until it is drained.
//!
//! All who wait for one gate share a *round*, which ends once, with one answer for all of them. The
//! table of rounds has an entry exactly while somebody waits, and it changes only under the lock of
//! the administration. A round is answered under that lock too; waking comes after the lock is
//! released, because a waker runs code that we don't know.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use crate::{Closed, Gates};

/// The rounds that are not answered yet, by shard.
#[derive(Default)]
pub(crate) struct Rounds {
    pending: HashMap<u32, Pending>,
}

struct Pending {
    round: Arc<Round>,
    /// How many [`Closer`]s take part; the entry goes with the last of them.
    closers: usize,
}

#[derive(Default)]
pub(crate) struct Round {
    /// Set once, under the lock, by whoever ends the round.
    answer: OnceLock<Closed>,
    /// Signalled once, after `answer` is set.
    answered: Notify,
}

/// One who waits in a round. Dropping it takes it out of the table.
pub(crate) struct Closer<'a> {
    gates: &'a Gates,
    shard: u32,
    round: Arc<Round>,
}

impl Rounds {
    /// Takes part in the round of this shard, a new one if there is none.
    pub(crate) fn join(&mut self, shard: u32) -> Arc<Round> {
        let pending = self
            .pending
            .entry(shard)
            .or_insert_with(|| Pending { round: Arc::default(), closers: 0 });
        pending.closers += 1;
        Arc::clone(&pending.round)
    }

    /// Takes part no longer. Nothing to do if the round was answered: then it is not in the table,
    /// or the table has a later one of the same shard.
    fn quit(&mut self, shard: u32, round: &Arc<Round>) {
        let Some(pending) = self.pending.get_mut(&shard) else {
            return;
        };
        if Arc::ptr_eq(&pending.round, round) {
            pending.closers -= 1;
            if pending.closers == 0 {
                self.pending.remove(&shard);
            }
        }
    }

    /// Ends the round of this shard, if there is one. The caller wakes it after unlocking.
    #[must_use = "whoever waits in the round sleeps on until it is woken"]
    pub(crate) fn answer(&mut self, shard: u32, closed: Closed) -> Option<Arc<Round>> {
        let Pending { round, .. } = self.pending.remove(&shard)?;
        // A round in the table has no answer yet, so this always sets it.
        let _ = round.answer.set(closed);
        Some(round)
    }

    /// How many gates have somebody waiting.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }
}

impl Round {
    /// How the round ended, if it has.
    pub(crate) fn answer(&self) -> Option<Closed> {
        self.answer.get().copied()
    }

    /// Lets everybody who waits look at the answer.
    pub(crate) fn wake(&self) {
        self.answered.notify_waiters();
    }

    async fn until_answered(&self) {
        // Registered by its creation, before the look at the answer, so that no wake-up falls
        // between the two.
        let answered = self.answered.notified();
        if self.answer().is_none() {
            answered.await;
        }
    }
}

impl<'a> Closer<'a> {
    pub(crate) fn new(gates: &'a Gates, shard: u32, round: Arc<Round>) -> Self {
        Self { gates, shard, round }
    }

    /// Waits until the gate is drained or revoked; revokes it at the deadline.
    pub(crate) async fn wait(self, deadline: Instant) -> Closed {
        // What ended the wait does not matter here: at the deadline the answer may just have come,
        // and only a look under the lock tells.
        let _ = timeout_at(deadline, self.round.until_answered()).await;
        self.gates.answer_or_revoke(self.shard, &self.round)
    }
}

impl Drop for Closer<'_> {
    fn drop(&mut self) {
        if self.round.answer().is_none() {
            self.gates.rounds().quit(self.shard, &self.round);
        }
    }
}
