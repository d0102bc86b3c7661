//! Nodes, as their cluster knows them.

use std::collections::BTreeMap;
use std::fmt;

/// One life of a node: from a join to the death that the cluster recorded. A node that comes back
/// has a new incarnation and owns nothing of what its earlier life owned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Life {
    /// Id of the node.
    pub node: String,
    /// Which of its lives; later ones have greater numbers.
    pub incarnation: u64,
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.node, self.incarnation)
    }
}

/// A node that has registered in the cluster at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its last known life.
    pub life: Life,
    /// Where it is in that life.
    pub state: NodeState,
    /// `host:port` at which other nodes reach it, and at which it answers this crate.
    pub peer_address: String,
    /// `host:port` of its HTTP gateway, if it has one.
    pub http_address: Option<String>,
    /// Share of the shards that it should bear, relative to the others.
    pub weight: u32,
    /// Where it stands, if somebody said.
    pub zone: Option<String>,
    /// What placement rules ask for, by name.
    pub labels: BTreeMap<String, String>,
    /// Kinds of actors that it hosts.
    pub kinds: Vec<String>,
    /// Version of Greenroom that it runs.
    pub version: String,
}

impl Node {
    /// Whether its last known life still lasts.
    pub fn is_alive(&self) -> bool {
        self.state != NodeState::Dead
    }

    /// Whether the leader may give it shards.
    pub fn takes_shards(&self) -> bool {
        self.state == NodeState::Active
    }
}

/// Where a node is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Takes shards.
    Active,
    /// Gives its shards away and will leave.
    Draining,
    /// Left, or was declared dead.
    Dead,
    /// A state that this version doesn't know, by its written name. Such a node counts as alive,
    /// but not as one that takes shards.
    Other(String),
}

impl NodeState {
    /// The written name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Dead => "dead",
            Self::Other(name) => name,
        }
    }
}
