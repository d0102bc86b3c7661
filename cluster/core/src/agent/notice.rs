//! What an agent tells people: each decision with its reason.

use std::fmt;
use std::time::Duration;

use super::Purpose;
use super::motion::Stuck;
use crate::groups::BadGroups;
use crate::record::Meta;
use crate::{Life, NodeId, Term};

/// Why a life is believed to be over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Its heartbeat was seen unchanged for this long, at least.
    Silence(Duration),
    /// Its heartbeat is overdue, and its port refuses connections: the process is gone.
    Crash,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silence(span) => write!(f, "heartbeat unchanged for {span:?}"),
            Self::Crash => f.write_str(
                "its heartbeat is overdue and its port refuses connections, so its process is gone",
            ),
        }
    }
}

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
    /// A life is being declared dead.
    Burying {
        /// Which.
        life: Life,
        /// Why.
        evidence: Evidence,
    },
    /// Shards did not arrive in time.
    Stuck {
        /// Which, and what they wait for.
        stuck: Stuck,
        /// For how long the first of them, in all phases.
        age: Duration,
    },
    /// Shards pinned to a node that can't have them are served elsewhere; told when that changes.
    PinsUnserved {
        /// Which node.
        node: NodeId,
        /// How many shards.
        shards: usize,
    },
    /// Nodes that may own a group's shards lack a kind that another one hosts, so calls of that kind
    /// fail where they own the shard; told when that changes.
    KindLacking {
        /// The kind.
        kind: String,
        /// Who lacks it; empty when nobody does any more.
        nodes: Vec<NodeId>,
    },
    /// A kind of this node belongs to another group of the cluster.
    KindRefused(BadGroups),
    /// There was something to restore, but the cluster exists already.
    NotRestored,
    /// The cluster began with what was restored.
    Restored {
        /// How many shards.
        shards: usize,
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
        /// Shards moved to where an operator wants them, or taken from who did not claim them.
        other: usize,
    },
    /// Why nothing is rebalanced now in a group, when that reason changes.
    Idle {
        /// The group.
        group: String,
        /// The reason's short name.
        name: &'static str,
        /// The reason in words.
        reason: String,
    },
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
            Self::Burying { life, evidence } => write!(f, "declaring {life} dead: {evidence}"),
            Self::Stuck { stuck, age } => write!(f, "{stuck} for {age:?}"),
            Self::PinsUnserved { node, shards: 0 } => {
                write!(f, "all shards pinned to {node} are served there")
            }
            Self::PinsUnserved { node, shards } => write!(
                f,
                "{shards} shards are pinned to {node}, which can't have them now; they are served \
                 elsewhere"
            ),
            Self::KindLacking { kind, nodes } if nodes.is_empty() => {
                write!(f, "every node that may own shards of kind `{kind}` hosts it")
            }
            Self::KindLacking { kind, nodes } => {
                let nodes: Vec<_> = nodes.iter().map(NodeId::as_str).collect();
                write!(
                    f,
                    "{} may own shards of kind `{kind}` and don't host it: calls of it fail there, \
                     unless it gets a shard group of its own or they are to host it soon",
                    nodes.join(", ")
                )
            }
            Self::KindRefused(error) => error.fmt(f),
            Self::NotRestored => {
                f.write_str("the cluster exists already, at least in part, so nothing was restored")
            }
            Self::Restored { shards } => {
                write!(f, "the cluster begins with {shards} restored shards")
            }
            Self::Planned { orphans, recalls, drains, rebalanced, other } => {
                let parts = [
                    (orphans, "given to a node, because nobody had them"),
                    (recalls, "kept, because where they went is gone"),
                    (drains, "moved off draining nodes"),
                    (rebalanced, "moved for balance"),
                    (other, "moved as an operator wants, or because they were stuck"),
                ];
                let parts = parts.iter().filter(|(count, _)| **count > 0);
                let parts: Vec<_> = parts.map(|(count, what)| format!("{count} {what}")).collect();
                write!(f, "shards: {}", parts.join(", "))
            }
            Self::Idle { group, reason, .. } => {
                write!(f, "no rebalancing of group {group}: {reason}")
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::MotionPhase;
    use crate::{Incarnation, ShardId};

    #[test]
    fn each_notice_names_what_it_is_about() {
        let name = |name: &str| NodeId::new(name).unwrap();
        let life = || Life { node: name("n7"), incarnation: Incarnation(3) };
        let window = Duration::from_secs(6);
        let stuck = || Stuck {
            shards: vec![ShardId(7)],
            from: None,
            to: Some(name("n7")),
            phase: MotionPhase::Claiming,
        };
        let kind = || "bank.account".to_owned();
        let purpose = Purpose::Claim;
        let planned = |orphans, recalls, drains, rebalanced, other| Notice::Planned {
            orphans,
            recalls,
            drains,
            rebalanced,
            other,
        };
        for (notice, words) in [
            (Notice::Joined(life()), &["joined", "n7@3"][..]),
            (Notice::NameInUse { by: life(), window }, &["n7@3", "6s", "another name"]),
            (Notice::Fenced(life()), &["n7@3", "declared dead"]),
            (Notice::Elected(Term(4)), &["leads", "4"]),
            (Notice::Resigned(Term(4)), &["resigned", "4"]),
            (
                Notice::Burying { life: life(), evidence: Evidence::Silence(window) },
                &["n7@3", "unchanged for 6s"],
            ),
            (
                Notice::Burying { life: life(), evidence: Evidence::Crash },
                &["n7@3", "overdue", "refuses connections"],
            ),
            (
                Notice::Stuck { stuck: stuck(), age: window },
                &["shard 7 is stuck claiming on the way from nobody to n7 for 6s"],
            ),
            (Notice::PinsUnserved { node: name("n7"), shards: 0 }, &["all shards", "n7"]),
            (
                Notice::PinsUnserved { node: name("n7"), shards: 9 },
                &["9 shards", "n7", "elsewhere"],
            ),
            (
                Notice::KindLacking { kind: kind(), nodes: Vec::new() },
                &["every node", "bank.account"],
            ),
            (
                Notice::KindLacking { kind: kind(), nodes: vec![name("n7"), name("n8")] },
                &["n7, n8", "bank.account", "calls of it fail"],
            ),
            (Notice::KindRefused(BadGroups::Unknown("gpu".to_owned())), &["gpu"]),
            (Notice::NotRestored, &["exists already", "nothing was restored"]),
            (Notice::Restored { shards: 9 }, &["9 restored shards"]),
            (
                planned(1, 2, 3, 4, 5),
                &[
                    "1 given",
                    "2 kept",
                    "3 moved off",
                    "4 moved for balance",
                    "5 moved as an operator",
                ],
            ),
            (
                Notice::Idle { group: "gpu".to_owned(), name: "balanced", reason: "so".to_owned() },
                &["group gpu: so"],
            ),
            (Notice::Claiming { shards: 9 }, &["claiming 9"]),
            (Notice::Draining { shards: 9, to: Some(name("n7")) }, &["9 shards to n7"]),
            (Notice::Draining { shards: 9, to: None }, &["9 shards over"]),
            (Notice::Conflict { purpose }, &["claim", "afresh"]),
            (Notice::StoreFailed { purpose, permanent: false }, &["claim", "trying again"]),
            (Notice::StoreFailed { purpose, permanent: true }, &["claim", "a person must look"]),
            (Notice::ReplyLost { purpose }, &["claim", "lost"]),
            (
                Notice::OtherCluster { ours: Meta::born_with(16), theirs: Meta::born_with(32) },
                &["born with 32 shards", "set to 16 shards"],
            ),
        ] {
            let text = notice.to_string();
            for word in words {
                assert!(text.contains(word), "{text:?} does not say {word:?}");
            }
        }
        assert_eq!(planned(0, 0, 3, 0, 0).to_string(), "shards: 3 moved off draining nodes");
    }
}
