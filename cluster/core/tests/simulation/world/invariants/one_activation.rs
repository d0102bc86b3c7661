//! At most one node passes the ownership check of a shard, and epochs only grow.
//!
//! Proves: P1

use greenroom_core::ShardId;

use crate::world::World;

/// Where more may run than before.
#[derive(Clone, Copy, Debug)]
pub(in crate::world) struct More {
    pub(in crate::world) node: usize,
    /// One shard whose gate was opened; else all of the node's, whose right has begun.
    pub(in crate::world) shard: Option<ShardId>,
}

impl World {
    /// Looks where a gate was opened, a right has begun or a clock was changed: with time alone,
    /// rights only end.
    pub(in crate::world) fn check_one_activation(&mut self) {
        while let Some(More { node, shard }) = self.more_may_run.pop() {
            if !self.nodes[node].has_right(self.now_us) {
                continue;
            }
            match shard {
                Some(shard) => self.check_serving(node, shard),
                None => {
                    let open: Vec<ShardId> = self.nodes[node].gates.keys().copied().collect();
                    open.into_iter().for_each(|shard| self.check_serving(node, shard));
                }
            }
        }
        if self.thorough {
            self.check_every_activation();
        }
    }

    /// Looks at one gate of a node that has the right to run.
    fn check_serving(&mut self, place: usize, shard: ShardId) {
        let node = &self.nodes[place];
        let Some(epoch) = node.gates.get(&shard).copied() else { return };
        let life = node.heart.beating.as_ref().expect("who has the right to run is alive");
        let server = self.invariants.servers.entry((shard, epoch)).or_insert_with(|| life.clone());
        assert_eq!(server, life, "seed {}: {shard} has two owners at {epoch}", self.seed);
        let greatest = self.invariants.epochs.entry(shard).or_default();
        let newest = epoch.max(*greatest);
        let older = std::mem::replace(greatest, newest) > epoch;
        let others = self.nodes.iter().enumerate().filter(|(other, _)| *other != place);
        let mut passing = others.filter(|(_, other)| other.passes_check(shard, self.now_us));
        let beside = passing.next().map(|(_, other)| &other.id);
        if !older && beside.is_none() {
            return;
        }
        if self.options.is_within_bound() {
            match beside {
                Some(beside) => {
                    self.violated(&format!(
                        "shard {shard} passes the check on {:?}",
                        (beside, &node.id)
                    ));
                }
                None => {
                    self.violated(&format!(
                        "{} serves {shard} at {epoch}, after {newest}",
                        node.id
                    ));
                }
            }
        }
        self.counts.beyond_bound_activations += u64::from(beside.is_some());
    }

    /// Looks at every gate of every node, whatever has happened: what the other look must come to.
    pub(in crate::world) fn check_every_activation(&self) {
        for shard in self.shape.all_shards() {
            let mut passing =
                self.nodes.iter().filter(|node| node.passes_check(shard, self.now_us)).peekable();
            let Some(first) = passing.peek() else { continue };
            let epoch = first.gates[&shard];
            let newest = self.invariants.epochs.get(&shard).copied().unwrap_or_default();
            let noted =
                self.invariants.servers.get(&(shard, epoch)) == first.heart.beating.as_ref();
            if !noted || (epoch < newest && self.options.is_within_bound()) {
                self.violated(&format!(
                    "{} serves {shard} at {epoch}, after {newest}, and nobody looked",
                    first.id
                ));
            }
            if passing.count() > 1 && self.options.is_within_bound() {
                self.violated(&format!("shard {shard} passes the check twice, and nobody looked"));
            }
        }
    }
}
