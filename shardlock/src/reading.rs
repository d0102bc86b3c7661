//! Reading with patience.

use tokio::time::Instant;

use crate::{
    Gates, Permit, Refused, Side, WaitEnd, desk::BegunRead, patience::Patience, waiting::Reading,
};

impl Gates {
    /// Takes a permit like [`enter`](Self::enter), and waits until the deadline for a writer that is
    /// in the way. A closed gate refuses at once, also those who wait already when it is closed.
    ///
    /// All who wait are let in together when the writer's phase ends, before the next writer's.
    /// Dropping the future ends the waiting. Must be awaited inside a tokio runtime with time enabled.
    ///
    /// # Errors
    ///
    /// Every [`Refused`] but `Epoch`; `Busy` at the deadline.
    pub async fn read(&self, shard: u32, deadline: Instant) -> Result<Permit<'_>, Refused> {
        self.read_with(shard, None, deadline).await
    }

    /// Takes a permit like [`enter_at`](Self::enter_at), and waits like [`read`](Self::read). An
    /// epoch that is older than the gate's last is refused at once.
    ///
    /// # Errors
    ///
    /// Any [`Refused`]; `Busy` at the deadline.
    pub async fn read_at(
        &self,
        shard: u32,
        epoch: u64,
        deadline: Instant,
    ) -> Result<Permit<'_>, Refused> {
        self.read_with(shard, Some(epoch), deadline).await
    }

    async fn read_with(
        &self,
        shard: u32,
        asked: Option<u64>,
        deadline: Instant,
    ) -> Result<Permit<'_>, Refused> {
        let gate = self.find(shard).ok_or_else(|| self.out_of_range(shard))?;
        if let Ok(entry) = gate.enter(asked) {
            return Ok(Permit::new(gate, shard, entry));
        }
        let now = Instant::now();
        self.end_overdue(shard, now);
        let begun = gate.begin_read(now, &self.tickets, asked, self.options.waiting_max);
        let mut reading = match begun.inspect_err(|_| gate.count_refused())? {
            BegunRead::Entered(entry) => return Ok(Permit::new(gate, shard, entry)),
            BegunRead::Waits(ticket) => Reading::new(gate, ticket),
        };
        let mut patience = Patience::new(self, shard, Side::Read, deadline);
        let Some(answer) = patience.wait(&mut reading).await else {
            patience.end = WaitEnd::TimedOut;
            return Err(Refused::Busy);
        };
        patience.end = if answer.is_ok() { WaitEnd::Granted } else { WaitEnd::Refused };
        let entry = answer.inspect_err(|_| gate.count_refused())?;
        Ok(Permit::new(gate, shard, entry))
    }
}
