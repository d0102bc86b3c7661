//! Leading: taking the leader key, and declaring the dead.

use std::collections::{BTreeMap, BTreeSet};

use super::journal::Decided;
use super::lifecycle::Phase;
use super::rest::Rest;
use super::{Agent, Effect, Notice, Purpose};
use crate::record::{Guard, Key, LeaderRecord, NodeState, Record, Transaction, Write};
use crate::time::{Moment, Now};
use crate::view::{View, life_of};
use crate::{Life, NodeId, Term};

/// What every node keeps so that it could lead at once.
#[derive(Debug, Default)]
pub(super) struct Leading {
    /// Since when the members have been the same.
    pub(super) stable_since: Moment,
    members: Vec<(Life, NodeState)>,
    /// How often the members or the groups have changed.
    pub(super) changes: u64,
    /// Whether to plan at the next occasion.
    pub(super) plan_due: bool,
    /// What the last plan rested on, if it moved nothing.
    pub(super) rest: Option<Rest>,
    /// The term that this node last told of leading.
    told_term: Option<Term>,
    /// For each group the last reason told for not rebalancing.
    pub(super) told_idle: Vec<Option<&'static str>>,
    /// How many shards were last told to be pinned to nodes that can't have them.
    pub(super) told_pins: BTreeMap<NodeId, usize>,
    /// Which nodes were last told to lack a kind.
    pub(super) told_kinds: BTreeMap<String, Vec<NodeId>>,
}

impl Leading {
    /// Answers which members are new, gone or in another state.
    pub(super) fn observe_members(&mut self, view: &View, now: Moment) -> BTreeSet<NodeId> {
        let members: Vec<_> =
            view.members().map(|member| (member.life, member.record.state)).collect();
        if members == self.members {
            return BTreeSet::new();
        }
        let absent_in = |others: &[(Life, NodeState)], member: &(Life, NodeState)| {
            let place = others.binary_search_by(|(life, _)| life.node.cmp(&member.0.node));
            place.map_or(true, |place| others[place] != *member)
        };
        let gone = self.members.iter().filter(|member| absent_in(&members, member));
        let new = members.iter().filter(|member| absent_in(&self.members, member));
        let changed = gone.chain(new).map(|(life, _)| life.node.clone()).collect();
        self.members = members;
        self.changes += 1;
        self.stable_since = now;
        self.plan_due = true;
        changed
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
                    self.leading.told_idle.clear();
                    effects.push(Effect::Tell(Notice::Elected(term)));
                    self.journal.record(term, now.wall_ms, Decided::Lead);
                }
                self.look_for_the_dead(now, effects);
                if self.leading.plan_due {
                    self.look_for_the_stuck(now, term, effects);
                }
                self.plan(now, &life, term, revision, effects);
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
        } else {
            self.look_after(&holder, now.moment, effects);
        }
    }

    pub(super) fn take_the_lead(
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
        let others = self.view.heartbeats().filter(|(node, _)| **node != self.config.node);
        let lives: Vec<Life> = others.map(|(node, beat)| life_of(node, beat)).collect();
        for life in lives {
            self.look_after(&life, now.moment, effects);
        }
    }
}
