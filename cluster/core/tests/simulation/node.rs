//! A simulated process: an agent, its heartbeat, its gates, and a clock of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use greenroom_core::planner::Policy;
use greenroom_core::record::{
    Guard, HeartbeatRecord, Key, NodeProfile, Record, Transaction, Write,
};
use greenroom_core::{Agent, Config, Epoch, Life, Moment, NodeId, Now, ShardId, Timing};

pub(crate) const SHARDS: u32 = 48;
pub(crate) const TIMING: Timing = Timing {
    window: Duration::from_millis(2000),
    heartbeat: Duration::from_millis(300),
    margin: Duration::from_millis(250),
};

pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) agent: Agent,
    /// Which start of this process; messages to an earlier one are dropped.
    pub(crate) start: u64,
    pub(crate) up: bool,
    /// Real time until which it executes nothing.
    pub(crate) paused_until: u64,
    /// Real time until which no message passes between it and the store.
    pub(crate) cut_until: u64,
    /// Parts per million by which its clock runs fast.
    pub(crate) clock_ppm: i64,
    pub(crate) gates: BTreeMap<ShardId, Epoch>,
    pub(crate) beating: Option<Life>,
    pub(crate) sequence: u64,
    /// Until when turns may run, on its own clock.
    pub(crate) right_until: Moment,
    /// How far it has followed the store's log.
    pub(crate) followed: usize,
    pub(crate) stopped: bool,
}

impl Node {
    pub(crate) fn start(id: usize, start: u64, clock_ppm: i64, seed: u64, followed: usize) -> Self {
        let id = NodeId::new(format!("node-{id}")).unwrap();
        let config = Config {
            node: id.clone(),
            profile: NodeProfile { weight: 1, ..NodeProfile::default() },
            shards: SHARDS,
            timing: TIMING,
            policy: Policy {
                stability: Duration::from_millis(1500),
                batch_len_max: 8,
                imbalance_threshold_permille: 100,
            },
            transactions_in_flight_max: 4,
            seed,
        };
        Self {
            id,
            agent: Agent::new(config),
            start,
            up: true,
            paused_until: 0,
            cut_until: 0,
            clock_ppm,
            gates: BTreeMap::new(),
            beating: None,
            sequence: 0,
            right_until: Moment::default(),
            followed,
            stopped: false,
        }
    }

    /// What its clock shows at a real time in microseconds.
    pub(crate) fn clock(&self, real_us: u64) -> Moment {
        let drift = i128::from(real_us) * i128::from(self.clock_ppm) / 1_000_000;
        let local_us = u64::try_from(i128::from(real_us) + drift).unwrap();
        Moment(local_us * 1000)
    }

    pub(crate) fn now(&self, real_us: u64) -> Now {
        Now { moment: self.clock(real_us), wall_ms: real_us / 1000 }
    }

    /// Whether a turn on this shard would pass the ownership check now.
    pub(crate) fn passes_check(&self, shard: ShardId, real_us: u64) -> bool {
        self.up && self.gates.contains_key(&shard) && self.clock(real_us) < self.right_until
    }

    pub(crate) fn beat(&mut self) -> Option<Transaction> {
        let life = self.beating.clone()?;
        self.sequence += 1;
        let record = HeartbeatRecord {
            incarnation: Some(life.incarnation),
            sequence: self.sequence,
            nonce: 0,
            window_ms: TIMING.window_ms(),
        };
        let write = Write::Put(Key::Heartbeat(life.node.clone()), Record::Heartbeat(record));
        Some(Transaction { guards: vec![Guard::alive(&life)], writes: vec![write] })
    }
}
