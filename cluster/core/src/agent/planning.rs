//! Planning: what the leader asks the planner, group by group, and how the answer becomes records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::journal::Decided;
use super::motion::Stuck;
use super::{Agent, Effect, Notice, Purpose, SHARDS_PER_ASSIGNMENT_MAX};
use crate::groups::GroupIndex;
use crate::planner::{self, Member, Move, MoveReason, Pin, Placement, Plan, Problem, Standing};
use crate::record::{Guard, Key, RebalancingRecord, Record, Transaction, Write};
use crate::time::{Moment, Now};
use crate::view::MemberView;
use crate::{Life, NodeId, ShardId, Term};

/// Why a shard goes back to its owner when an operator holds rebalancing.
const HELD: &str = "an operator holds rebalancing, so its owner keeps it";
/// Why a shard goes where an operator sent it.
const ORDERED: &str = "an operator moved it";

impl Agent {
    pub(super) fn look_for_the_stuck(&mut self, now: Now, term: Term, effects: &mut Vec<Effect>) {
        let groups = 0..self.view.groups().len();
        let homeless: Vec<bool> = groups
            .map(|group| !self.view.members().any(|m| self.view.takes_shards_of(&m, group)))
            .collect();
        let view = &self.view;
        let timeout = self.config.migration_timeout;
        let stuck = self.motions.stuck(now.moment, timeout, |shard| homeless[view.group_of(shard)]);
        // Those that wait for the same are told together.
        let mut alike: BTreeMap<_, (Vec<ShardId>, Duration)> = BTreeMap::new();
        for (shard, motion) in stuck {
            let age = now.moment.since(motion.since);
            let phase = motion.phase();
            let (shards, oldest) = alike.entry((motion.from, motion.to, phase)).or_default();
            shards.push(shard);
            *oldest = age.max(*oldest);
        }
        for ((from, to, phase), (shards, age)) in alike {
            let stuck = Stuck { shards, from, to, phase };
            self.journal.record(term, now.wall_ms, Decided::Stuck(stuck.clone()));
            effects.push(Effect::Tell(Notice::Stuck { stuck, age }));
            self.leading.plan_due = true;
        }
    }

    pub(super) fn plan(
        &mut self,
        now: Now,
        life: &Life,
        term: Term,
        leader_revision: u64,
        effects: &mut Vec<Effect>,
    ) {
        // One plan at a time: the next one must see what became of this one.
        if !self.leading.plan_due || self.requests.any(Purpose::Assign) {
            return;
        }
        self.leading.plan_due = false;
        if self.still_rests(now, term) {
            return;
        }
        self.leading.rest = None;
        let nodes: Vec<NodeId> = self.view.members().map(|member| member.life.node).collect();
        let rebalancing = self.view.rebalancing().clone();
        let mut under_way = BTreeSet::new();
        let stable_for = now.moment.since(self.leading.stable_since);
        let mut moves = Vec::new();
        for group in 0..self.view.groups().len() {
            let live: Vec<MemberView<'_>> = self.view.members().collect();
            let members = self.members_of(group, &live, now);
            let shards = self.placements(group, &nodes, now.moment);
            let problem = Problem { members: &members, shards: &shards, stable_for };
            let policy = &self.config.policy;
            let has_begun = rebalancing.under_way.contains(&group);
            let mut plan = if has_begun {
                planner::plan(&problem, &policy.finishing())
            } else {
                planner::plan(&problem, policy)
            };
            if rebalancing.held {
                plan = self.held(plan, group, &nodes);
            }
            let goes_on =
                plan.idle.as_ref().is_none_or(|idle| has_begun && !idle.ends_rebalancing());
            if goes_on && !rebalancing.held {
                under_way.insert(group);
            }
            self.tell_idle(now, term, group, &plan, rebalancing.held, effects);
            let first = self.first_shard(group);
            moves.extend(
                plan.moves
                    .into_iter()
                    .map(|step| Move { shard: ShardId(first.0 + step.shard.0), ..step }),
            );
        }
        let goes_on_as_before = under_way == rebalancing.under_way;
        if !goes_on_as_before {
            // So that a new leader goes on with it, too.
            let record = RebalancingRecord { under_way, held: rebalancing.held };
            self.write_rebalancing(life, record);
        }
        self.tell_pins(effects);
        self.tell_kinds(effects);
        if moves.is_empty() {
            if goes_on_as_before {
                self.rest(now, term);
            }
            return;
        }
        // A shard that this very node is claiming or releasing is looked at next time.
        moves.retain(|step| !self.must_let_be(step.shard));
        self.keep_within_caps(&mut moves, &nodes);
        if moves.is_empty() {
            return;
        }
        // Shards of one target together, so that its node claims them in one transaction too.
        moves.sort_by_key(|step| (step.to, step.shard));
        self.tell_moves(now, term, &moves, &nodes, effects);
        let steps: Vec<_> = moves
            .iter()
            .map(|step| (step.shard, nodes[step.to].clone(), reason_of(step, rebalancing.held)))
            .collect();
        self.assign(now, life, leader_revision, &steps);
    }

    pub(super) fn first_shard(&self, group: GroupIndex) -> ShardId {
        ShardId(0).in_group(group, self.view.shard_count())
    }

