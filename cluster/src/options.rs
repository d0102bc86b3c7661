//! What a node is told about its membership, and what can be wrong with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use greenroom_core::planner::Policy;
use greenroom_core::record::NodeProfile;
use greenroom_core::{
    BadTiming, CLOCK_DRIFT_PPM_DEFAULT, GROUPS_MAX, NodeId, Restore, Retry, SHARD_COUNT_MAX, Timing,
};
use greenroom_shardlock::Gates;

use crate::connect::StoreConfig;
use crate::metrics::on_wait;
use crate::simulation::Simulation;
use crate::store::StoreError;

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
    /// The shard groups of the kinds that don't belong to the default group.
    pub groups: BTreeMap<String, String>,
    /// Number of shards of each group, `1..=65_536`; fixed at the cluster's birth.
    pub shards: u32,
    /// Timing of heartbeats and death; the same on all nodes.
    pub timing: Timing,
    /// By how many millionths any node's clock may run fast or slow; what the margin must cover.
    pub clock_drift_ppm: u32,
    /// How it plans when it leads.
    pub policy: Policy,
    /// Whether a node whose port refuses connections while its heartbeat is overdue is declared
    /// dead at once. To be switched off where a proxy answers for the node.
    pub crash_detection: bool,
    /// How long a shard may wait in one phase of its way before that is an error.
    pub migration_timeout: Duration,
    /// How long running turns may take to end when a shard moves away; then they are revoked.
    pub drain_deadline: Duration,
    /// How long the gate of a shard may be held for a handoff before the hold is revoked; longer than
    /// the drain deadline, which the farewells of actors may take meanwhile. Three times that unless
    /// set.
    pub gate_hold_max: Option<Duration>,
    /// After how long a wait at a gate is worth a warning in the log.
    pub gate_wait_warning: Duration,
    /// How to wait after a failure of the store.
    pub retry: Retry,
    /// What an empty cluster is to begin with.
    pub restore: Option<Restore>,
    /// Most transactions under way at a time.
    pub transactions_in_flight_max: usize,
    /// The store.
    pub store: StoreConfig,
    /// The machine of a simulated node; `None` for a real one.
    pub simulation: Option<Arc<dyn Simulation>>,
}

impl ClusterOptions {
    /// Options with the defaults for everything but names and store.
    pub fn new(cluster: impl Into<String>, node: NodeId, store: StoreConfig) -> Self {
        Self {
            cluster: cluster.into(),
            node,
            profile: NodeProfile { weight: 100, ..NodeProfile::default() },
            groups: BTreeMap::new(),
            shards: greenroom_core::SHARD_COUNT_DEFAULT,
            timing: Timing::default(),
            clock_drift_ppm: CLOCK_DRIFT_PPM_DEFAULT,
            policy: Policy::default(),
            crash_detection: true,
            migration_timeout: Duration::from_secs(30),
            retry: Retry::default(),
            restore: None,
            drain_deadline: Duration::from_secs(10),
            gate_hold_max: None,
            gate_wait_warning: greenroom_shardlock::Options::default().warn_after,
            transactions_in_flight_max: 8,
            store,
            simulation: None,
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
    #[error("the gate table has {gates} shards, but {GROUPS_MAX} groups of {shards} need more")]
    Gates {
        /// The table's.
        gates: u32,
        /// Those of a group, by the options.
        shards: u32,
    },
    /// The timing contradicts itself.
    #[error(transparent)]
    Timing(#[from] BadTiming),
    /// The store refuses this node.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The time-outs contradict each other.
    #[error("{0}")]
    Contradiction(String),
    /// No thread for the heartbeat could be started.
    #[error("can't start the heartbeat: {0}")]
    Heart(#[from] std::io::Error),
}

pub(crate) fn check(options: &ClusterOptions, gates: &Gates) -> Result<(), ClusterError> {
    let name = &options.cluster;
    let well = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if name.is_empty() || name.len() > CLUSTER_LEN_MAX || !well {
        return Err(ClusterError::Name(name.clone()));
    }
    if !(1..=SHARD_COUNT_MAX).contains(&options.shards) {
        return Err(ClusterError::Shards(options.shards));
    }
    if gates.shards() < shards_in_all(options.shards) {
        return Err(ClusterError::Gates { gates: gates.shards(), shards: options.shards });
    }
    options.timing.check(options.clock_drift_ppm)?;
    if options.migration_timeout <= options.drain_deadline {
        return Err(ClusterError::Contradiction(format!(
            "the migration time-out ({:?}) must be longer than the drain deadline ({:?}), which every \
             move may take",
            options.migration_timeout, options.drain_deadline
        )));
    }
    let hold_max = gates.options().hold_max;
    if hold_max <= options.drain_deadline {
        return Err(ClusterError::Contradiction(format!(
            "the longest hold of a gate ({:?}) must be longer than the drain deadline ({:?}), which \
             the farewells of actors may take while it is held",
            hold_max, options.drain_deadline
        )));
    }
    if options.retry.first.is_zero() || options.retry.max < options.retry.first {
        return Err(ClusterError::Contradiction(format!(
            "the first pause after a failure of the store ({:?}) must be above zero and at most the \
             longest ({:?})",
            options.retry.first, options.retry.max
        )));
    }
    Ok(())
}

/// The gates of a node with these options, all closed: one for each shard of each group.
///
/// Histograms are told to the recorder that is installed by then.
pub fn gates(options: &ClusterOptions) -> Gates {
    let patience = greenroom_shardlock::Options {
        hold_max: options.gate_hold_max.unwrap_or(options.drain_deadline.saturating_mul(3)),
        warn_after: options.gate_wait_warning,
        on_wait: Some(on_wait(&options.node)),
        ..Default::default()
    };
    Gates::with_options(shards_in_all(options.shards), patience)
}

/// How many shards the groups may have in all, when each has `shards`: what a node's tables hold.
pub(crate) fn shards_in_all(shards: u32) -> u32 {
    shards * GROUPS_MAX as u32
}
