//! One node's part in the ownership protocol: `step(now, event) -> effects`.
//!
//! The agent is level-triggered: each event first changes what it knows, then [`Agent::step`]
//! decides afresh from all that it knows. A conflict, a lost reply or a lost watch therefore needs
//! no branch of its own: the record itself says what happened.

mod leader;
mod lifecycle;
mod notice;
mod requests;
mod shards;
mod silence;

use std::collections::BTreeMap;
use std::time::Duration;

pub use notice::Notice;
pub use requests::Purpose;

use crate::planner::Policy;
use crate::record::{Entry, Held, Key, Meta, NodeProfile, Record, Transaction, Write};
use crate::time::{Moment, Now, Timing};
use crate::view::View;
use crate::{Epoch, Incarnation, Life, NodeId, ShardId};
use leader::Leading;
use lifecycle::Phase;
use requests::Requests;
use shards::Shards;
use silence::Silence;

/// Most guards that one transaction has, as etcd allows by default.
pub const GUARDS_PER_TRANSACTION_MAX: usize = 128;
/// Most shards that a leader's transaction writes: a guard each, and two for the leader itself.
pub const SHARDS_PER_ASSIGNMENT_MAX: usize = GUARDS_PER_TRANSACTION_MAX - 2;

/// What an agent is told once.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name.
    pub node: NodeId,
    /// What it says of itself.
    pub profile: NodeProfile,
    /// Number of shards that it expects the cluster to have.
    pub shards: u32,
    /// Timing of heartbeats and death.
    pub timing: Timing,
    /// How it plans when it leads.
    pub policy: Policy,
    /// Most transactions under way at a time.
    pub transactions_in_flight_max: usize,
    /// Random, different in each process: recognises the own first heartbeat, and spreads retries.
    pub seed: u64,
}

/// Ties an answer to its question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All guards held; the writes stand at this revision.
    Applied {
        /// The revision.
        revision: u64,
    },
    /// A guard failed; this is what the guarded keys held.
    Refused {
        /// One entry a guarded key.
        current: Vec<Entry>,
    },
    /// Surely not applied, worth another try.
    Transient,
    /// The reply was lost: it may have been applied, or may still be.
    Ambiguous,
    /// Trying again can't help until a person does something.
    Permanent,
}

/// All that can wake an agent.
#[derive(Clone, Debug)]
pub enum Event {
    /// A read of everything, at one revision.
    Snapshot {
        /// The revision.
        revision: u64,
        /// All keys that existed.
        entries: Vec<Entry>,
    },
    /// News from the watch, in order.
    Changes {
        /// What changed.
        entries: Vec<Entry>,
    },
    /// The watch is gone; a snapshot will follow.
    WatchLost,
    /// A transaction is answered.
    Committed {
        /// Which.
        request: RequestId,
        /// How.
        outcome: Outcome,
    },
    /// A read is answered; `None` when it failed.
    Read {
        /// Which.
        request: RequestId,
        /// What the keys held.
        entries: Option<Vec<Entry>>,
    },
    /// A heartbeat of this incarnation was acknowledged. Needed once a life; more do no harm.
    HeartbeatAcknowledged {
        /// Which.
        incarnation: Incarnation,
    },
    /// A heartbeat of this incarnation was refused: its key is gone.
    HeartbeatRefused {
        /// Which.
        incarnation: Incarnation,
    },
    /// The gates of these shards are closed and their actors gone.
    Drained {
        /// Each with the epoch that it was open at.
        shards: Vec<(ShardId, Epoch)>,
    },
    /// Give all shards away; stay a member.
    Drain,
    /// Give all shards away, then leave.
    Leave,
    /// Leave now. The shell has revoked every gate, so no turn may run any more.
    LeaveNow,
    /// Some time has passed.
    Tick,
}

