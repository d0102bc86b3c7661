//! What goes wrong, at random or on demand.

use greenroom_core::record::{Key, NodeProfile};
use greenroom_core::{Event, ShardId};

use super::node::Node;
use super::{Happening, MS, SECOND, World};

impl World {
    /// One fault, drawn at random, and the next one some time later.
    pub(super) fn fault(&mut self, node: usize) {
        if !self.faults {
            return;
        }
        let now = self.now_us;
        let span = self.rng.u64(100 * MS..6 * SECOND);
        let until = now + span;
        match self.rng.u32(..15) {
            0 | 1 => {
                let at_once = self.rng.u32(..3) == 0;
                let span = self.rng.u64(10 * MS..if at_once { 200 * MS } else { 6 * SECOND });
                self.counts.restarts_at_once += u64::from(at_once);
                self.crash(node);
                self.after(node, span, Happening::Restart);
                return;
            }
            2 => {
                self.counts.pauses += 1;
                self.nodes[node].troubles.paused = until;
            }
            3 => {
                self.counts.hangs += 1;
                self.nodes[node].troubles.hung = now + self.rng.u64(100 * MS..14 * SECOND);
            }
            4 => {
                self.counts.hearts_late += 1;
                self.nodes[node].troubles.heart_late = until;
            }
            5 => self.cut(node, span),
            6 => {
                self.counts.cuts += 1;
                self.nodes[node].troubles.cut = until;
            }
            7 => {
                self.counts.heart_cuts += 1;
                self.nodes[node].troubles.heart_cut = until;
            }
            8 => {
                self.counts.leaves += 1;
                self.after(node, 0, Happening::Tell(Event::Leave));
            }
            9 => {
                self.counts.drains += 1;
                self.after(node, 0, Happening::Tell(Event::Drain));
                self.after(node, span, Happening::Tell(Event::Undrain));
            }
            10 | 11 => {
                self.counts.watches_stalled += 1;
                self.nodes[node].troubles.watch_stalled = until;
            }
            12 => self.nodes[node].troubles.unable = until,
            _ => {
                let shard = ShardId(self.rng.u32(..self.shape.all_shards().count() as u32));
                // Some last longer than any order is pursued.
                let more = if self.rng.u32(..3) == 0 { 21 * SECOND } else { 0 };
                self.garble(shard, span + more);
            }
        }
        let again = self.rng.u64(500 * MS..12 * SECOND);
        self.after(node, again, Happening::Fault);
    }

    /// The process is gone, from one moment to the next.
    pub(crate) fn crash(&mut self, node: usize) {
        self.counts.crashes += 1;
        self.nodes[node].up = false;
    }

    /// No message passes between the node and the store for a while.
    pub(crate) fn cut(&mut self, node: usize, span_us: u64) {
        self.counts.cuts += 1;
        let until = self.now_us + span_us;
        let troubles = &mut self.nodes[node].troubles;
        (troubles.cut, troubles.heart_cut) = (until, until);
    }

    /// A shard's record can't be read for a while.
    pub(crate) fn garble(&mut self, shard: ShardId, span_us: u64) {
        let key = Key::Shard(shard);
        if !self.store.held.contains_key(&key) || self.store.unreadable.contains(&key) {
            return;
        }
        self.counts.unreadable += 1;
        self.store.garble(&key);
        self.after(0, span_us, Happening::Mend(key));
    }

    /// A new process with the same name, now and then with another weight.
    pub(super) fn restart(&mut self, node: usize) {
        let mut profile = self.nodes[node].profile.clone();
        if self.faults && self.rng.u32(..4) == 0 {
            profile.weight = self.rng.u32(1..=3);
        }
        self.restart_as(node, profile);
    }

    /// A new process with the same name, which brings this.
    pub(crate) fn restart_as(&mut self, node: usize, profile: NodeProfile) {
        let (start, ppm) = (self.nodes[node].start + 1, self.nodes[node].clock_ppm);
        let seed = self.rng.u64(..);
        self.nodes[node] = Node::start(node, start, ppm, seed, profile, &self.shape);
        self.boot(node);
    }

    /// All troubles end, and all that is drained takes shards again.
    pub(crate) fn end_faults(&mut self) {
        self.faults = false;
        for node in 0..self.nodes.len() {
            self.after(node, 0, Happening::Tell(Event::Undrain));
        }
    }
}

/// What scripted worlds do to their nodes.
impl World {
    /// The node is told to leave.
    pub(crate) fn leave(&mut self, node: usize) {
        self.tell(node, Event::Leave);
    }

    /// The agent is told something, as soon as it goes round.
    pub(crate) fn tell(&mut self, node: usize, event: Event) {
        self.after(node, 0, Happening::Tell(event));
    }

    /// The node reads everything.
    pub(crate) fn list(&mut self, node: usize) {
        self.ask(node, super::network::AtStore::List);
    }
}
