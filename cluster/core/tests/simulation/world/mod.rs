//! Nodes, store and network as discrete events in virtual time; a run is a function of its seed.

mod clients;
mod cluster_faults;
mod counts;
mod effects;
pub(crate) mod faults;
mod heart;
mod invariants;
mod links;
mod network;
pub(crate) mod node;
mod operators;
pub(crate) mod options;
mod queue;
pub(crate) mod shape;
mod state;
pub(crate) mod store;

use fastrand::Rng;
use greenroom_core::record::Key;
use greenroom_core::{Epoch, Event, Incarnation, Life, Moment, NodeId, ShardId};

use clients::{AtStates, Call, Clients, Request, Said};
pub(crate) use counts::Counts;
use invariants::{Invariants, More};
use links::Links;
use network::{AtStore, Fate};
use node::Node;
use operators::Operators;
pub(crate) use options::Options;
use queue::Queue;
pub(crate) use shape::Shape;
use state::{Fence, States};
use store::Store;

pub(crate) const MS: u64 = 1000;
pub(crate) const SECOND: u64 = 1000 * MS;
/// From one tick of an agent to the next, as in the driver.
const TICK: u64 = 100 * MS;

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
    /// The store gives a watch up.
    WatchBreaks,
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
    /// A fault of more than one node begins.
    ClusterFault,
    /// A link is cut for so many microseconds; as part of something larger.
    CutLink { from: links::End, to: links::End, span_us: u64 },
    /// A process crashes; as part of something larger.
    Crash,
    /// A client makes a call.
    ClientCalls,
    /// A call reaches the machine of a node.
    AtSocket(Call),
    /// A call reaches a node.
    Called(Call),
    /// A request reaches the store of states.
    AtStates { request: Request, what: AtStates, life: Option<Life> },
    /// The store of states answers, or patience with it is at an end.
    StatesSaid { request: Request, said: Said },
    /// A turn that only looked is over.
    TurnEnded { shard: ShardId, fence: Fence },
    /// A client is answered.
    ClientHears { call: Call, value: u64 },
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
            Self::Tick | Self::Watch | Self::WatchBreaks | Self::Tell(_) => Part::Agent,
            Self::Beat { .. } | Self::BeatOverdue { .. } | Self::BeatAnswered { .. } => Part::Heart,
            Self::TurnsEnded(_)
            | Self::Called(_)
            | Self::StatesSaid { .. }
            | Self::TurnEnded { .. } => Part::Process,
            Self::AtStore { .. }
            | Self::AtPort { .. }
            | Self::Fault
            | Self::ClusterFault
            | Self::CutLink { .. }
            | Self::Crash
            | Self::ClientCalls
            | Self::AtSocket(_)
            | Self::AtStates { .. }
            | Self::ClientHears { .. }
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
    queue: Queue<(usize, u64, Happening)>,
    pub(crate) store: Store,
    pub(crate) nodes: Vec<Node>,
    /// Whether faults happen at random.
    pub(crate) faults: bool,
    pub(crate) counts: Counts,
    pub(crate) operators: Operators,
    pub(crate) options: Options,
    pub(crate) links: Links,
    clients: Clients,
    states: States,
    invariants: Invariants,
    /// Where more may run since the last look.
    more_may_run: Vec<More>,
    /// The checks look at everything at every event, and not only at what may be new.
    pub(crate) thorough: bool,
    /// Prints every event.
    pub(crate) traced: bool,
}

impl World {
    /// A cluster whose nodes all start at once, without faults until `faults` is set.
    pub(crate) fn new(seed: u64, shape: Shape) -> Self {
        Self::with(seed, shape, Options::plain())
    }

    /// As [`World::new`], with what was drawn for the run.
    pub(crate) fn with(seed: u64, shape: Shape, options: Options) -> Self {
        let mut world = Self {
            seed,
            shape,
            rng: Rng::with_seed(seed),
            now_us: 0,
            queue: Queue::default(),
            store: Store::default(),
            nodes: Vec::new(),
            faults: false,
            counts: Counts::default(),
            operators: Operators::default(),
            options,
            links: Links::default(),
            clients: Clients::default(),
            states: States::default(),
            invariants: Invariants::default(),
            more_may_run: Vec::new(),
            thorough: false,
            traced: false,
        };
        for place in 0..world.shape.profiles.len() {
            let ppm = world.draw_rate();
            let seed = world.rng.u64(..);
            let id = NodeId::new(format!("node-{place}")).expect("a valid name");
            let profile = world.shape.profiles[place].clone();
            world.nodes.push(Node::start(id, 0, ppm, seed, profile, &world.shape));
            world.boot(place);
        }
        world.after(0, SECOND, Happening::Operate);
        world.after(0, 3 * SECOND, Happening::ClusterFault);
        for _ in 0..world.options.clients {
            world.after(0, SECOND, Happening::ClientCalls);
        }
        world
    }

