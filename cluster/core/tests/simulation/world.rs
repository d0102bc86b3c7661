//! Nodes, store and network as discrete events in virtual time; a run is a function of its seed.

use std::collections::BTreeMap;

use fastrand::Rng;
use greenroom_core::record::{Entry, Key, Transaction};
use greenroom_core::{Effect, Epoch, Event, Incarnation, Life, Moment, Outcome, ShardId};

use crate::node::{Node, SHARDS, TIMING};
use crate::store::Store;

/// Something that happens at a node or the store.
#[derive(Debug)]
enum Happening {
    /// The agent's clockwork.
    Tick,
    /// The heartbeat thread's clockwork.
    Beat,
    /// News on the watch.
    Watch,
    /// An answer, or the shell's report, reaches the agent.
    Tell(Event),
    /// A request reaches the store; whether its reply is lost, and whether its sender was told so
    /// long ago.
    AtStore { event: AtStore, lost: bool, given_up: bool },
    /// The turns of drained shards have ended.
    TurnsEnded(Vec<(ShardId, Epoch)>),
    /// A heartbeat is answered.
    Acknowledged { sent: Moment, incarnation: Incarnation, applied: bool },
    /// A fault begins.
    Fault,
    /// A crashed process starts again.
    Restart,
}

#[derive(Debug)]
enum AtStore {
    Commit(greenroom_core::RequestId, Transaction),
    Read(greenroom_core::RequestId, Vec<Key>),
    List,
    Beat { sent: Moment, incarnation: Incarnation, transaction: Transaction },
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) crashes: u32,
    pub(crate) pauses: u32,
    pub(crate) cuts: u32,
    pub(crate) leaves: u32,
    pub(crate) lost_replies: u32,
    pub(crate) fences: u32,
    pub(crate) opened: u32,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    rng: Rng,
    pub(crate) now_us: u64,
    queue: BTreeMap<(u64, u64), (usize, u64, Happening)>,
    order: u64,
    pub(crate) store: Store,
    pub(crate) nodes: Vec<Node>,
    pub(crate) faults: bool,
    pub(crate) counts: Counts,
    /// Who served a shard at an epoch.
    servers: BTreeMap<(ShardId, Epoch), Life>,
    /// Greatest epoch that a shard was ever served at.
    epochs: BTreeMap<ShardId, Epoch>,
}

const MS: u64 = 1000;

impl World {
    pub(crate) fn new(seed: u64, nodes: usize) -> Self {
        let mut world = Self {
            seed,
            rng: Rng::with_seed(seed),
            now_us: 0,
            queue: BTreeMap::new(),
            order: 0,
            store: Store::default(),
            nodes: Vec::new(),
            faults: true,
            counts: Counts::default(),
            servers: BTreeMap::new(),
            epochs: BTreeMap::new(),
        };
        for node in 0..nodes {
            let ppm = world.rng.i64(-20_000..20_000);
            let seed = world.rng.u64(..);
            world.nodes.push(Node::start(node, 0, ppm, seed, 0));
            world.boot(node);
        }
        world
    }

    fn boot(&mut self, node: usize) {
        self.ask(node, AtStore::List);
        self.after(node, 50 * MS, Happening::Tick);
        self.after(node, 10 * MS, Happening::Beat);
        self.after(node, 5 * MS, Happening::Watch);
        let span = self.rng.u64(500 * MS..8000 * MS);
        self.after(node, span, Happening::Fault);
    }

    fn after(&mut self, node: usize, span_us: u64, happening: Happening) {
        self.order += 1;
        let start = self.nodes[node].start;
        self.queue.insert((self.now_us + span_us, self.order), (node, start, happening));
    }

    fn ask(&mut self, node: usize, event: AtStore) {
        let in_hundred = |rng: &mut Rng, faults: bool| if faults { rng.u32(..100) } else { 99 };
        // Some requests dawdle for seconds and take effect long after their sender gave up.
        let late = in_hundred(&mut self.rng, self.faults) < 1;
        let lost = in_hundred(&mut self.rng, self.faults) < 2;
        let swallowed = in_hundred(&mut self.rng, self.faults) < 2;
        let span =
            if late { self.rng.u64(500 * MS..4000 * MS) } else { self.rng.u64(200..12 * MS) };
        let mut given_up = false;
        if let AtStore::Commit(request, _) = &event {
            let request = *request;
            given_up = late;
            if late {
                let outcome = Outcome::Ambiguous;
                self.after(node, 300 * MS, Happening::Tell(Event::Committed { request, outcome }));
            } else if swallowed {
                let outcome = if self.rng.bool() { Outcome::Ambiguous } else { Outcome::Transient };
                let span = self.rng.u64(MS..700 * MS);
                self.after(node, span, Happening::Tell(Event::Committed { request, outcome }));
                return;
            }
        }
        self.after(node, span, Happening::AtStore { event, lost: lost || late, given_up });
    }

