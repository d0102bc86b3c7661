//! Two owners, by etcd's history: every revision from the first on.

use super::Violations;
use crate::records::{Change, Leader, Life, Shard, State, What};

/// Judges a whole history:
/// - a shard's owner changes only if the former one released it or its life was over before;
/// - an owner that appears is alive, and epochs grow by one with each owner and never else;
/// - owners write no targets and leaders no owners, and targets are written only while somebody
///   alive leads;
/// - the lead passes on only if it was given up or its holder's life is over, and terms grow by one.
#[must_use]
pub fn judge(history: &[Change]) -> Vec<String> {
    let mut violations = Violations::default();
    let mut state = State::default();
    for revision in history.chunk_by(|one, next| one.revision == next.revision) {
        if revision[0].revision <= state.revision {
            let at = revision[0].revision;
            violations.push(format!("the history goes from revision {} to {at}", state.revision));
        }
        for change in revision {
            judge_change(&state, revision, change, &mut violations);
        }
        for change in revision {
            state.apply(change);
        }
    }
    violations.into_lines()
}

/// What happened in a part of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Times that a shard got an owner.
    pub moves: usize,
    /// Times that a new leader took over.
    pub leader_changes: usize,
    /// Lives that ended.
    pub lives_over: usize,
}

/// Counts what happened after a revision.
#[must_use]
pub fn tally(history: &[Change], after: u64) -> Tally {
    let (mut state, mut tally) = (State::default(), Tally::default());
    for change in history {
        if change.revision > after {
            match &change.what {
                What::Shard(name, shard) => {
                    let before = state.shards.get(name).and_then(|shard| shard.owner.as_ref());
                    let is_new = shard.owner.is_some() && shard.owner.as_ref() != before;
                    tally.moves += usize::from(is_new);
                }
                What::Leader(leader) => {
                    let before = state.leader.as_ref().and_then(|leader| leader.holder.as_ref());
                    let is_new = leader.holder.is_some() && leader.holder.as_ref() != before;
                    tally.leader_changes += usize::from(is_new);
                }
                What::LifeOver { .. } => tally.lives_over += 1,
                _ => {}
            }
        }
        state.apply(change);
    }
    tally
}

fn judge_change(before: &State, revision: &[Change], change: &Change, violations: &mut Violations) {
    let at = change.revision;
    let mut complain = |what: String| violations.push(format!("revision {at}: {what}"));
    match &change.what {
        What::Shard(name, shard) => {
            let never = Shard { target: None, owner: None, epoch: 0 };
            let was = before.shards.get(name).unwrap_or(&never);
            judge_owner(before, name, was, shard, &mut complain);
            judge_target(before, name, was, shard, &mut complain);
        }
        What::Leader(leader) => judge_leader(before, revision, leader, &mut complain),
        What::Lost(key) => complain(format!("{key} was deleted")),
        What::Unreadable(what) => complain(format!("a record is unreadable: {what}")),
        What::Beat { node, created } => {
            let known = before.lives.get(node);
            if known.is_some_and(|known| known != created) {
                complain(format!("the heartbeat of {node} was created twice"));
            }
        }
        What::LifeOver { .. } | What::Other => {}
    }
}

fn judge_owner(
    before: &State,
    name: &str,
    was: &Shard,
    is: &Shard,
    complain: &mut impl FnMut(String),
) {
    if is.owner == was.owner || is.owner.is_none() {
        if is.epoch != was.epoch {
            complain(format!(
                "{name}: epoch {} became {} without a new owner",
                was.epoch, is.epoch
            ));
        }
        return;
    }
    let Some(owner) = &is.owner else { return };
    if is.epoch != was.epoch + 1 {
        complain(format!("{name}: epoch {} became {} with owner {owner}", was.epoch, is.epoch));
    }
    if let Some(former) = was.owner.as_ref().filter(|former| before.is_alive(former)) {
        complain(format!("{name}: {owner} took it from {former}, which was alive"));
    }
    if !before.is_alive(owner) {
        complain(format!("{name}: {owner} took it, but was not alive"));
    }
}

fn judge_target(
    before: &State,
    name: &str,
    was: &Shard,
    is: &Shard,
    complain: &mut impl FnMut(String),
) {
    if is.target == was.target {
        return;
    }
    if is.owner != was.owner {
        complain(format!("{name}: target and owner changed in one write"));
    }
    if before.live_leader().is_none() {
        let target = &is.target;
        complain(format!("{name}: target {target:?} was written while nobody alive led"));
    }
}

fn judge_leader(
    before: &State,
    revision: &[Change],
    is: &Leader,
    complain: &mut impl FnMut(String),
) {
    let was = before.leader.clone().unwrap_or(Leader { holder: None, term: 0 });
    let Some(holder) = is.holder.as_ref().filter(|holder| was.holder.as_ref() != Some(holder))
    else {
        if is.term != was.term {
            complain(format!("term {} became {} without a new leader", was.term, is.term));
        }
        return;
    };
    if is.term != was.term + 1 {
        complain(format!("term {} became {} with leader {holder}", was.term, is.term));
    }
    let buried_now = |life: &Life| {
        let buried = What::LifeOver { node: life.node.clone() };
        revision.iter().any(|change| change.what == buried)
    };
    if let Some(former) = was.holder.filter(|former| before.is_alive(former) && !buried_now(former))
    {
        complain(format!("{holder} took the lead from {former}, which was alive"));
    }
    if !before.is_alive(holder) {
        complain(format!("{holder} took the lead, but was not alive"));
    }
}

#[cfg(test)]
mod tests;
