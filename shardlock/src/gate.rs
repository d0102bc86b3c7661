//! One gate: two atomics and the whole lock-free algorithm. No waiting, no waking, no clock, so that
//! this file can be modelled by itself.
//!
//! Two parties meet here. *Callers* use [`Gate::enter`], [`Gate::leave`] and [`Gate::is_current`]
//! at any time, from any thread. *The administration* uses the rest; its operations on one gate
//! exclude each other, by a lock in the table that holds the gate.
//!
//! # Why the memory orderings suffice
//!
//! Who is inside is decided by read-modify-writes of one word, so there is one order of events.
//!
//! *Leaving before closing.* `leave` releases, and every later change of the word is either a
//! read-modify-write, which prolongs that release, or is made by an administrator who has acquired
//! it. Whoever reads a drained word with acquire therefore sees all that was done under a permit
//! that was given back.
//!
//! *The epoch.* It is stored only while the gate is closed and drained, and before the word that
//! opens the gate is stored with release. A caller who acquired the open word of generation `g` thus
//! reads the epoch of `g` or a later one. Suppose that it is a later one. The load acquires that
//! store, so everything before it is visible, including the word that closed `g`. An open word of
//! `g` never comes back after that, so the caller's compare-and-swap, which expects one, fails, and
//! the caller looks again. A caller who gets through has read the epoch of its own generation. The
//! same holds for one who goes into a gate that is closing: it expects a closed word of `g` with
//! permits out, and such a word never comes back either once the gate was drained or revoked, since
//! nobody goes into a drained gate.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::{GateState, OpenError, Refused, word::Word};

/// A gate is as small as this: a table of 8,192 shards takes 128 KiB.
const _: () = assert!(size_of::<Gate>() == 16);

pub(crate) struct Gate {
    /// A [`Word`].
    word: AtomicU64,
    /// The epoch that the gate was last opened with.
    epoch: AtomicU64,
}

/// What a caller who is inside must remember in order to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) generation: u64,
    pub(crate) epoch: u64,
}

impl Gate {
    /// A closed gate that never was open.
    pub(crate) fn new() -> Self {
        Self { word: AtomicU64::new(Word::INITIAL.bits()), epoch: AtomicU64::new(0) }
    }

    /// Goes in, if the gate is open and has the epoch that is asked for, if one is.
    #[inline]
    pub(crate) fn enter(&self, asked: Option<u64>) -> Result<Entry, Refused> {
        self.enter_unless(Word::is_closed, asked)
    }

    /// Goes in like `enter`, and also if the gate is closed with somebody still inside.
    pub(crate) fn enter_closing(&self, asked: Option<u64>) -> Result<Entry, Refused> {
        self.enter_unless(Word::is_drained, asked)
    }

    /// `shut` must hold for every drained word.
    #[inline]
    fn enter_unless(
        &self,
        shut: impl Fn(Word) -> bool,
        asked: Option<u64>,
    ) -> Result<Entry, Refused> {
        let mut seen = self.word.load(Acquire);
        loop {
            let word = Word::from_bits(seen);
            if shut(word) {
                return Err(Refused::Closed);
            }
            // Between the word and the swap that confirms it: see the argument above.
            let current = self.epoch.load(Acquire);
            if let Some(asked) = asked
                && asked != current
            {
                return Err(Refused::Epoch { asked, current });
            }
            let entered = word.one_more().ok_or(Refused::Full)?;
            match self.word.compare_exchange_weak(seen, entered.bits(), Acquire, Acquire) {
                Ok(_) => {
                    return Ok(Entry { generation: word.generation(), epoch: current });
                }
                Err(now) => seen = now,
            }
        }
    }

    /// Goes out. True when that drained a closed gate, so that somebody may be waiting for it.
    ///
    /// An entry of an older generation was revoked and is counted no more, so it changes nothing.
    #[inline]
    pub(crate) fn leave(&self, generation: u64) -> bool {
        let mut seen = self.word.load(Relaxed);
        loop {
            let word = Word::from_bits(seen);
            if word.generation() != generation {
                return false;
            }
            let left = word.one_less();
            match self.word.compare_exchange_weak(seen, left.bits(), AcqRel, Relaxed) {
                Ok(_) => return left.is_drained(),
                Err(now) => seen = now,
            }
        }
    }

    /// Whether entries of this generation still count.
    #[inline]
    pub(crate) fn is_current(&self, generation: u64) -> bool {
        Word::from_bits(self.word.load(Acquire)).generation() == generation
    }

