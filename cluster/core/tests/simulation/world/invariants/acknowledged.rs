//! Nothing is acknowledged without the right to run, and what was acknowledged is never lost: who
//! calls later sees it.
//!
//! Proves: P1

use greenroom_core::{Epoch, ShardId};

use crate::world::World;
use crate::world::clients::{Call, Waiting};

impl World {
    /// Looks at an answer as it leaves its node: by what stands in the store, and not by what the
    /// node believes, it must own the shard at that epoch.
    pub(in crate::world) fn check_acknowledged(
        &mut self,
        node: usize,
        shard: ShardId,
        epoch: Epoch,
    ) {
        let life = self.nodes[node].heart.beating.clone();
        let record = self.store.shard(shard).filter(|record| record.epoch == epoch);
        let owner = record.and_then(|record| record.owner.clone());
        let owns = owner.is_some() && owner == life;
        if owns && owner.is_some_and(|life| self.store.alive(&life)) {
            return;
        }
        if self.options.is_within_bound() {
            let id = &self.nodes[node].id;
            self.violated(&format!("{id} speaks for shard {shard} at {epoch} and does not own it"));
        }
        self.counts.beyond_bound_answers += 1;
    }

    /// Looks at an answer as its client hears it. What only looked is as good as the clocks.
    pub(in crate::world) fn check_answer(&self, call: &Call, value: u64, waiting: &Waiting) {
        let before = waiting.acknowledged;
        let lost = if call.adds { value <= before } else { value < before };
        if lost && (call.adds || self.options.is_within_bound()) {
            let did = if call.adds { "added up to" } else { "saw" };
            self.violated(&format!(
                "a call {did} {value} in shard {}, after {before} had been acknowledged",
                call.shard
            ));
        }
    }
}
