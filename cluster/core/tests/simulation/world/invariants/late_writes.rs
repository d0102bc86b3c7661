//! No durable write happens under an older epoch than one that has been shown, and no epoch is ever
//! shown by two lives: whatever the clocks do.
//!
//! Proves: C2, C21, P2

use std::collections::btree_map::Entry;

use greenroom_core::{Epoch, Life, ShardId};

use crate::world::World;

impl World {
    /// Looks at what the store of states has just taken.
    pub(in crate::world) fn check_late_writes(&mut self, shard: ShardId, epoch: Epoch, by: Life) {
        let newest = self.invariants.shown.entry(shard).or_default();
        if epoch < *newest {
            let newest = *newest;
            self.violated(&format!("{by} touched shard {shard} at {epoch}, after {newest}"));
        }
        *newest = epoch;
        match self.invariants.shown_by.entry((shard, epoch)) {
            Entry::Vacant(vacant) => {
                vacant.insert(by);
            }
            Entry::Occupied(other) if *other.get() == by => {}
            Entry::Occupied(other) => {
                let other = other.get().clone();
                self.violated(&format!("{by} and {other} both wrote shard {shard} at {epoch}"));
            }
        }
    }
}
