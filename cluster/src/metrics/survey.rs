//! The gauges: how things stand, worked out from what the agent knows in one pass over the shards.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use greenroom_core::record::NodeState;
use greenroom_core::{Agent, Moment, MotionPhase, NodeId, ShardId};
use metrics::SharedString;

use super::ledger::Ledger;
use super::table::*;

/// How many single shards have a series.
pub(super) const TOP_SHARDS_MAX: usize = 10;

const PHASES: [MotionPhase; 3] =
    [MotionPhase::Releasing, MotionPhase::Claiming, MotionPhase::Orphaned];

/// What the leader tells of the whole cluster.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Survey {
    /// For each group: shards in their place, and those in each of [`PHASES`].
    pub(super) groups: BTreeMap<String, (usize, [usize; 3])>,
    /// Most and fewest shards of one group that a node has which may own some.
    pub(super) node_shards: (usize, usize),
    /// The greatest share in terms of the mean of its group, by number and by load.
    pub(super) imbalance: (f64, f64),
    pub(super) pinned: usize,
    pub(super) pins_unserved: usize,
    /// Age of the oldest shard in each of [`PHASES`].
    pub(super) oldest: [Duration; 3],
    pub(super) stuck: usize,
    /// Active, draining and dead nodes.
    pub(super) members: (usize, usize, usize),
    /// The shards with the most actors in memory, and how many those are.
    pub(super) top: Vec<(ShardId, u32)>,
}

/// What a node that takes shards owns.
struct Share {
    weight: u32,
    shards: usize,
    load: u64,
}

impl Survey {
    fn of(agent: &Agent, now: Moment, migration_timeout: Duration) -> Self {
        let mut survey = Self::default();
        survey.look_at_motions(agent, now, migration_timeout);
        survey.look_at_members(agent);
        survey.look_at_shards(agent);
        survey
    }

    fn look_at_motions(&mut self, agent: &Agent, now: Moment, migration_timeout: Duration) {
        let view = agent.view();
        let mut moving = vec![[0; 3]; view.groups().len()];
        for (shard, motion) in agent.motions() {
            let phase = PHASES.iter().position(|phase| *phase == motion.phase());
            let phase = phase.expect("the table of phases holds all");
            moving[view.group_of(shard)][phase] += 1;
            self.oldest[phase] = self.oldest[phase].max(now.since(motion.since));
            self.stuck += usize::from(now.since(motion.phase_since) >= migration_timeout);
        }
        let count = view.shard_count() as usize;
        let groups = view.groups().as_slice().iter().zip(moving);
        self.groups = groups
            .map(|(group, moving)| {
                (group.name.clone(), (count - moving.iter().sum::<usize>(), moving))
            })
            .collect();
    }

    fn look_at_members(&mut self, agent: &Agent) {
        let view = agent.view();
        for (node, _) in view.nodes() {
            match view.member(node).map(|member| member.record.state) {
                Some(NodeState::Active) => self.members.0 += 1,
                Some(NodeState::Draining) => self.members.1 += 1,
                Some(NodeState::Dead) | None => self.members.2 += 1,
            }
        }
    }

    fn look_at_shards(&mut self, agent: &Agent) {
        let view = agent.view();
        let mut groups: Vec<BTreeMap<NodeId, Share>> = (0..view.groups().len())
            .map(|group| {
                let takers = view.members().filter(|member| view.takes_shards_of(member, group));
                let shares = takers.map(|member| {
                    let weight = member.record.profile.weight;
                    (member.life.node, Share { weight, shards: 0, load: 0 })
                });
                shares.collect()
            })
            .collect();
        let mut busy = Vec::new();
        for (number, slot) in (0..).zip(view.shards()) {
            let shard = ShardId(number);
            let load = agent.load(shard);
            let shares = &mut groups[view.group_of(shard)];
            if load.activations > 0 {
                busy.push((shard, load.activations));
            }
            if let Some(pin) = &slot.record.pin {
                self.pinned += 1;
                self.pins_unserved += usize::from(!shares.contains_key(pin));
            }
            if let Some((owner, _)) = view.live_owner(shard)
                && let Some(share) = shares.get_mut(&owner.node)
            {
                share.shards += 1;
                share.load += u64::from(load.score());
            }
        }
        busy.sort_unstable_by_key(|(shard, activations)| (Reverse(*activations), *shard));
        busy.truncate(TOP_SHARDS_MAX);
        self.top = busy;
        let counts = || groups.iter().flat_map(BTreeMap::values).map(|share| share.shards);
        self.node_shards = (counts().max().unwrap_or(0), counts().min().unwrap_or(0));
        let worst = |value: fn(&Share) -> f64| {
            let ratios = groups.iter().map(|shares| {
                imbalance(shares.values().map(|share| (value(share), f64::from(share.weight))))
            });
            ratios.fold(0.0, f64::max)
        };
        self.imbalance = (worst(|share| share.shards as f64), worst(|share| share.load as f64));
    }
}

