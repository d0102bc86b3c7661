//! What the leader tells of its plans: to the log, and to the journal.

use std::collections::BTreeMap;

use super::journal::{Decided, DecidedMove};
use super::planning::reason_of;
use super::{Agent, Effect, Notice};
use crate::groups::GroupIndex;
use crate::planner::{Idle, Move, MoveReason, Plan};
use crate::time::Now;
use crate::view::MemberView;
use crate::{NodeId, Term};

impl Agent {
    pub(super) fn tell_moves(
        &mut self,
        now: Now,
        term: Term,
        moves: &[Move],
        nodes: &[NodeId],
        effects: &mut Vec<Effect>,
    ) {
        let count = |reason| moves.iter().filter(|step| step.reason == reason).count();
        effects.push(Effect::Tell(Notice::Planned {
            orphans: count(MoveReason::Orphan),
            recalls: count(MoveReason::Recall),
            drains: count(MoveReason::Drain),
            rebalanced: count(MoveReason::Rebalance),
            other: count(MoveReason::Pin) + count(MoveReason::Stuck),
        }));
        let held = self.view.rebalancing().held;
        let decided = moves.iter().map(|step| DecidedMove {
            shard: step.shard,
            from: step.from.map(|from| nodes[from].clone()),
            to: nodes[step.to].clone(),
            reason: reason_of(step, held),
        });
        self.journal.record(term, now.wall_ms, Decided::Moves(decided.collect()));
    }

    pub(super) fn tell_idle(
        &mut self,
        now: Now,
        term: Term,
        group: GroupIndex,
        plan: &Plan,
        held: bool,
        effects: &mut Vec<Effect>,
    ) {
        let told = &mut self.leading.told_idle;
        told.resize(told.len().max(group + 1), None);
        let (name, reason) = match &plan.idle {
            _ if held => ("held", "an operator holds it".to_owned()),
            None => {
                told[group] = None;
                return;
            }
            Some(Idle::NoMembers) => ("no_members", self.why_nobody(group)),
            Some(idle) => (idle.name(), idle.to_string()),
        };
        let changed = self.leading.told_idle[group].replace(name) != Some(name);
        let group = self.view.groups().as_slice()[group].name.clone();
        if changed {
            let (group, reason) = (group.clone(), reason.clone());
            effects.push(Effect::Tell(Notice::Idle { group, name, reason }));
        }
        self.journal.record(term, now.wall_ms, Decided::Idle { group, name, reason });
    }

    /// Why no live node may own shards of a group.
    fn why_nobody(&self, group: GroupIndex) -> String {
        let why = self.view.members().map(|member| {
            let unfit = self.view.groups().admits(group, &member.record.profile);
            match unfit {
                Err(unfit) => format!("{}: {unfit}", member.life.node),
                Ok(()) => format!("{}: it drains or has no weight", member.life.node),
            }
        });
        let why: Vec<_> = why.collect();
        format!("no live node may own its shards ({})", why.join("; "))
    }

    /// Tells of pins that can't be served, when their number changes.
    pub(super) fn tell_pins(&mut self, effects: &mut Vec<Effect>) {
        let mut unserved: BTreeMap<NodeId, usize> = BTreeMap::new();
        for slot in self.view.shards() {
            let Some(pin) = &slot.record.pin else { continue };
            if !self.view.member(pin).is_some_and(|member| member.takes_shards()) {
                *unserved.entry(pin.clone()).or_default() += 1;
            }
        }
        if unserved == self.leading.told_pins {
            return;
        }
        let before = std::mem::replace(&mut self.leading.told_pins, unserved.clone());
        for node in before.keys().filter(|node| !unserved.contains_key(*node)) {
            effects.push(Effect::Tell(Notice::PinsUnserved { node: node.clone(), shards: 0 }));
        }
        for (node, shards) in unserved.into_iter().filter(|(n, count)| before.get(n) != Some(count))
        {
            effects.push(Effect::Tell(Notice::PinsUnserved { node, shards }));
        }
    }

    /// Tells of nodes that lack kinds whose shards they may own, when that changes.
    pub(super) fn tell_kinds(&mut self, effects: &mut Vec<Effect>) {
        let groups = self.view.groups();
        let mut lacking: BTreeMap<String, Vec<NodeId>> = BTreeMap::new();
        for (index, group) in groups.as_slice().iter().enumerate() {
            let takes = self.view.members().filter(|m| self.view.takes_shards_of(m, index));
            let takes: Vec<MemberView<'_>> = takes.collect();
            for kind in &group.kinds {
                let hosts = |m: &&MemberView<'_>| m.record.profile.kinds.contains(kind);
                let lack: Vec<_> = takes.iter().filter(|m| !hosts(m)).collect();
                if !lack.is_empty() && lack.len() < takes.len() {
                    let nodes = lack.into_iter().map(|m| m.life.node.clone());
                    lacking.insert(kind.clone(), nodes.collect());
                }
            }
        }
        if lacking == self.leading.told_kinds {
            return;
        }
        let before = std::mem::replace(&mut self.leading.told_kinds, lacking.clone());
        for kind in before.keys().filter(|kind| !lacking.contains_key(*kind)) {
            let notice = Notice::KindLacking { kind: kind.clone(), nodes: Vec::new() };
            effects.push(Effect::Tell(notice));
        }
        for (kind, nodes) in lacking.into_iter().filter(|(k, nodes)| before.get(k) != Some(nodes)) {
            effects.push(Effect::Tell(Notice::KindLacking { kind, nodes }));
        }
    }
}
