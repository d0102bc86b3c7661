//! Nodes, store and network as discrete events in virtual time; a run is a function of its seed.

mod counts;
mod effects;
mod faults;
mod heart;
mod invariants;
mod network;
pub(crate) mod node;
mod operators;
pub(crate) mod shape;
pub(crate) mod store;

use std::collections::BTreeMap;

use fastrand::Rng;
use greenroom_core::record::Key;
use greenroom_core::{Epoch, Event, Incarnation, Life, Moment, ShardId};

pub(crate) use counts::Counts;
use invariants::Invariants;
use network::{AtStore, Fate};
use node::Node;
use operators::Operators;
pub(crate) use shape::Shape;
use store::Store;

pub(crate) const MS: u64 = 1000;
pub(crate) const SECOND: u64 = 1000 * MS;

/// Something that happens at a node or the store.
#[derive(Debug)]
enum Happening {
    /// The agent's clockwork.
    Tick,
    /// The heart's clockwork.
    Beat { round: u64 },
    /// The heart's patience with the store is at an end.
    BeatOverdue { round: u64 },
    /// A heartbeat is answered.
    BeatAnswered { sent: Moment, incarnation: Incarnation, round: u64, applied: bool },
    /// News on the watch.
    Watch,
    /// An answer, or the shell's report, reaches the agent.
    Tell(Event),
    /// A request reaches the store.
    AtStore { event: AtStore, fate: Fate },
    /// A connection attempt reaches the port of a node.
    AtPort { life: Life, address: String },
    /// The turns of drained shards have ended.
    TurnsEnded(Vec<(ShardId, Epoch)>),
    /// A fault begins.
    Fault,
    /// A crashed process starts again.
    Restart,
    /// A person puts an unreadable record back.
    Mend(Key),
    /// An operator gives an order.
    Operate,
}

/// Which part of a process something happens in.
enum Part {
    Agent,
    Heart,
    Process,
    /// None: it happens whatever the process does.
    World,
}

impl Happening {
    fn part(&self) -> Part {
        match self {
            Self::Tick | Self::Watch | Self::Tell(_) => Part::Agent,
            Self::Beat { .. } | Self::BeatOverdue { .. } | Self::BeatAnswered { .. } => Part::Heart,
            Self::TurnsEnded(_) => Part::Process,
            Self::AtStore { .. }
            | Self::AtPort { .. }
            | Self::Fault
            | Self::Restart
            | Self::Mend(_)
            | Self::Operate => Part::World,
        }
    }
}

/// A simulated cluster.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) shape: Shape,
    rng: Rng,
    pub(crate) now_us: u64,
    queue: BTreeMap<(u64, u64), (usize, u64, Happening)>,
    order: u64,
    pub(crate) store: Store,
    pub(crate) nodes: Vec<Node>,
    /// Whether faults happen at random.
    pub(crate) faults: bool,
    pub(crate) counts: Counts,
    pub(crate) operators: Operators,
    invariants: Invariants,
}

impl World {
    /// A cluster whose nodes all start at once, without faults until `faults` is set.
    pub(crate) fn new(seed: u64, shape: Shape) -> Self {
        let mut world = Self {
            seed,
            shape,
            rng: Rng::with_seed(seed),
            now_us: 0,
            queue: BTreeMap::new(),
            order: 0,
            store: Store::default(),
            nodes: Vec::new(),
            faults: false,
            counts: Counts::default(),
            operators: Operators::default(),
            invariants: Invariants::default(),
        };
        for place in 0..world.shape.profiles.len() {
            let ppm = world.rng.i64(-20_000..20_000);
            let seed = world.rng.u64(..);
            let profile = world.shape.profiles[place].clone();
            world.nodes.push(Node::start(place, 0, ppm, seed, profile, &world.shape));
            world.boot(place);
        }
        world.after(0, SECOND, Happening::Operate);
        world
    }

    fn boot(&mut self, node: usize) {
        self.nodes[node].followed = self.store.log.len();
        self.nodes[node].pulse = self.nodes[node].clock(self.now_us);
        self.ask(node, AtStore::List);
        self.after(node, 50 * MS, Happening::Tick);
        self.after(node, 5 * MS, Happening::Watch);
        let span = self.rng.u64(500 * MS..8000 * MS);
        self.after(node, span, Happening::Fault);
    }

    fn after(&mut self, node: usize, span_us: u64, happening: Happening) {
        self.order += 1;
        let start = self.nodes[node].start;
        self.queue.insert((self.now_us + span_us, self.order), (node, start, happening));
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

    /// Runs for a while.
    pub(crate) fn run_for(&mut self, span_us: u64) {
        self.run_until(self.now_us + span_us);
    }

    fn happen(&mut self, node: usize, start: u64, happening: Happening) {
        let this = &self.nodes[node];
        let gone = this.start != start || !this.listens();
        let troubles = &this.troubles;
        let later = match happening.part() {
            Part::World => 0,
            _ if gone => return,
            Part::Agent => troubles.paused.max(troubles.hung),
            Part::Heart => troubles.paused.max(troubles.heart_late),
            Part::Process => troubles.paused,
        };
        if self.now_us < later {
            self.after(node, later - self.now_us, happening);
            return;
        }
        match happening {
            Happening::Tick => {
                self.step(node, Event::Tick);
                self.check_orders(node);
                self.after(node, 50 * MS, Happening::Tick);
            }
            Happening::Beat { round } => self.beat(node, round),
            Happening::BeatOverdue { round } => self.beat_overdue(node, round),
            Happening::BeatAnswered { sent, incarnation, round, applied } => {
                self.beat_answered(node, sent, incarnation, round, applied);
            }
            Happening::Watch => self.follow(node),
            Happening::Tell(event) => self.step(node, event),
            Happening::TurnsEnded(shards) => {
                for (shard, _) in &shards {
                    self.nodes[node].gates.remove(shard);
                }
                self.after(node, 0, Happening::Tell(Event::Drained { shards }));
            }
            Happening::AtStore { event, fate } => self.reached_store(node, start, event, &fate),
            Happening::AtPort { life, address } => self.reached_port(node, start, life, &address),
            Happening::Restart => self.restart(node),
            Happening::Mend(key) => self.store.mend(&key),
            Happening::Operate => self.operate(),
            Happening::Fault => {
                if !gone {
                    self.fault(node);
                }
            }
        }
    }

    /// Ends the run with a message that names the seed.
    #[track_caller]
    fn violated(&self, what: &str) -> ! {
        panic!("seed {} at {} ms: {what}", self.seed, self.now_us / MS);
    }
}