/// The greatest of values, each divided by its weight, in terms of their mean; 0 when there is
/// nothing to share.
pub(super) fn imbalance(shares: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let (values, weights) =
        shares.clone().fold((0.0, 0.0), |(a, b), (value, weight)| (a + value, b + weight));
    let greatest = shares.map(|(value, weight)| value / weight).fold(0.0, f64::max);
    if values > 0.0 { greatest * weights / values } else { 0.0 }
}

/// Sets all gauges: the node's own, and those of the cluster if it leads.
pub(super) fn set(ledger: &mut Ledger, agent: &Agent, now: Moment, right: Duration) {
    let (claimed, targeted) = agent.claimed_of_targeted();
    ledger.set(&OWN_SHARDS, &["claimed".into()], claimed as f64);
    ledger.set(&OWN_SHARDS, &["targeted".into()], targeted as f64);
    ledger.set(&RIGHT_REMAINING, &[], right.as_secs_f64());
    ledger.set(&IS_LEADER, &[], f64::from(u8::from(agent.leads())));
    let survey = if agent.leads() {
        Survey::of(agent, now, ledger.migration_timeout)
    } else {
        Survey::default()
    };
    publish(ledger, &survey);
}

/// The node is gone: all gauges stand at 0.
pub(super) fn clear(ledger: &mut Ledger) {
    for state in ["claimed", "targeted"] {
        ledger.set(&OWN_SHARDS, &[state.into()], 0.0);
    }
    for metric in [&RIGHT_REMAINING, &IS_LEADER, &TERM] {
        ledger.set(metric, &[], 0.0);
    }
    publish(ledger, &Survey::default());
}

pub(super) fn publish(ledger: &mut Ledger, survey: &Survey) {
    ledger.groups.extend(survey.groups.keys().cloned());
    for group in &ledger.groups {
        let (owned, moving) = survey.groups.get(group).copied().unwrap_or_default();
        let label = || SharedString::from(group.clone());
        ledger.set(&SHARDS, &[label(), "owned".into()], owned as f64);
        for (phase, shards) in PHASES.iter().zip(moving) {
            ledger.set(&SHARDS, &[label(), phase.as_str().into()], shards as f64);
        }
    }
    for (phase, age) in PHASES.iter().zip(survey.oldest) {
        ledger.set(&MIGRATION_AGE, &[phase.as_str().into()], age.as_secs_f64());
    }
    let (active, draining, dead) = survey.members;
    for (state, nodes) in [("active", active), ("draining", draining), ("dead", dead)] {
        ledger.set(&MEMBERS, &[state.into()], nodes as f64);
    }
    ledger.set(&NODE_SHARDS_MAX, &[], survey.node_shards.0 as f64);
    ledger.set(&NODE_SHARDS_MIN, &[], survey.node_shards.1 as f64);
    ledger.set(&IMBALANCE, &["count".into()], survey.imbalance.0);
    ledger.set(&IMBALANCE, &["load".into()], survey.imbalance.1);
    ledger.set(&PINNED, &[], survey.pinned as f64);
    ledger.set(&PINS_UNSERVED, &[], survey.pins_unserved as f64);
    ledger.set(&STUCK, &[], survey.stuck as f64);
    publish_top(ledger, &survey.top);
}

/// Shards that are among the fullest no more go to 0.
fn publish_top(ledger: &mut Ledger, top: &[(ShardId, u32)]) {
    let now: BTreeSet<ShardId> = top.iter().map(|(shard, _)| *shard).collect();
    let gone = ledger.top.difference(&now).map(|shard| (*shard, 0));
    for (shard, activations) in top.iter().copied().chain(gone) {
        ledger.set(&SHARD_ACTIVATIONS, &[shard.to_string().into()], f64::from(activations));
    }
    ledger.top = now;
}