/// What the shell must do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Run a transaction; answer with [`Event::Committed`].
    Commit {
        /// To name in the answer.
        request: RequestId,
        /// What to run.
        transaction: Transaction,
    },
    /// Read keys, linearizably; answer with [`Event::Read`].
    Read {
        /// To name in the answer.
        request: RequestId,
        /// Which keys.
        keys: Vec<Key>,
    },
    /// Keep the heartbeat of this life going.
    Beat(Life),
    /// End the heartbeat.
    StopBeating,
    /// Open the gates of shards that are now owned.
    Open(Vec<(ShardId, Epoch)>),
    /// Close gates, let turns end, deactivate actors; answer with [`Event::Drained`].
    Drain(Vec<(ShardId, Epoch)>),
    /// These shards were taken away without a handoff: revoke their gates, drop their activations.
    Revoke(Vec<ShardId>),
    /// This life is over: revoke all gates, drop all activations.
    Fence(Life),
    /// Calls for these shards now go there (`None`: nowhere yet).
    Route(Vec<(ShardId, Option<(Life, Epoch)>)>),
    /// Something a person may want to know.
    Tell(Notice),
    /// The node has left; nothing follows.
    Stopped,
}

/// One node's part in the ownership protocol.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    view: View,
    /// Whether the view has been whole, at one revision, since the start.
    synced: bool,
    /// What the last watch delivered may be missing news.
    watch_live: bool,
    phase: Phase,
    requests: Requests,
    /// Transactions whose reply was lost and whose keys must be read.
    unresolved: Vec<RequestId>,
    /// Reads under way, by request.
    reads: BTreeMap<RequestId, Reading>,
    silence: Silence,
    shards: Shards,
    leading: Leading,
    /// Recognises the own first heartbeat; another one each life.
    nonce: u64,
}

/// What a read is for.
#[derive(Debug)]
enum Reading {
    /// To learn what became of a transaction.
    Resolve(RequestId),
    /// To make sure that a silent life is silent still.
    Confirm { life: Life, mod_revision: u64 },
}

impl Agent {
    /// An agent that knows nothing yet; the first event should be a snapshot.
    pub fn new(config: Config) -> Self {
        Self {
            view: View::new(config.shards),
            synced: false,
            watch_live: false,
            phase: Phase::Joining { told: false },
            requests: Requests::new(config.transactions_in_flight_max, config.seed),
            unresolved: Vec::new(),
            reads: BTreeMap::new(),
            silence: Silence::default(),
            shards: Shards::new(config.shards),
            leading: Leading::default(),
            nonce: config.seed.max(1),
            config,
        }
    }

    /// What the agent knows of the cluster.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The present life of this node, if it has one.
    pub fn life(&self) -> Option<&Life> {
        self.phase.life()
    }

    /// Whether the store has been read whole and is watched.
    pub fn is_synced(&self) -> bool {
        self.synced && self.watch_live
    }