    /// Runs until `end_us`, checking the invariants after each event.
    pub(crate) fn run_until(&mut self, end_us: u64) {
        while let Some((&(at, order), _)) = self.queue.first_key_value() {
            if at > end_us {
                break;
            }
            let (node, start, happening) = self.queue.remove(&(at, order)).unwrap();
            self.now_us = at;
            self.happen(node, start, happening);
            self.check_one_activation();
        }
        self.now_us = end_us;
    }

    fn happen(&mut self, node: usize, start: u64, happening: Happening) {
        if let Happening::AtStore { event, lost, given_up } = happening {
            self.reached_store(node, start, event, lost, given_up);
            return;
        }
        if let Happening::Restart = happening {
            self.restart(node);
            return;
        }
        if self.nodes[node].start != start || !self.nodes[node].up || self.nodes[node].stopped {
            return;
        }
        let paused_until = self.nodes[node].paused_until;
        if self.now_us < paused_until {
            self.after(node, paused_until - self.now_us, happening);
            return;
        }
        match happening {
            Happening::Tick => {
                self.step(node, Event::Tick);
                self.after(node, 50 * MS, Happening::Tick);
            }
            Happening::Beat => self.beat(node),
            Happening::Watch => self.follow(node),
            Happening::Tell(event) => self.step(node, event),
            Happening::Acknowledged { sent, incarnation, applied } => {
                self.acknowledged(node, sent, incarnation, applied);
            }
            Happening::TurnsEnded(shards) => {
                for (shard, _) in &shards {
                    self.nodes[node].gates.remove(shard);
                }
                self.step(node, Event::Drained { shards });
            }
            Happening::Fault => self.fault(node),
            Happening::AtStore { .. } | Happening::Restart => unreachable!("handled above"),
        }
    }

    /// What crosses the network from a process that may have died meanwhile still arrives.
    fn reached_store(
        &mut self,
        node: usize,
        start: u64,
        event: AtStore,
        lost: bool,
        given_up: bool,
    ) {
        let cut = self.now_us < self.nodes[node].cut_until;
        let arrives = !cut;
        let answered = arrives && !lost;
        self.counts.lost_replies += u32::from(lost);
        let back = if answered { self.rng.u64(200..12 * MS) } else { 700 * MS };
        let reply = match event {
            AtStore::Commit(request, transaction) => {
                let writer = self.nodes[node].id.clone();
                let outcome = arrives.then(|| self.store.commit(&writer, &transaction));
                if given_up {
                    return;
                }
                let outcome = outcome.filter(|_| answered).unwrap_or(Outcome::Ambiguous);
                Happening::Tell(Event::Committed { request, outcome })
            }
            AtStore::Read(request, keys) => {
                let entries = keys.iter().map(|key| self.store.entry(key)).collect();
                let entries = Some(entries).filter(|_| answered);
                Happening::Tell(Event::Read { request, entries })
            }
            AtStore::List if answered => {
                let (revision, entries) = (self.store.revision, self.store.all());
                Happening::Tell(Event::Snapshot { revision, entries })
            }
            AtStore::List => {
                if self.nodes[node].start == start {
                    self.ask(node, AtStore::List);
                }
                return;
            }
            AtStore::Beat { sent, incarnation, transaction } => {
                if !arrives {
                    return;
                }
                let writer = self.nodes[node].id.clone();
                let outcome = self.store.commit(&writer, &transaction);
                if !answered {
                    return;
                }
                let applied = matches!(outcome, Outcome::Applied { .. });
                Happening::Acknowledged { sent, incarnation, applied }
            }
        };
        if self.nodes[node].start == start {
            self.after(node, back, reply);
        }
    }

    fn step(&mut self, node: usize, event: Event) {
        let now = self.nodes[node].now(self.now_us);
        for effect in self.nodes[node].agent.step(now, event) {
            self.carry_out(node, effect);
        }
    }

