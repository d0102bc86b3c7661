//! What changed between two pictures, in words.

use std::collections::BTreeMap;

use crate::{ClusterView, Life, NodeState};

/// Most shards that are named in one sentence.
const NAMED_MAX: usize = 4;

/// A change that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) kind: &'static str,
    pub(super) text: String,
    /// The life that ended, if one did.
    pub(super) ended: Option<Life>,
}

impl Change {
    fn new(kind: &'static str, text: String) -> Self {
        Self { kind, text, ended: None }
    }
}

/// What changed, the leader first.
pub(super) fn changes(old: &ClusterView, new: &ClusterView) -> Vec<Change> {
    let mut changes = Vec::new();
    if old.leader != new.leader || old.term != new.term {
        changes.push(Change::new(
            "leader",
            match &new.leader {
                Some(life) => format!("{life} leads in term {}", new.term),
                None => "nobody leads".to_owned(),
            },
        ));
    }
    members(old, new, &mut changes);
    if old.rebalancing_held != new.rebalancing_held {
        let what = if new.rebalancing_held { "is held by an operator" } else { "goes on" };
        changes.push(Change::new("order", format!("rebalancing {what}")));
    }
    for group in &new.groups {
        let rule = |group: &crate::Group| (group.require.clone(), group.prefer.clone());
        let earlier = old.groups.iter().find(|earlier| earlier.name == group.name);
        if earlier.is_some_and(|earlier| rule(earlier) != rule(group)) {
            changes.push(Change::new("order", format!("group {} has a new rule", group.name)));
        }
    }
    pins(old, new, &mut changes);
    changes
}

fn members(old: &ClusterView, new: &ClusterView, changes: &mut Vec<Change>) {
    for (id, node) in &new.nodes {
        let earlier = old.nodes.get(id).filter(|earlier| earlier.is_alive());
        let ended = earlier.filter(|earlier| earlier.life != node.life || !node.is_alive());
        if let Some(earlier) = ended {
            let text = format!("{} is gone", earlier.life);
            let ended = Some(earlier.life.clone());
            changes.push(Change { kind: "left", text, ended });
        }
        let goes_on = earlier.filter(|earlier| earlier.life == node.life);
        let change = match (goes_on.map(|earlier| &earlier.state), &node.state) {
            (None, NodeState::Dead) => continue,
            (None, _) => Change::new("joined", format!("{} joined", node.life)),
            (Some(earlier), state) if earlier == state => continue,
            (Some(_), NodeState::Draining) => {
                Change::new("draining", format!("{id} gives its shards away"))
            }
            (Some(NodeState::Draining), NodeState::Active) => {
                Change::new("joined", format!("{id} takes shards again"))
            }
            (Some(_), NodeState::Dead) => continue,
            (Some(_), state) => Change::new("joined", format!("{id} is {}", state.as_str())),
        };
        changes.push(change);
    }
}

fn pins(old: &ClusterView, new: &ClusterView, changes: &mut Vec<Change>) {
    let mut pinned: BTreeMap<Option<&str>, Vec<u32>> = BTreeMap::new();
    for (earlier, shard) in old.shards.iter().zip(&new.shards) {
        if earlier.number == shard.number && earlier.pin != shard.pin {
            pinned.entry(shard.pin.as_deref()).or_default().push(shard.number);
        }
    }
    for (node, shards) in pinned {
        let named: Vec<_> =
            shards.iter().take(NAMED_MAX).map(|shard| new.name_of(*shard)).collect();
        let named = named.join(", ");
        let names = match shards.len() {
            1 => format!("shard {named} is"),
            count if count <= NAMED_MAX => format!("shards {named} are"),
            count => format!("shards {named} and {} more are", count - NAMED_MAX),
        };
        let what =
            node.map_or_else(|| "no longer pinned".to_owned(), |node| format!("pinned to {node}"));
        changes.push(Change::new("pin", format!("{names} {what}")));
    }
}

#[cfg(test)]
mod tests;
