//! Shards whose owner refuses calls: it may still be opening the gate, or have closed it to hand the
//! shard over.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use greenroom_core::{Epoch, ShardId};
use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a new owner may take to open the gate of a shard that the routes give it already: in that
/// time retries are free.
const GRACE: Duration = Duration::from_secs(1);
/// After that one call in such a span is a scout for all that wait for the shard, and free too.
const SCOUT_EVERY: Duration = Duration::from_secs(1);
/// Entries that nobody asked for so long are dropped when there are many.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
const MANY: usize = 1024;

/// Shards whose owner answered `not_owner` under the epoch that the routes tell: a planned move is in one of
/// its short phases, or something is wrong. At most one entry a shard.
#[derive(Debug, Default)]
pub(super) struct Unopened {
    /// Of `shards`; usually zero, which is all that a call looks at.
    len: AtomicUsize,
    shards: Mutex<HashMap<ShardId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    epoch: Epoch,
    /// When it was first refused.
    since: Instant,
    /// When it was last refused, or a scout was sent.
    last: Instant,
    scouted: Instant,
}

impl Unopened {
    /// The owner refused a call under this epoch.
    pub(super) fn refused(&self, shard: ShardId, epoch: Epoch, now: Instant) {
        let mut shards = self.shards.lock();
        if shards.len() >= MANY {
            shards.retain(|_, entry| now.saturating_duration_since(entry.last) < FORGOTTEN_AFTER);
        }
        let new = Entry { epoch, since: now, last: now, scouted: now };
        let entry = shards.entry(shard).or_insert(new);
        if entry.epoch < epoch {
            *entry = Entry { epoch, since: now, last: now, scouted: now };
        }
        entry.last = now;
        self.len.store(shards.len(), Ordering::Relaxed);
    }

    /// Whether a retry under the same epoch is free.
    pub(super) fn is_free(&self, shard: ShardId, epoch: Epoch, now: Instant) -> bool {
        let mut shards = self.shards.lock();
        let Some(entry) = shards.get_mut(&shard).filter(|entry| entry.epoch == epoch) else {
            // Somebody got through since.
            return true;
        };
        if now.saturating_duration_since(entry.since) < GRACE {
            return true;
        }
        let due = now.saturating_duration_since(entry.scouted) >= SCOUT_EVERY;
        if due {
            entry.scouted = now;
        }
        due
    }

    /// The owner answered a call under this epoch: those that wait for it may try again.
    pub(super) fn answered(&self, shard: ShardId, epoch: Epoch) {
        if self.len.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut shards = self.shards.lock();
        if shards.get(&shard).is_some_and(|entry| entry.epoch <= epoch) {
            shards.remove(&shard);
            self.len.store(shards.len(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARD: ShardId = ShardId(7);

    #[test]
    fn a_new_owner_has_a_second_and_then_one_scout_a_second_asks_it() {
        let (unopened, start) = (Unopened::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        unopened.refused(SHARD, Epoch(3), start);
        for millis in [0, 5, 500, 999] {
            assert!(unopened.is_free(SHARD, Epoch(3), at(millis)), "{millis}");
            unopened.refused(SHARD, Epoch(3), at(millis));
        }
        let free = (1000..11_000).filter(|millis| {
            unopened.refused(SHARD, Epoch(3), at(*millis));
            unopened.is_free(SHARD, Epoch(3), at(*millis))
        });
        assert_eq!(free.count(), 10);
    }

    #[test]
    fn another_epoch_begins_anew() {
        let (unopened, start) = (Unopened::default(), Instant::now());
        unopened.refused(SHARD, Epoch(3), start);
        let later = start + Duration::from_millis(1500);
        assert!(unopened.is_free(SHARD, Epoch(3), later), "the scout");
        assert!(!unopened.is_free(SHARD, Epoch(3), later));
        unopened.refused(SHARD, Epoch(4), later);
        assert!(unopened.is_free(SHARD, Epoch(4), later));
        // What an older epoch comes to is no news.
        unopened.refused(SHARD, Epoch(3), later);
        unopened.answered(SHARD, Epoch(3));
        assert!(unopened.is_free(SHARD, Epoch(4), later + GRACE), "the scout");
        assert!(!unopened.is_free(SHARD, Epoch(4), later + GRACE));
    }

    #[test]
    fn the_first_answer_lets_everybody_try_again() {
        let (unopened, start) = (Unopened::default(), Instant::now());
        unopened.answered(SHARD, Epoch(3));
        unopened.refused(SHARD, Epoch(3), start);
        let later = start + GRACE;
        assert!(unopened.is_free(SHARD, Epoch(3), later), "the scout");
        unopened.answered(ShardId(8), Epoch(3));
        assert!(!unopened.is_free(SHARD, Epoch(3), later));
        unopened.answered(SHARD, Epoch(3));
        assert!((0..100).all(|_| unopened.is_free(SHARD, Epoch(3), later)));
        assert_eq!(unopened.len.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten() {
        let (unopened, start) = (Unopened::default(), Instant::now());
        for shard in 0..MANY as u32 {
            unopened.refused(ShardId(shard), Epoch(1), start);
        }
        unopened.refused(ShardId(5000), Epoch(1), start + 2 * FORGOTTEN_AFTER);
        assert_eq!(unopened.len.load(Ordering::Relaxed), 1);
    }
}
