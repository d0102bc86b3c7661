//! The hosts, the network between them, and what is done to them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use greenroom_chaos::records::Change;
use greenroom_wire::api::Event;
use greenroom_wire::etcd::{Etcd, Faults, Troubles};
use parking_lot::Mutex;
use turmoil::{Builder, Sim};

use super::TICK;
use super::faults::Fault;
use super::judge::{Served, Turns};
use super::machine::{Ground, Machine};
use super::node::{self, Seat};
use super::shape::Shape;
use super::{history, net};

/// Connections and frames that wait at a host.
const TCP_CAPACITY: usize = 4096;

/// All that happens in a run.
pub(crate) struct Stage {
    pub(crate) sim: Sim<'static>,
    pub(crate) rng: Rng,
    pub(crate) shape: Shape,
    pub(crate) etcd: Etcd,
    pub(crate) history: Arc<Mutex<Vec<Change>>>,
    pub(crate) turns: Arc<Mutex<Turns>>,
    pub(crate) violations: Vec<String>,
    pub(crate) counts: BTreeMap<String, u64>,
    /// Shards that are served by anybody.
    pub(crate) served: usize,
    ground: Arc<Ground>,
    seats: Vec<Seat>,
    looks: Served,
    /// What comes when.
    due: Vec<(Duration, Next)>,
    /// Pairs of a node and a member that are cut or held.
    cut: BTreeSet<(usize, usize)>,
    /// Pairs with a long way between them.
    slow: BTreeSet<(usize, usize)>,
    members_down: BTreeSet<usize>,
    next_fault: Duration,
}

/// The next step of a fault; mostly its end.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// A node is cut off all members for so long.
    Cut(usize, Duration),
    Repair(usize, usize),
    Release(usize, usize),
    Quicken(usize, usize),
    Start(usize),
    MemberUp(usize),
    Leader(usize),
    Calm,
    Compact,
}

fn host(node: usize) -> String {
    format!("n{node}")
}

fn member_host(member: usize) -> String {
    format!("etcd{member}")
}

