//! The table of gates, and what is done without waiting.

use std::{convert::Infallible, fmt, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    Counts, GateState, OpenError, Options, Permit, Refused,
    gate::Gate,
    sync::{
        AtomicU64,
        Ordering::{Acquire, Relaxed},
    },
};

/// How often [`Gates::watch_holds`] looks, at most and at least.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(10);
const LOOK_EVERY_MAX: Duration = Duration::from_secs(1);

/// One gate for each shard, numbered from 0. All are closed in the beginning.
///
/// *Readers* take a [`Permit`] of an open gate, beside others: at once or not at all with
/// [`enter`](Self::enter), patiently with [`read`](Self::read). *Writers* hold a gate alone, with a
/// [`WriteGuard`](crate::WriteGuard), which [`write`](Self::write), [`close`](Self::close) and
/// [`write_many`](Self::write_many) wait for. Opening, closing and revoking are for whoever owns the
/// shards: these operations **panic** when the shard is beyond the table, because then the owner's
/// own books are wrong.
pub struct Gates {
    gates: Box<[Gate]>,
    pub(crate) options: Options,
    /// The next ticket.
    pub(crate) tickets: AtomicU64,
    pub(crate) tally: Tally,
}

/// What is counted for the whole table, because it is rare.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) writes: AtomicU64,
    pub(crate) writes_refused: AtomicU64,
    pub(crate) holds_revoked: AtomicU64,
    pub(crate) permits_revoked: AtomicU64,
}

impl Gates {
    /// A table with so many gates and the usual patience. It takes 64 bytes a gate.
    #[must_use]
    pub fn new(shards: u32) -> Self {
        Self::with_options(shards, Options::default())
    }

    /// A table with so many gates, all closed and with a last epoch of 0.
    #[must_use]
    pub fn with_options(shards: u32, options: Options) -> Self {
        Self {
            gates: (0..shards).map(|_| Gate::new()).collect(),
            options,
            tickets: AtomicU64::new(1),
            tally: Tally::default(),
        }
    }

