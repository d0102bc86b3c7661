//! Leading: taking the leader key, declaring the silent dead, and writing targets.

use std::borrow::Cow;
use std::mem::{Discriminant, discriminant};

use super::lifecycle::Phase;
use super::{Agent, Effect, Notice, Purpose, SHARDS_PER_ASSIGNMENT_MAX};
use crate::planner::{self, Idle, Member, Move, MoveReason, Placement, Plan, Problem};
use crate::record::{Guard, Key, LeaderRecord, NodeState, Record, Transaction, Write};
use crate::time::{Moment, Now};
use crate::view::{View, life_of};
use crate::{Life, NodeId, Term};

/// What every node keeps so that it could lead at once.
#[derive(Debug, Default)]
pub(super) struct Leading {
    /// Since when the members have been the same.
    stable_since: Moment,
    members: Vec<(Life, NodeState)>,
    /// Whether to plan at the next occasion.
    pub(super) plan_due: bool,
    /// The term that this node last told of leading.
    told_term: Option<Term>,
    /// The last reason told for not rebalancing.
    told_idle: Option<Discriminant<Idle>>,
    /// A rebalancing has begun and goes on, whatever the threshold, until all is even.
    rebalancing: bool,
}

impl Leading {
    /// Answers whether the members changed.
    pub(super) fn observe_members(&mut self, view: &View, now: Moment) -> bool {
        let members: Vec<_> =
            view.members().map(|member| (member.life, member.record.state)).collect();
        if members == self.members {
            return false;
        }
        self.members = members;
        self.stable_since = now;
        self.rebalancing = false;
        self.plan_due = true;
        true
    }
}

impl Agent {
    /// The term that this node leads with, and the revision of the leader key, as far as it knows.
    pub(super) fn own_term(&self) -> Option<(Term, u64)> {
        let (leader, revision) = self.view.leader();
        let leader = leader.filter(|leader| leader.holder.as_ref() == self.life())?;
        self.life().map(|_| (leader.term, revision))
    }

    pub(super) fn decide_leading(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Phase::Active(life) = self.phase.clone() else {
            return;
        };
        match self.own_term() {
            Some((term, revision)) => {
                if self.leading.told_term != Some(term) {
                    self.leading.told_term = Some(term);
                    self.leading.plan_due = true;
                    effects.push(Effect::Tell(Notice::Elected(term)));
                }
                self.look_for_the_dead(now, effects);
                self.plan(now, &life, revision, effects);
            }
            None => self.stand_for_election(now, &life, effects),
        }
    }

    fn stand_for_election(&mut self, now: Now, life: &Life, effects: &mut Vec<Effect>) {
        if self.requests.any(Purpose::Elect) {
            return;
        }
        let (leader, revision) = self.view.leader();
        let holder = leader.and_then(|leader| leader.holder.clone());
        let Some(holder) = holder else {
            self.take_the_lead(life, revision, Vec::new(), Vec::new());
            return;
        };
        if !self.view.alive(&holder) {
            self.take_the_lead(life, revision, vec![Guard::dead(&holder)], Vec::new());
        } else if let Some(mod_revision) = self.silent_enough(&holder, now.moment) {
            self.confirm_silence(holder, mod_revision, effects);
        }
    }

    fn take_the_lead(
        &mut self,
        life: &Life,
        revision: u64,
        more_guards: Vec<Guard>,
        more_writes: Vec<Write>,
    ) {
        let (leader, _) = self.view.leader();
        let term = leader.map_or(Term(0), |leader| leader.term).next();
        let mut guards = vec![Guard::ModRevision(Key::Leader, revision), Guard::alive(life)];
        guards.extend(more_guards);
        let record = LeaderRecord { holder: Some(life.clone()), term };
        let mut writes = vec![Write::Put(Key::Leader, Record::Leader(record))];
        writes.extend(more_writes);
        self.requests.submit(Purpose::Elect, Transaction { guards, writes });
    }

    fn look_for_the_dead(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let silent: Vec<(Life, u64)> = self
            .view
            .heartbeats()
            .filter(|(node, _)| **node != self.config.node)
            .map(|(node, beat)| life_of(node, beat))
            .filter_map(|life| {
                let mod_revision = self.silent_enough(&life, now.moment)?;
                Some((life, mod_revision))
            })
            .collect();
        for (life, mod_revision) in silent {
            self.confirm_silence(life, mod_revision, effects);
        }
    }

    /// A linearizable read after the window showed the heartbeat unchanged: who may, declares the
    /// life dead.
    pub(super) fn confirmed_silent(
        &mut self,
        life: &Life,
        mod_revision: u64,
        effects: &mut Vec<Effect>,
    ) {
        let unchanged = self.view.heartbeat(&life.node).is_some_and(|beat| {
            beat.mod_revision == mod_revision && life_of(&life.node, beat) == *life
        });
        if !unchanged {
            return;
        }
        let window = self.window_of(life);
        effects.push(Effect::Tell(Notice::Burying { life: life.clone(), silent_for: window }));
        let silence = Guard::ModRevision(Key::Heartbeat(life.node.clone()), mod_revision);
        let burial = self.burial(life);
        let (leader, leader_revision) = self.view.leader();
        let of_the_leader = leader.is_some_and(|leader| leader.holder.as_ref() == Some(life));
        match (self.phase.clone(), self.own_term()) {
            // A former life of this very node, which nobody else may be left to bury.
            (Phase::Joining { .. }, _) if life.node == self.config.node => {
                self.requests
                    .submit(Purpose::Bury, Transaction { guards: vec![silence], writes: burial });
            }
            (Phase::Active(me), Some((_, revision))) => {
                let guards =
                    vec![silence, Guard::ModRevision(Key::Leader, revision), Guard::alive(&me)];
                self.requests.submit(Purpose::Bury, Transaction { guards, writes: burial });
            }
            (Phase::Active(me), None) if of_the_leader => {
                self.take_the_lead(&me, leader_revision, vec![silence], burial);
            }
            _ => {}
        }
    }

