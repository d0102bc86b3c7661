//! Holding gates for writing: one, one that is to be given away, or many.

use std::panic::Location;

use tokio::time::Instant;

use crate::{
    Gates, Side, WaitEnd, WriteError, WriteGuard, desk::Forced, patience::Patience, queue::Claim,
    waiting::Writing,
};

impl Gates {
    /// Holds a gate alone, as soon as nobody is inside, or gives up at the deadline. `who` tells in
    /// logs and errors what the gate is held for.
    ///
    /// Readers that come meanwhile wait or are refused as busy; the gate is closed only by the
    /// guard. Writers are served in the order in which they began to wait. Dropping the future ends
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
        async move {
            let begun = self.begin_write(shard, claim);
            self.wait_to_write(shard, claim, begun?, deadline).await
        }
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
        let begun = self.begin_write(shard, claim);
        async move { self.wait_to_write(shard, claim, begun?, deadline).await }
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
                let begun = self.begin_write(shard, patient);
                guards.push(self.wait_to_write(shard, patient, begun?, deadline).await?);
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

    fn begin_write(&self, shard: u32, claim: Claim) -> Result<Writing<'_>, WriteError> {
        let (gate, now) = (self.gate(shard), Instant::now());
        self.end_overdue(shard, now);
        match gate.begin_write(now, &self.tickets, claim, self.options.waiting_max) {
            Some(ticket) => Ok(Writing::new(gate, ticket)),
            None => {
                Patience::new(self, shard, Side::Write, now).end = WaitEnd::Refused;
                Err(WriteError::Full { shard })
            }
        }
    }

    async fn wait_to_write<'a>(
        &'a self,
        shard: u32,
        claim: Claim,
        mut writing: Writing<'a>,
        deadline: Instant,
    ) -> Result<WriteGuard<'a>, WriteError> {
        let ticket = writing.ticket();
        let mut patience = Patience::new(self, shard, Side::Write, deadline);
        let held = match patience.wait(&mut writing).await {
            Some(Some(revoked)) => Ok(revoked),
            Some(None) => Err((WaitEnd::Refused, WriteError::Revoked { shard })),
            None => {
                let blocker = self.blocker(shard);
                let too_late = (WaitEnd::TimedOut, WriteError::TimedOut { shard, blocker });
                let forced = if claim.closes { writing.force() } else { Forced::InTheWay };
                match forced {
                    Forced::Holds { revoked } => Ok(revoked),
                    Forced::InTheWay => Err(too_late),
                }
            }
        };
        match held {
            Ok(revoked) => {
                patience.end = WaitEnd::Granted;
                Ok(WriteGuard::new(self, shard, ticket, revoked))
            }
            Err((end, error)) => {
                patience.end = end;
                Err(error)
            }
        }
    }
}
