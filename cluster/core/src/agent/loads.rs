//! What runs in the shards, as their owners report it to the leader.

use crate::ShardId;

/// What ran in a shard lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardLoad {
    /// Calls answered a second.
    pub calls_per_s: u32,
    /// Time that its turns ran or waited for their own calls, in microseconds a second.
    pub busy_us_per_s: u32,
    /// Actors in memory.
    pub activations: u32,
}

impl ShardLoad {
    /// One number to compare and add: microseconds of work a second, in which a call costs 2 besides
    /// its turn, an activation 1 (it will have to move), and a shard 10 for being there.
    pub fn score(self) -> u32 {
        let calls = self.calls_per_s.saturating_mul(2);
        self.busy_us_per_s.saturating_add(calls).saturating_add(self.activations).saturating_add(10)
    }

    /// Between the last picture and the new one: half of each, so that one odd second moves nothing.
    fn smoothed(self, new: Self) -> Self {
        // Rounded down, so that what has ended comes to nothing.
        let mean = |a: u32, b: u32| a.midpoint(b);
        Self {
            calls_per_s: mean(self.calls_per_s, new.calls_per_s),
            busy_us_per_s: mean(self.busy_us_per_s, new.busy_us_per_s),
            activations: new.activations,
        }
    }
}

/// The loads of all shards, as far as reported.
#[derive(Debug, Default)]
pub(super) struct Loads {
    shards: Vec<ShardLoad>,
    reports: u64,
}

impl Loads {
    pub(super) fn report(&mut self, shards: usize, loads: &[(ShardId, ShardLoad)]) {
        self.reports += 1;
        self.shards.resize(shards.max(self.shards.len()), ShardLoad::default());
        for (shard, load) in loads {
            if let Some(known) = self.shards.get_mut(shard.0 as usize) {
                *known = known.smoothed(*load);
            }
        }
    }

    /// How often loads were reported.
    pub(super) fn reports(&self) -> u64 {
        self.reports
    }

    pub(super) fn of(&self, shard: ShardId) -> ShardLoad {
        self.shards.get(shard.0 as usize).copied().unwrap_or_default()
    }
}
