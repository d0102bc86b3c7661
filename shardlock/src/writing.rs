//! Holding gates for writing: one, one that is to be given away, or many.

use std::panic::Location;

use tokio::time::Instant;

use crate::{
    Gates, Side, WaitEnd, WriteError, WriteGuard,
    desk::{Forced, Lost},
    patience::Patience,
    queue::Claim,
    sync::Ordering::Relaxed,
    waiting::Writing,
};

impl Gates {
    /// Holds a gate alone, as soon as nobody is inside, or gives up at the deadline. `who` tells in
    /// logs and errors what the gate is held for.
    ///
    /// Readers that come meanwhile wait or are refused as busy. Writers are served in the order in which they began to wait. Dropping the future ends
    /// the waiting. Must be awaited inside a tokio runtime with time enabled.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    #[track_caller]
    pub fn write(
        &self,
        shard: u32,
        who: &'static str,
        deadline: Instant,
    ) -> impl Future<Output = Result<WriteGuard<'_>, WriteError>> + Send {
        self.gate(shard);
        let claim = self.claim(who, Location::caller(), false);
        async move { self.begin_write(shard, claim, deadline)?.guard().await }
    }

    /// Closes a gate and holds it: nobody enters from the moment of this call, polled or not, and the
    /// guard comes when the last permit is back. At the deadline the permits that are still out are
    /// revoked; [`WriteGuard::revoked_permits`] tells how many.
    ///
    /// Dropping the future gives up the waiting and the deadline; the gate stays closed. Must be
    /// awaited inside a tokio runtime with time enabled.
    ///
    /// # Errors
    ///
    /// [`WriteError`]; `TimedOut` only if at the deadline another writer holds the gate or is first.
    /// The gate is closed then, too.
    #[track_caller]
    pub fn close(
        &self,
        shard: u32,
        who: &'static str,
        deadline: Instant,
    ) -> impl Future<Output = Result<WriteGuard<'_>, WriteError>> + Send {
        let claim = self.claim(who, Location::caller(), true);
        let begun = self.begin_write(shard, claim, deadline);
        async move { begun?.guard().await }
    }

    /// Holds many gates, all of them or none, within one deadline. The guards come in the order of
    /// their shards, each shard once.
    ///
    /// Gates are taken one after the other in ascending order, as all do who come this way, so they
    /// can't wait for each other in a circle. The time that a hold may last begins when all are held.
    ///
    /// # Errors
    ///
    /// [`WriteError`] of the first shard that was not to be had.
    #[track_caller]
    pub fn write_many<'a>(
        &'a self,
        shards: &[u32],
        who: &'static str,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<WriteGuard<'a>>, WriteError>> + Send + use<'a> {
        let mut shards = shards.to_vec();
        shards.sort_unstable();
        shards.dedup();
        if let Some(last) = shards.last() {
            self.gate(*last);
        }
        let claim = self.claim(who, Location::caller(), false);
        async move {
            let gathering = deadline.saturating_duration_since(Instant::now());
            let patient = Claim { hold_max: claim.hold_max.saturating_add(gathering), ..claim };
            let mut guards = Vec::with_capacity(shards.len());
            for shard in shards {
                guards.push(self.begin_write(shard, patient, deadline)?.guard().await?);
            }
            let now = Instant::now();
            match guards.iter().find(|guard: &&WriteGuard<'_>| !guard.restart(now, claim)) {
                Some(lost) => Err(WriteError::Revoked { shard: lost.shard() }),
                None => Ok(guards),
            }
        }
    }

    fn claim(&self, who: &'static str, at: &'static Location<'static>, closes: bool) -> Claim {
        Claim { who, at, closes, hold_max: self.options.hold_max }
    }

    fn begin_write(
        &self,
        shard: u32,
        claim: Claim,
        deadline: Instant,
    ) -> Result<Attempt<'_>, WriteError> {
        let (gate, now) = (self.gate(shard), Instant::now());
        self.end_overdue(shard, now);
        let mut patience = Patience::new(self, shard, Side::Write, deadline);
        match gate.begin_write(now, &self.tickets, claim, self.options.waiting_max) {
            Some(ticket) => Ok(Attempt { claim, writing: Writing::new(gate, ticket), patience }),
            None => {
                patience.end = WaitEnd::Refused;
                Err(WriteError::Full { shard })
            }
        }
    }
}

/// One that has a ticket.
struct Attempt<'a> {
    claim: Claim,
    writing: Writing<'a>,
    patience: Patience<'a>,
}

impl<'a> Attempt<'a> {
    async fn guard(self) -> Result<WriteGuard<'a>, WriteError> {
        let Self { claim, mut writing, mut patience } = self;
        let (gates, shard, ticket) = (patience.gates, patience.shard, writing.ticket());
        let (end, result) = match patience.wait(&mut writing).await {
            Some(Ok(revoked)) => (WaitEnd::Granted, Ok(revoked)),
            Some(Err(Lost::Revoked)) => (WaitEnd::Refused, Err(WriteError::Revoked { shard })),
            Some(Err(Lost::Missed)) => (WaitEnd::Refused, Err(WriteError::Missed { shard })),
            None => {
                let blocker = gates.blocker(shard);
                match if claim.closes { writing.force() } else { Forced::InTheWay } {
                    Forced::Holds { revoked } => (WaitEnd::Granted, Ok(revoked)),
                    Forced::InTheWay => {
                        (WaitEnd::TimedOut, Err(WriteError::TimedOut { shard, blocker }))
                    }
                }
            }
        };
        patience.end = end;
        let revoked = result?;
        gates.tally.permits_revoked.fetch_add(revoked.into(), Relaxed);
        Ok(WriteGuard::new(gates, shard, ticket, revoked))
    }
}
