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
