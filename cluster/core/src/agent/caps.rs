//! The bounds on moves in flight, over all groups together: the planner sees one group at a time.

use std::collections::BTreeMap;

use super::Agent;
use crate::planner::Move;
use crate::{NodeId, ShardId};

/// Moves in flight: of the cluster, and those that each node takes part in.
struct Flying {
    all: usize,
    of_node: Vec<usize>,
}

impl Flying {
    fn add(&mut self, from: usize, to: usize) {
        self.all += 1;
        self.of_node[from] += 1;
        self.of_node[to] += 1;
    }
}

impl Agent {
    /// Leaves out moves that would be too many at a time together with those of other groups. They
    /// are planned again when others have arrived.
    pub(super) fn keep_within_caps(&self, moves: &mut Vec<Move>, nodes: &[NodeId]) {
        if self.view.groups().len() == 1 {
            return;
        }
        let mut flying = Flying { all: 0, of_node: vec![0; nodes.len()] };
        let redirected: BTreeMap<ShardId, &Move> =
            moves.iter().map(|step| (step.shard, step)).collect();
        for shard in (0..self.view.shards().len() as u32).map(ShardId) {
            let Some((from, target)) = self.flight(shard, nodes) else { continue };
            let to = redirected.get(&shard).map_or(target, |step| step.to);
            if to != from {
                flying.add(from, to);
            }
        }
        let policy = &self.config.policy;
        let (all_max, node_max) = (policy.batch_len_max.max(1), policy.node_moves_max.max(1));
        moves.retain(|step| {
            let Some(from) = step.from.filter(|from| *from != step.to) else { return true };
            if self.flight(step.shard, nodes).is_some() {
                return true;
            }
            let fits = flying.all < all_max
                && flying.of_node[from] < node_max
                && flying.of_node[step.to] < node_max;
            if fits {
                flying.add(from, step.to);
            }
            fits
        });
    }

    /// Between which nodes a shard is under way, in terms of their places in `nodes`.
    fn flight(&self, shard: ShardId, nodes: &[NodeId]) -> Option<(usize, usize)> {
        let (owner, _) = self.view.live_owner(shard)?;
        let target = self.view.shard(shard).record.target.as_ref()?;
        let from = nodes.binary_search(&owner.node).ok()?;
        let to = nodes.binary_search(target).ok()?;
        (from != to).then_some((from, to))
    }
}
