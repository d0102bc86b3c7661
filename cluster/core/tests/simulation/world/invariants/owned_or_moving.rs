//! Every shard is owned where it should be, or its leader knows that it is on its way.

use std::collections::BTreeSet;

use greenroom_core::ShardId;

use crate::world::World;

/// One look in so many is taken although nothing is new.
const LOOKS_ANYWAY_ONE_IN: u64 = 32;

impl World {
    /// Looks at what a leader knows, after it has decided.
    ///
    /// Needs a look only when the leader has learned something; now and then it is taken all the same.
    pub(in crate::world) fn check_owned_or_moving(&mut self, node: usize) {
        let agent = &self.nodes[node].agent;
        if !agent.leads() || !agent.is_synced() {
            return;
        }
        let view = agent.view();
        let state = Some(view.changes());
        let now_and_then = self.queue.scheduled().is_multiple_of(LOOKS_ANYWAY_ONE_IN);
        if self.nodes[node].seen_settled_at == state && !now_and_then && !self.thorough {
            return;
        }
        let moving: BTreeSet<ShardId> = agent.motions().map(|(shard, _)| shard).collect();
        for (number, slot) in (0..).zip(view.shards()) {
            let shard = ShardId(number);
            let target = slot.record.target.as_ref().filter(|target| view.member(target).is_some());
            let owner = view.live_owner(shard).map(|(life, _)| &life.node);
            let at_home = owner.is_some() && (target.is_none() || owner == target);
            if !at_home && !moving.contains(&shard) {
                self.violated(&format!(
                    "shard {shard} belongs to {owner:?} and should be at {target:?}, and its leader \
                     takes it for settled"
                ));
            }
        }
        self.nodes[node].seen_settled_at = state;
    }
}
