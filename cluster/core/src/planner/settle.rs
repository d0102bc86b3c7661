//! What would become of a cluster if nothing else happened.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::answer::{Idle, Move};
use super::policy::{Policy, Strategy};
use super::problem::{Placement, Problem};
use super::solve::{effective_strategy, plan};
use crate::ShardId;

/// Where a cluster comes to rest, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// All new targets on the way, by shard. A shard that gets several is listed once, with its
    /// first `from` and reason, and its last `to`.
    pub moves: Vec<Move>,
    /// What each member has at first, in the members' order: the shards that it owns, and those
    /// without a live owner that are meant for it. In shards or load, as the strategy says.
    pub loads_before: Vec<u64>,
    /// What each member has in the end.
    pub loads_after: Vec<u64>,
    /// How many plans with moves it took.
    pub rounds: usize,
    /// Why nothing moves any more in the end.
    pub idle: Option<Idle>,
}

/// Plans again and again, as if each move were carried out at once and time passed, until nothing
/// moves: what a leader would do that had this problem.
///
/// It answers what-ifs. To see what the loss of a node or a zone would bring, leave it out of the
/// members; to see a drain or another weight, change the member.
pub fn settle(problem: &Problem<'_>, policy: &Policy) -> Settled {
    let strategy = effective_strategy(problem, policy);
    let mut settled =
        Settled { loads_before: loads(problem, problem.shards, strategy), ..Settled::default() };
    let mut moves: BTreeMap<ShardId, Move> = BTreeMap::new();
    let mut shards = problem.shards.to_vec();
    let finishing = policy.finishing();
    let mut policy = policy;
    let stable_for = problem.stable_for.max(policy.stability);
    loop {
        let plan = plan(&Problem { shards: &shards, stable_for, ..*problem }, policy);
        if plan.idle.is_none() {
            policy = &finishing;
        }
        if plan.moves.is_empty() && !matches!(plan.idle, Some(Idle::InMotion { .. })) {
            settled.idle = plan.idle;
            break;
        }
        settled.rounds += usize::from(!plan.moves.is_empty());
        for step in plan.moves {
            shards[step.shard.0 as usize].target = Some(step.to);
            match moves.entry(step.shard) {
                Entry::Vacant(entry) => drop(entry.insert(step)),
                Entry::Occupied(mut entry) => entry.get_mut().to = step.to,
            }
        }
        let live = |member: &usize| *member < problem.members.len();
        for shard in &mut shards {
            shard.owner = shard.target.filter(live).or(shard.owner);
        }
    }
    settled.moves = moves.into_values().collect();
    settled.loads_after = loads(problem, &shards, strategy);
    settled
}

fn loads(problem: &Problem<'_>, shards: &[Placement], strategy: Strategy) -> Vec<u64> {
    let mut loads = vec![0; problem.members.len()];
    let live = |member: &usize| *member < problem.members.len();
    for shard in shards {
        if let Some(member) = shard.owner.filter(live).or(shard.target.filter(live)) {
            loads[member] += shard.size(strategy);
        }
    }
    loads
}
