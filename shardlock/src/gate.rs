//! One gate, as callers meet it: a few atomic operations, no waiting, no lock, no clock. `desk.rs`
//! has the rest, which is done under the gate's own lock.
//!
//! # Why the memory orderings suffice
//!
//! Who is inside is decided by read-modify-writes of one word, so there is one order of events.
//!
//! *Leaving before writing.* [`Gate::leave`] releases, and what changes the word later is either a
//! read-modify-write, which prolongs that release, or comes from somebody at the desk who has
//! acquired it. Whoever finds nobody inside, by a load that acquires, therefore sees all that was
//! done under the permits that were given back.
//!
//! *Writing before entering.* A writer lets go by a change of the word that releases; entering
//! acquires it.
//!
//! *The epoch.* It is stored only while the gate is closed with nobody inside, and before the word that begins a new generation `g + 1` is stored with
//! release. A caller who acquired an open word of generation `g` thus reads the epoch of `g` or a
//! later one. Suppose that it is a later one. The load acquires that store, so everything before it
//! is visible, including the word that barred `g`; and after the store comes `g + 1`, so a word of
//! `g` without a bar never comes back. The caller's compare-and-swap, which expects one, fails, and
//! the caller looks again. A caller who gets through has read the epoch of its own generation. The
//! same holds for one who enters beside others: it expects a word of `g` with permits out, and such
//! a word never comes back either once the gate was empty while barred.

use std::hint::spin_loop;

use crate::{
    Refused,
    desk::Desk,
    sync::{
        AtomicU64, Mutex,
        Ordering::{Acquire, Relaxed, Release},
    },
    word::{PERMITS_MAX, Word},
};

/// In a cache line of its own, so that callers of neighbouring shards don't get in each other's way.
#[repr(align(64))]
pub(crate) struct Gate {
    /// A [`Word`].
    pub(crate) word: AtomicU64,
    /// The epoch that the gate was last opened with.
    pub(crate) epoch: AtomicU64,
    /// The entries that the word has room for no more; see [`Word::spilled`].
    pub(crate) entries: AtomicU64,
    /// How many readers were refused.
    pub(crate) refused: AtomicU64,
    /// Who holds the gate for writing, and who waits.
    pub(crate) desk: Mutex<Desk>,
}

/// What a caller who is inside must remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The word that the entry made. Its generation is the entry's.
    pub(crate) word: Word,
    pub(crate) epoch: u64,
}

impl Gate {
    /// A closed gate that never was open.
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(Word::INITIAL.0),
            epoch: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            desk: Mutex::new(Desk::default()),
        }
    }

    /// Goes in, if the gate is open, without a writer, and has the epoch that is asked for, if one is.
    #[inline]
    pub(crate) fn enter(&self, asked: Option<u64>) -> Result<Entry, Refused> {
        self.enter_unless(Word::is_barred, asked)
    }

    /// Goes in like `enter`, and also while the gate is barred, if somebody is still inside.
    pub(crate) fn enter_beside(&self, asked: Option<u64>) -> Result<Entry, Refused> {
        self.enter_unless(|word| word.is_barred() && word.permits() == 0, asked)
    }

    /// `barred` must hold for every word with a bar and nobody inside.
    #[inline]
    fn enter_unless(
        &self,
        barred: impl Fn(Word) -> bool,
        asked: Option<u64>,
    ) -> Result<Entry, Refused> {
        let mut backoff = Backoff(Backoff::FIRST);
        let mut seen = Word(self.word.load(Acquire));
        loop {
            if barred(seen) {
                return Err(if seen.is_closed() { Refused::Closed } else { Refused::Busy });
            }
            // Between the word and the swap that confirms it: see the argument above.
            let current = self.epoch.load(Acquire);
            if let Some(asked) = asked
                && asked != current
            {
                return Err(Refused::Epoch { asked, current });
            }
            if seen.permits() == PERMITS_MAX {
                return Err(Refused::Full);
            }
            let word = seen.entered(1);
            match self.word.compare_exchange_weak(seen.0, word.0, Acquire, Acquire) {
                Ok(_) => {
                    if word.entries() == 0 {
                        self.count_spilled(seen.spilled(1));
                    }
                    return Ok(Entry { word, epoch: current });
                }
                Err(_) => {
                    backoff.pause();
                    seen = Word(self.word.load(Acquire));
                }
            }
        }
    }

    #[cold]
    pub(crate) fn count_spilled(&self, entries: u64) {
        self.entries.fetch_add(entries, Relaxed);
    }

    #[cold]
    pub(crate) fn count_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Goes out. True when that was the last one and a writer waits: then the caller must see to it
    /// that the gate is [settled](Gate::settle).
    ///
    /// An entry of an older generation was revoked and is counted no more, so it changes nothing.
    #[inline]
    pub(crate) fn leave(&self, entered: Word) -> bool {
        // The first guess is that nothing has changed since the entry: right if nobody else is
        // about, and else the failed swap has brought the word here, where the next one finds it.
        let mut seen = entered;
        loop {
            let left = seen.one_less();
            match self.word.compare_exchange_weak(seen.0, left.0, Release, Relaxed) {
                Ok(_) => return left.permits() == 0 && left.has_writer(),
                Err(now) => seen = Word(now),
            }
            if !seen.same_generation(entered) {
                return false;
            }
        }
    }

    /// Whether entries of the generation of this word still count.
    #[inline]
    pub(crate) fn is_current(&self, entered: Word) -> bool {
        self.word(Acquire).same_generation(entered)
    }

    /// Whether the gate is barred with somebody still inside.
    pub(crate) fn is_draining(&self) -> bool {
        let word = self.word(Acquire);
        word.is_barred() && word.permits() > 0
    }

    /// How many have entered, and how many were refused, since the gate was made. May lag by
    /// [`ENTRIES_SPAN`](crate::word::ENTRIES_SPAN) for a moment while others enter.
    pub(crate) fn entered_and_refused(&self) -> (u64, u64) {
        let spilled = self.entries.load(Relaxed);
        (spilled + self.word(Relaxed).entries(), self.refused.load(Relaxed))
    }

    #[inline]
    pub(crate) fn word(&self, order: crate::sync::Ordering) -> Word {
        Word(self.word.load(order))
    }
}

/// How long a reader who met another one stands back: longer each time, by so many turns of the spin
/// hint. Two readers who come back at once keep taking the cache line from each other, half-way; with
/// this they take turns at it, which was measured to be twice as fast.
struct Backoff(u32);

impl Backoff {
    const FIRST: u32 = 8;
    const LONGEST: u32 = 64;

    #[cold]
    fn pause(&mut self) {
        (0..self.0).for_each(|_| spin_loop());
        self.0 = Self::LONGEST.min(self.0 * 2);
    }
}
