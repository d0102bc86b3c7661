//! What an agent is told, and what it answers: all that can wake it is on this page.

use std::collections::BTreeMap;
use std::time::Duration;

use super::loads::ShardLoad;
use super::notice::Notice;
use super::orders::{Order, OrderId, Refusal};
use super::requests::Purpose;
use crate::groups::Groups;
use crate::planner::Policy;
use crate::record::{Entry, Key, NodeProfile, ShardRecord, Transaction};
use crate::time::{Retry, Timing};
use crate::{Epoch, Incarnation, Life, NodeId, ShardId};

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
    /// The shard groups of the kinds that don't belong to the default group.
    pub groups: BTreeMap<String, String>,
    /// Number of shards that it expects each group to have.
    pub shards: u32,
    /// Timing of heartbeats and death.
    pub timing: Timing,
    /// How it plans when it leads.
    pub policy: Policy,
    /// Whether a node whose port refuses connections while its heartbeat is overdue is declared
    /// dead at once, instead of after the whole window.
    pub crash_detection: bool,
    /// How long a shard may wait in one phase of its way before that is an error.
    pub migration_timeout: Duration,
    /// How to wait after a failure of the store.
    pub retry: Retry,
    /// Most transactions under way at a time.
    pub transactions_in_flight_max: usize,
    /// What an empty cluster is to begin with.
    pub restore: Option<Restore>,
    /// Random, different in each process: recognises the own first heartbeat, and spreads retries.
    pub seed: u64,
}

/// What a cluster begins with instead of nothing: epochs go on from there, so that what was
/// fenced stays fenced, and pins are as they were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restore {
    /// The groups.
    pub groups: Groups,
    /// The shards, without owners.
    pub shards: Vec<(ShardId, ShardRecord)>,
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
        /// What the keys held: an entry for each, also if it held nothing, but none where what it
        /// held can't be read.
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
    /// What a connection to a node's port told: whether it was actively refused.
    Probed {
        /// Which life was asked for.
        life: Life,
        /// Nothing listens at its port, and its machine said so.
        refused: bool,
    },
    /// An operator wants something.
    Operate {
        /// To name in the answer.
        id: OrderId,
        /// What.
        order: Order,
    },
    /// A node told what runs in its shards.
    Loads(Vec<(ShardId, ShardLoad)>),
    /// Give all shards away; stay a member.
    Drain,
    /// Take shards again after a drain.
    Undrain,
    /// Give all shards away, then leave.
    Leave,
    /// Leave now. The shell has revoked every gate, so no turn may run any more.
    LeaveNow,
    /// Some time has passed.
    Tick,
}

/// A part of a shard's way that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// From the decision to claim to the open gate, at the claimer.
    Claim,
    /// From the decision to drain to the release in the store, at the former owner.
    Release,
    /// From leaving its place to having a new owner, as the leader saw it.
    Migration,
}

/// What the shell must do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Run a transaction; answer with [`Event::Committed`].
    Commit {
        /// To name in the answer.
        request: RequestId,
        /// What it is for.
        purpose: Purpose,
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
    /// Try to connect to a node's port; answer with [`Event::Probed`].
    Probe {
        /// Whose port.
        life: Life,
        /// Where: `host:port`.
        address: String,
    },
    /// What became of an order.
    Answer {
        /// Which.
        id: OrderId,
        /// How it went.
        result: Result<(), Refusal>,
    },
    /// How long something took.
    Took(Stage, Vec<Duration>),
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
