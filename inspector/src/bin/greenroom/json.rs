//! The answers as JSON. The README documents every field; a released name keeps its meaning.

use greenroom_inspector::{ClusterView, Life, Node, Placement, Shard, Share};
use serde::Serialize;

use crate::Failure;
use crate::args::Actor;

/// One object, indented, with a line end.
pub(crate) fn text(answer: &impl Serialize) -> Result<String, Failure> {
    let mut text = serde_json::to_string_pretty(answer)?;
    text.push('\n');
    Ok(text)
}

#[derive(Serialize)]
pub(crate) struct Status<'a> {
    cluster: &'a str,
    answered_by: &'a str,
    revision: u64,
    leader: Option<LifeEntry<'a>>,
    term: u64,
    nodes: Vec<NodeEntry<'a>>,
    unknown_nodes: Vec<UnknownEntry<'a>>,
    totals: TotalsEntry,
}

impl<'a> Status<'a> {
    pub(crate) fn of(view: &'a ClusterView) -> Self {
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
            nodes,
            unknown_nodes,
            totals: TotalsEntry {
                shards: totals.shards,
                owned: totals.owned,
                in_motion: totals.in_motion,
                without_owner: totals.without_owner,
                orphans: totals.orphans,
            },
        }
    }
}

#[derive(Serialize)]
struct LifeEntry<'a> {
    node: &'a str,
    incarnation: u64,
}

impl<'a> LifeEntry<'a> {
    fn of(life: &'a Life) -> Self {
        Self { node: &life.node, incarnation: life.incarnation }
    }
}

#[derive(Serialize)]
struct NodeEntry<'a> {
    node: &'a str,
    incarnation: u64,
    state: &'a str,
    weight: u32,
    zone: Option<&'a str>,
    peer_address: &'a str,
    http_address: Option<&'a str>,
    version: &'a str,
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
            kinds: &node.kinds,
            owned: share.owned,
            targeted: share.targeted,
            arriving: share.arriving,
            leaving: share.leaving,
        }
    }
}

#[derive(Serialize)]
struct UnknownEntry<'a> {
    node: &'a str,
    targeted: usize,
    arriving: usize,
}

#[derive(Serialize)]
struct TotalsEntry {
    shards: usize,
    owned: usize,
    in_motion: usize,
    without_owner: usize,
    orphans: usize,
}

#[derive(Serialize)]
pub(crate) struct Peek<'a> {
    kind: &'a str,
    key: &'a str,
    shard: u32,
    owner: Option<&'a str>,
    epoch: u64,
    owner_address: Option<&'a str>,
}

impl<'a> Peek<'a> {
    pub(crate) fn of(actor: &'a Actor, placement: &'a Placement) -> Self {
        Self {
            kind: &actor.kind,
            key: &actor.key,
            shard: placement.shard,
            owner: placement.owner.as_deref(),
            epoch: placement.epoch,
            owner_address: placement.owner_address.as_deref(),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Shards<'a> {
    cluster: &'a str,
    answered_by: &'a str,
    revision: u64,
    shards: Vec<ShardEntry<'a>>,
}

impl<'a> Shards<'a> {
    pub(crate) fn of(view: &'a ClusterView, shards: &[&'a Shard]) -> Self {
        let entry = |shard: &&'a Shard| ShardEntry {
            shard: shard.number,
            condition: view.condition(shard).as_str(),
            target: shard.target.as_deref(),
            owner: shard.owner.as_ref().map(LifeEntry::of),
            owner_alive: view.live_owner(shard).is_some(),
            epoch: shard.epoch,
            since_ms: shard.since_ms,
            reason: &shard.reason,
        };
        Self {
            cluster: &view.cluster,
            answered_by: &view.answered_by,
            revision: view.revision,
            shards: shards.iter().map(entry).collect(),
        }
    }
}

#[derive(Serialize)]
struct ShardEntry<'a> {
    shard: u32,
    condition: &'static str,
    target: Option<&'a str>,
    owner: Option<LifeEntry<'a>>,
    owner_alive: bool,
    epoch: u64,
    since_ms: Option<u64>,
    reason: &'a str,
}
