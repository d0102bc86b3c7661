//! Which idle actor is missed least.
//!
//! The problem: room for so many actors, a stream of calls, and no knowledge of the calls to come.
//! Whichever actor goes must be activated anew when it is called, so the best choice is the one that
//! is called last. Nobody knows it. Two things are good guesses: an actor that has not been called
//! for long will not be called for long (LRU); and most actors that were called at one time only
//! will not be called again at all, so a scan through many keys should not push out those that are
//! called time and again.
//!
//! So each actor remembers when it was last called, and whether that was at more than one time.
//! [`Usage::coldness`] is the time since then, and counts [fourfold](ONCE_AGES_LOG2) for an actor
//! that was called at one time only: it has a quarter of the patience. More than that keeps the dead
//! for too long when the callers' interest moves on; less protects less from scans.
//!
//! Exact order would take a queue that every call has to touch. Instead, whoever needs `n` victims
//! looks at [`LOOKS_PER_VICTIM`] times as many idle actors, shard after shard, and takes the
//! [coldest](Coldest) of them. Keys are spread over shards by hash, so these are a fair sample.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tokio::time::Instant;

/// Of so many idle actors that are looked at, one goes.
pub(crate) const LOOKS_PER_VICTIM: usize = 16;
/// An actor that was called at one time only ages so many times as fast, as a power of two.
const ONCE_AGES_LOG2: u32 = 2;
/// Calls within one period of so many milliseconds, as a power of two, count as one: who calls an
/// actor once often calls it twice.
const PERIOD_MS_LOG2: u32 = 7;
/// Moments up to so much later than the one they are compared with are taken for later; all others
/// are earlier. Nothing else can be told, because numbers of milliseconds begin anew after 49 days.
const LATER_MS: u32 = 60_000;

/// Milliseconds since a node began, as far as 32 bits hold them: an actor's memory is dear.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> u32 {
        self.ms(Instant::now())
    }

    pub(crate) fn ms(self, at: Instant) -> u32 {
        let since = at.saturating_duration_since(self.0);
        (since.as_secs() as u32).wrapping_mul(1000).wrapping_add(since.subsec_millis())
    }
}

/// When an actor was called. In 5 bytes that fit anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// The last time, as the bytes of a `u32`, which would have to be aligned.
    at_ms: [u8; 4],
    often: Often,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Often {
    Never,
    Once,
    Again,
}

impl Usage {
    /// Longest age that can be told from a younger one.
    pub(crate) const AGE_MS_MAX: u32 = u32::MAX - LATER_MS;

    /// Of an actor that comes to life.
    pub(crate) fn new(now_ms: u32) -> Self {
        Self { at_ms: now_ms.to_ne_bytes(), often: Often::Never }
    }

    fn at_ms(self) -> u32 {
        u32::from_ne_bytes(self.at_ms)
    }

    /// The actor was called.
    pub(crate) fn used(&mut self, at_ms: u32) {
        let before = self.at_ms();
        self.often = match self.often {
            Often::Never => Often::Once,
            Often::Once if at_ms >> PERIOD_MS_LOG2 == before >> PERIOD_MS_LOG2 => Often::Once,
            Often::Once | Often::Again => Often::Again,
        };
        // Turns don't end in the order in which they began.
        if at_ms.wrapping_sub(before) <= Self::AGE_MS_MAX {
            self.at_ms = at_ms.to_ne_bytes();
        }
    }

    /// Milliseconds since the last call.
    pub(crate) fn age_ms(self, now_ms: u32) -> u32 {
        let age = now_ms.wrapping_sub(self.at_ms());
        // A call may come after the look at the clock.
        if age > Self::AGE_MS_MAX { 0 } else { age }
    }

    /// How little the actor would be missed.
    pub(crate) fn coldness(self, now_ms: u32) -> u64 {
        let age = u64::from(self.age_ms(now_ms)) + 1;
        if self.often == Often::Again { age } else { age << ONCE_AGES_LOG2 }
    }
}

/// The coldest of all that were looked at, up to a number.
pub(crate) struct Coldest<T> {
    wanted: usize,
    looks: usize,
    now_ms: u32,
    /// The least cold one on top.
    found: BinaryHeap<Reverse<Found<T>>>,
}

struct Found<T> {
    coldness: u64,
    what: T,
}

impl<T> Coldest<T> {
    pub(crate) fn new(wanted: usize, now_ms: u32) -> Self {
        Self { wanted, looks: 0, now_ms, found: BinaryHeap::new() }
    }

    /// Looks at one more, which is made only if it is among the coldest so far.
    pub(crate) fn look(&mut self, usage: Usage, what: impl FnOnce() -> T) {
        self.looks += 1;
        let coldness = usage.coldness(self.now_ms);
        if self.found.len() == self.wanted {
            let Some(mut least) = self.found.peek_mut() else { return };
            if coldness > least.0.coldness {
                *least = Reverse(Found { coldness, what: what() });
            }
        } else {
            self.found.push(Reverse(Found { coldness, what: what() }));
        }
    }

    /// Whether enough were looked at.
    pub(crate) fn is_enough(&self) -> bool {
        self.looks >= self.wanted * LOOKS_PER_VICTIM
    }

    /// Those that must go, the coldest first.
    pub(crate) fn into_victims(self) -> impl Iterator<Item = T> {
        self.found.into_sorted_vec().into_iter().map(|Reverse(found)| found.what)
    }
}

impl<T> PartialEq for Found<T> {
    fn eq(&self, other: &Self) -> bool {
        self.coldness == other.coldness
    }
}

impl<T> Eq for Found<T> {}

impl<T> PartialOrd for Found<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Found<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.coldness.cmp(&other.coldness)
    }
}
