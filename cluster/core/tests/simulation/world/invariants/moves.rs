//! A leader never sends more shards off than the caps allow, as far as it can see, and none for
//! balance while an operator holds that.

use std::collections::BTreeMap;

use greenroom_core::planner::MoveReason;
use greenroom_core::record::{Key, Record, ShardRecord, Write};
use greenroom_core::{Effect, NodeId, Notice, ShardId};

use crate::world::World;

impl World {
    /// Looks at what an agent has just decided.
    pub(in crate::world) fn check_moves(&self, node: usize, effects: &[Effect]) {
        let planned = effects.iter().find_map(|effect| match effect {
            Effect::Tell(Notice::Planned { rebalanced, .. }) => Some(*rebalanced),
            _ => None,
        });
        let Some(rebalanced) = planned else { return };
        let view = self.nodes[node].agent.view();
        if rebalanced > 0 && view.rebalancing().held {
            self.violated("shards are moved for balance while an operator holds that");
        }
        let mut targets: BTreeMap<ShardId, &ShardRecord> = BTreeMap::new();
        for effect in effects {
            let Effect::Commit { transaction, .. } = effect else { continue };
            if !transaction.guards.iter().any(|guard| *guard.key() == Key::Leader) {
                continue;
            }
            for write in &transaction.writes {
                if let Write::Put(Key::Shard(shard), Record::Shard(record)) = write {
                    targets.insert(*shard, record);
                }
            }
        }
        let (mut flights, mut begun) = (0, 0);
        let mut of_node: BTreeMap<&NodeId, (usize, bool)> = BTreeMap::new();
        for shard in self.shape.all_shards().take(view.shards().len()) {
            let before = &view.shard(shard).record;
            let after = targets.get(&shard).copied().unwrap_or(before);
            let flies = |record: &ShardRecord| {
                let (owner, _) = view.live_owner(shard)?;
                let target = record.target.clone().filter(|to| view.member(to).is_some())?;
                (owner.node != target).then_some(())
            };
            if flies(after).is_none() || !is_capped(after) {
                continue;
            }
            let new = flies(before).is_none();
            flights += 1;
            begun += usize::from(new);
            let from = view.live_owner(shard).map(|(owner, _)| &owner.node);
            for end in [from, after.target.as_ref()].into_iter().flatten() {
                let (count, touched) = of_node.entry(end).or_default();
                *count += 1;
                *touched |= new;
            }
        }
        let policy = &self.shape.policy;
        if begun > 0 && flights > policy.batch_len_max {
            self.violated(&format!(
                "{flights} shards are in flight, {begun} of them just sent off"
            ));
        }
        let over = of_node.iter().find(|(_, (count, new))| *new && *count > policy.node_moves_max);
        if let Some((node, (count, _))) = over {
            let given: Vec<_> = targets
                .iter()
                .map(|(shard, record)| (shard, &record.target, &record.reason))
                .collect();
            self.violated(&format!("{node} takes part in {count} moves at a time: {given:?}"));
        }
    }
}

/// Whether the caps count a move for this reason.
fn is_capped(record: &ShardRecord) -> bool {
    let capped = [MoveReason::Drain, MoveReason::Rebalance, MoveReason::Pin];
    capped.iter().any(|reason| *record.reason == *reason.as_str())
}
