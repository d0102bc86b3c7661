//! Answers as JSON: what the command prints with `--output json` and the page's server answers with.
//! The README documents every field; a released name keeps its meaning.

mod decisions;
mod plan;
mod shards;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{ClusterView, Group, Life, Node, Placement, Share};

pub use decisions::{DecisionList, Why};
pub use plan::Plan;
pub use shards::Shards;

/// Who leads, the nodes, the groups, and the totals.
#[derive(Debug, Serialize)]
pub struct Status<'a> {
    cluster: &'a str,
    answered_by: &'a str,
    revision: u64,
    leader: Option<LifeEntry<'a>>,
    term: u64,
    rebalancing_held: bool,
    shard_count: u32,
    groups: Vec<GroupEntry<'a>>,
    nodes: Vec<NodeEntry<'a>>,
    unknown_nodes: Vec<UnknownEntry<'a>>,
    totals: TotalsEntry,
}

/// The nodes.
#[derive(Debug, Serialize)]
pub struct Nodes<'a> {
    cluster: &'a str,
    answered_by: &'a str,
    revision: u64,
    nodes: Vec<NodeEntry<'a>>,
    unknown_nodes: Vec<UnknownEntry<'a>>,
}

impl<'a> Nodes<'a> {
    /// What a view says of them.
    pub fn of(view: &'a ClusterView) -> Self {
        let Status { cluster, answered_by, revision, nodes, unknown_nodes, .. } = Status::of(view);
        Self { cluster, answered_by, revision, nodes, unknown_nodes }
    }
}

impl<'a> Status<'a> {
    /// What a view says of them.
    pub fn of(view: &'a ClusterView) -> Self {
        let mut nodes = Vec::new();
        let mut unknown_nodes = Vec::new();
        for (id, share) in view.shares() {
            match view.nodes.get(id) {
                Some(node) => nodes.push(NodeEntry::of(node, share)),
                None => unknown_nodes.push(UnknownEntry {
                    node: id,
                    targeted: share.targeted,
                    arriving: share.arriving,
                }),
            }
        }
        let totals = view.totals();
        Self {
            cluster: &view.cluster,
            answered_by: &view.answered_by,
            revision: view.revision,
            leader: view.leader.as_ref().map(LifeEntry::of),
            term: view.term,
            rebalancing_held: view.rebalancing_held,
            shard_count: view.shard_count,
            groups: view.groups.iter().map(GroupEntry::of).collect(),
            nodes,
            unknown_nodes,
            totals: TotalsEntry {
                shards: totals.shards,
                owned: totals.owned,
                in_motion: totals.in_motion,
                without_owner: totals.without_owner,
                orphans: totals.orphans,
                pinned: totals.pinned,
            },
        }
    }
}

#[derive(Debug, Serialize)]
struct LifeEntry<'a> {
    node: &'a str,
    incarnation: u64,
}

impl<'a> LifeEntry<'a> {
    fn of(life: &'a Life) -> Self {
        Self { node: &life.node, incarnation: life.incarnation }
    }
}

#[derive(Debug, Serialize)]
struct GroupEntry<'a> {
    group: &'a str,
    kinds: &'a [String],
    require: &'a BTreeMap<String, String>,
    prefer: &'a BTreeMap<String, String>,
}

impl<'a> GroupEntry<'a> {
    fn of(group: &'a Group) -> Self {
        let Group { name, kinds, require, prefer } = group;
        Self { group: name, kinds, require, prefer }
    }
}

#[derive(Debug, Serialize)]
struct NodeEntry<'a> {
    node: &'a str,
    incarnation: u64,
    state: &'a str,
    weight: u32,
    zone: Option<&'a str>,
    peer_address: &'a str,
    http_address: Option<&'a str>,
    version: &'a str,
    labels: &'a BTreeMap<String, String>,
    kinds: &'a [String],
    owned: usize,
    targeted: usize,
    arriving: usize,
    leaving: usize,
}

impl<'a> NodeEntry<'a> {
    fn of(node: &'a Node, share: Share) -> Self {
        Self {
            node: &node.life.node,
            incarnation: node.life.incarnation,
            state: node.state.as_str(),
            weight: node.weight,
            zone: node.zone.as_deref(),
            peer_address: &node.peer_address,
            http_address: node.http_address.as_deref(),
            version: &node.version,
            labels: &node.labels,
            kinds: &node.kinds,
            owned: share.owned,
            targeted: share.targeted,
            arriving: share.arriving,
            leaving: share.leaving,
        }
    }
}

#[derive(Debug, Serialize)]
struct UnknownEntry<'a> {
    node: &'a str,
    targeted: usize,
    arriving: usize,
}

#[derive(Debug, Serialize)]
struct TotalsEntry {
    shards: usize,
    owned: usize,
    in_motion: usize,
    without_owner: usize,
    orphans: usize,
    pinned: usize,
}

/// Where one actor lives.
#[derive(Debug, Serialize)]
pub struct Peek<'a> {
    kind: &'a str,
    key: &'a str,
    shard: u32,
    owner: Option<&'a str>,
    epoch: u64,
    owner_address: Option<&'a str>,
}

impl<'a> Peek<'a> {
    /// Of the actor with this kind and key.
    pub fn of(kind: &'a str, key: &'a str, placement: &'a Placement) -> Self {
        Self {
            kind,
            key,
            shard: placement.shard,
            owner: placement.owner.as_deref(),
            epoch: placement.epoch,
            owner_address: placement.owner_address.as_deref(),
        }
    }
}

/// That an order was carried out.
#[derive(Debug, Serialize)]
pub struct Done<'a> {
    /// What was done, in words for people.
    pub done: &'a str,
    /// Id of the node that did it.
    pub by: &'a str,
}
