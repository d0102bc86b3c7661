//! One agent, and a store of its own.

use greenroom_core::planner::{Policy, Strategy};
use greenroom_core::record::{
    Entry, HeartbeatRecord, Key, LeaderRecord, Meta, NodeProfile, NodeRecord, NodeState, Record,
    ShardRecord, Transaction, Write,
};
use greenroom_core::{
    Agent, Config, Effect, Epoch, Event, Incarnation, Life, Moment, NodeId, Notice, Now, OrderId,
    Outcome, Refusal, RequestId, Restore, Retry, ShardId, Stage, Term, Timing,
};
use std::collections::BTreeMap;
use std::time::Duration;

use crate::store::Store;

pub(crate) const SHARD: ShardId = ShardId(0);

pub(crate) struct Bench {
    pub(crate) agent: Agent,
    pub(crate) store: Store,
    pub(crate) now_ms: u64,
    /// By how much the wall clock is off.
    pub(crate) wall_off_ms: i64,
    /// What became of orders.
    pub(crate) answers: Vec<(OrderId, Result<(), Refusal>)>,
    /// What it told.
    pub(crate) notices: Vec<Notice>,
    /// Where it asked whether a process still listens.
    pub(crate) probes: Vec<(Life, String)>,
    /// Where calls go, as far as it told.
    pub(crate) routes: BTreeMap<ShardId, Option<(Life, Epoch)>>,
    /// What must not run here any more.
    pub(crate) revoked: Vec<ShardId>,
    /// How long claims and releases took.
    pub(crate) took: Vec<(Stage, Vec<Duration>)>,
}

/// A transaction that was sent and not yet answered.
pub(crate) type Sent = (RequestId, Transaction);

