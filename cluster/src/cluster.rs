//! A node's membership of its cluster: options, service, handle.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use greenroom_core::{
    Agent, Config, Decision, Epoch, Event, Forecast, Groups, Order, Refusal, ShardId, ShardLoad,
    View, WhatIf,
};
use greenroom_shardlock::Gates;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::codec::Codec;
use crate::driver::{Command, Driver};
use crate::heart::{Heart, WINDOWS_UNTIL_HUNG};
use crate::metrics::Ledger;
use crate::options::{ClusterError, ClusterOptions, check, shards_in_all};
use crate::pulse::Pulses;
use crate::quiet::Quiet;
use crate::right::RightToRun;
use crate::routing::Routes;
use crate::status::{Status, StatusPhase};
use crate::told::Told;
use crate::watcher::Watcher;

/// Most events that wait for the driver; beyond, their senders wait.
const EVENTS_WAITING_MAX: usize = 1024;

/// The activations of a node, as ownership sees them.
pub trait Activations: Send + Sync + 'static {
    /// Deactivates all actors of a shard whose gate is closed; `None` when there are none.
    fn deactivate(&self, shard: ShardId) -> Option<BoxFuture<'static, ()>>;

    /// Drops all actors at once: the node's life is over, so nothing of theirs may be saved.
    fn drop_all(&self);
}

/// A node's membership. Clones are handles to the same one; it ends with [`Cluster::leave`] or
/// [`Cluster::abandon`], not by dropping handles.
#[derive(Clone, Debug)]
pub struct Cluster {
    routes: Arc<Routes>,
    right: Arc<RightToRun>,
    gates: Arc<Gates>,
    codec: Codec,
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Status>,
    pulses: Pulses,
    /// How long a loop may go without a sign of life.
    silence_max: Duration,
}

impl Cluster {
    /// Starts to join. Returns at once; [`Cluster::status`] tells how far it is.
    ///
    /// # Errors
    /// When the options break their rules, or the store refuses the connection for good.
    pub async fn start(
        options: ClusterOptions,
        gates: Arc<Gates>,
        activations: Arc<dyn Activations>,
    ) -> Result<Self, ClusterError> {
        check(&options, &gates)?;
        let codec = Codec::new(&options.cluster, options.shards);
        let store = options.store.connect().await?;
        let routes = Arc::new(Routes::new(shards_in_all(options.shards)));
        let clock = options.simulation.clone().map_or(Clock::Boot, Clock::Simulated);
        let right = Arc::new(RightToRun::by(clock.clone()));
        let (events, inbox) = mpsc::channel(EVENTS_WAITING_MAX);
        let pulses = Pulses::new(&clock);
        let heart = Heart::start(
            options.store.clone(),
            codec.clone(),
            options.timing,
            Arc::clone(&right),
            events.clone(),
            pulses.clone(),
            options.node.clone(),
        )?;
        let agent = Agent::new(Config {
            node: options.node.clone(),
            profile: options.profile.clone(),
            groups: options.groups.clone(),
            shards: options.shards,
            timing: options.timing,
            policy: options.policy.clone(),
            crash_detection: options.crash_detection,
            migration_timeout: options.migration_timeout,
            retry: options.retry,
            restore: options.restore.clone(),
            transactions_in_flight_max: options.transactions_in_flight_max,
            seed: fastrand::u64(..),
        });
        let watcher = Watcher {
            store: Arc::clone(&store),
            codec: codec.clone(),
            events: events.clone(),
            quiet: Quiet::default(),
            node: options.node.clone(),
        };
        let (commands, orders) = mpsc::channel(16);
        let driver = Driver {
            node: options.node.clone(),
            agent,
            store,
            codec: codec.clone(),
            heart,
            right: Arc::clone(&right),
            gates: Arc::clone(&gates),
            routes: Arc::clone(&routes),
            activations,
            drain_deadline: options.drain_deadline,
            tick: options.timing.heartbeat / 8,
            told: Told::default(),
            ledger: Ledger::new(&options.node, options.migration_timeout),
            orders: HashMap::new(),
            last_order: 0,
            hosted: (0, Arc::default()),
            pulse: Arc::clone(&pulses.driver),
            clock,
            events,
        };
        let (status_of, status) = watch::channel(driver.status(None));
        let silence_max = options.timing.window * WINDOWS_UNTIL_HUNG;
        tokio::spawn(driver.run(watcher, inbox, orders, status_of));
        Ok(Self { routes, right, gates, codec, commands, status, pulses, silence_max })
    }

    /// Where calls go.
    pub fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// The node's right to run turns.
    pub fn right(&self) -> &Arc<RightToRun> {
        &self.right
    }

    /// How the node stands now.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// What has not made progress for five liveness windows, in words; empty when all does. It says
    /// nothing about a membership that has ended.
    pub fn hung(&self) -> Vec<String> {
        let Pulses { driver, heart } = &self.pulses;
        let loops = [("event loop", driver.age()), ("heartbeat thread", heart.age())];
        let hung = loops.iter().filter(|(_, age)| *age > self.silence_max);
        hung.map(|(name, age)| format!("the {name} has made no progress for {age:.1?}")).collect()
    }