    /// How patient it is.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
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
        self.enter_with(shard, None)
    }

    /// Takes a permit of a gate that is open with this very epoch. Never waits.
    ///
    /// # Errors
    ///
    /// Any [`Refused`]. A closed gate says `Closed`, and one with a writer `Busy`, whatever its epoch.
    #[inline]
    pub fn enter_at(&self, shard: u32, epoch: u64) -> Result<Permit<'_>, Refused> {
        self.enter_with(shard, Some(epoch))
    }

    /// Like [`enter`](Self::enter), or with an `epoch` like [`enter_at`](Self::enter_at), but also
    /// lets into a gate that is closing or that a writer waits for, as long as a permit of it is
    /// still out.
    ///
    /// For work that a holder of such a permit waits for: without it the permit would not come
    /// back. Whoever lets others in here keeps the gate from draining.
    ///
    /// # Errors
    ///
    /// As `enter_at`; `Closed` means closed and drained, `Busy` that somebody holds the gate.
    pub fn enter_beside(&self, shard: u32, epoch: Option<u64>) -> Result<Permit<'_>, Refused> {
        let gate = self.find(shard).ok_or_else(|| self.out_of_range(shard))?;
        let entry = gate.enter_beside(epoch).inspect_err(|_| gate.count_refused())?;
        Ok(Permit::new(gate, shard, entry))
    }

    #[inline]
    fn enter_with(&self, shard: u32, asked: Option<u64>) -> Result<Permit<'_>, Refused> {
        let Some(gate) = self.find(shard) else { return Err(self.out_of_range(shard)) };
        match gate.enter(asked) {
            Ok(entry) => Ok(Permit::new(gate, shard, entry)),
            Err(refused) => self.enter_again(gate, shard, asked, refused),
        }
    }

    /// Whoever met a writer tries again, if that had no right to be in the way.
    #[cold]
    fn enter_again<'a>(
        &self,
        gate: &'a Gate,
        shard: u32,
        asked: Option<u64>,
        refused: Refused,
    ) -> Result<Permit<'a>, Refused> {
        let overdue = refused == Refused::Busy && {
            let now = Instant::now();
            gate.is_overdue(now) && self.end_overdue(shard, now)
        };
        let again = if overdue { gate.enter(asked) } else { Err(refused) };
        let entry = again.inspect_err(|_| gate.count_refused())?;
        Ok(Permit::new(gate, shard, entry))
    }

    /// Whether permits of a gate are out that somebody waits for: the gate is closed, or a writer
    /// wants it. Like [`Self::enter`] it takes no lock, and there is no such gate beyond the table.
    #[must_use]
    pub fn is_draining(&self, shard: u32) -> bool {
        self.find(shard).is_some_and(Gate::is_draining)
    }

    /// Opens a closed gate. The last epoch may come again: so is a handoff called off.
    ///
    /// # Errors
    ///
    /// [`OpenError::NotClosed`] while the gate is open or permits are still out;
    /// [`OpenError::Held`] while somebody holds it, who alone may open it;
    /// [`OpenError::OlderEpoch`] when the gate has had a greater epoch.
    pub fn open(&self, shard: u32, epoch: u64) -> Result<(), OpenError> {
        let (gate, now) = (self.gate(shard), Instant::now());
        self.end_overdue(shard, now);
        gate.open(now, epoch)
    }

    /// Closes a gate and takes away from everybody what they have of it: permits, a write guard, and
    /// waiting. Returns how many permits that were.
    pub fn revoke(&self, shard: u32) -> u32 {
        self.gate(shard).revoke(Instant::now())
    }

    /// [Revokes](Self::revoke) all gates, one after the other, as a node must that has lost its right
    /// to run. Returns how many permits that were, `u32::MAX` if more.
    pub fn revoke_all(&self) -> u32 {
        let now = Instant::now();
        self.gates.iter().fold(0, |total: u32, gate| total.saturating_add(gate.revoke(now)))
    }

    /// What the gate is now, as one consistent picture.
    #[must_use]
    pub fn state(&self, shard: u32) -> GateState {
        self.gate(shard).state(Instant::now())
    }

    /// What has happened at one gate, and how it stands. The counts of writers are those of the whole
    /// table, and left out here.
    #[must_use]
    pub fn counts_of(&self, shard: u32) -> Counts {
        Counts::of_gate(self.gate(shard))
    }

    /// What has happened at all gates, and how they stand. It looks at each gate once.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let tally = Counts {
            writes: self.tally.writes.load(Relaxed),
            writes_refused: self.tally.writes_refused.load(Relaxed),
            holds_revoked: self.tally.holds_revoked.load(Relaxed),
            permits_revoked: self.tally.permits_revoked.load(Relaxed),
            ..Counts::default()
        };
        self.gates.iter().map(Counts::of_gate).fold(tally, Counts::add)
    }

    /// Revokes write guards that are held for too long, for as long as it is polled.
    ///
    /// Without it they are revoked as well, but only when somebody comes to their gate: whoever waits
    /// there or finds it busy, and the holder itself. With it they are revoked within a second, and the
    /// log tells of a holder that nobody waits for, too.
    ///
    /// Must be awaited inside a tokio runtime with time enabled.
    pub async fn watch_holds(&self) -> Infallible {
        let pause = (self.options.hold_max / 8).clamp(LOOK_EVERY_MIN, LOOK_EVERY_MAX);
        loop {
            sleep(pause).await;
            let now = Instant::now();
            for shard in 0..self.shards() {
                self.end_overdue(shard, now);
            }
        }
    }

    /// Revokes the write guard of a gate if it was held for too long; whether it was.
    pub(crate) fn end_overdue(&self, shard: u32, now: Instant) -> bool {
        let gate = self.gate(shard);
        if !gate.word(Acquire).has_writer() {
            return false;
        }
        let Some(holder) = gate.end_overdue(now) else { return false };
        self.tally.holds_revoked.fetch_add(1, Relaxed);
        tracing::error!(
            shard,
            who = holder.claim.who,
            at = %holder.claim.at,
            held = ?now.saturating_duration_since(holder.since),
            hold_max = ?holder.claim.hold_max,
            "a gate was held for too long; its write guard is revoked"
        );
        true
    }

    #[inline]
    pub(crate) fn find(&self, shard: u32) -> Option<&Gate> {
        self.gates.get(shard as usize)
    }

    #[cold]
    pub(crate) fn out_of_range(&self, shard: u32) -> Refused {
        Refused::OutOfRange { shard, shards: self.shards() }
    }

    /// The gate of a shard that must exist.
    #[inline]
    pub(crate) fn gate(&self, shard: u32) -> &Gate {
        match self.find(shard) {
            Some(gate) => gate,
            None => panic!("{}", self.out_of_range(shard)),
        }
    }
}

