//! At most one node passes the ownership check of a shard, and epochs only grow.

use crate::world::World;

impl World {
    pub(in crate::world) fn check_one_activation(&mut self) {
        let mut passing = vec![None; self.shape.all_shards().count()];
        for (place, node) in self.nodes.iter().enumerate() {
            if !node.has_right(self.now_us) {
                continue;
            }
            let life = node.heart.beating.as_ref().expect("who has the right to run is alive");
            for (shard, epoch) in &node.gates {
                if let Some(other) = passing[shard.0 as usize].replace(place) {
                    let both = (&self.nodes[other].id, &node.id);
                    self.violated(&format!("shard {shard} passes the check on {both:?}"));
                }
                let server = self.invariants.servers.entry((*shard, *epoch));
                let server = server.or_insert_with(|| life.clone());
                assert_eq!(server, life, "seed {}: {shard} has two owners at {epoch}", self.seed);
                let greatest = self.invariants.epochs.entry(*shard).or_default();
                assert!(epoch >= greatest, "seed {}: {shard} is served at an old epoch", self.seed);
                *greatest = *epoch;
            }
        }
    }
}
