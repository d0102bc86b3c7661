//! Things that may differ between two topologies.

use std::fmt;

/// How many shards of a difference are named.
const NAMED_MAX: usize = 5;

/// Something that changed. Prints as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Epochs of shards are smaller than they were, or gone: what was fenced is fenced no more.
    EpochsWentBack {
        /// Which shards.
        shards: ShardList,
        /// Epoch of the first of them in the old topology.
        old: u64,
        /// And in the new one.
        new: u64,
    },
    /// They are of two clusters.
    Cluster {
        /// Name of the old one.
        old: String,
        /// Name of the new one.
        new: String,
    },
    /// Groups have another number of shards.
    ShardCount {
        /// That of the old one.
        old: u32,
        /// That of the new one.
        new: u32,
    },
    /// A shard group is gone.
    GroupGone(String),
    /// A shard group is new.
    GroupNew(String),
    /// A field of a shard group is another.
    GroupChanged {
        /// Name of the group.
        group: String,
        /// `kinds`, `require` or `prefer`.
        field: &'static str,
        /// What it was; empty for nothing.
        old: String,
        /// What it is; empty for nothing.
        new: String,
    },
    /// A node is gone.
    NodeGone(String),
    /// A node is new.
    NodeNew(String),
    /// A field of a node is another.
    NodeChanged {
        /// Id of the node.
        node: String,
        /// `state`, `weight`, `zone`, `labels` or `kinds`.
        field: &'static str,
        /// What it was; empty for nothing.
        old: String,
        /// What it is; empty for nothing.
        new: String,
    },
    /// A field of shards names another node: all that changed alike.
    Shards {
        /// Which field.
        field: ShardField,
        /// The node that was named, if one was.
        old: Option<String>,
        /// The node that is named, if one is.
        new: Option<String>,
        /// Which shards.
        shards: ShardList,
    },
}

/// Whether a person must look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It may be as it should be.
    Info,
    /// It must never happen.
    Error,
}

impl Severity {
    /// The written name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Error => "error",
        }
    }
}

/// A field of a shard that names a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShardField {
    /// Who owns it.
    Owner,
    /// Who should own it.
    Target,
    /// Where an operator wants it.
    Pin,
}

impl ShardField {
    /// The written name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Target => "target",
            Self::Pin => "pin",
        }
    }
}

/// Some shards, of which the first few are named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardList {
    /// How many.
    pub count: usize,
    /// The first of them: `4711`, `gpu/77`.
    pub first: Vec<String>,
}

impl ShardList {
    /// Counts one more; its name is only asked for while few are named.
    pub(super) fn add(&mut self, name: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < NAMED_MAX {
            self.first.push(name());
        }
    }
}

impl fmt::Display for ShardList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.count == 1 { "" } else { "s" };
        let more = if self.count > self.first.len() { ", ..." } else { "" };
        write!(f, "{} shard{plural} ({}{more})", self.count, self.first.join(", "))
    }
}

impl Difference {
    /// Whether a person must look.
    pub fn severity(&self) -> Severity {
        match self {
            Self::EpochsWentBack { .. } => Severity::Error,
            _ => Severity::Info,
        }
    }

    /// The written name of its kind.
    pub fn name(&self) -> &'static str {
        match self {
            Self::EpochsWentBack { .. } => "epochs_went_back",
            Self::Cluster { .. } => "cluster",
            Self::ShardCount { .. } => "shard_count",
            Self::GroupGone(_) => "group_gone",
            Self::GroupNew(_) => "group_new",
            Self::GroupChanged { .. } => "group_changed",
            Self::NodeGone(_) => "node_gone",
            Self::NodeNew(_) => "node_new",
            Self::NodeChanged { .. } => "node_changed",
            Self::Shards { .. } => "shards",
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_nothing = |text: &str| if text.is_empty() { "-" } else { text }.to_owned();
        let or_nobody = |node: &Option<String>| node.as_deref().unwrap_or("nobody").to_owned();
        match self {
            Self::EpochsWentBack { shards, old, new } => {
                let first = shards.first.first().map_or("", String::as_str);
                write!(
                    f,
                    "the epochs of {shards} went back, that of {first} from {old} to {new}: what was \
                     fenced is fenced no more"
                )
            }
            Self::Cluster { old, new } => write!(f, "cluster {old} became {new}"),
            Self::ShardCount { old, new } => write!(f, "{old} shards a group became {new}"),
            Self::GroupGone(group) => write!(f, "group {group} is gone"),
            Self::GroupNew(group) => write!(f, "group {group} is new"),
            Self::GroupChanged { group, field, old, new } => {
                write!(f, "group {group}: {field} {} became {}", or_nothing(old), or_nothing(new))
            }
            Self::NodeGone(node) => write!(f, "node {node} is gone"),
            Self::NodeNew(node) => write!(f, "node {node} is new"),
            Self::NodeChanged { node, field, old, new } => {
                write!(f, "node {node}: {field} {} became {}", or_nothing(old), or_nothing(new))
            }
            Self::Shards { field, old, new, shards } => {
                let (old, new) = (or_nobody(old), or_nobody(new));
                write!(f, "{} {old} became {new} of {shards}", field.as_str())
            }
        }
    }
}
