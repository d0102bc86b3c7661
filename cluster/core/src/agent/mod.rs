//! One node's part in the ownership protocol: `step(now, event) -> effects`.
//!
//! The agent is level-triggered: each event first changes what it knows, then [`Agent::step`]
//! decides afresh from all that it knows. A conflict, a lost reply or a lost watch therefore needs
//! no branch of its own: the record itself says what happened.

mod answers;
mod event;
mod leader;
mod lifecycle;
mod notice;
mod requests;
mod shards;
mod silence;

use std::collections::BTreeMap;
use std::time::Duration;

pub use event::{
    Config, Effect, Event, GUARDS_PER_TRANSACTION_MAX, Outcome, RequestId,
    SHARDS_PER_ASSIGNMENT_MAX,
};
pub use notice::Notice;
pub use requests::Purpose;

use crate::record::{Entry, Guard, Key, Meta, Record, Transaction, Write};
use crate::time::{Moment, Now};
use crate::view::View;
use crate::{Life, ShardId};
use leader::Leading;
use lifecycle::Phase;
use requests::Requests;
use shards::Shards;
use silence::Silence;

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
            phase: Phase::Joining { told: None },
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
                        guards: vec![Guard::ModRevision(Key::Meta, 0)],
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