    /// Nodes that live, or are supposed to, as far as they may own shards of a group.
    pub(super) fn members_of(
        &self,
        group: GroupIndex,
        live: &[MemberView<'_>],
        now: Now,
    ) -> Vec<Member> {
        let groups = self.view.groups();
        let takes = |member: &MemberView<'_>| self.view.takes_shards_of(member, group);
        let prefers = |member: &MemberView<'_>| groups.prefers(group, &member.record.profile);
        let some_preferred = live.iter().any(|member| takes(member) && prefers(member));
        let mut zones: BTreeMap<&str, u32> = BTreeMap::new();
        for member in live {
            let next = zones.len() as u32;
            zones.entry(&member.record.profile.zone).or_insert(next);
        }
        let timeout = self.config.migration_timeout;
        let members = live.iter().map(|member| {
            let profile = &member.record.profile;
            let standing = if !takes(member) {
                Standing::Leaving
            } else if self.motions.is_unable(&member.life.node, now.moment, timeout) {
                Standing::Keeping
            } else {
                Standing::Taking
            };
            let outranked = some_preferred && !prefers(member);
            Member {
                weight: if outranked { 0 } else { profile.weight },
                zone: zones[profile.zone.as_str()],
                node: member.life.node.clone(),
                standing,
            }
        });
        members.collect()
    }

    /// Where each shard of a group is, in terms of the members' places in `nodes`, which is sorted.
    pub(super) fn placements(
        &self,
        group: GroupIndex,
        nodes: &[NodeId],
        now: Moment,
    ) -> Vec<Placement> {
        let place = |node: &NodeId| nodes.binary_search(node).ok();
        let first = self.first_shard(group).0;
        let shards = (first..first + self.view.shard_count()).map(ShardId);
        let timeout = self.config.migration_timeout;
        let placements = shards.map(|shard| {
            let record = &self.view.shard(shard).record;
            let owner = self.view.live_owner(shard);
            let pin = record.pin.as_ref().map(|node| place(node).map_or(Pin::Elsewhere, Pin::To));
            Placement {
                owner: owner.and_then(|(life, _)| place(&life.node)),
                target: record.target.as_ref().and_then(place),
                pin,
                load: self.loads.of(shard).score(),
                avoid: self.motions.avoided(shard, now, timeout).and_then(place),
            }
        });
        placements.collect()
    }

    /// What is left of a plan while an operator holds rebalancing: no new moves for balance, and
    /// those under way go back.
    fn held(&self, mut plan: Plan, group: GroupIndex, nodes: &[NodeId]) -> Plan {
        plan.moves.retain(|step| step.reason != MoveReason::Rebalance);
        let first = self.first_shard(group).0;
        let planned: Vec<ShardId> = plan.moves.iter().map(|step| step.shard).collect();
        for number in 0..self.view.shard_count() {
            let shard = ShardId(first + number);
            let record = &self.view.shard(shard).record;
            let Some((owner, _)) = self.view.live_owner(shard) else { continue };
            let keeps = self.view.member(&owner.node);
            let keeps = keeps.is_some_and(|member| self.view.takes_shards_of(&member, group));
            let for_balance = *record.reason == *MoveReason::Rebalance.as_str();
            let leaves = record.target.as_ref() != Some(&owner.node);
            // It was sent for balance, and pinned there since.
            let pinned_there = record.pin.is_some() && record.pin == record.target;
            let goes_back = keeps && leaves && for_balance && !pinned_there;
            if !goes_back || planned.contains(&ShardId(number)) {
                continue;
            }
            if let Ok(place) = nodes.binary_search(&owner.node) {
                let (from, reason) = (Some(place), MoveReason::Recall);
                plan.moves.push(Move { shard: ShardId(number), from, to: place, reason });
            }
        }
        plan
    }

    pub(super) fn write_targets(
        &mut self,
        now: Now,
        life: &Life,
        leader_revision: u64,
        shards: &[ShardId],
        to: &NodeId,
    ) {
        let free = shards.iter().filter(|shard| !self.must_let_be(**shard));
        let steps: Vec<_> = free.map(|shard| (*shard, to.clone(), ORDERED)).collect();
        self.assign(now, life, leader_revision, &steps);
    }

    /// Writes targets, as many in a transaction as its guards allow.
    fn assign(
        &mut self,
        now: Now,
        life: &Life,
        leader_revision: u64,
        steps: &[(ShardId, NodeId, &'static str)],
    ) {
        let mut texts: BTreeMap<&'static str, Arc<str>> = BTreeMap::new();
        for batch in self.shards.suspects.batches(steps, |step| step.0, SHARDS_PER_ASSIGNMENT_MAX) {
            let mut guards =
                vec![Guard::ModRevision(Key::Leader, leader_revision), Guard::alive(life)];
            let mut writes = Vec::with_capacity(batch.len());
            for (shard, to, reason) in batch {
                let slot = self.view.shard(*shard);
                guards.push(Guard::ModRevision(Key::Shard(*shard), slot.mod_revision));
                let mut record = slot.record.clone();
                record.target = Some(to.clone());
                record.reason = texts.entry(reason).or_insert_with(|| (*reason).into()).clone();
                record.since_ms = now.wall_ms;
                writes.push(Write::Put(Key::Shard(*shard), Record::Shard(record)));
            }
            self.requests.submit(Purpose::Assign, Transaction { guards, writes });
        }
    }
}

pub(super) fn reason_of(step: &Move, held: bool) -> &'static str {
    if held && step.reason == MoveReason::Recall { HELD } else { step.reason.as_str() }
}
