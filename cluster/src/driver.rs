//! Carries out what the agent decides.

mod handoff;
mod tasks;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use greenroom_core::{
    Agent, Decision, Effect, Event, Forecast, NodeId, Notice, Order, OrderId, Refusal, ShardId,
    ShardLoad, View, WhatIf,
};
use greenroom_shardlock::Gates;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing::Instrument;

use crate::clock::Clock;
use crate::cluster::{Activations, OpenShard};
use crate::codec::Codec;
use crate::heart::Heart;
use crate::metrics::Ledger;
use crate::pulse::Pulse;
use crate::right::RightToRun;
use crate::routing::Routes;
use crate::status::{Hosted, Leader, Status, StatusPhase};
use crate::store::Store;
use crate::told::Told;
use crate::watcher::Watcher;
use handoff::Handoff;

/// What a handle asks of the driver.
#[derive(Debug)]
pub(crate) enum Command {
    View(oneshot::Sender<View>),
    Decisions(oneshot::Sender<Vec<Decision>>),
    Order(Order, oneshot::Sender<Result<(), Refusal>>),
    Loads(Vec<(ShardId, ShardLoad)>),
    LoadsOf(oneshot::Sender<Vec<(ShardId, ShardLoad)>>),
    WhatIf(Box<WhatIf>, oneshot::Sender<Result<Vec<Forecast>, Refusal>>),
    /// Give all shards away; not to be undone when the node is about to end.
    Drain {
        for_good: bool,
    },
    Undrain,
    Leave,
    LeaveNow,
    Abandon(oneshot::Sender<()>),
}

pub(crate) struct Driver {
    /// For the log.
    pub(crate) node: NodeId,
    pub(crate) agent: Agent,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) codec: Codec,
    pub(crate) heart: Heart,
    pub(crate) right: Arc<RightToRun>,
    pub(crate) gates: Arc<Gates>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) activations: Arc<dyn Activations>,
    pub(crate) drain_deadline: Duration,
    pub(crate) tick: Duration,
    pub(crate) told: Told,
    pub(crate) ledger: Ledger,
    /// Orders that the agent has not answered yet.
    pub(crate) orders: HashMap<OrderId, oneshot::Sender<Result<(), Refusal>>>,
    pub(crate) last_order: u64,
    /// What live nodes host, after so many changes of members and groups.
    pub(crate) hosted: (u64, Arc<Hosted>),
    /// Tells the heart that this loop goes round.
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) clock: Clock,
    /// For the answers to what it starts.
    pub(crate) events: mpsc::Sender<Event>,
}

