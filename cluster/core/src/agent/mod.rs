//! One node's part in the ownership protocol: `step(now, event) -> effects`.
//!
//! The agent is level-triggered: each event first changes what it knows, then [`Agent::step`]
//! decides afresh from all that it knows. A conflict, a lost reply or a lost watch therefore needs
//! no branch of its own: the record itself says what happened.

mod answers;
mod caps;
mod death;
mod event;
mod founding;
mod journal;
mod leader;
mod lifecycle;
mod loads;
mod motion;
mod notice;
mod orders;
mod planning;
mod requests;
mod rest;
mod shards;
mod silence;
mod suspects;
mod telling;
mod what_if;

use std::collections::{BTreeMap, BTreeSet};

pub use event::{
    Config, Effect, Event, GUARDS_PER_TRANSACTION_MAX, Outcome, RequestId, Restore,
    SHARDS_PER_ASSIGNMENT_MAX, Stage,
};
pub use journal::{DECISIONS_MAX, Decided, DecidedMove, Decision};
pub use loads::ShardLoad;
pub use motion::{Motion, MotionPhase, Stuck};
pub use notice::{Evidence, Notice};
pub use orders::{Order, OrderId, Refusal};
pub use requests::Purpose;
pub use what_if::{Forecast, SupposedNode, WhatIf};

use crate::record::{Entry, Key, NodeState};
use crate::time::Now;
use crate::view::{News, View};
use crate::{Life, ShardId};
use journal::Journal;
use leader::Leading;
use lifecycle::Phase;
use loads::Loads;
use motion::Motions;
use orders::Orders;
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
    motions: Motions,
    leading: Leading,
    loads: Loads,
    journal: Journal,
    orders: Orders,
    /// It was told to drain, and goes on with that in its next life.
    stays_drained: bool,
    /// Recognises the own first heartbeat; another one each life.
    nonce: u64,
}

/// What a read is for.
#[derive(Debug)]
enum Reading {
    /// To learn what became of a transaction.
    Resolve(RequestId),
    /// To know how the records of an order are.
    Order { id: OrderId, keys: Vec<Key> },
    /// To make sure that a silent life is silent still.
    Confirm { life: Life, mod_revision: u64, evidence: Evidence },
}

impl Agent {
    /// An agent that knows nothing yet; the first event should be a snapshot.
    pub fn new(config: Config) -> Self {
        Self {
            view: View::new(config.shards),
            synced: false,
            watch_live: false,
            phase: Phase::Joining { told: None },
            requests: Requests::new(config.transactions_in_flight_max, config.retry, config.seed),
            unresolved: Vec::new(),
            reads: BTreeMap::new(),
            silence: Silence::default(),
            shards: Shards::new(config.shards),
            motions: Motions::default(),
            leading: Leading::default(),
            loads: Loads::default(),
            journal: Journal::default(),
            orders: Orders::default(),
            stays_drained: false,
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

    /// Whether the store says of this node that it is active, or drains, as it is.
    pub fn is_recorded(&self) -> bool {
        let state = if self.is_draining() { NodeState::Draining } else { NodeState::Active };
        self.life().is_some_and(|life| self.registered_as(life, state))
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

    /// How often this node has seen the members or the groups change.
    pub fn placement_changes(&self) -> u64 {
        self.leading.changes
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

    /// The shards that are not where they should be.
    pub fn motions(&self) -> impl Iterator<Item = (ShardId, &Motion)> {
        self.motions.iter()
    }

    /// What runs in a shard, as far as its owner reported it to this node.
    pub fn load(&self, shard: ShardId) -> ShardLoad {
        self.loads.of(shard)
    }

    /// What this node decided as a leader, the oldest first.
    pub fn decisions(&self) -> impl DoubleEndedIterator<Item = &Decision> {
        self.journal.iter()
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
                let blind = self.saw_nothing_lately(now.moment);
                self.view.apply_snapshot(revision, entries);
                self.shards.grow(self.view.shards().len());
                self.shards.touch_all();
                self.synced = true;
                self.watch_live = true;
                if blind && !self.saw_nothing_lately(now.moment) {
                    self.silence.restart_all(now.moment);
                }
                self.silence.observe(&self.view, now.moment);
                self.view_changed(now, News { any: true, members: true, groups: true }, effects);
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
            Event::Probed { life, refused } => self.probed(&life, refused, now.moment),
            Event::Operate { id, order } => self.take_order(now, id, order, effects),
            Event::Loads(loads) => self.loads.report(self.view.shards().len(), &loads),
            Event::Drain => self.start_draining(false, effects),
            Event::Undrain => self.end_drain(),
            Event::Leave => self.start_draining(true, effects),
            Event::LeaveNow => self.leave_now(effects),
            Event::Tick => {
                self.leading.plan_due = true;
                self.shards.touch_released_suspects(now.moment);
            }
        }
    }

    fn learn(&mut self, now: Now, entries: Vec<Entry>, effects: &mut Vec<Effect>) {
        let mut news = News::default();
        let mut lives_changed = BTreeSet::new();
        for entry in entries {
            match &entry.key {
                Key::Shard(shard) => {
                    let shard = *shard;
                    let told = self.view.apply(entry);
                    if told.any {
                        // Whatever stood in the way of its writes is over.
                        self.shards.suspects.clear(shard);
                    }
                    self.shards.touch(shard);
                    news |= told;
                }
                Key::Heartbeat(node) => {
                    let node = node.clone();
                    let blind = node == self.config.node && self.saw_nothing_lately(now.moment);
                    let told = self.view.apply(entry);
                    if self.watch_live && told.any {
                        if blind {
                            self.silence.restart_all(now.moment);
                        }
                        self.silence.observe_one(&self.view, &node, now.moment);
                    }
                    if told.members {
                        self.motions.forgive(&node);
                        lives_changed.insert(node);
                    }
                    news |= told;
                }
                _ => news |= self.view.apply(entry),
            }
        }
        if news.any {
            self.shards.touch_those_of(&self.view, &lives_changed);
            self.view_changed(now, news, effects);
        }
    }

    fn view_changed(&mut self, now: Now, news: News, effects: &mut Vec<Effect>) {
        if news.groups {
            self.shards.grow(self.view.shards().len());
            self.shards.touch_all();
            self.leading.changes += 1;
            self.leading.plan_due = true;
        }
        if news.members {
            let changed = self.leading.observe_members(&self.view, now.moment);
            self.motions.forget_all_but(&self.view);
            if !changed.is_empty() && self.is_draining() {
                // Whether anybody else takes the shards may be different now.
                self.shards.touch_all();
            }
            self.shards.touch_those_of(&self.view, &changed);
        }
        let arrived = self.shards.observe(&self.view, &mut self.motions, now.moment, effects);
        if !arrived.is_empty() && self.leads() {
            effects.push(Effect::Took(Stage::Migration, arrived));
        }
    }

    fn decide(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.end_overdue_orders(now.moment, effects);
        if !self.synced {
            return;
        }
        if self.life().is_some_and(|life| !self.view.alive(life)) {
            self.fence(effects);
        }
        if self.requests.must_wait(now.moment) {
            return;
        }
        self.resolve_lost_replies(effects);
        if !self.check_meta(effects) {
            return;
        }
        self.decide_lifecycle(now, effects);
        self.decide_shards(now, effects);
        self.decide_leading(now, effects);
        self.pursue_orders(now, effects);
    }
}
