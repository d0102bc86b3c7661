//! The records of a cluster in etcd, read as any tool would that knows only their written form.

use std::collections::BTreeMap;
use std::fmt;

use greenroom_cluster::store::Change as StoreChange;
use serde::Deserialize;

/// Name of the cluster that all scenarios run.
pub const CLUSTER: &str = "chaos";
/// What all its keys begin with.
pub const PREFIX: &str = "/greenroom/chaos/";

/// One life of a node, as records name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Life {
    /// Name of the node.
    pub node: String,
    /// The revision at which its heartbeat key was created.
    pub incarnation: u64,
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.node, self.incarnation)
    }
}

/// Who should own a shard, and who does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Shard {
    /// The leader's intent.
    pub target: Option<String>,
    /// What the owner wrote.
    pub owner: Option<Life>,
    /// Fencing token of the present or last owner.
    pub epoch: u64,
}

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Leader {
    /// Nobody after a resignation.
    pub holder: Option<Life>,
    /// Grows by one with each new leader.
    pub term: u64,
}

/// One write or deletion of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When it happened, in etcd's order.
    pub revision: u64,
    /// What it says.
    pub what: What,
}

/// What a change says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A heartbeat of the life that began at `created`.
    Beat {
        /// Name of the node.
        node: String,
        /// The revision at which the key was created.
        created: u64,
    },
    /// A heartbeat key is gone: the life is over.
    LifeOver {
        /// Name of the node.
        node: String,
    },
    /// A shard's record; the name is group and number.
    Shard(String, Shard),
    /// The leader's record.
    Leader(Leader),
    /// A record that is never deleted was.
    Lost(String),
    /// A record that can't be read.
    Unreadable(String),
    /// Something that tells nothing about ownership.
    Other,
}

impl Change {
    /// Reads one change of the store.
    #[must_use]
    pub fn read(change: &StoreChange) -> Self {
        let key = change.key().strip_prefix(PREFIX).unwrap_or(change.key());
        let what = match change {
            StoreChange::Put(item) => written(key, item.create_revision, &item.value),
            StoreChange::Delete { .. } => match key.split_once('/') {
                Some(("heartbeats", node)) => What::LifeOver { node: node.to_owned() },
                Some(("shards", _)) => What::Lost(key.to_owned()),
                None if key == "leader" => What::Lost(key.to_owned()),
                _ => What::Other,
            },
        };
        Self { revision: change.mod_revision(), what }
    }
}

fn written(key: &str, created: u64, value: &[u8]) -> What {
    let read = match key.split_once('/') {
        Some(("heartbeats", node)) => Ok(What::Beat { node: node.to_owned(), created }),
        Some(("shards", name)) => {
            serde_json::from_slice(value).map(|shard| What::Shard(name.to_owned(), shard))
        }
        None if key == "leader" => serde_json::from_slice(value).map(What::Leader),
        _ => Ok(What::Other),
    };
    read.unwrap_or_else(|error| What::Unreadable(format!("{key}: {error}")))
}

/// What stands in etcd at one revision, as far as ownership goes.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The revision.
    pub revision: u64,
    /// For each live node, when its heartbeat key was created.
    pub lives: BTreeMap<String, u64>,
    /// The shards, by group and number.
    pub shards: BTreeMap<String, Shard>,
    /// Who leads.
    pub leader: Option<Leader>,
}

impl State {
    /// Takes one change in.
    pub fn apply(&mut self, change: &Change) {
        self.revision = change.revision;
        match &change.what {
            What::Beat { node, created } => {
                // Not anew for each heartbeat: there are many.
                if self.lives.get(node) != Some(created) {
                    self.lives.insert(node.clone(), *created);
                }
            }
            What::LifeOver { node } => {
                self.lives.remove(node);
            }
            What::Shard(name, shard) => {
                self.shards.insert(name.clone(), shard.clone());
            }
            What::Leader(leader) => self.leader = Some(leader.clone()),
            What::Lost(_) | What::Unreadable(_) | What::Other => {}
        }
    }

    /// Whether a life goes on.
    #[must_use]
    pub fn is_alive(&self, life: &Life) -> bool {
        self.lives.get(&life.node) == Some(&life.incarnation)
    }

    /// The present life of a node.
    #[must_use]
    pub fn life(&self, node: &str) -> Option<Life> {
        let incarnation = *self.lives.get(node)?;
        Some(Life { node: node.to_owned(), incarnation })
    }

    /// The live leader.
    #[must_use]
    pub fn live_leader(&self) -> Option<&Life> {
        let holder = self.leader.as_ref()?.holder.as_ref()?;
        self.is_alive(holder).then_some(holder)
    }

    /// The live owner of a shard.
    #[must_use]
    pub fn live_owner(&self, shard: &Shard) -> Option<Life> {
        shard.owner.clone().filter(|owner| self.is_alive(owner))
    }

    /// How many shards each live life owns.
    #[must_use]
    pub fn owned(&self) -> BTreeMap<Life, usize> {
        let mut owned = BTreeMap::new();
        for owner in self.shards.values().filter_map(|shard| self.live_owner(shard)) {
            *owned.entry(owner).or_default() += 1;
        }
        owned
    }

    /// Shards that are on their way: their live owner is not their target.
    pub fn moving(&self) -> impl Iterator<Item = (&String, &Life, &String)> {
        self.shards.iter().filter_map(|(name, shard)| {
            let owner = shard.owner.as_ref().filter(|owner| self.is_alive(owner))?;
            let target = shard.target.as_ref().filter(|target| **target != owner.node)?;
            Some((name, owner, target))
        })
    }
}