pub(crate) fn name(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

/// What a node brings.
pub(crate) fn profile() -> NodeProfile {
    NodeProfile { weight: 1, kinds: vec!["a".into()], ..NodeProfile::default() }
}

pub(crate) fn writes(key: &Key) -> impl Fn(&Transaction) -> bool + use<'_> {
    move |transaction| transaction.writes.iter().any(|write| write.key() == key)
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// One that is to begin an empty cluster with something.
    pub(crate) fn restoring(restore: Restore) -> Self {
        Self::with(|config| config.restore = Some(restore))
    }

    /// One that was told something else than others.
    pub(crate) fn with(told: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            node: name("a"),
            profile: profile(),
            shards: 1,
            timing: Timing::default(),
            policy: Policy {
                stability: Duration::from_secs(1),
                batch_len_max: 100,
                node_moves_max: 100,
                imbalance_threshold_permille: 0,
                strategy: Strategy::Count,
                spread_zones: false,
                move_gain_permille: 0,
            },
            groups: BTreeMap::new(),
            crash_detection: true,
            migration_timeout: Duration::from_secs(10),
            retry: Retry::default(),
            restore: None,
            transactions_in_flight_max: 8,
            seed: 7,
        };
        told(&mut config);
        Self {
            agent: Agent::new(config),
            store: Store::default(),
            now_ms: 1000,
            wall_off_ms: 0,
            answers: Vec::new(),
            notices: Vec::new(),
            probes: Vec::new(),
            routes: BTreeMap::new(),
            revoked: Vec::new(),
            took: Vec::new(),
        }
    }

    /// The shard is given to this agent by b, who leads; what it sends then, unanswered.
    pub(crate) fn given(&mut self) -> Vec<Sent> {
        self.led_by("b");
        self.snapshot();
        self.given_again()
    }

    /// The same once more.
    pub(crate) fn given_again(&mut self) -> Vec<Sent> {
        let given = self.retarget("b", "a");
        self.tell(Event::Changes { entries: vec![given] }, writes(&Key::Shard(SHARD)))
    }

    /// Tells an event and answers all that the agent asks, except for transactions that are to be
    /// held back; those are returned.
    pub(crate) fn tell(&mut self, event: Event, hold: impl Fn(&Transaction) -> bool) -> Vec<Sent> {
        let (mut events, mut held) = (vec![event], Vec::new());
        for round in 0.. {
            assert!(round < 1000, "the agent goes round in circles at one instant");
            if events.is_empty() {
                break;
            }
            let event = events.remove(0);
            let moment = Moment(self.now_ms * 1_000_000);
            let wall_ms = self.now_ms.saturating_add_signed(self.wall_off_ms);
            for effect in self.agent.step(Now { moment, wall_ms }, event) {
                match effect {
                    Effect::Commit { request, transaction, .. } if hold(&transaction) => {
                        held.push((request, transaction));
                    }
                    Effect::Commit { request, transaction, .. } => {
                        let outcome = self.store.commit(&name("a"), &transaction);
                        events.push(Event::Committed { request, outcome });
                    }
                    Effect::Read { request, keys } => {
                        let entries = Some(self.store.read(keys.iter()));
                        events.push(Event::Read { request, entries });
                    }
                    Effect::Beat(Life { incarnation, .. }) => {
                        events.push(Event::HeartbeatAcknowledged { incarnation });
                    }
                    Effect::Answer { id, result } => self.answers.push((id, result)),
                    Effect::Tell(notice) => self.notices.push(notice),
                    Effect::Route(routes) => {
                        assert!(!routes.is_empty(), "nothing is told");
                        self.routes.extend(routes);
                    }
                    Effect::Revoke(shards) => {
                        assert!(!shards.is_empty(), "nothing is revoked");
                        self.revoked.extend(shards);
                    }
                    Effect::Took(stage, spans) => self.took.push((stage, spans)),
                    Effect::Probe { life, address } => self.probes.push((life, address)),
                    _ => {}
                }
            }
        }
        held
    }

    pub(crate) fn snapshot(&mut self) {
        let (revision, entries) = (self.store.revision, self.store.all());
        self.tell(Event::Snapshot { revision, entries }, |_| false);
    }

    /// Lets time pass; returns how many transactions were held back.
    pub(crate) fn pass(&mut self, span_ms: u64, hold: impl Fn(&Transaction) -> bool) -> usize {
        let mut held = 0;
        for _ in 0..span_ms / 100 {
            self.now_ms += 100;
            held += self.own_beat(&hold).len();
            held += self.tell(Event::Tick, &hold).len();
        }
        held
    }

    /// The own heartbeat comes back from the store; as [`Bench::tell`].
    pub(crate) fn own_beat(&mut self, hold: impl Fn(&Transaction) -> bool) -> Vec<Sent> {
        let key = Key::Heartbeat(name("a"));
        let beat = self.store.held.get(&key).map(|held| held.record.clone());
        let entries = beat.map(|beat| self.put("a", &key, beat)).into_iter().collect();
        self.tell(Event::Changes { entries }, hold)
    }

    /// Another process writes a record; what its watchers see.
    pub(crate) fn put(&mut self, writer: &str, key: &Key, record: Record) -> Entry {
        let writes = vec![Write::Put(key.clone(), record)];
        let transaction = Transaction { guards: Vec::new(), writes };
        self.store.commit(&name(writer), &transaction);
        self.store.entry(key)
    }

    /// The cluster exists, and another node leads it.
    pub(crate) fn led_by(&mut self, node: &str) -> Life {
        let (life, _) = self.join(node);
        self.put(node, &Key::Meta, Record::Meta(Meta::born_with(1)));
        let record = LeaderRecord { holder: Some(life.clone()), term: Term(1) };
        self.put(node, &Key::Leader, Record::Leader(record));
        life
    }

    /// Another process removes a record.
    pub(crate) fn delete(&mut self, writer: &str, key: &Key) {
        let writes = vec![Write::Delete(key.clone())];
        self.store.commit(&name(writer), &Transaction { guards: Vec::new(), writes });
    }

    /// Another node is a member.
    pub(crate) fn join(&mut self, node: &str) -> (Life, Vec<Entry>) {
        self.join_as(node, profile())
    }

    /// Another node is a member, which brings this.
    pub(crate) fn join_as(&mut self, node: &str, profile: NodeProfile) -> (Life, Vec<Entry>) {
        let beat = HeartbeatRecord {
            incarnation: None,
            sequence: 0,
            nonce: 5,
            window_ms: 6000,
            interval_ms: 1000,
        };
        let first = self.put(node, &Key::Heartbeat(name(node)), Record::Heartbeat(beat));
        let life = Life { node: name(node), incarnation: Incarnation(self.store.revision) };
        let record =
            NodeRecord { incarnation: life.incarnation, state: NodeState::Active, profile };
        let second = self.put(node, &Key::Node(name(node)), Record::Node(record));
        (life, vec![first, second])
    }

    /// Another node begins a life of which it has said nothing but that it lives.
    pub(crate) fn begin_again(&mut self, node: &str) {
        let key = Key::Heartbeat(name(node));
        let beat = self.store.held.get(&key).map(|held| held.record.clone()).unwrap();
        self.delete(node, &key);
        let gone = self.store.entry(&key);
        let back = self.put(node, &key, beat);
        self.tell(Event::Changes { entries: vec![gone, back] }, |_| false);
    }

    /// A shard is drained here and handed over, and its target claims it.
    pub(crate) fn claim(&mut self, shard: ShardId, by: &str) {
        let key = Key::Shard(shard);
        let record = |bench: &Self| bench.store.shard(shard).cloned().expect("it has a record");
        let epoch = record(self).epoch;
        self.tell(Event::Drained { shards: vec![(shard, epoch)] }, |_| false);
        let released = record(self);
        assert_eq!((&released.owner, &released.target), (&None, &Some(name(by))));
        let incarnation = Incarnation(self.store.held[&Key::Heartbeat(name(by))].create_revision);
        let owner = Some(Life { node: name(by), incarnation });
        let claimed = ShardRecord { owner, epoch: epoch.next(), ..released };
        let entry = self.put(by, &key, Record::Shard(claimed));
        self.tell(Event::Changes { entries: vec![entry] }, |_| false);
    }

    /// The leader, another node, changes the target of the shard.
    pub(crate) fn retarget(&mut self, leader: &str, target: &str) -> Entry {
        let mut record = self.store.shard(SHARD).cloned().unwrap_or_default();
        record.target = Some(name(target));
        self.put(leader, &Key::Shard(SHARD), Record::Shard(record))
    }
}

impl Bench {
    /// Joins, but the first candidature is not answered yet.
    pub(crate) fn snapshot_without_leader(&mut self) {
        let (revision, entries) = (0, Vec::new());
        let sent = self.tell(Event::Snapshot { revision, entries }, writes(&Key::Leader));
        for (request, _) in sent {
            let outcome = Outcome::Refused { current: Vec::new() };
            self.tell(Event::Committed { request, outcome }, writes(&Key::Leader));
        }
    }
}
