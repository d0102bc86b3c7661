//! At most one node passes the ownership check of a shard, and epochs only grow.

use crate::world::World;

impl World {
    /// Needs a look only when a gate was opened, a right extended or a clock changed: with time
    /// alone, rights only end.
    pub(in crate::world) fn check_one_activation(&mut self) {
        if !std::mem::take(&mut self.more_may_run) {
            return;
        }
        let mut passing = vec![None; self.shape.all_shards().count()];
        for (place, node) in self.nodes.iter().enumerate() {
            if !node.has_right(self.now_us) {
                continue;
            }
            let life = node.heart.beating.as_ref().expect("who has the right to run is alive");
            for (shard, epoch) in &node.gates {
                if let Some(other) = passing[shard.0 as usize].replace(place) {
                    if self.options.is_within_bound() {
                        let both = (&self.nodes[other].id, &node.id);
                        self.violated(&format!("shard {shard} passes the check on {both:?}"));
                    }
                    self.counts.beyond_bound_activations += 1;
                    continue;
                }
                let server = self.invariants.servers.entry((*shard, *epoch));
                let server = server.or_insert_with(|| life.clone());
                assert_eq!(server, life, "seed {}: {shard} has two owners at {epoch}", self.seed);
                let greatest = self.invariants.epochs.entry(*shard).or_default();
                let old = epoch < greatest && self.options.is_within_bound();
                if old {
                    let (id, greatest) = (&node.id, *greatest);
                    self.violated(&format!("{id} serves {shard} at {epoch}, after {greatest}"));
                }
                *greatest = (*greatest).max(*epoch);
            }
        }
    }
}
