//! What would become of the cluster if something were otherwise: the leader's own planner, asked about
//! a picture that was changed. Nothing is carried out or remembered.

use std::collections::BTreeMap;

use super::Agent;
use super::Refusal;
use crate::groups::{GroupIndex, Labels};
use crate::planner::{self, Idle, Pin, Placement, Policy, Problem, Settled};
use crate::record::{NodeProfile, NodeRecord, NodeState};
use crate::time::Now;
use crate::view::MemberView;
use crate::{Incarnation, Life, NodeId, ShardId};

/// Why a shard goes where no plan has to send it any more.
const UNDER_WAY: &str = "it is on its way already";

/// What is supposed to be otherwise; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhatIf {
    /// Nodes that come.
    pub added: Vec<SupposedNode>,
    /// Nodes that are gone.
    pub removed: Vec<NodeId>,
    /// Nodes that give all their shards away.
    pub drained: Vec<NodeId>,
    /// Nodes with other weights.
    pub weights: Vec<(NodeId, u32)>,
    /// Shards that are pinned to a node, or to none.
    pub pins: Vec<(ShardId, Option<NodeId>)>,
    /// [`Policy::batch_len_max`], if it is another.
    pub batch_len_max: Option<usize>,
    /// [`Policy::node_moves_max`], if it is another.
    pub node_moves_max: Option<usize>,
    /// [`Policy::imbalance_threshold_permille`], if it is another.
    pub imbalance_threshold_permille: Option<u32>,
}

/// A node that does not exist; it is supposed to host every kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupposedNode {
    /// Its name, which no live node has.
    pub node: NodeId,
    /// Its weight.
    pub weight: u32,
    /// Where it stands; empty when nobody said.
    pub zone: String,
    /// What placement rules ask for.
    pub labels: Labels,
}

/// What becomes of the shards of a group when nothing else happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Which group.
    pub group: String,
    /// Why nothing is rebalanced at this moment; `None` when something is.
    pub idle: Option<Idle>,
    /// Why nothing moves any more in the end; `None` if that does not come.
    pub rests: Option<Idle>,
    /// How many plans it takes to get there.
    pub rounds: usize,
    /// How many shards go from where to where, and why; from nobody if no node of the picture has them.
    pub moves: BTreeMap<(Option<NodeId>, NodeId, &'static str), usize>,
    /// For each node, those that are gone or only supposed included, how many shards it has now, or is to
    /// have because nobody has them, and how many in the end.
    pub nodes: BTreeMap<NodeId, (usize, usize)>,
    /// Shards that stay where they are, because they are pinned to a node that has them.
    pub pinned: usize,
    /// Shards that are pinned to a node that can't have them.
    pub pins_unserved: usize,
    /// Shards that nobody has in the end.
    pub homeless: usize,
}

impl Agent {
    /// What the planner would do, group by group, until nothing moves, as far as this agent knows the
    /// cluster and the loads, by its own policy.
    ///
    /// # Errors
    /// When it names a node or a shard that is not there, or adds a node that is.
    pub fn what_if(&self, now: Now, what: &WhatIf) -> Result<Vec<Forecast>, Refusal> {
        let nodes = self.supposed_nodes(what)?;
        for (shard, node) in &what.pins {
            if shard.0 as usize >= self.view.shards().len() {
                return Err(Refusal::NoShard(*shard));
            }
            let known = |node: &NodeId| nodes.contains_key(node) || self.view.node(node).is_some();
            if let Some(node) = node.as_ref().filter(|node| !known(node)) {
                return Err(Refusal::NoNode(node.clone()));
            }
        }
        let members: Vec<MemberView<'_>> = nodes
            .iter()
            .map(|(node, record)| {
                let life = Life { node: node.clone(), incarnation: record.incarnation };
                MemberView { life, record }
            })
            .collect();
        let groups = 0..self.view.groups().len();
        Ok(groups.map(|group| self.forecast(group, &members, now, what)).collect())
    }

