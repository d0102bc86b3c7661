//! A leader never sends more shards off than the caps allow, as far as it can see, and none for
//! balance while an operator holds that.
//!
//! Proves: P5

use std::collections::BTreeMap;

use greenroom_core::planner::MoveReason;
use greenroom_core::record::Key;
use greenroom_core::{Decided, DecidedMove, Effect, NodeId, Notice, ShardId};

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
        for effect in effects {
            let Effect::Commit { transaction, .. } = effect else { continue };
            if transaction.guards.iter().any(|guard| *guard.key() == Key::Leader) {
                self.check_pins(node, transaction);
            }
        }
        // All that was planned, and not only what has been sent: some may wait for its turn.
        let decision = self.nodes[node].agent.decisions().rev().find_map(|decision| {
            if let Decided::Moves(moves) = &decision.what { Some(moves) } else { None }
        });
        let planned = decision.map_or(&[][..], Vec::as_slice);
        let planned: BTreeMap<ShardId, &DecidedMove> =
            planned.iter().map(|step| (step.shard, step)).collect();
        let (mut flights, mut begun) = (0, 0);
        let mut of_node: BTreeMap<&NodeId, (usize, bool)> = BTreeMap::new();
        for shard in self.shape.all_shards().take(view.shards().len()) {
            let record = &view.shard(shard).record;
            let before = (record.target.as_ref(), &*record.reason);
            let after = planned.get(&shard).map_or(before, |step| (Some(&step.to), step.reason));
            let flies = |target: Option<&NodeId>| {
                let (owner, _) = view.live_owner(shard)?;
                // One whose heartbeat came with a refusal before its node's record did is none to the planner.
                view.member(&owner.node)?;
                let target = target.filter(|to| view.member(to).is_some())?;
                (owner.node != *target).then_some(())
            };
            if flies(after.0).is_none() || !is_capped(after.1) {
                continue;
            }
            let new = flies(before.0).is_none();
            flights += 1;
            begun += usize::from(new);
            let from = view.live_owner(shard).map(|(owner, _)| &owner.node);
            for end in [from, after.0].into_iter().flatten() {
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
            self.violated(&format!("{node} takes part in {count} moves at a time: {planned:?}"));
        }
    }
}

/// Whether the caps count a move for this reason.
fn is_capped(reason: &str) -> bool {
    let capped = [MoveReason::Drain, MoveReason::Rebalance, MoveReason::Pin];
    capped.iter().any(|of| reason == of.as_str())
}