/// So that a permit can be held by whatever leads to its table.
impl AsRef<Self> for Gates {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl fmt::Debug for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gates").field("shards", &self.shards()).finish_non_exhaustive()
    }
}

/// 8,192 shards take 512 KiB.
const _: () = assert!(size_of::<Gate>() == 64);

#[cfg(test)]
mod tests {
    use std::{
        pin::{Pin, pin},
        task::{Context, Poll, Waker},
    };

    use super::*;
    use crate::{WriteGuard, word::PERMITS_MAX};

    /// One gate, open, with as many permits out as it can count, but for so many. They are nobody's.
    fn almost_full(room: u32) -> Gates {
        let gates = Gates::new(1);
        gates.open(0, 1).unwrap();
        gates.gate(0).word.fetch_add(u64::from(PERMITS_MAX - room), Relaxed);
        gates
    }

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_full_gate_refuses_and_stays_intact() {
        let gates = almost_full(1);
        let last = gates.enter(0).unwrap();
        assert_eq!(gates.enter(0).err(), Some(Refused::Full));
        assert_eq!(gates.enter_beside(0, None).err(), Some(Refused::Full));
        let full = GateState::Open { epoch: 1, permits: PERMITS_MAX };
        assert_eq!(gates.state(0), full);
        drop(last);
        assert!(gates.enter_at(0, 1).is_ok());
        assert_eq!(gates.revoke(0), PERMITS_MAX - 1);
        assert_eq!(gates.state(0), GateState::Closed { last_epoch: 1 });
    }

    #[tokio::test(start_paused = true)]
    async fn of_those_who_wait_as_many_are_let_in_as_there_is_room_for() {
        let gates = almost_full(2);
        let deadline = Instant::now() + Duration::from_secs(3600);
        let mut writer = Box::pin(gates.write(0, "test", deadline));
        assert!(poll(writer.as_mut()).is_pending());
        let mut readers = [(); 3].map(|()| Box::pin(gates.read(0, deadline)));
        for reader in &mut readers {
            assert!(poll(reader.as_mut()).is_pending());
        }
        drop(writer);
        let answers = readers.each_mut().map(|reader| match poll(reader.as_mut()) {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("all are answered together"),
        });
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
        assert_eq!(answers[2].as_ref().err(), Some(&Refused::Full));
        let full = GateState::Open { epoch: 1, permits: PERMITS_MAX };
        assert_eq!(gates.state(0), full);
    }

    #[tokio::test(start_paused = true)]
    async fn readers_that_are_let_in_together_are_all_counted() {
        const READERS: usize = 2500;
        let gates = Gates::new(1);
        gates.open(0, 1).unwrap();
        let deadline = Instant::now() + Duration::from_secs(3600);
        for round in 1..=2 {
            let guard = gates.write(0, "test", deadline).await.unwrap();
            let mut readers: Vec<_> =
                (0..READERS).map(|_| Box::pin(gates.read_at(0, 1, deadline))).collect();
            for reader in &mut readers {
                assert!(poll(reader.as_mut()).is_pending());
            }
            drop(guard);
            for reader in readers {
                assert!(poll(pin!(reader)).is_ready());
            }
            assert_eq!(gates.counts().reads, (round * READERS) as u64);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_stands_in_logs_says_what_it_is() {
        let gates = Gates::with_options(3, Options { waiting_max: 7, ..Options::default() });
        assert_eq!(gates.options().waiting_max, 7);
        assert_eq!(format!("{gates:?}"), "Gates { shards: 3, .. }");
        let guard: WriteGuard<'_> = gates.write(2, "test", Instant::now()).await.unwrap();
        let text = "WriteGuard { shard: 2, revoked_permits: 0, valid: true, .. }";
        assert_eq!(format!("{guard:?}"), text);
    }
}
