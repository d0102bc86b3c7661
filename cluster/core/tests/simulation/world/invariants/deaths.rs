//! A life is declared dead by others only when its right to run is over, and found crashed only
//! when its process is not there.
//!
//! Proves: C6, C10

use greenroom_core::Life;
use greenroom_core::record::{Key, Transaction, Write};

use crate::world::World;

impl World {
    /// Looks at who was buried by a transaction that has just been applied.
    pub(in crate::world) fn check_deaths(&mut self, writer: usize, transaction: &Transaction) {
        for write in &transaction.writes {
            let Write::Delete(Key::Heartbeat(dead)) = write else { continue };
            let Some(place) = self.nodes.iter().position(|node| node.id == *dead) else { continue };
            let right = self.nodes[place].has_right(self.now_us);
            if right && place != writer {
                let by = &self.nodes[writer].id;
                if self.options.is_within_bound() {
                    self.violated(&format!("{dead} was buried by {by} and may still run turns"));
                }
                self.counts.beyond_bound_burials += 1;
            }
        }
    }

    pub(in crate::world) fn check_crashed(&self, life: &Life) {
        if self.process_of(life).is_some() {
            self.violated(&format!("{life} was found crashed, and its process is there"));
        }
    }
}