    /// The live nodes as they are supposed to be.
    fn supposed_nodes(&self, what: &WhatIf) -> Result<BTreeMap<NodeId, NodeRecord>, Refusal> {
        let live = self.view.members();
        let mut nodes: BTreeMap<NodeId, NodeRecord> =
            live.map(|member| (member.life.node, member.record.clone())).collect();
        let no_node = |node: &NodeId| Refusal::NoNode(node.clone());
        for node in &what.removed {
            nodes.remove(node).ok_or_else(|| no_node(node))?;
        }
        for node in &what.drained {
            nodes.get_mut(node).ok_or_else(|| no_node(node))?.state = NodeState::Draining;
        }
        for (node, weight) in &what.weights {
            nodes.get_mut(node).ok_or_else(|| no_node(node))?.profile.weight = *weight;
        }
        let every = self.view.groups().as_slice().iter().flat_map(|group| group.kinds.iter());
        let kinds: Vec<String> = every.cloned().collect();
        for SupposedNode { node, weight, zone, labels } in &what.added {
            let profile = NodeProfile {
                weight: *weight,
                zone: zone.clone(),
                labels: labels.clone(),
                kinds: kinds.clone(),
                ..NodeProfile::default()
            };
            let record =
                NodeRecord { incarnation: Incarnation(0), state: NodeState::Active, profile };
            if nodes.insert(node.clone(), record).is_some() {
                return Err(Refusal::NodeThere(node.clone()));
            }
        }
        Ok(nodes)
    }

    fn forecast(
        &self,
        group: GroupIndex,
        members: &[MemberView<'_>],
        now: Now,
        what: &WhatIf,
    ) -> Forecast {
        let nodes: Vec<NodeId> = members.iter().map(|member| member.life.node.clone()).collect();
        let first = self.first_shard(group).0;
        let mut shards = self.placements(group, &nodes, now.moment);
        for (shard, node) in &what.pins {
            let number = shard.0.checked_sub(first).map(|number| number as usize);
            if let Some(placement) = number.and_then(|number| shards.get_mut(number)) {
                let place =
                    |node: &NodeId| nodes.binary_search(node).map_or(Pin::Elsewhere, Pin::To);
                placement.pin = node.as_ref().map(place);
            }
        }
        let members = self.members_of(group, members, now);
        let stable_for = now.moment.since(self.leading.stable_since);
        let problem = Problem { members: &members, shards: &shards, stable_for };
        let policy = self.supposed_policy(group, what);
        let idle = planner::plan(&problem, &policy).idle;
        let settled = planner::settle(&problem, &policy);
        self.told(group, &nodes, &shards, settled, idle)
    }

    fn supposed_policy(&self, group: GroupIndex, what: &WhatIf) -> Policy {
        let mut policy = self.config.policy.clone();
        policy.batch_len_max = what.batch_len_max.unwrap_or(policy.batch_len_max);
        policy.node_moves_max = what.node_moves_max.unwrap_or(policy.node_moves_max);
        if let Some(threshold) = what.imbalance_threshold_permille {
            policy.imbalance_threshold_permille = threshold;
        }
        let rebalancing = self.view.rebalancing();
        if rebalancing.held {
            // Nobody is ever so far off.
            policy.imbalance_threshold_permille = u32::MAX;
        } else if rebalancing.under_way.contains(&group) {
            policy = policy.finishing();
        }
        policy
    }

    fn told(
        &self,
        group: GroupIndex,
        nodes: &[NodeId],
        shards: &[Placement],
        settled: Settled,
        idle: Option<Idle>,
    ) -> Forecast {
        let first = self.first_shard(group).0;
        let mut forecast = Forecast {
            group: self.view.groups().as_slice()[group].name.clone(),
            idle,
            rests: settled.idle,
            rounds: settled.rounds,
            moves: BTreeMap::new(),
            nodes: nodes.iter().map(|node| (node.clone(), (0, 0))).collect(),
            pinned: 0,
            pins_unserved: 0,
            homeless: 0,
        };
        let moved: BTreeMap<ShardId, _> =
            settled.moves.iter().map(|step| (step.shard, step)).collect();
        for (number, placement) in (0..).map(ShardId).zip(shards) {
            let shard = ShardId(first + number.0);
            let owner = self.view.live_owner(shard).map(|(life, _)| life.node.clone());
            let meant = placement.target.map(|target| nodes[target].clone());
            let before = owner.clone().or(meant.clone());
            let step = moved.get(&number);
            let after = step.map(|step| nodes[step.to].clone());
            let after = after.or(meant).or(placement.owner.map(|owner| nodes[owner].clone()));
            if let Some(node) = &before {
                forecast.nodes.entry(node.clone()).or_default().0 += 1;
            }
            match &after {
                Some(node) => forecast.nodes.entry(node.clone()).or_default().1 += 1,
                None => forecast.homeless += 1,
            }
            match placement.pin {
                Some(Pin::To(place)) if after.as_ref() == Some(&nodes[place]) => {
                    forecast.pinned += usize::from(before == after);
                }
                Some(_) => forecast.pins_unserved += 1,
                None => {}
            }
            if let Some(to) = after
                && owner.as_ref() != Some(&to)
            {
                let reason = step.map_or(UNDER_WAY, |step| step.reason.as_str());
                *forecast.moves.entry((owner, to, reason)).or_default() += 1;
            }
        }
        forecast
    }
}