impl Driver {
    pub(crate) async fn run(
        mut self,
        watcher: Watcher,
        mut inbox: mpsc::Receiver<Event>,
        mut orders: mpsc::Receiver<Command>,
        status: watch::Sender<Status>,
    ) {
        // Everything that the driver starts ends with it.
        let mut tasks = JoinSet::new();
        let mut drains = JoinSet::new();
        tasks.spawn(watcher.run());
        let mut tick = interval(self.tick);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopped = None;
        let mut ends = false;
        while stopped.is_none() {
            let event = tokio::select! {
                Some(event) = inbox.recv() => event,
                _ = tick.tick() => Event::Tick,
                Some(_) = tasks.join_next() => continue,
                Some(_) = drains.join_next() => continue,
                Some(command) = orders.recv() => match command {
                    Command::View(answer) => {
                        let _ = answer.send(self.agent.view().clone());
                        continue;
                    }
                    Command::Decisions(answer) => {
                        let _ = answer.send(self.agent.decisions().cloned().collect());
                        continue;
                    }
                    Command::Order(order, answer) => {
                        self.last_order += 1;
                        let id = OrderId(self.last_order);
                        self.orders.insert(id, answer);
                        Event::Operate { id, order }
                    }
                    Command::Loads(loads) => Event::Loads(loads),
                    Command::LoadsOf(answer) => {
                        let _ = answer.send(self.loads());
                        continue;
                    }
                    Command::WhatIf(what, answer) => {
                        let _ = answer.send(self.agent.what_if(self.clock.now(), &what));
                        continue;
                    }
                    Command::Drain { for_good } => {
                        ends |= for_good;
                        Event::Drain
                    }
                    Command::Undrain if ends => continue,
                    Command::Undrain => Event::Undrain,
                    Command::Leave => Event::Leave,
                    Command::LeaveNow => {
                        // Before the agent gives the life up: nothing may run after it.
                        self.heart.stop();
                        self.gates.revoke_all();
                        Event::LeaveNow
                    }
                    Command::Abandon(done) => {
                        self.heart.stop();
                        let _ = done.send(());
                        break;
                    }
                },
            };
            if matches!(event, Event::WatchLost) {
                self.ledger.watch_lost();
            }
            // Made anew, because what the log wants can change at any time. The level is an error's, so
            // that whatever is told has it.
            let span = tracing::error_span!("node", node = %self.node);
            let time = self.clock.now();
            for effect in self.agent.step(time, event) {
                if let Effect::Fence(_) = effect {
                    // A drain of the life that is over must not touch a gate of the next one.
                    drains.shutdown().await;
                }
                span.in_scope(|| self.carry_out(effect, &mut tasks, &mut drains, &mut stopped));
            }
            self.pulse.beat();
            self.observe_hosted();
            let now = self.status(stopped.clone());
            span.in_scope(|| {
                self.told.serving(&now);
                self.told.right(&now, self.right.holds());
            });
            self.ledger.survey(&self.agent, time.moment, self.right.remaining(), &self.gates);
            status.send_if_modified(|status| {
                let changed = *status != now;
                *status = now;
                changed
            });
        }
        self.heart.stop();
        self.ledger.close();
        status.send_replace(self.status(Some(stopped.flatten())));
    }

    /// How the node stands; `stopped` with the reason when it is gone.
    pub(crate) fn status(&self, stopped: Option<Option<String>>) -> Status {
        let (claimed, targeted) = self.agent.claimed_of_targeted();
        let phase = match stopped {
            Some(reason) => StatusPhase::Stopped(reason),
            None if self.agent.is_draining() => StatusPhase::Draining,
            None if self.agent.is_active() => StatusPhase::Active,
            None => StatusPhase::Joining,
        };
        Status {
            life: self.agent.life().cloned(),
            phase,
            claimed,
            targeted,
            recorded: self.agent.is_recorded(),
            drained: self.agent.is_drained(),
            others_take_shards: self.agent.others_take_shards(),
            leads: self.agent.leads(),
            leader: self.leader(),
            synced: self.agent.is_synced(),
            hosted: Arc::clone(&self.hosted.1),
        }
    }

    /// Looks again at what live nodes host, if that may have changed.
    fn observe_hosted(&mut self) {
        let changes = self.agent.placement_changes();
        if self.hosted.0 == changes {
            return;
        }
        let view = self.agent.view();
        let kinds = view.members().flat_map(|member| member.record.profile.kinds.clone());
        let kinds: BTreeSet<String> = kinds.collect();
        let groups = (0..view.groups().len())
            .filter(|group| view.members().any(|member| view.takes_shards_of(&member, *group)));
        let hosted = Hosted { kinds: kinds.into_iter().collect(), groups: groups.collect() };
        self.hosted = (changes, Arc::new(hosted));
    }

    /// The loads that are not 0, as far as reported to this node.
    fn loads(&self) -> Vec<(ShardId, ShardLoad)> {
        let shards = (0..self.agent.view().shards().len() as u32).map(ShardId);
        let loads = shards.map(|shard| (shard, self.agent.load(shard)));
        loads.filter(|(_, load)| *load != ShardLoad::default()).collect()
    }

