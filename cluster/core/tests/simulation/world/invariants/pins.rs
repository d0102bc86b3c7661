//! Pins are kept: a leader sends no shard away from the node that it is pinned to while that may
//! own it.

use greenroom_core::ShardId;
use greenroom_core::planner::MoveReason;
use greenroom_core::record::{Key, Record, ShardRecord, Transaction, Write};

use crate::world::World;

impl World {
    /// Looks at the targets that a leader is about to write.
    pub(in crate::world) fn check_pins(&self, node: usize, transaction: &Transaction) {
        for write in &transaction.writes {
            if let Write::Put(Key::Shard(shard), Record::Shard(record)) = write {
                self.check_pin(node, *shard, record);
            }
        }
    }

    fn check_pin(&self, node: usize, shard: ShardId, new: &ShardRecord) {
        let view = self.nodes[node].agent.view();
        let before = &view.shard(shard).record;
        let Some(pin) = &before.pin else { return };
        let group = view.group_of(shard);
        let able = view.member(pin).is_some_and(|member| view.takes_shards_of(&member, group));
        let there = view.live_owner(shard).is_some_and(|(owner, _)| owner.node == *pin);
        let leaves = there && new.target.as_ref() != Some(pin);
        if able && leaves {
            self.violated(&format!(
                "shard {shard} is pinned to {pin} and sent to {:?}: {}",
                new.target, new.reason
            ));
        }
        if *new.reason == *MoveReason::Rebalance.as_str() && able {
            self.violated(&format!("shard {shard} is pinned to {pin} and moved for balance"));
        }
    }
}