    /// Whether this node is a member that takes shards.
    pub fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Active(_))
    }

    /// Whether this node is giving its shards away.
    pub fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. } | Phase::Leaving(_))
    }

    /// Whether this node has given all its shards away and nothing of them runs here any more.
    pub fn is_drained(&self) -> bool {
        match &self.phase {
            Phase::Draining { life, .. } => self.has_nothing(life),
            Phase::Leaving(_) | Phase::Left => true,
            Phase::Joining { .. } | Phase::Registering { .. } | Phase::Active(_) => false,
        }
    }

    /// Whether another live node takes shards.
    pub fn others_take_shards(&self) -> bool {
        let mut members = self.view.members();
        members.any(|member| member.life.node != self.config.node && member.takes_shards())
    }

    /// Whether this node leads, as far as it knows.
    pub fn leads(&self) -> bool {
        self.own_term().is_some()
    }

    /// How many shards are targeted at this node, and how many of those it serves.
    pub fn claimed_of_targeted(&self) -> (usize, usize) {
        self.shards.claimed_of_targeted(&self.view, &self.config.node)
    }

    /// The shards whose gates may be open here: opened, and not yet reported as drained.
    pub fn serving(&self) -> impl Iterator<Item = ShardId> {
        self.shards.serving()
    }

    /// Takes in an event and decides. Effects are to be carried out in order.
    pub fn step(&mut self, now: Now, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        if matches!(self.phase, Phase::Left) {
            return effects;
        }
        self.take_in(now, event, &mut effects);
        self.decide(now, &mut effects);
        self.requests.pump(&mut effects);
        effects
    }

    fn take_in(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Snapshot { revision, entries } => {
                self.view.apply_snapshot(revision, entries);
                self.shards.touch_all();
                self.synced = true;
                self.watch_live = true;
                self.view_changed(now, effects);
            }
            Event::Changes { entries } => self.learn(now, entries, effects),
            Event::WatchLost => {
                self.watch_live = false;
                self.silence.restart();
            }
            Event::Committed { request, outcome } => self.answered(now, request, outcome, effects),
            Event::Read { request, entries } => self.was_read(now, request, entries, effects),
            Event::HeartbeatAcknowledged { incarnation } => {
                if let Phase::Registering { life, beating } = &mut self.phase {
                    *beating |= life.incarnation == incarnation;
                }
            }
            Event::HeartbeatRefused { incarnation } => {
                if self.life().is_some_and(|life| life.incarnation == incarnation) {
                    self.fence(effects);
                }
            }
            Event::Drained { shards } => self.shards.drained(&shards),
            Event::Drain => self.start_draining(false, effects),
            Event::Leave => self.start_draining(true, effects),
            Event::LeaveNow => self.leave_now(effects),
            Event::Tick => self.leading.plan_due = true,
        }
    }

    fn learn(&mut self, now: Now, entries: Vec<Entry>, effects: &mut Vec<Effect>) {
        let mut changed = false;
        for entry in entries {
            if let Key::Shard(shard) = entry.key {
                self.shards.touch(shard);
            }
            changed |= self.view.apply(entry);
        }
        if changed {
            self.view_changed(now, effects);
        }
    }

    fn view_changed(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.watch_live {
            self.silence.observe(&self.view, now.moment);
        }
        if self.leading.observe_members(&self.view, now.moment) {
            self.shards.touch_all();
        }
        self.shards.route(&self.view, effects);
    }

    fn answered(
        &mut self,
        now: Now,
        request: RequestId,
        outcome: Outcome,
        effects: &mut Vec<Effect>,
    ) {
        let Some(purpose) = self.requests.purpose(request) else {
            // Decided by a former life. What a refusal read is true all the same.
            if let Outcome::Refused { current } = outcome {
                self.learn(now, current, effects);
            }
            return;
        };
        match outcome {
            Outcome::Applied { revision } => {
                self.requests.succeeded();
                if let Some(done) = self.requests.finish(request) {
                    self.shards.clear_of_suspicion(&done.transaction);
                    let entries = Self::written(done.transaction, revision);
                    self.learn(now, entries, effects);
                }
            }
            Outcome::Refused { current } => {
                let refused = self.requests.finish(request);
                effects.push(Effect::Tell(Notice::Conflict { purpose }));
                self.learn(now, current, effects);
                let unexplained = refused.filter(|refused| {
                    refused.transaction.guards.iter().all(|guard| self.view.holds(guard))
                });
                match unexplained {
                    None => self.requests.succeeded(),
                    Some(refused) => {
                        // The same would be tried again: something stands in the store that this
                        // node can't read or did not expect. Not so fast, and not together with
                        // shards that have nothing to do with it.
                        self.requests.failed(now.moment);
                        self.shards.suspect(&refused.transaction);
                    }
                }
            }
            Outcome::Transient | Outcome::Permanent => {
                self.requests.failed(now.moment);
                self.requests.finish(request);
                let permanent = matches!(outcome, Outcome::Permanent);
                effects.push(Effect::Tell(Notice::StoreFailed { purpose, permanent }));
            }
            Outcome::Ambiguous => {
                self.requests.failed(now.moment);
                effects.push(Effect::Tell(Notice::ReplyLost { purpose }));
                self.unresolved.push(request);
            }
        }
    }

    /// What the store holds after `transaction` was applied at `revision`.
    fn written(transaction: Transaction, revision: u64) -> Vec<Entry> {
        let entry = |write| match write {
            Write::Put(key, record) => {
                // Only heartbeats are asked for it, and a join creates that key.
                let create_revision = revision;
                let held = Some(Held { create_revision, mod_revision: revision, record });
                Entry { key, revision, held }
            }
            Write::Delete(key) => Entry { key, revision, held: None },
        };
        transaction.writes.into_iter().map(entry).collect()
    }

    fn was_read(
        &mut self,
        now: Now,
        request: RequestId,
        entries: Option<Vec<Entry>>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(reading) = self.reads.remove(&request) else {
            return;
        };
        let Some(entries) = entries else {
            self.requests.failed(now.moment);
            if let Reading::Resolve(of) = reading {
                self.unresolved.push(of);
            }
            return;
        };
        self.requests.succeeded();
        match reading {
            Reading::Resolve(of) => {
                self.learn(now, entries, effects);
                self.requests.finish(of);
            }
            Reading::Confirm { life, mod_revision } => {
                self.learn(now, entries, effects);
                self.confirmed_silent(&life, mod_revision, effects);
            }
        }
    }

    fn decide(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if !self.synced || !self.check_meta(effects) {
            return;
        }
        if self.life().is_some_and(|life| !self.view.alive(life)) {
            self.fence(effects);
        }
        if self.requests.must_wait(now.moment) {
            return;
        }
        self.resolve_lost_replies(effects);
        self.decide_lifecycle(now, effects);
        self.decide_shards(now, effects);
        self.decide_leading(now, effects);
    }

    fn resolve_lost_replies(&mut self, effects: &mut Vec<Effect>) {
        for of in std::mem::take(&mut self.unresolved) {
            let keys = self.requests.written_keys(of);
            if keys.is_empty() {
                continue;
            }
            let request = self.requests.next_id();
            self.reads.insert(request, Reading::Resolve(of));
            effects.push(Effect::Read { request, keys });
        }
    }

    /// Whether the cluster's constants are known and ours.
    fn check_meta(&mut self, effects: &mut Vec<Effect>) -> bool {
        let ours = Meta::born_with(self.config.shards);
        match self.view.meta() {
            Some(theirs) if *theirs == ours => return true,
            Some(theirs) => {
                let theirs = theirs.clone();
                effects.push(Effect::Tell(Notice::OtherCluster { ours, theirs }));
                effects.push(Effect::Stopped);
                self.phase = Phase::Left;
            }
            None if !self.requests.any(Purpose::Found) => {
                self.requests.submit(
                    Purpose::Found,
                    Transaction {
                        guards: vec![crate::record::Guard::ModRevision(Key::Meta, 0)],
                        writes: vec![Write::Put(Key::Meta, Record::Meta(ours))],
                    },
                );
            }
            None => {}
        }
        false
    }

    /// Starts the read that must precede a death.
    fn confirm_silence(&mut self, life: Life, mod_revision: u64, effects: &mut Vec<Effect>) {
        let under_way = |reading: &Reading| match reading {
            Reading::Confirm { life: other, .. } => other.node == life.node,
            Reading::Resolve(_) => false,
        };
        if self.reads.values().any(under_way) || self.requests.any(Purpose::Bury) {
            return;
        }
        let request = self.requests.next_id();
        let keys = vec![Key::Heartbeat(life.node.clone())];
        self.reads.insert(request, Reading::Confirm { life, mod_revision });
        effects.push(Effect::Read { request, keys });
    }

    /// How long `life` has been silent, when that is long enough to die of.
    fn silent_enough(&self, life: &Life, now: Moment) -> Option<u64> {
        let (silent_for, mod_revision) = self.silence.of(&self.view, life, now)?;
        (silent_for >= self.window_of(life)).then_some(mod_revision)
    }

    /// The window that this life counts on, or this node's own if that is longer.
    fn window_of(&self, life: &Life) -> Duration {
        let theirs = self.view.heartbeat(&life.node).map_or(0, |beat| beat.record.window_ms);
        self.config.timing.window.max(Duration::from_millis(theirs))
    }
}
