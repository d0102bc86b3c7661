//! Many agents on one store in virtual time: each round every agent hears what was written and
//! answered in the round before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use greenroom_core::planner::Policy;
use greenroom_core::record::{
    Entry, Guard, HeartbeatRecord, Key, NodeProfile, Record, Transaction, Write,
};
use greenroom_core::{
    Agent, BadName, Config, Effect, Event, Life, Moment, NodeId, Notice, Now, Outcome, Retry,
    Timing,
};

use crate::store::Store;

/// The time that a round stands for: a way to the store and back.
pub(crate) const ROUND: Duration = Duration::from_millis(25);
/// Rounds between two ticks of an agent, as with the default heartbeat.
const ROUNDS_PER_TICK: u64 = 5;
/// Rounds between two heartbeats.
const ROUNDS_PER_BEAT: u64 = 40;

/// A simulated process.
pub(crate) struct Process {
    pub(crate) agent: Agent,
    pub(crate) profile: NodeProfile,
    inbox: Vec<Event>,
    beating: Option<Life>,
    sequence: u64,
    /// Its place in the rounds, so that not all tick at once.
    offset: u64,
}

/// The cluster.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) processes: BTreeMap<NodeId, Process>,
    pub(crate) round: u64,
    pub(crate) shards: u32,
    pub(crate) policy: Policy,
    /// The round in which a shard was last written.
    pub(crate) last_shard_write: u64,
    /// Who was declared dead.
    pub(crate) deaths: BTreeSet<Life>,
    started: u64,
}

impl World {
    pub(crate) fn new(shards: u32) -> Self {
        Self {
            store: Store::default(),
            processes: BTreeMap::new(),
            round: 0,
            shards,
            policy: Policy::default(),
            last_shard_write: 0,
            deaths: BTreeSet::new(),
            started: 0,
        }
    }

    /// How much time has passed.
    pub(crate) fn now(&self) -> Duration {
        ROUND * u32::try_from(self.round).unwrap_or(u32::MAX)
    }

    pub(crate) fn start(&mut self, name: &str, weight: u32, zone: &str) -> Result<(), BadName> {
        let node = NodeId::new(name)?;
        self.started += 1;
        let profile = NodeProfile {
            peer_address: format!("{name}.example:7000"),
            weight,
            zone: zone.to_owned(),
            kinds: vec!["bench".to_owned()],
            ..NodeProfile::default()
        };
        let agent = Agent::new(Config {
            node: node.clone(),
            profile: profile.clone(),
            groups: BTreeMap::new(),
            shards: self.shards,
            timing: Timing::default(),
            policy: self.policy.clone(),
            crash_detection: true,
            migration_timeout: Duration::from_secs(30),
            retry: Retry::default(),
            transactions_in_flight_max: 8,
            restore: None,
            seed: self.started,
        });
        let (revision, entries) = (self.store.revision, self.store.all());
        let process = Process {
            agent,
            profile,
            inbox: vec![Event::Snapshot { revision, entries }],
            beating: None,
            sequence: 0,
            offset: self.started,
        };
        self.processes.insert(node, process);
        Ok(())
    }

    pub(crate) fn leave(&mut self, node: &NodeId) {
        if let Some(process) = self.processes.get_mut(node) {
            process.inbox.push(Event::Leave);
        }
    }

    /// One step of everybody.
    pub(crate) fn run_round(&mut self) {
        self.round += 1;
        let news = std::mem::take(&mut self.store.news);
        if news.iter().any(|entry| matches!(entry.key, Key::Shard(_))) {
            self.last_shard_write = self.round;
        }
        let names: Vec<NodeId> = self.processes.keys().cloned().collect();
        for name in names {
            let Some(mut process) = self.processes.remove(&name) else { continue };
            if self.run_process(&mut process, &news) {
                self.processes.insert(name, process);
            }
        }
    }

    /// Answers whether the process goes on.
    fn run_process(&mut self, process: &mut Process, news: &[Entry]) -> bool {
        let mut events = std::mem::take(&mut process.inbox);
        if !news.is_empty() {
            events.push(Event::Changes { entries: news.to_vec() });
        }
        let phase = self.round + process.offset;
        if phase.is_multiple_of(ROUNDS_PER_TICK) {
            events.push(Event::Tick);
        }
        if phase.is_multiple_of(ROUNDS_PER_BEAT) {
            events.extend(self.beat(process));
        }
        let wall_ms = self.now().as_millis() as u64;
        let now = Now { moment: Moment::default().after(self.now()), wall_ms };
        for event in events {
            for effect in process.agent.step(now, event) {
                if !self.carry_out(process, effect) {
                    return false;
                }
            }
        }
        true
    }

    fn carry_out(&mut self, process: &mut Process, effect: Effect) -> bool {
        match effect {
            Effect::Commit { request, transaction, .. } => {
                let outcome = self.store.commit(&transaction);
                let refused = matches!(outcome, Outcome::Refused { .. });
                self.store.figures.transactions += 1;
                self.store.figures.refused += usize::from(refused);
                process.inbox.push(Event::Committed { request, outcome });
            }
            Effect::Read { request, keys } => {
                let entries = Some(self.store.read(keys.iter()));
                process.inbox.push(Event::Read { request, entries });
            }
            Effect::Probe { life, address } => {
                let mut listening = self.processes.values();
                let refused = !listening.any(|other| other.profile.peer_address == address);
                process.inbox.push(Event::Probed { life, refused });
            }
            Effect::Drain(shards) => process.inbox.push(Event::Drained { shards }),
            Effect::Beat(life) => {
                process.beating = Some(life);
                let answer = self.beat(process);
                process.inbox.extend(answer);
            }
            Effect::StopBeating => process.beating = None,
            Effect::Stopped => return false,
            Effect::Tell(Notice::Burying { life, .. }) => {
                self.deaths.insert(life);
            }
            _ => {}
        }
        true
    }

    fn beat(&mut self, process: &mut Process) -> Option<Event> {
        let life = process.beating.as_ref()?;
        process.sequence += 1;
        let timing = Timing::default();
        let record = HeartbeatRecord {
            incarnation: Some(life.incarnation),
            sequence: process.sequence,
            nonce: 0,
            window_ms: timing.window_ms(),
            interval_ms: timing.interval_ms(),
        };
        let write = Write::Put(Key::Heartbeat(life.node.clone()), Record::Heartbeat(record));
        let beat = Transaction { guards: vec![Guard::alive(life)], writes: vec![write] };
        let incarnation = life.incarnation;
        match self.store.commit(&beat) {
            Outcome::Applied { .. } if process.sequence > 1 => None,
            Outcome::Applied { .. } => Some(Event::HeartbeatAcknowledged { incarnation }),
            _ => Some(Event::HeartbeatRefused { incarnation }),
        }
    }
}