    /// Lets callers in, with this epoch. Administration.
    pub(crate) fn open(&self, epoch: u64) -> Result<(), OpenError> {
        let word = Word::from_bits(self.word.load(Acquire));
        if !word.is_drained() {
            return Err(OpenError::NotClosed);
        }
        let last = self.epoch.load(Relaxed);
        if epoch < last {
            return Err(OpenError::OlderEpoch { asked: epoch, last });
        }
        // No caller changes the word of a drained gate and other administrators are locked out, so
        // plain stores do. Their order matters: the epoch first.
        self.epoch.store(epoch, Release);
        self.word.store(word.next_open().bits(), Release);
        Ok(())
    }

    /// Lets nobody in from now on. True if nobody is inside either. Administration.
    pub(crate) fn shut(&self) -> bool {
        let before = self.word.fetch_or(Word::CLOSED, AcqRel);
        Word::from_bits(before).closed().is_drained()
    }

    /// Lets nobody in from now on and makes everybody inside invalid; returns how many that were.
    /// Administration.
    pub(crate) fn revoke(&self) -> u32 {
        let mut seen = self.word.load(Relaxed);
        loop {
            let word = Word::from_bits(seen);
            // Without permits there is nothing to make void, and the generation can stay.
            let revoked = match word.permits() {
                0 => word.closed(),
                _ => word.next_closed(),
            };
            match self.word.compare_exchange_weak(seen, revoked.bits(), AcqRel, Relaxed) {
                Ok(_) => return word.permits(),
                Err(now) => seen = now,
            }
        }
    }

    /// Whether the gate is closed with somebody still inside.
    pub(crate) fn is_closing(&self) -> bool {
        let word = Word::from_bits(self.word.load(Acquire));
        word.is_closed() && !word.is_drained()
    }

    /// Whether the gate is closed with nobody inside.
    pub(crate) fn is_drained(&self) -> bool {
        Word::from_bits(self.word.load(Acquire)).is_drained()
    }

    /// What the gate is now. Administration, because then the epoch belongs to the word.
    pub(crate) fn state(&self) -> GateState {
        let word = Word::from_bits(self.word.load(Acquire));
        let epoch = self.epoch.load(Relaxed);
        let permits = word.permits();
        match (word.is_closed(), permits) {
            (false, _) => GateState::Open { epoch, permits },
            (true, 0) => GateState::Closed { last_epoch: epoch },
            (true, _) => GateState::Closing { epoch, permits },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::{Gate, Refused};
    use crate::{GateState, word::PERMITS_MAX};

    #[test]
    fn a_full_gate_refuses_and_stays_intact() {
        let gate = Gate::new();
        gate.open(3).unwrap();
        let almost = gate.word.load(Relaxed) + u64::from(PERMITS_MAX - 1);
        let gate = Gate { word: AtomicU64::new(almost), ..gate };

        let last = gate.enter(None).unwrap();
        assert_eq!(gate.enter(None), Err(Refused::Full));
        let full = GateState::Open { epoch: 3, permits: PERMITS_MAX };
        assert_eq!(gate.state(), full);

        assert!(!gate.leave(last.generation));
        assert_eq!(gate.enter(Some(3)), Ok(last));
        assert_eq!(gate.revoke(), PERMITS_MAX);
        assert!(gate.is_drained());
    }

    #[test]
    fn only_the_last_one_out_of_a_closed_gate_drains_it() {
        let gate = Gate::new();
        gate.open(1).unwrap();
        let [one, two, three] = [(); 3].map(|()| gate.enter(None).unwrap());
        assert!(!gate.leave(one.generation));
        assert!(!gate.shut());
        assert!(!gate.leave(two.generation));
        assert!(gate.leave(three.generation));
        assert!(gate.shut());
    }

    #[test]
    fn the_last_one_out_of_an_open_gate_drains_nothing() {
        let gate = Gate::new();
        gate.open(1).unwrap();
        let entry = gate.enter(None).unwrap();
        assert!(!gate.leave(entry.generation));
        assert!(!gate.is_drained());
    }

    #[test]
    fn revoking_an_open_gate_with_nobody_inside_closes_it() {
        let gate = Gate::new();
        gate.open(1).unwrap();
        assert_eq!(gate.revoke(), 0);
        assert!(gate.is_drained());
        assert_eq!(gate.enter(None), Err(Refused::Closed));
    }
}
