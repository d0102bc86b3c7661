//! A simulated process: an agent, a heart of its own, its gates, and a clock of its own.

use std::collections::BTreeMap;

use greenroom_core::record::NodeProfile;
use greenroom_core::{Agent, Config, Epoch, Life, Moment, NodeId, Now, Retry, ShardId};

use super::clients::Activation;
use super::heart::Heart;
use super::shape::Shape;

/// Real times in microseconds until which something is wrong with a process.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    /// It executes nothing.
    pub(crate) paused: u64,
    /// Its agent's loop hangs; the rest of the process goes on.
    pub(crate) hung: u64,
    /// Its heart's thread is not scheduled.
    pub(crate) heart_late: u64,
    /// No message passes between its agent and the store.
    pub(crate) cut: u64,
    /// No message passes between its heart and the store.
    pub(crate) heart_cut: u64,
    /// Its watch tells nothing.
    pub(crate) watch_stalled: u64,
    /// Its claims don't reach the store.
    pub(crate) unable: u64,
}

pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) profile: NodeProfile,
    pub(crate) agent: Agent,
    /// Which start of this process; messages to an earlier one are dropped.
    pub(crate) start: u64,
    pub(crate) up: bool,
    pub(crate) troubles: Troubles,
    /// Parts per million by which its clock runs fast.
    pub(crate) clock_ppm: i64,
    /// When that began, in real time and on its clock, both in microseconds.
    clock_since: (u64, u64),
    pub(crate) gates: BTreeMap<ShardId, Epoch>,
    pub(crate) routes: BTreeMap<ShardId, (Life, Epoch)>,
    pub(crate) activations: BTreeMap<ShardId, Activation>,
    /// How many activations there were in the process.
    pub(crate) activated: u64,
    pub(crate) heart: Heart,
    /// When its agent's loop last went round, on its own clock.
    pub(crate) pulse: Moment,
    /// How far it has followed the store's log.
    pub(crate) followed: usize,
    /// Whether it will look at the log soon.
    pub(crate) follows: bool,
    pub(crate) stopped: bool,
    /// Of which state of its view it was last seen that every shard is owned or moving.
    pub(crate) seen_settled_at: Option<u64>,
}

impl Node {
    pub(crate) fn start(
        id: NodeId,
        start: u64,
        clock_ppm: i64,
        seed: u64,
        profile: NodeProfile,
        shape: &Shape,
    ) -> Self {
        let agent = Agent::new(Config {
            node: id.clone(),
            profile: profile.clone(),
            groups: shape.groups(),
            shards: shape.shards,
            timing: shape.timing,
            policy: shape.policy.clone(),
            crash_detection: true,
            migration_timeout: shape.migration_timeout(),
            retry: Retry::default(),
            transactions_in_flight_max: 4,
            restore: None,
            seed,
        });
        Self {
            id,
            profile,
            agent,
            start,
            up: true,
            troubles: Troubles::default(),
            clock_ppm,
            clock_since: (0, 0),
            gates: BTreeMap::new(),
            routes: BTreeMap::new(),
            activations: BTreeMap::new(),
            activated: 0,
            heart: Heart::default(),
            pulse: Moment::default(),
            followed: 0,
            follows: false,
            stopped: false,
            seen_settled_at: None,
        }
    }

    /// Whether there is a process that listens at the node's port.
    pub(crate) fn listens(&self) -> bool {
        self.up && !self.stopped
    }

    /// What its clock shows at a real time in microseconds.
    pub(crate) fn clock(&self, real_us: u64) -> Moment {
        let (real_since, local_since) = self.clock_since;
        let span = (real_us - real_since) as i64;
        let drift = span * self.clock_ppm / 1_000_000;
        Moment((local_since + (span + drift) as u64) * 1000)
    }

    /// From now on its clock runs at another rate.
    pub(crate) fn change_clock(&mut self, real_us: u64, ppm: i64) {
        self.clock_since = (real_us, self.clock(real_us).0 / 1000);
        self.clock_ppm = ppm;
    }

    /// The clock is the machine's, and goes on whatever the process does.
    pub(crate) fn keeps_clock_of(&mut self, former: &Self) {
        (self.clock_since, self.clock_ppm) = (former.clock_since, former.clock_ppm);
    }

    /// Nothing of the shard runs here any more.
    pub(crate) fn close(&mut self, shard: ShardId) {
        self.gates.remove(&shard);
        self.activations.remove(&shard);
    }

    pub(crate) fn now(&self, real_us: u64) -> Now {
        Now { moment: self.clock(real_us), wall_ms: real_us / 1000 }
    }

    /// Whether the process may run turns now.
    pub(crate) fn has_right(&self, real_us: u64) -> bool {
        self.up && self.clock(real_us) < self.heart.right_until
    }

    /// Whether a turn on this shard would pass the ownership check now.
    pub(crate) fn passes_check(&self, shard: ShardId, real_us: u64) -> bool {
        self.gates.contains_key(&shard) && self.has_right(real_us)
    }
}