    fn boot(&mut self, node: usize) {
        self.nodes[node].followed = self.store.log.len();
        self.nodes[node].pulse = self.nodes[node].clock(self.now_us);
        self.ask(node, AtStore::List);
        self.after(node, TICK, Happening::Tick);
        let span = self.rng.u64(500 * MS..8000 * MS);
        self.after(node, span, Happening::Fault);
    }

    fn after(&mut self, node: usize, span_us: u64, happening: Happening) {
        let start = self.nodes[node].start;
        self.queue.push(self.now_us + span_us, (node, start, happening));
    }

    /// Runs until `end_us`, checking the invariants after each event.
    pub(crate) fn run_until(&mut self, end_us: u64) {
        while let Some((at_us, (node, start, happening))) = self.queue.pop_until(end_us) {
            self.now_us = at_us;
            self.happen(node, start, happening);
            self.check_one_activation();
        }
        self.now_us = end_us;
    }

    /// How many events there were, or will be.
    pub(crate) fn events(&self) -> u64 {
        self.queue.scheduled()
    }

    /// A number that two runs share only if the same happened in both.
    pub(crate) fn fingerprint(&self) -> u64 {
        use std::hash::Hasher;
        let mut hasher = std::hash::DefaultHasher::new();
        for entry in &self.store.log {
            hasher.write(format!("{entry:?}").as_bytes());
        }
        hasher.write(
            format!("{:?} {} {:?}", self.counts, self.queue.scheduled(), self.states).as_bytes(),
        );
        hasher.finish()
    }

    /// Whether something that happens to so many in a thousand happens now.
    fn in_thousand(&mut self, below: u32) -> bool {
        self.faults && self.rng.u32(..1000) < below
    }

    fn draw_rate(&mut self) -> i64 {
        let ppm = self.options.drift_ppm;
        // The ends of the range are what matters.
        match self.rng.u32(..4) {
            0 => -ppm,
            1 => ppm,
            _ => self.rng.i64(-ppm..=ppm),
        }
    }

    /// Runs for a while.
    pub(crate) fn run_for(&mut self, span_us: u64) {
        self.run_until(self.now_us + span_us);
    }

    fn happen(&mut self, node: usize, start: u64, happening: Happening) {
        if self.traced {
            println!("{:>12} us node-{node} {happening:?}", self.now_us);
        }
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
                self.check_owned_or_moving(node);
                self.after(node, TICK, Happening::Tick);
            }
            Happening::Beat { round } => self.beat(node, round),
            Happening::BeatOverdue { round } => self.beat_overdue(node, round),
            Happening::BeatAnswered { sent, incarnation, round, applied } => {
                self.beat_answered(node, sent, incarnation, round, applied);
            }
            Happening::Watch => self.follow(node),
            Happening::WatchBreaks => self.break_watch(node),
            Happening::Tell(event) => self.step(node, event),
            Happening::TurnsEnded(shards) => {
                for (shard, epoch) in &shards {
                    // A life later it may be open again, which the end of former turns is no matter to.
                    if self.nodes[node].gates.get(shard) == Some(epoch) {
                        self.nodes[node].close(*shard);
                    }
                }
                self.after(node, 0, Happening::Tell(Event::Drained { shards }));
            }
            Happening::AtStore { event, fate } => self.reached_store(node, start, event, &fate),
            Happening::AtPort { life, address } => self.reached_port(node, start, life, &address),
            Happening::Restart => self.restart(node),
            Happening::Mend(key) => {
                self.store.mend(&key);
                self.wake_watchers();
            }
            Happening::ClusterFault => self.cluster_fault(),
            Happening::CutLink { from, to, span_us } => {
                self.links.cut(from, to, self.now_us + span_us);
            }
            Happening::Crash => {
                if !gone {
                    self.crash(node);
                    let span = self.rng.u64(10 * MS..6 * SECOND);
                    self.after(node, span, Happening::Restart);
                }
            }
            Happening::ClientCalls => self.client_calls(),
            Happening::AtSocket(call) => self.after(node, 0, Happening::Called(call)),
            Happening::Called(call) => self.call_arrived(node, call),
            Happening::AtStates { request, what, life } => {
                self.reached_states(node, start, request, what, life);
            }
            Happening::StatesSaid { request, said } => self.states_said(node, request, &said),
            Happening::TurnEnded { shard, fence } => self.end_turn(node, shard, fence),
            Happening::ClientHears { call, value } => self.client_hears(&call, value),
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
        panic!("seed {} at {} us: {what}", self.seed, self.now_us);
    }
}
