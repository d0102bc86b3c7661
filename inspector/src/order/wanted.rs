//! Orders as values.

use std::collections::BTreeMap;

use super::Operator;
use crate::InspectError;

/// What may be ordered. Shards are named by their numbers among all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Keeps shards at a node; without one, each where it is now.
    Pin {
        /// Which.
        shards: Vec<u32>,
        /// Where.
        to: Option<String>,
    },
    /// Lets shards move again.
    Unpin {
        /// Which.
        shards: Vec<u32>,
    },
    /// Gives shards to a node, once.
    Move {
        /// Which.
        shards: Vec<u32>,
        /// Where.
        to: String,
    },
    /// Makes a node give all its shards away and stay a member.
    Drain {
        /// Which.
        node: String,
        /// Let it take shards again instead.
        undo: bool,
        /// Even if nobody else may own its shards.
        force: bool,
    },
    /// Stops rebalancing, or lets it go on.
    Hold {
        /// Whether to stop it.
        held: bool,
    },
    /// Replaces the placement rule of a shard group.
    Rule {
        /// Name of the group.
        group: String,
        /// Labels that a node must have.
        require: BTreeMap<String, String>,
        /// Labels by which nodes are preferred.
        prefer: BTreeMap<String, String>,
        /// Even if no live node satisfies it.
        force: bool,
    },
    /// Changes what the asked node's process logs.
    Log {
        /// A level, or levels of targets.
        directive: String,
    },
}

impl Order {
    /// What is true once the order was carried out, in words for people, such as "pinned 3 shards".
    pub fn done(&self) -> String {
        match self {
            Self::Pin { shards, .. } => format!("pinned {}", counted(shards.len())),
            Self::Unpin { shards } => format!("unpinned {}", counted(shards.len())),
            Self::Move { shards, to } => format!("gave {} the target {to}", counted(shards.len())),
            Self::Drain { node, undo: false, .. } => format!("{node} gives its shards away"),
            Self::Drain { node, undo: true, .. } => format!("{node} takes shards again"),
            Self::Hold { held: true } => "rebalancing is held".to_owned(),
            Self::Hold { held: false } => "rebalancing goes on".to_owned(),
            Self::Rule { group, .. } => format!("group {group} has the new rule"),
            Self::Log { directive } => format!("logs {directive}"),
        }
    }
}

impl Operator {
    /// Gives an order. Answers with the id of the node that carried it out.
    ///
    /// # Errors
    /// As [`Operator::pin`].
    pub async fn carry_out(&mut self, order: Order) -> Result<String, InspectError> {
        match order {
            Order::Pin { shards, to } => self.pin(shards, to).await,
            Order::Unpin { shards } => self.unpin(shards).await,
            Order::Move { shards, to } => self.move_shards(shards, to).await,
            Order::Drain { node, undo, force } => self.drain(node, undo, force).await,
            Order::Hold { held } => self.hold(held).await,
            Order::Rule { group, require, prefer, force } => {
                self.set_rule(group, require, prefer, force).await
            }
            Order::Log { directive } => self.set_log(directive).await,
        }
    }
}

fn counted(shards: usize) -> String {
    if shards == 1 { "1 shard".to_owned() } else { format!("{shards} shards") }
}
