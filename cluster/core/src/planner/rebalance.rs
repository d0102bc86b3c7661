//! Evens out the load of a cluster at rest.

use std::collections::VecDeque;

use super::answer::{Idle, Move, MoveReason};
use super::greatest::Greatest;
use super::problem::{MemberIndex, Policy, Problem};
use super::shares::{goals, shares};
use crate::ShardId;

/// The next batch of moves, never empty, or why there is none.
///
/// The cluster must be at rest: every shard has its target as owner, and that takes shards.
pub(super) fn rebalance(
    problem: &Problem<'_>,
    policy: &Policy,
    loads: &[usize],
) -> Result<Vec<Move>, Idle> {
    check_imbalance(problem, policy, loads)?;

    let goals = goals(problem.members, loads, problem.shards.len());
    let differences = |of: fn(usize, usize) -> usize| -> Greatest {
        let pairs = loads.iter().zip(&goals);
        pairs.map(|(load, goal)| of(*load, *goal)).enumerate().collect()
    };
    // Loads and goals have the same sum, so there are as many vacancies as surplus shards.
    let surplus = differences(usize::saturating_sub);
    let vacancies = differences(|load, goal| goal.saturating_sub(load));

    let mut outgoing: Vec<VecDeque<MemberIndex>> = vec![VecDeque::new(); loads.len()];
    for (from, to) in surplus.zip(vacancies).take(policy.batch_len()) {
        outgoing[from].push_back(to);
    }
    Ok(pick_shards(problem, outgoing))
}

/// Whether some member is further off its share than the policy tolerates; if not, the reason to
/// do nothing.
fn check_imbalance(problem: &Problem<'_>, policy: &Policy, loads: &[usize]) -> Result<(), Idle> {
    let mut idle = Idle::Balanced;
    let mut most_off = 1;
    let shares = shares(problem.members, problem.shards.len());
    for ((member, load), share) in problem.members.iter().zip(loads).zip(shares) {
        let off = load.abs_diff(share);
        let tolerance = policy.tolerance(share);
        if off > tolerance {
            return Ok(());
        }
        if off > most_off {
            most_off = off;
            idle =
                Idle::WithinThreshold { node: member.node.clone(), load: *load, share, tolerance };
        }
    }
    Err(idle)
}

/// Chooses the lowest-numbered shards of each member that has outgoing ones.
fn pick_shards(problem: &Problem<'_>, mut outgoing: Vec<VecDeque<MemberIndex>>) -> Vec<Move> {
    let owned = problem.shards.iter().enumerate();
    owned
        .filter_map(|(number, placement)| {
            let from = placement.owner?;
            let to = outgoing[from].pop_front()?;
            Some(Move {
                shard: ShardId(number as u32),
                from: Some(from),
                to,
                reason: MoveReason::Rebalance,
            })
        })
        .collect()
}