    /// Waits until `condition` holds, and answers with the status that met it.
    pub async fn wait_for(&self, condition: impl Fn(&Status) -> bool) -> Status {
        let mut status = self.status.clone();
        match status.wait_for(|status| condition(status)).await {
            Ok(status) => status.clone(),
            // The driver is gone, and with it the chance that anything changes.
            Err(_) => self.status(),
        }
    }

    /// What this node knows of the cluster; `None` when it has stopped.
    pub async fn view(&self) -> Option<View> {
        let (answer, view) = oneshot::channel();
        self.commands.send(Command::View(answer)).await.ok()?;
        view.await.ok()
    }

    /// The shard groups, as far as this node has seen them.
    pub fn groups(&self) -> arc_swap::Guard<Arc<Groups>> {
        self.codec.groups()
    }

    /// How many shard groups there are, as far as this node has seen; much faster than looking at them.
    #[inline]
    pub fn group_count(&self) -> usize {
        self.codec.group_count()
    }

    /// Whether some live node hosts the kind, as far as this node has seen.
    pub fn is_hosted(&self, kind: &str) -> bool {
        let hosted = Arc::clone(&self.status.borrow().hosted);
        hosted.kinds.binary_search_by(|known| known.as_str().cmp(kind)).is_ok()
    }

    /// What this node decided as a leader, the oldest first; `None` when it has stopped.
    pub async fn decisions(&self) -> Option<Vec<Decision>> {
        let (answer, decisions) = oneshot::channel();
        self.commands.send(Command::Decisions(answer)).await.ok()?;
        decisions.await.ok()
    }

    /// Carries an operator's order out: returns when the records say so.
    ///
    /// # Errors
    /// When it can't be carried out, by this node, or in time.
    pub async fn order(&self, order: Order) -> Result<(), Refusal> {
        let (answer, done) = oneshot::channel();
        let sent = self.commands.send(Command::Order(order, answer)).await;
        sent.map_err(|_| Refusal::NotMember)?;
        done.await.unwrap_or(Err(Refusal::NotMember))
    }

    /// Takes in what runs in another node's shards, or in this one's, for the planner.
    pub async fn report_loads(&self, loads: Vec<(ShardId, ShardLoad)>) {
        let _ = self.commands.send(Command::Loads(loads)).await;
    }

    /// What runs in the shards, as far as nodes reported it to this one while it led; those in which
    /// nothing does are left out. `None` when it has stopped.
    pub async fn loads(&self) -> Option<Vec<(ShardId, ShardLoad)>> {
        let (answer, loads) = oneshot::channel();
        self.commands.send(Command::LoadsOf(answer)).await.ok()?;
        loads.await.ok()
    }

    /// What the planner would do, group by group, if something were otherwise, as far as this node knows
    /// the cluster. It changes nothing.
    ///
    /// # Errors
    /// When it names what is not there, or the node has stopped.
    pub async fn what_if(&self, what: WhatIf) -> Result<Vec<Forecast>, Refusal> {
        let (answer, forecast) = oneshot::channel();
        let sent = self.commands.send(Command::WhatIf(Box::new(what), answer)).await;
        sent.map_err(|_| Refusal::NotMember)?;
        forecast.await.unwrap_or(Err(Refusal::NotMember))
    }

    /// Begins to give all shards away, staying a member, or takes shards again. Returns at once.
    pub async fn set_draining(&self, draining: bool) {
        let command = if draining { Command::Drain { for_good: false } } else { Command::Undrain };
        let _ = self.commands.send(command).await;
    }

    /// Gives all shards away and stays a member, so that calls can still be sent to their new
    /// owners. Returns whether that was done within `patience`.
    pub async fn drain(&self, patience: Duration) -> bool {
        let _ = self.commands.send(Command::Drain { for_good: true }).await;
        let done = |status: &Status| status.drained || has_stopped(status);
        timeout(patience, self.wait_for(done)).await.is_ok()
    }

    /// Gives all shards away, then leaves; calls keep flowing meanwhile. After `patience`, what is
    /// left is given up at once: running turns are revoked, and the cluster is told.
    ///
    /// Returns how many shards were left at that time (0: all were handed over).
    pub async fn leave(&self, patience: Duration) -> usize {
        let _ = self.commands.send(Command::Leave).await;
        if timeout(patience, self.wait_for(has_stopped)).await.is_ok() {
            return 0;
        }
        let left = self.status().claimed;
        let _ = self.commands.send(Command::LeaveNow).await;
        // The store may be away; then the others notice the silence.
        let _ = timeout(Duration::from_secs(2), self.wait_for(has_stopped)).await;
        self.abandon().await;
        left
    }

    /// Stops at once and tells nobody, as if the process had died: the others notice the silence.
    pub async fn abandon(&self) {
        self.right.end();
        self.gates.revoke_all();
        let (done, ended) = oneshot::channel();
        if self.commands.send(Command::Abandon(done)).await.is_ok() {
            let _ = ended.await;
        }
    }
}

fn has_stopped(status: &Status) -> bool {
    matches!(status.phase, StatusPhase::Stopped(_))
}

/// A shard with the epoch that its gate was open at.
pub(crate) type OpenShard = (ShardId, Epoch);

/// Reports to the driver; fails only when it is gone, and then nobody wants to know.
pub(crate) async fn report(events: &mpsc::Sender<Event>, event: Event) {
    let _ = events.send(event).await;
}