    fn leader(&self) -> Option<Leader> {
        let view = self.agent.view();
        let life = view.leader().0?.holder.as_ref().filter(|life| view.alive(life))?;
        let record = view.node(&life.node)?;
        let address = record.profile.peer_address.clone();
        Some(Leader { life: life.clone(), address })
    }

    fn carry_out(
        &mut self,
        effect: Effect,
        tasks: &mut JoinSet<()>,
        drains: &mut JoinSet<()>,
        stopped: &mut Option<Option<String>>,
    ) {
        match effect {
            Effect::Commit { request, purpose, transaction } => {
                tasks.spawn(self.commit(request, purpose, &transaction).in_current_span());
            }
            Effect::Read { request, keys } => {
                tasks.spawn(self.read(request, &keys).in_current_span());
            }
            Effect::Probe { life, address } => {
                tasks.spawn(self.probe(life, address).in_current_span());
            }
            Effect::Answer { id, result } => {
                if let Some(answer) = self.orders.remove(&id) {
                    // Who asked may have gone.
                    let _ = answer.send(result);
                }
            }
            Effect::Took(stage, spans) => self.ledger.took(stage, &spans),
            Effect::Beat(life) => self.heart.beat(life),
            Effect::StopBeating => self.heart.stop(),
            Effect::Open(shards) => self.open(&shards),
            Effect::Drain(shards) => {
                let handoff = Handoff {
                    gates: Arc::clone(&self.gates),
                    activations: Arc::clone(&self.activations),
                    patience: self.drain_deadline,
                    events: self.events.clone(),
                };
                drains.spawn(handoff.run(shards).in_current_span());
            }
            Effect::Revoke(shards) => {
                for shard in shards {
                    let epoch = self.gates.state(shard.0).epoch();
                    tracing::error!(
                        shard = shard.0,
                        epoch,
                        "a shard was taken away without a handoff"
                    );
                    self.revoke(shard);
                }
            }
            Effect::Fence(life) => {
                let incarnation = life.incarnation.0;
                tracing::debug!(incarnation, "fenced: all gates are closed, all actors dropped");
                self.gates.revoke_all();
                self.activations.drop_all();
            }
            Effect::Route(changes) => {
                let view = self.agent.view();
                self.routes.apply(&changes, |life| {
                    let record = view.node(&life.node);
                    record.map(|record| record.profile.peer_address.clone()).unwrap_or_default()
                });
            }
            Effect::Tell(notice) => {
                if let Notice::OtherCluster { .. } | Notice::KindRefused(_) = notice {
                    *stopped = Some(Some(notice.to_string()));
                }
                self.told.notice(&notice);
                self.ledger.notice(&notice);
            }
            Effect::Stopped => {
                stopped.get_or_insert(None);
            }
        }
    }

    fn open(&self, shards: &[OpenShard]) {
        for &(shard, epoch) in shards {
            if let Err(error) = self.gates.open(shard.0, epoch.0) {
                // The agent opens only what is drained, so this is a defect. What is open belongs
                // to an older epoch, and must go before the shard can be served.
                tracing::error!(
                    shard = shard.0,
                    epoch = epoch.0,
                    %error,
                    "the gate of a claimed shard was not free"
                );
                self.revoke(shard);
                if let Err(error) = self.gates.open(shard.0, epoch.0) {
                    let (shard, epoch) = (shard.0, epoch.0);
                    tracing::error!(shard, epoch, %error, "a claimed shard can't be served");
                }
            }
            let (number, epoch) = (shard.0, epoch.0);
            tracing::debug!(shard = number, epoch, "claimed: the gate of the shard is open");
            self.routes.notify(shard);
        }
    }

    /// Ends what runs of a shard, without a farewell.
    fn revoke(&self, shard: ShardId) {
        self.gates.revoke(shard.0);
        // Takes the actors out at once; the farewells are in the future that is dropped.
        drop(self.activations.deactivate(shard));
    }
}