    fn burial(&self, life: &Life) -> Vec<Write> {
        let mut writes = vec![Write::Delete(Key::Heartbeat(life.node.clone()))];
        if let Some(record) = self.view.node(&life.node) {
            let mut record = record.clone();
            record.state = NodeState::Dead;
            writes.push(Write::Put(Key::Node(life.node.clone()), Record::Node(record)));
        }
        writes
    }

    fn plan(&mut self, now: Now, life: &Life, leader_revision: u64, effects: &mut Vec<Effect>) {
        // One plan at a time: the next one must see what became of this one.
        if !self.leading.plan_due || self.requests.any(Purpose::Assign) {
            return;
        }
        self.leading.plan_due = false;
        let members: Vec<Member> = self.view.members().map(|member| member_of(&member)).collect();
        let nodes: Vec<NodeId> = members.iter().map(|member| member.node.clone()).collect();
        let shards = placements(&self.view, &nodes);
        let stable_for = now.moment.since(self.leading.stable_since);
        let problem = Problem { members: &members, shards: &shards, stable_for };
        let policy = &self.config.policy;
        let mut plan = if self.leading.rebalancing {
            planner::plan(&problem, &policy.finishing())
        } else {
            planner::plan(&problem, policy)
        };
        match &plan.idle {
            None => self.leading.rebalancing = true,
            Some(Idle::Balanced | Idle::NoMembers) => self.leading.rebalancing = false,
            Some(_) => {}
        }
        // A shard that this very node is claiming or releasing is looked at next time.
        plan.moves.retain(|step| !self.requests.is_busy(&Key::Shard(step.shard)));
        // Shards of one target together, so that its node claims them in one transaction too.
        plan.moves.sort_by_key(|step| step.to);
        self.tell_plan(&plan, effects);
        let (suspects, moves): (Vec<_>, Vec<_>) =
            plan.moves.into_iter().partition(|step| self.shards.is_suspect(step.shard));
        let batches = moves.chunks(SHARDS_PER_ASSIGNMENT_MAX).chain(suspects.chunks(1));
        for batch in batches {
            let transaction = self.assignment(batch, &nodes, life, leader_revision, now);
            self.requests.submit(Purpose::Assign, transaction);
        }
    }

    fn tell_plan(&mut self, plan: &Plan, effects: &mut Vec<Effect>) {
        if !plan.moves.is_empty() {
            let count = |reason| plan.moves.iter().filter(|step| step.reason == reason).count();
            effects.push(Effect::Tell(Notice::Planned {
                orphans: count(MoveReason::Orphan),
                recalls: count(MoveReason::Recall),
                drains: count(MoveReason::Drain),
                rebalanced: count(MoveReason::Rebalance),
            }));
        }
        let idle = plan.idle.as_ref().map(discriminant);
        if idle != self.leading.told_idle {
            self.leading.told_idle = idle;
            if let Some(idle) = &plan.idle {
                effects.push(Effect::Tell(Notice::Idle(idle.to_string())));
            }
        }
    }

    fn assignment(
        &self,
        moves: &[Move],
        nodes: &[NodeId],
        life: &Life,
        leader_revision: u64,
        now: Now,
    ) -> Transaction {
        let mut guards = vec![Guard::ModRevision(Key::Leader, leader_revision), Guard::alive(life)];
        let mut writes = Vec::with_capacity(moves.len());
        for step in moves {
            let slot = self.view.shard(step.shard);
            guards.push(Guard::ModRevision(Key::Shard(step.shard), slot.mod_revision));
            let mut record = slot.record.clone();
            record.target = Some(nodes[step.to].clone());
            record.reason = Cow::Owned(step.reason.to_string());
            record.since_ms = now.wall_ms;
            writes.push(Write::Put(Key::Shard(step.shard), Record::Shard(record)));
        }
        Transaction { guards, writes }
    }
}

fn member_of(member: &crate::view::MemberView<'_>) -> Member {
    Member {
        node: member.life.node.clone(),
        weight: member.record.profile.weight,
        takes_shards: member.takes_shards(),
    }
}

/// Where each shard is, in terms of the members' places in `nodes`, which is sorted.
fn placements(view: &View, nodes: &[NodeId]) -> Vec<Placement> {
    let place = |node: &NodeId| nodes.binary_search(node).ok();
    let slots = view.shards().iter();
    slots
        .map(|slot| {
            let owner = slot.record.owner.as_ref().filter(|life| view.alive(life));
            Placement {
                owner: owner.and_then(|life| place(&life.node)),
                target: slot.record.target.as_ref().and_then(place),
            }
        })
        .collect()
}