    fn carry_out(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Commit { request, transaction } => {
                self.ask(node, AtStore::Commit(request, transaction));
            }
            Effect::Read { request, keys } => self.ask(node, AtStore::Read(request, keys)),
            Effect::Beat(life) => {
                self.nodes[node].beating = Some(life);
                self.nodes[node].right_until = Moment::default();
            }
            Effect::StopBeating => self.nodes[node].beating = None,
            Effect::Open(shards) => {
                for (shard, epoch) in shards {
                    self.open(node, shard, epoch);
                }
            }
            Effect::Drain(shards) => {
                // Turns go on for a while; the gate only counts as closed when they are done.
                let span = self.rng.u64(MS..300 * MS);
                self.after(node, span, Happening::TurnsEnded(shards));
            }
            Effect::Revoke(shards) => {
                for shard in shards {
                    self.nodes[node].gates.remove(&shard);
                }
            }
            Effect::Fence(_) => {
                self.counts.fences += 1;
                self.nodes[node].gates.clear();
                self.nodes[node].right_until = Moment::default();
            }
            Effect::Stopped => {
                self.nodes[node].stopped = true;
                let span = self.rng.u64(200 * MS..3000 * MS);
                self.after(node, span, Happening::Restart);
            }
            Effect::Route(_) | Effect::Tell(_) => {}
        }
    }

    fn open(&mut self, node: usize, shard: ShardId, epoch: Epoch) {
        self.counts.opened += 1;
        let before = self.nodes[node].gates.insert(shard, epoch);
        assert_eq!(before, None, "seed {}: shard {shard} opened while open", self.seed);
    }

    fn beat(&mut self, node: usize) {
        let sent = self.nodes[node].clock(self.now_us);
        if let Some(transaction) = self.nodes[node].beat() {
            let incarnation = self.nodes[node].beating.as_ref().unwrap().incarnation;
            self.ask(node, AtStore::Beat { sent, incarnation, transaction });
        }
        let span = TIMING.heartbeat.as_micros() as u64;
        self.after(node, span, Happening::Beat);
    }

    fn acknowledged(&mut self, node: usize, sent: Moment, incarnation: Incarnation, applied: bool) {
        if !applied {
            self.step(node, Event::HeartbeatRefused { incarnation });
            return;
        }
        let this = &mut self.nodes[node];
        if this.beating.as_ref().is_some_and(|life| life.incarnation == incarnation) {
            this.right_until = this.right_until.max(TIMING.right_until(sent));
            self.step(node, Event::HeartbeatAcknowledged { incarnation });
        }
    }

    fn follow(&mut self, node: usize) {
        let span = self.rng.u64(MS..25 * MS);
        self.after(node, span, Happening::Watch);
        if self.now_us < self.nodes[node].cut_until {
            return;
        }
        if self.faults && self.rng.u32(..2000) == 0 {
            // The watch breaks, and what it would have told is compacted away.
            self.nodes[node].followed = self.store.log.len();
            self.step(node, Event::WatchLost);
            self.ask(node, AtStore::List);
            return;
        }
        let entries: Vec<Entry> = self.store.log[self.nodes[node].followed..].to_vec();
        if !entries.is_empty() {
            self.nodes[node].followed = self.store.log.len();
            self.step(node, Event::Changes { entries });
        }
    }

    fn fault(&mut self, node: usize) {
        let again = self.rng.u64(500 * MS..12_000 * MS);
        if !self.faults {
            return;
        }
        match self.rng.u32(..4) {
            0 => {
                self.counts.crashes += 1;
                self.nodes[node].up = false;
                let span = self.rng.u64(10 * MS..6000 * MS);
                self.after(node, span, Happening::Restart);
                return;
            }
            1 => {
                self.counts.pauses += 1;
                self.nodes[node].paused_until = self.now_us + self.rng.u64(100 * MS..6000 * MS);
            }
            2 => {
                self.counts.cuts += 1;
                self.nodes[node].cut_until = self.now_us + self.rng.u64(100 * MS..6000 * MS);
            }
            _ => {
                self.counts.leaves += 1;
                self.step(node, Event::Leave);
            }
        }
        self.after(node, again, Happening::Fault);
    }

    fn restart(&mut self, node: usize) {
        let (start, ppm) = (self.nodes[node].start + 1, self.nodes[node].clock_ppm);
        let seed = self.rng.u64(..);
        self.nodes[node] = Node::start(node, start, ppm, seed, self.store.log.len());
        self.boot(node);
    }

    /// At most one node passes the ownership check of a shard, and epochs only grow.
    fn check_one_activation(&mut self) {
        let (seed, now_us) = (self.seed, self.now_us);
        for shard in (0..SHARDS).map(ShardId) {
            let mut passing = self.nodes.iter().filter(|node| node.passes_check(shard, now_us));
            let Some(node) = passing.next() else { continue };
            if let Some(other) = passing.next() {
                let both = (&node.id, &other.id);
                panic!("seed {seed} at {now_us} us: shard {shard} passes the check on {both:?}");
            }
            let epoch = node.gates[&shard];
            let life = node.beating.clone().expect("who has the right to run is alive");
            let server = self.servers.entry((shard, epoch)).or_insert_with(|| life.clone());
            assert_eq!(*server, life, "seed {seed}: shard {shard} has two owners at {epoch}");
            let greatest = self.epochs.entry(shard).or_default();
            assert!(epoch >= *greatest, "seed {seed}: shard {shard} is served at an old epoch");
            *greatest = epoch;
        }
    }
}