impl Stage {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let shape = Shape::drawn(&mut rng);
        let mut sim = Builder::new()
            .rng_seed(rng.u64(..))
            .enable_random_order()
            .tick_duration(TICK)
            .simulation_duration(Duration::MAX)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(shape.latency_max)
            .tcp_capacity(TCP_CAPACITY)
            .build();
        let etcd = Etcd::new(Faults::drawn(rng.u64(..), Troubles::default()));
        let history = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&history);
        etcd.observe(Box::new(move |event: &Event| {
            seen.lock().extend(history::change(event));
        }));
        for member in 0..shape.members {
            let etcd = etcd.clone();
            sim.host(member_host(member), move || net::serve(etcd.clone(), member));
        }
        let ground = Arc::new(Ground::default());
        *ground.down.lock() = vec![false; shape.nodes];
        let turns = Arc::new(Mutex::new(Turns::default()));
        let seats: Vec<Seat> = (0..shape.nodes).map(|_| Seat::default()).collect();
        for (number, seat) in seats.iter().enumerate() {
            let machine = Machine {
                ground: Arc::clone(&ground),
                offset: rng.u64(1 << 40..1 << 50),
                drift_ppm: shape.draw_drift(&mut rng),
            };
            let (shape, seat, turns) = (shape.clone(), Arc::clone(seat), Arc::clone(&turns));
            let seed = rng.u64(..);
            sim.host(host(number), move || {
                let (machine, seat) = (machine.clone(), Arc::clone(&seat));
                node::run(number, shape.clone(), machine, seat, Arc::clone(&turns), seed)
            });
        }
        Self {
            sim,
            rng,
            shape,
            etcd,
            history,
            turns,
            violations: Vec::new(),
            counts: BTreeMap::new(),
            served: 0,
            ground,
            seats,
            looks: Served::default(),
            due: Vec::new(),
            cut: BTreeSet::new(),
            slow: BTreeSet::new(),
            members_down: BTreeSet::new(),
            next_fault: Duration::from_secs(5),
        }
    }

    /// Runs until `until`, with new faults or without, or until something is wrong.
    pub(crate) fn run(&mut self, until: Duration, with_faults: bool) {
        while self.sim.elapsed() < until && self.violations.is_empty() {
            let now = self.sim.elapsed();
            if with_faults && now >= self.next_fault {
                let fault = self.shape.faults[self.rng.usize(..self.shape.faults.len())];
                self.count(fault);
                tracing::info!(?fault, "a fault");
                fault.strike(self);
                self.next_fault = now + self.shape.fault_every.mul_f64(self.rng.f64());
            }
            self.go_on(now);
            self.step();
        }
    }

    fn step(&mut self) {
        if let Err(error) = self.sim.step() {
            self.violations.push(format!("a host failed: {error}"));
        }
        self.ground.set(self.sim.elapsed());
        self.served = self.looks.look(&self.seats, &mut self.violations);
        self.violations.append(&mut self.turns.lock().violations);
        for number in 0..self.seats.len() {
            // One that has left is down until it is started again.
            let is_running = self.sim.is_host_running(host(number));
            self.ground.down.lock()[number] = !is_running;
        }
    }

    /// Ends all faults: what is cut is repaired, what is down comes back.
    pub(crate) fn heal(&mut self) {
        let now = self.sim.elapsed();
        self.due.retain(|(_, next)| !matches!(next, Next::Cut(..)));
        for (at, _) in &mut self.due {
            *at = now;
        }
        self.go_on(now);
        for number in 0..self.shape.nodes {
            if !self.sim.is_host_running(host(number)) {
                self.sim.bounce(host(number));
            }
        }
    }

    /// Whether the nodes serve all shards, and the records say so.
    pub(crate) fn is_whole(&self) -> bool {
        let claimed =
            self.seats.iter().filter_map(|seat| Some(seat.lock().as_ref()?.cluster.status()));
        let claimed: Vec<_> = claimed.collect();
        self.served == super::SHARDS as usize
            && claimed.len() == self.shape.nodes
            && claimed.iter().all(|status| status.claimed == status.targeted && status.claimed > 0)
            && claimed.iter().filter(|status| status.leads).count() == 1
    }

    /// What this run was, in one number.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!("{:?}", self.history.lock()).hash(&mut hasher);
        let turns = self.turns.lock();
        (turns.acknowledged, turns.fenced, self.sim.elapsed()).hash(&mut hasher);
        hasher.finish()
    }

    /// How a node stands, for a failure that has to be understood.
    pub(crate) fn told(&self) -> String {
        let told = self.seats.iter().enumerate().map(|(number, seat)| match &*seat.lock() {
            Some(node) => format!("n{number}: {:?}\n", node.cluster.status()),
            None => format!("n{number}: down\n"),
        });
        told.collect()
    }

    fn count(&mut self, fault: Fault) {
        *self.counts.entry(format!("{fault:?}")).or_default() += 1;
    }

    fn later(&mut self, span: Duration, next: Next) {
        self.due.push((self.sim.elapsed() + span, next));
    }

    fn go_on(&mut self, now: Duration) {
        let (now_due, later) =
            std::mem::take(&mut self.due).into_iter().partition(|(at, _)| *at <= now);
        self.due = later;
        now_due.into_iter().for_each(|(_, next)| self.take(next));
    }

    fn take(&mut self, next: Next) {
        tracing::info!(?next, "a fault goes on or ends");
        match next {
            Next::Cut(node, span) => {
                (0..self.shape.members).for_each(|member| self.cut(node, member, None, span));
            }
            Next::Repair(node, member) => {
                self.sim.repair(host(node), member_host(member));
                self.cut.remove(&(node, member));
            }
            Next::Release(node, member) => {
                self.sim.release(host(node), member_host(member));
                self.cut.remove(&(node, member));
            }
            Next::Quicken(node, member) => {
                let latency = self.shape.latency_max;
                self.sim.set_link_max_message_latency(host(node), member_host(member), latency);
                self.slow.remove(&(node, member));
            }
            Next::Start(node) => self.sim.bounce(host(node)),
            Next::MemberUp(member) => {
                self.members_down.remove(&member);
                self.sim.bounce(member_host(member));
            }
            Next::Leader(member) => {
                self.etcd.faults(|faults| faults.leaderless.remove(&member));
            }
            Next::Compact => self.etcd.compact(0),
            Next::Calm => self.etcd.faults(|faults| faults.troubles = Troubles::default()),
        }
    }

    /// One member, or all.
    pub(crate) fn some_members(&mut self, member: usize) -> Vec<usize> {
        if self.rng.bool() { vec![member] } else { (0..self.shape.members).collect() }
    }

    /// Cuts a node off from a member, or one way of the two.
    pub(crate) fn cut(&mut self, node: usize, member: usize, way: Option<bool>, span: Duration) {
        if !self.cut.insert((node, member)) {
            return;
        }
        let (node_host, member_host) = (host(node), member_host(member));
        match way {
            None => self.sim.partition(node_host, member_host),
            Some(true) => self.sim.partition_oneway(node_host, member_host),
            Some(false) => self.sim.partition_oneway(member_host, node_host),
        }
        self.later(span, Next::Repair(node, member));
    }

    /// After `pause`, cuts a node off all members.
    pub(crate) fn cut_in(&mut self, pause: Duration, node: usize, span: Duration) {
        self.later(pause, Next::Cut(node, span));
    }

    pub(crate) fn hold(&mut self, node: usize, member: usize, span: Duration) {
        if self.cut.insert((node, member)) {
            self.sim.hold(host(node), member_host(member));
            self.later(span, Next::Release(node, member));
        }
    }

    pub(crate) fn slow(&mut self, node: usize, member: usize, span: Duration) {
        if self.slow.insert((node, member)) {
            let latency = Duration::from_millis(self.rng.u64(200..2000));
            self.sim.set_link_max_message_latency(host(node), member_host(member), latency);
            self.later(span, Next::Quicken(node, member));
        }
    }

    pub(crate) fn crash(&mut self, node: usize, span: Duration) {
        if self.sim.is_host_running(host(node)) {
            self.sim.crash(host(node));
            self.later(span, Next::Start(node));
        }
    }

    pub(crate) fn leave(&mut self, node: usize, span: Duration) {
        let running = self.seats[node].lock().clone();
        let is_planned =
            self.due.iter().any(|(_, next)| matches!(next, Next::Start(same) if *same == node));
        if let Some(running) = running.filter(|_| !is_planned) {
            running.leave.notify_one();
            // What has not left by then is killed.
            self.later(Duration::from_secs(15) + span, Next::Start(node));
        }
    }

    pub(crate) fn member_down(&mut self, member: usize, span: Duration) {
        if self.members_down.insert(member) {
            self.sim.crash(member_host(member));
            self.later(span, Next::MemberUp(member));
        }
    }

    pub(crate) fn leaderless(&mut self, member: usize, span: Duration) {
        if self.etcd.faults(|faults| faults.leaderless.insert(member)) {
            self.later(span, Next::Leader(member));
        }
    }

    pub(crate) fn compact_in(&mut self, span: Duration) {
        self.later(span, Next::Compact);
    }

    /// Troubles replace those that there were.
    pub(crate) fn trouble(&mut self, troubles: Troubles, span: Duration) {
        self.etcd.faults(|faults| faults.troubles = troubles);
        self.due.retain(|(_, next)| !matches!(next, Next::Calm));
        self.later(span, Next::Calm);
    }
}
