//! What goes wrong with more than one node, or with the store.

use greenroom_core::Event;

use super::faults::Fault;
use super::links::End;
use super::{Happening, MS, SECOND, World};

impl World {
    /// One fault of the cluster, drawn at random, and the next one some time later.
    pub(super) fn cluster_fault(&mut self) {
        if !self.faults {
            // Scripted worlds may still switch them on.
            self.after(0, SECOND, Happening::ClusterFault);
            return;
        }
        let again = self.rng.u64(2 * SECOND..20 * SECOND);
        self.after(0, again, Happening::ClusterFault);
        let some: Vec<Fault> =
            self.options.faults.iter().copied().filter(|fault| fault.is_of_cluster()).collect();
        if some.is_empty() {
            return;
        }
        self.counts.faults += 1;
        match some[self.rng.usize(..some.len())] {
            Fault::StoreAway => {
                self.counts.store_outages += 1;
                let span = self.draw_span(200 * MS..8 * SECOND);
                self.links.store_away = self.now_us + span;
            }
            Fault::StoreLeader => self.elect_in_store(),
            Fault::Compaction => {
                self.counts.compactions += 1;
                self.store.compacted = self.store.log.len();
            }
            Fault::Split => self.split(),
            Fault::OneWay => {
                self.counts.one_way_cuts += 1;
                let (from, to) = (self.draw_end(), self.draw_end());
                let span = self.draw_span(200 * MS..6 * SECOND);
                self.links.cut(from, to, self.now_us + span);
            }
            Fault::Swizzle => self.swizzle(),
            Fault::Cascade => {
                self.counts.cascades += 1;
                let first = self.rng.usize(..self.nodes.len());
                for more in 0..self.nodes.len() - 1 {
                    let node = (first + more) % self.nodes.len();
                    let span = self.rng.u64(0..800 * MS) * (more as u64 + 1);
                    self.after(node, span, Happening::Crash);
                }
            }
            _ => self.roll(),
        }
    }

    fn draw_end(&mut self) -> End {
        match self.rng.usize(..=self.nodes.len()) {
            0 => End::Store,
            place => End::Node(place - 1),
        }
    }

    /// For a second or two the store answers nobody, and every watch on it breaks.
    fn elect_in_store(&mut self) {
        self.counts.store_elections += 1;
        let span = self.rng.u64(300 * MS..1800 * MS);
        self.links.store_away = self.now_us + span;
        for node in 0..self.nodes.len() {
            self.after(node, span, Happening::WatchBreaks);
        }
    }

    /// No message passes between two parts of the nodes; perhaps the store is on one side only.
    fn split(&mut self) {
        self.counts.splits += 1;
        let until = self.now_us + self.draw_span(500 * MS..6 * SECOND);
        let sides: Vec<bool> = self.nodes.iter().map(|_| self.rng.bool()).collect();
        for (a, side) in sides.iter().enumerate() {
            for b in (0..sides.len()).filter(|b| sides[*b] != *side) {
                self.links.cut(End::Node(a), End::Node(b), until);
            }
        }
        if self.rng.u32(..3) == 0 {
            for a in (0..sides.len()).filter(|a| sides[*a]) {
                self.links.cut(End::Node(a), End::Store, until);
                self.links.cut(End::Store, End::Node(a), until);
            }
        }
    }

    /// Links are cut one after the other, in any order, and come back in another.
    fn swizzle(&mut self) {
        self.counts.swizzles += 1;
        let mut ends: Vec<End> = (0..self.nodes.len()).map(End::Node).collect();
        ends.push(End::Store);
        for from in ends.iter().copied() {
            for to in ends.iter().copied().filter(|to| *to != from) {
                if self.rng.bool() {
                    let starts = self.rng.u64(0..2 * SECOND);
                    let span_us = self.draw_span(100 * MS..4 * SECOND);
                    self.after(0, starts, Happening::CutLink { from, to, span_us });
                }
            }
        }
    }

    /// One node after the other is told to leave, and comes back as a new process.
    fn roll(&mut self) {
        self.counts.rolling_restarts += 1;
        let pause = self.rng.u64(300 * MS..5 * SECOND);
        for node in 0..self.nodes.len() {
            self.after(node, node as u64 * pause, Happening::Tell(Event::Leave));
        }
    }
}
