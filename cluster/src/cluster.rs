//! A node's membership of its cluster: options, service, handle.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use greenroom_core::planner::Policy;
use greenroom_core::record::NodeProfile;
use greenroom_core::{
    Agent, BadTiming, Config, Epoch, Event, Life, NodeId, SHARD_COUNT_MAX, ShardId, Timing, View,
};
use greenroom_shardlock::Gates;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::Instrument;

use crate::codec::Codec;
use crate::connect::StoreConfig;
use crate::driver::{Command, Driver};
use crate::heart::Heart;
use crate::pulse::Pulse;
use crate::quiet::Quiet;
use crate::right::RightToRun;
use crate::routing::Routes;
use crate::store::StoreError;
use crate::told::Told;
use crate::watcher::Watcher;

/// Most events that wait for the driver; beyond, their senders wait.
const EVENTS_WAITING_MAX: usize = 1024;
/// Longest name of a cluster, in bytes.
const CLUSTER_LEN_MAX: usize = 64;

/// What a node needs to be told to be a member.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Name of the cluster: 1 to 64 of `a-z A-Z 0-9 . _ -`.
    pub cluster: String,
    /// Name of the node.
    pub node: NodeId,
    /// What it says of itself.
    pub profile: NodeProfile,
    /// Number of shards, `1..=65_536`; fixed at the cluster's birth.
    pub shards: u32,
    /// Timing of heartbeats and death; the same on all nodes.
    pub timing: Timing,
    /// How it plans when it leads.
    pub policy: Policy,
    /// How long running turns may take to end when a shard moves away; then they are revoked.
    pub drain_deadline: Duration,
    /// Most transactions under way at a time.
    pub transactions_in_flight_max: usize,
    /// The store.
    pub store: StoreConfig,
}

impl ClusterOptions {
    /// Options with the defaults for everything but names and store.
    pub fn new(cluster: impl Into<String>, node: NodeId, store: StoreConfig) -> Self {
        Self {
            cluster: cluster.into(),
            node,
            profile: NodeProfile { weight: 100, ..NodeProfile::default() },
            shards: greenroom_core::SHARD_COUNT_DEFAULT,
            timing: Timing::default(),
            policy: Policy {
                stability: Duration::from_secs(5),
                batch_len_max: 512,
                imbalance_threshold_permille: 50,
            },
            drain_deadline: Duration::from_secs(10),
            transactions_in_flight_max: 8,
            store,
        }
    }
}

/// Why a node can't be a member.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The cluster's name breaks its rule.
    #[error("the cluster's name must be 1 to {CLUSTER_LEN_MAX} of a-z A-Z 0-9 . _ -, got {0:?}")]
    Name(String),
    /// The number of shards is out of range.
    #[error("the number of shards must be 1 to {SHARD_COUNT_MAX}, got {0}")]
    Shards(u32),
    /// The gate table has another number of shards.
    #[error("the gate table has {gates} shards, but the node is set to {shards}")]
    Gates {
        /// The table's.
        gates: u32,
        /// The options'.
        shards: u32,
    },
    /// The timing contradicts itself.
    #[error(transparent)]
    Timing(#[from] BadTiming),
    /// The store refuses this node.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No thread for the heartbeat could be started.
    #[error("can't start the heartbeat: {0}")]
    Heart(#[from] std::io::Error),
}

/// The activations of a node, as ownership sees them.
pub trait Activations: Send + Sync + 'static {
    /// Deactivates all actors of a shard whose gate is closed; `None` when there are none.
    fn deactivate(&self, shard: ShardId) -> Option<BoxFuture<'static, ()>>;

    /// Drops all actors at once: the node's life is over, so nothing of theirs may be saved.
    fn drop_all(&self);
}

/// How the node stands in its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The present life, once it joined.
    pub life: Option<Life>,
    /// Where it is in that life.
    pub phase: StatusPhase,
    /// Shards that it serves of those that it should serve.
    pub claimed: usize,
    /// Shards that it should serve.
    pub targeted: usize,
    /// Whether it has given all its shards away, and nothing of them runs here any more.
    pub drained: bool,
    /// Whether another live node takes shards.
    pub others_take_shards: bool,
    /// Whether it leads.
    pub leads: bool,
    /// Whether the store has been read and is watched.
    pub synced: bool,
}

/// Where a node is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusPhase {
    /// Not yet a member.
    Joining,
    /// A member.
    Active,
    /// Giving its shards away.
    Draining,
    /// Gone; with the reason when it was refused.
    Stopped(Option<String>),
}

/// A node's membership. Clones are handles to the same one; it ends with [`Cluster::leave`] or
/// [`Cluster::abandon`], not by dropping handles.
#[derive(Clone, Debug)]
pub struct Cluster {
    routes: Arc<Routes>,
    right: Arc<RightToRun>,
    gates: Arc<Gates>,
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Status>,
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
        let codec = Codec::new(&options.cluster);
        let store = options.store.connect().await?;
        let routes = Arc::new(Routes::new(options.shards));
        let right = Arc::new(RightToRun::default());
        let (events, inbox) = mpsc::channel(EVENTS_WAITING_MAX);
        let pulse = Arc::new(Pulse::new());
        let heart = Heart::start(
            options.store.clone(),
            codec.clone(),
            options.timing,
            Arc::clone(&right),
            events.clone(),
            Arc::clone(&pulse),
        )?;
        let agent = Agent::new(Config {
            node: options.node.clone(),
            profile: options.profile.clone(),
            shards: options.shards,
            timing: options.timing,
            policy: options.policy.clone(),
            transactions_in_flight_max: options.transactions_in_flight_max,
            seed: fastrand::u64(..),
        });
        let watcher = Watcher {
            store: Arc::clone(&store),
            codec: codec.clone(),
            events: events.clone(),
            quiet: Quiet::default(),
        };
        let (commands, orders) = mpsc::channel(16);
        let driver = Driver {
            agent,
            store,
            codec,
            heart,
            right: Arc::clone(&right),
            gates: Arc::clone(&gates),
            routes: Arc::clone(&routes),
            activations,
            drain_deadline: options.drain_deadline,
            tick: options.timing.heartbeat / 8,
            told: Told::default(),
            pulse,
            events,
        };
        let (status_of, status) = watch::channel(driver.status(None));
        let span = tracing::info_span!("node", id = %options.node);
        tokio::spawn(driver.run(watcher, inbox, orders, status_of).instrument(span));
        Ok(Self { routes, right, gates, commands, status })
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

    /// Gives all shards away and stays a member, so that calls can still be sent to their new
    /// owners. Returns whether that was done within `patience`.
    pub async fn drain(&self, patience: Duration) -> bool {
        let _ = self.commands.send(Command::Drain).await;
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

fn check(options: &ClusterOptions, gates: &Gates) -> Result<(), ClusterError> {
    let name = &options.cluster;
    let well = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if name.is_empty() || name.len() > CLUSTER_LEN_MAX || !well {
        return Err(ClusterError::Name(name.clone()));
    }
    if !(1..=SHARD_COUNT_MAX).contains(&options.shards) {
        return Err(ClusterError::Shards(options.shards));
    }
    if gates.shards() != options.shards {
        return Err(ClusterError::Gates { gates: gates.shards(), shards: options.shards });
    }
    options.timing.check()?;
    Ok(())
}

/// A shard with the epoch that its gate was open at.
pub(crate) type OpenShard = (ShardId, Epoch);

/// Reports to the driver; fails only when it is gone, and then nobody wants to know.
pub(crate) async fn report(events: &mpsc::Sender<Event>, event: Event) {
    let _ = events.send(event).await;
}
