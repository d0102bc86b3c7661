//! Shards of transactions that were refused for no reason that this node can see, such as a record
//! that it can't read. They are written with half as many others after each refusal, so that the one
//! to blame is soon alone and holds no others back; and then only now and then.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ShardId;
use crate::time::Moment;

/// How long a shard is let be that was refused alone.
const PAUSE: Duration = Duration::from_secs(1);

/// The shards under suspicion.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    shards: BTreeMap<ShardId, Suspect>,
}

#[derive(Clone, Copy, Debug)]
struct Suspect {
    /// How many may be written together with it.
    batch_len_max: usize,
    /// It was refused alone, so it is not tried again before that.
    not_before: Option<Moment>,
}

impl Suspects {
    /// A transaction that wrote these was refused.
    pub(super) fn refused(&mut self, shards: &[ShardId], now: Moment) {
        let not_before = (shards.len() == 1).then(|| now.after(PAUSE));
        let batch_len_max = (shards.len() / 2).max(1);
        for shard in shards {
            self.shards.insert(*shard, Suspect { batch_len_max, not_before });
        }
    }

    /// There is news of a shard, so it is no suspect any more.
    pub(super) fn clear(&mut self, shard: ShardId) {
        if !self.shards.is_empty() {
            self.shards.remove(&shard);
        }
    }

    /// Whether the shard was refused alone a moment ago.
    pub(super) fn is_held_off(&self, shard: ShardId) -> bool {
        self.shards.get(&shard).is_some_and(|suspect| suspect.not_before.is_some())
    }

    /// The suspects that were held off for long enough, which are so no more.
    pub(super) fn release(&mut self, now: Moment) -> Vec<ShardId> {
        let over = |suspect: &Suspect| suspect.not_before.is_some_and(|until| until <= now);
        let released = self.shards.iter_mut().filter(|(_, suspect)| over(suspect));
        let released = released.map(|(shard, suspect)| {
            suspect.not_before = None;
            *shard
        });
        released.collect()
    }

    /// Splits what is to be written into batches for one transaction each: at most `len_max`, and
    /// suspects only with as many others of their kind as they may.
    pub(super) fn batches<'a, T>(
        &self,
        items: &'a [T],
        shard_of: impl Fn(&T) -> ShardId,
        len_max: usize,
    ) -> Vec<Vec<&'a T>> {
        let mut open: BTreeMap<usize, Vec<&'a T>> = BTreeMap::new();
        let mut full = Vec::new();
        for item in items {
            let suspect = self.shards.get(&shard_of(item));
            let limit = suspect.map_or(len_max, |suspect| len_max.min(suspect.batch_len_max));
            let batch = open.entry(limit).or_default();
            batch.push(item);
            if batch.len() == limit {
                full.push(std::mem::take(batch));
            }
        }
        full.extend(open.into_values().rev().filter(|batch| !batch.is_empty()));
        full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(numbers: std::ops::Range<u32>) -> Vec<ShardId> {
        numbers.map(ShardId).collect()
    }

    /// How many there are in each batch of these, at most ten.
    fn lens(suspects: &Suspects, of: &[ShardId]) -> Vec<usize> {
        suspects.batches(of, |shard| *shard, 10).iter().map(Vec::len).collect()
    }

    #[test]
    fn whoever_is_to_blame_is_soon_alone_and_holds_nobody_back() {
        let now = Moment(1);
        let mut suspects = Suspects::default();
        let all = shards(0..20);
        assert_eq!(lens(&suspects, &all), [10, 10]);
        suspects.refused(&shards(0..10), now);
        assert_eq!(lens(&suspects, &all), [5, 5, 10], "half as many, and the others as before");
        suspects.refused(&shards(0..5), now);
        assert_eq!(lens(&suspects, &shards(0..5)), [2, 2, 1]);
        suspects.refused(&shards(0..2), now);
        assert_eq!(lens(&suspects, &shards(0..2)), [1, 1]);
        assert!(!suspects.is_held_off(ShardId(0)), "it was not alone yet");
        suspects.clear(ShardId(1));
        assert_eq!(lens(&suspects, &shards(1..2)), [1]);
        assert_eq!(suspects.shards.len(), 9, "news of it clear it of suspicion");
    }

    #[test]
    fn what_is_refused_alone_is_let_be_for_a_second() {
        let now = Moment(1);
        let mut suspects = Suspects::default();
        suspects.refused(&shards(3..4), now);
        assert!(suspects.is_held_off(ShardId(3)) && !suspects.is_held_off(ShardId(4)));
        let almost = Moment(now.after(PAUSE).0 - 1);
        assert_eq!(suspects.release(almost), []);
        assert!(suspects.is_held_off(ShardId(3)));
        assert_eq!(suspects.release(now.after(PAUSE)), [ShardId(3)]);
        assert!(!suspects.is_held_off(ShardId(3)));
        assert_eq!(suspects.release(now.after(PAUSE * 2)), [], "once");
        assert_eq!(lens(&suspects, &shards(3..5)), [1, 1], "it stays alone");
    }
}
