//! What runs in the shards of this node: counted where turns end, told as loads.
//!
//! Calls are fast and many, so counting costs one relaxed addition for each, and no look at the
//! clock but for some of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use greenroom_core::{ShardId, ShardLoad};
use tokio::time::Instant;

/// Of the turns of a shard that end without waiting, so many are timed after each time that the
/// counts are taken. So a few calls are counted as they are.
const TIMED_FIRST: u64 = 16;
/// Of those after them one in so many is timed, and stands for the others.
const TIMED_ONE_IN: u64 = 16;

/// How often a shard is still told when nothing runs in it: the leader takes half of its former
/// picture and half of the new one, and this many halves make nothing of any load.
const ZEROS: u8 = 24;

/// What one kind did in a shard since that was last taken.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    calls: AtomicU64,
    busy_ns: AtomicU64,
}

/// What ran in a shard since that was last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Calls answered.
    pub(crate) calls: u64,
    /// Time of their turns, in nanoseconds; an estimate when they are many.
    pub(crate) busy_ns: u64,
    /// Actors in memory.
    pub(crate) activations: usize,
}

/// Counts of shards in which anything ran or is in memory.
pub(crate) type Counts = HashMap<ShardId, Counted>;

impl Tally {
    /// A turn has ended, not by a panic. One that waited costs more than a look at the clock, and may
    /// have taken so long that it must not stand for others.
    pub(crate) fn ended(&self, began: Instant, waited: bool) {
        let before = self.calls.fetch_add(1, Ordering::Relaxed);
        let stands_for = if waited || before < TIMED_FIRST {
            1
        } else if before.is_multiple_of(TIMED_ONE_IN) {
            TIMED_ONE_IN
        } else {
            return;
        };
        let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.busy_ns.fetch_add(took.saturating_mul(stands_for), Ordering::Relaxed);
    }

    /// How long a turn took on average since that was last taken; `None` without any.
    pub(crate) fn mean(&self) -> Option<Duration> {
        let calls = self.calls.load(Ordering::Relaxed);
        let busy_ns = self.busy_ns.load(Ordering::Relaxed);
        busy_ns.checked_div(calls).map(Duration::from_nanos)
    }

    /// What was counted since the last time.
    pub(crate) fn take(&self) -> Counted {
        // Most shards rest, and what is not written stays in the caches of those who will.
        let taken = |count: &AtomicU64| match count.load(Ordering::Relaxed) {
            0 => 0,
            _ => count.swap(0, Ordering::Relaxed),
        };
        Counted { calls: taken(&self.calls), busy_ns: taken(&self.busy_ns), activations: 0 }
    }
}

impl Counted {
    /// Puts what another kind did in the same shard to it.
    pub(crate) fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.busy_ns = self.busy_ns.saturating_add(other.busy_ns);
        self.activations += other.activations;
    }

    /// The same as rates, when it took so many seconds to come together.
    fn load(self, seconds: f64) -> ShardLoad {
        // A conversion to an integer stops at the largest one.
        let rate = |count: f64| (count / seconds).round() as u32;
        ShardLoad {
            calls_per_s: rate(self.calls as f64),
            busy_us_per_s: rate(self.busy_ns as f64 / 1000.0),
            activations: u32::try_from(self.activations).unwrap_or(u32::MAX),
        }
    }
}

/// Decides which loads to tell.
#[derive(Debug)]
pub(crate) struct Teller {
    /// When the counts were last taken.
    taken: Instant,
    /// For each shard, how often it is still told when nothing runs in it.
    zeros_left: Vec<u8>,
}

impl Teller {
    pub(crate) fn new(now: Instant) -> Self {
        Self { taken: now, zeros_left: Vec::new() }
    }

    /// Somebody listens who may know anything, or nothing, of these shards.
    pub(crate) fn begin_anew(&mut self) {
        self.zeros_left.fill(ZEROS);
    }

    /// Loads of those of `shards` shards that `are_owned` here, from what was counted until `now`.
    /// A shard that came lately, or had a load lately, is told even if it rests. What was counted
    /// in one that is gone is dropped: its new owner tells what runs in it.
    pub(crate) fn loads(
        &mut self,
        counts: &Counts,
        shards: u32,
        are_owned: impl Fn(ShardId) -> bool,
        now: Instant,
    ) -> Vec<(ShardId, ShardLoad)> {
        // Two rounds are never so near, and nothing may be divided by nothing.
        let seconds = now.duration_since(self.taken).as_secs_f64().max(0.001);
        self.taken = now;
        self.zeros_left.resize(shards as usize, ZEROS);
        let mut loads = Vec::new();
        for (number, zeros_left) in (0..).zip(&mut self.zeros_left) {
            let shard = ShardId(number);
            if !are_owned(shard) {
                *zeros_left = ZEROS;
                continue;
            }
            let load = counts.get(&shard).map(|counted| counted.load(seconds)).unwrap_or_default();
            if load != ShardLoad::default() {
                *zeros_left = ZEROS;
            } else if *zeros_left == 0 {
                continue;
            } else {
                *zeros_left -= 1;
            }
            loads.push((shard, load));
        }
        loads
    }

    /// What was counted until `now` is told to nobody.
    pub(crate) fn skip(&mut self, now: Instant) {
        self.taken = now;
    }
}

#[cfg(test)]
mod tests;
