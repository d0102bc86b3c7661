//! What would become of a cluster if nothing else happened.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::answer::{Idle, Move, Plan};
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
    /// Why nothing moves any more in the end; `None` if that did not come after many times the plans
    /// that move every shard.
    pub idle: Option<Idle>,
}

/// How many plans there may be for each shard. A shard moves a few times at most, so more of them
/// come from a planner that does not come to rest, and whoever asked must not wait for ever.
const ROUNDS_A_SHARD_MAX: usize = 8;

/// Plans again and again, as if each move were carried out at once and time passed, until nothing
/// moves: what a leader would do that had this problem.
///
/// It answers what-ifs. To see what the loss of a node or a zone would bring, leave it out of the
/// members; to see a drain or another weight, change the member.
pub fn settle(problem: &Problem<'_>, policy: &Policy) -> Settled {
    settle_by(plan, problem, policy)
}

/// As [`settle`], by any planner.
fn settle_by(
    plan: impl Fn(&Problem<'_>, &Policy) -> Plan,
    problem: &Problem<'_>,
    policy: &Policy,
) -> Settled {
    let strategy = effective_strategy(problem, policy);
    let mut settled =
        Settled { loads_before: loads(problem, problem.shards, strategy), ..Settled::default() };
    let mut moves: BTreeMap<ShardId, Move> = BTreeMap::new();
    let mut shards = problem.shards.to_vec();
    let finishing = policy.finishing();
    let mut policy = policy;
    let stable_for = problem.stable_for.max(policy.stability);
    for _ in 0..ROUNDS_A_SHARD_MAX * (problem.shards.len() + 1) {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::answer::MoveReason;
    use super::super::problem::{Member, Standing};
    use super::*;
    use crate::NodeId;

    #[test]
    fn a_planner_that_never_comes_to_rest_is_given_up() {
        let member = |name: &str| Member {
            node: NodeId::new(name).unwrap(),
            weight: 1,
            zone: 0,
            standing: Standing::Taking,
        };
        let members = [member("a"), member("b")];
        let shards = [Placement { owner: Some(0), target: Some(0), ..Placement::default() }];
        let problem = Problem { members: &members, shards: &shards, stable_for: Duration::ZERO };
        let policy = Policy {
            stability: Duration::ZERO,
            batch_len_max: 1,
            node_moves_max: 1,
            imbalance_threshold_permille: 0,
            strategy: Strategy::Count,
            spread_zones: false,
            move_gain_permille: 0,
        };
        let to_and_fro = |problem: &Problem<'_>, _: &Policy| {
            let from = problem.shards[0].owner;
            let to = usize::from(from == Some(0));
            let step = Move { shard: ShardId(0), from, to, reason: MoveReason::Rebalance };
            Plan { moves: vec![step], idle: None }
        };
        let settled = settle_by(to_and_fro, &problem, &policy);
        assert_eq!((settled.idle, settled.rounds), (None, 16));
        assert_eq!(settle(&problem, &policy).idle, Some(Idle::Balanced));
    }
}
