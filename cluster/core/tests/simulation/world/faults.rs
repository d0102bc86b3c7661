//! What goes wrong, at random or on demand.

use std::ops::Range;

use greenroom_core::record::{Key, NodeProfile};
use greenroom_core::{Epoch, Event, ShardId};

use super::invariants::More;
use super::node::Node;
use super::{Happening, MS, SECOND, World};

/// A kind of fault that a run may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Proves: C20
    Crash,
    /// Proves: C1
    Pause,
    /// Proves: C17
    Hang,
    /// Proves: C17
    HeartLate,
    /// Proves: C5
    Cut,
    AgentCut,
    HeartCut,
    Leave,
    Drain,
    /// Proves: C12
    WatchStall,
    Unable,
    Garble,
    /// Proves: C3
    ClockRate,
    /// From here on: faults of the cluster.
    /// Proves: C22
    StoreAway,
    StoreLeader,
    /// Proves: C11
    Compaction,
    Split,
    /// Proves: C7
    OneWay,
    /// Proves: C7
    Swizzle,
    Cascade,
    Rolling,
}

impl Fault {
    pub(crate) const ALL: &[Self] = &[
        Self::Crash,
        Self::Pause,
        Self::Hang,
        Self::HeartLate,
        Self::Cut,
        Self::AgentCut,
        Self::HeartCut,
        Self::Leave,
        Self::Drain,
        Self::WatchStall,
        Self::Unable,
        Self::Garble,
        Self::ClockRate,
        Self::StoreAway,
        Self::StoreLeader,
        Self::Compaction,
        Self::Split,
        Self::OneWay,
        Self::Swizzle,
        Self::Cascade,
        Self::Rolling,
    ];

    pub(crate) fn is_of_cluster(self) -> bool {
        self as usize >= Self::StoreAway as usize
    }
}

impl World {
    /// One fault, drawn at random, and the next one some time later.
    pub(super) fn fault(&mut self, node: usize) {
        if !self.faults {
            return;
        }
        let again = self.rng.u64(500 * MS..self.options.fault_every_ms * MS);
        self.after(node, again, Happening::Fault);
        let some = self.options.faults.iter().copied().filter(|fault| !fault.is_of_cluster());
        let some: Vec<Fault> = some.collect();
        self.counts.faults += 1;
        let now = self.now_us;
        let span = self.draw_span(100 * MS..6 * SECOND);
        let until = now + span;
        match some[self.rng.usize(..some.len())] {
            Fault::Crash => {
                let at_once = self.rng.u32(..3) == 0;
                let span = self.rng.u64(10 * MS..if at_once { 200 * MS } else { 6 * SECOND });
                self.counts.restarts_at_once += u64::from(at_once);
                self.crash(node);
                self.after(node, span, Happening::Restart);
            }
            Fault::Pause => {
                self.counts.pauses += 1;
                last(&mut self.nodes[node].troubles.paused, until);
            }
            Fault::Hang => {
                self.counts.hangs += 1;
                let until = now + self.draw_span(100 * MS..14 * SECOND);
                last(&mut self.nodes[node].troubles.hung, until);
            }
            Fault::HeartLate => {
                self.counts.hearts_late += 1;
                last(&mut self.nodes[node].troubles.heart_late, until);
            }
            Fault::Cut => self.cut(node, span),
            Fault::AgentCut => {
                self.counts.cuts += 1;
                self.nodes[node].troubles.cut = until;
            }
            Fault::HeartCut => {
                self.counts.heart_cuts += 1;
                self.nodes[node].troubles.heart_cut = until;
            }
            Fault::Leave => {
                self.counts.leaves += 1;
                self.after(node, 0, Happening::Tell(Event::Leave));
            }
            Fault::Drain => {
                self.counts.drains += 1;
                self.after(node, 0, Happening::Tell(Event::Drain));
                self.after(node, span, Happening::Tell(Event::Undrain));
            }
            Fault::WatchStall => {
                self.counts.watches_stalled += 1;
                self.nodes[node].troubles.watch_stalled = until;
            }
            Fault::Unable => self.nodes[node].troubles.unable = until,
            Fault::ClockRate => {
                self.counts.clock_rates_changed += 1;
                let ppm = self.draw_rate();
                self.nodes[node].change_clock(now, ppm);
                self.more_may_run.push(More { node, shard: None });
            }
            _ => {
                let shard = ShardId(self.rng.u32(..self.shape.all_shards().count() as u32));
                // Some last longer than any order is pursued.
                let more = if self.rng.u32(..3) == 0 { 21 * SECOND } else { 0 };
                self.garble(shard, span + more);
            }
        }
    }

    /// A span of something that lasts: longer where everything takes longer.
    pub(super) fn draw_span(&mut self, span_us: Range<u64>) -> u64 {
        self.rng.u64(span_us) * u64::from(self.shape.slowness())
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
        self.wake_watchers();
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
        let id = self.nodes[node].id.clone();
        let mut new = Node::start(id, start, ppm, seed, profile, &self.shape);
        new.keeps_clock_of(&self.nodes[node]);
        self.nodes[node] = new;
        self.boot(node);
    }

    /// Faults happen at random again.
    pub(crate) fn begin_faults_again(&mut self) {
        self.faults = true;
        for node in 0..self.nodes.len() {
            let span = self.rng.u64(500 * MS..8 * SECOND);
            self.after(node, span, Happening::Fault);
        }
    }

    /// All troubles end, and all that is drained takes shards again.
    pub(crate) fn end_faults(&mut self) {
        self.faults = false;
        self.links.heal();
        for node in 0..self.nodes.len() {
            self.after(node, 0, Happening::Tell(Event::Undrain));
        }
    }
}

/// What is put off until a trouble ends is put off once, so no other trouble may end it sooner.
fn last(trouble: &mut u64, until: u64) {
    *trouble = until.max(*trouble);
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

    /// A gate is open that no agent has opened; the checks may be told.
    pub(crate) fn plant_gate(&mut self, node: usize, shard: ShardId, epoch: Epoch, told: bool) {
        self.nodes[node].gates.insert(shard, epoch);
        if told {
            self.more_may_run.push(More { node, shard: Some(shard) });
        }
    }

    /// The node reads everything.
    pub(crate) fn list(&mut self, node: usize) {
        self.ask(node, super::network::AtStore::List);
    }
}
