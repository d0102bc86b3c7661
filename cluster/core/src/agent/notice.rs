//! What an agent tells people: each decision with its reason.

use std::fmt;
use std::time::Duration;

use super::Purpose;
use crate::record::Meta;
use crate::{Life, NodeId, Term};

/// Something a person may want to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// The node is a member.
    Joined(Life),
    /// Another process holds the node's name; it must fall silent first.
    NameInUse {
        /// The other life.
        by: Life,
        /// How long it must be silent.
        window: Duration,
    },
    /// The node's life ended from outside; it joins again as a new one.
    Fenced(Life),
    /// The node leads.
    Elected(Term),
    /// The node gave the leadership up.
    Resigned(Term),
    /// A silent life is being declared dead.
    Burying {
        /// Which.
        life: Life,
        /// How long its heartbeat was seen unchanged, at least.
        silent_for: Duration,
    },
    /// Targets were decided.
    Planned {
        /// Shards without an owner that were given a target.
        orphans: usize,
        /// Shards that stay, because the node they were moving to is gone.
        recalls: usize,
        /// Shards moved off draining nodes.
        drains: usize,
        /// Shards moved for balance.
        rebalanced: usize,
    },
    /// Why nothing is rebalanced now, when that reason changes.
    Idle(String),
    /// Shards were given to this node.
    Claiming {
        /// How many.
        shards: usize,
    },
    /// Shards go away from this node.
    Draining {
        /// How many.
        shards: usize,
        /// Where most of them go, when one node takes all.
        to: Option<NodeId>,
    },
    /// Someone else wrote first; decided afresh.
    Conflict {
        /// What was tried.
        purpose: Purpose,
    },
    /// The store did not take a transaction.
    StoreFailed {
        /// What was tried.
        purpose: Purpose,
        /// Whether a person must act.
        permanent: bool,
    },
    /// The store's answer was lost; the record will tell.
    ReplyLost {
        /// What was tried.
        purpose: Purpose,
    },
    /// The cluster's constants are not this node's.
    OtherCluster {
        /// This node's.
        ours: Meta,
        /// The cluster's.
        theirs: Meta,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined(life) => write!(f, "joined the cluster as {life}"),
            Self::NameInUse { by, window } => write!(
                f,
                "the name is held by {by}; waiting until its heartbeat was silent for {window:?} (if \
                 that node is alive, give this one another name)"
            ),
            Self::Fenced(life) => {
                write!(f, "{life} was declared dead; dropping its activations and joining again")
            }
            Self::Elected(term) => write!(f, "leads with term {term}"),
            Self::Resigned(term) => write!(f, "resigned from term {term}"),
            Self::Burying { life, silent_for } => {
                write!(f, "declaring {life} dead: heartbeat unchanged for {silent_for:?}")
            }
            Self::Planned { orphans, recalls, drains, rebalanced } => {
                let parts = [
                    (orphans, "given to a node, because nobody had them"),
                    (recalls, "kept, because where they went is gone"),
                    (drains, "moved off draining nodes"),
                    (rebalanced, "moved for balance"),
                ];
                let parts = parts.iter().filter(|(count, _)| **count > 0);
                let parts: Vec<_> = parts.map(|(count, what)| format!("{count} {what}")).collect();
                write!(f, "shards: {}", parts.join(", "))
            }
            Self::Idle(reason) => write!(f, "no rebalancing: {reason}"),
            Self::Claiming { shards } => write!(f, "claiming {shards} shards"),
            Self::Draining { shards, to: Some(to) } => write!(f, "handing {shards} shards to {to}"),
            Self::Draining { shards, to: None } => write!(f, "handing {shards} shards over"),
            Self::Conflict { purpose } => {
                write!(f, "{purpose}: someone else wrote first; deciding afresh")
            }
            Self::StoreFailed { purpose, permanent: false } => {
                write!(f, "{purpose}: the store is unavailable; trying again")
            }
            Self::StoreFailed { purpose, permanent: true } => {
                write!(f, "{purpose}: the store refuses; trying again, but a person must look")
            }
            Self::ReplyLost { purpose } => {
                write!(f, "{purpose}: the store's answer was lost; reading what became of it")
            }
            Self::OtherCluster { ours, theirs } => write!(
                f,
                "this cluster was born with {} shards, hash {} and format {}, but this node is set \
                 to {} shards, hash {} and format {}",
                theirs.shards, theirs.hash, theirs.format, ours.shards, ours.hash, ours.format
            ),
        }
    }
}
