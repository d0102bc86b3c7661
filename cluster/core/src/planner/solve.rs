//! The solver: recovery and draining at once, or else a batch of rebalancing.

use super::answer::{Idle, Move, MoveReason, Plan};
use super::greatest::Greatest;
use super::problem::{Policy, Problem};
use super::rebalance::rebalance;
use super::shares::goals;
use super::survey::Survey;

/// Decides which shards get a new target now. The [module](super) states the problem and the
/// rules.
///
/// A pure function: the same problem and policy always give the same plan, and applying a plan
/// and planning again leads, in a bounded number of rounds, to a plan without moves.
pub fn plan(problem: &Problem<'_>, policy: &Policy) -> Plan {
    if !problem.members.iter().any(|member| member.takes_shards) {
        return Plan { moves: Vec::new(), idle: Some(Idle::NoMembers) };
    }
    let survey = Survey::of(problem);
    let moves = urgent_moves(problem, policy, &survey);
    if problem.stable_for < policy.stability {
        let idle = Idle::Unstable { stable_for: problem.stable_for, needed: policy.stability };
        return Plan { moves, idle: Some(idle) };
    }
    // A draining member that still has shards always has one in flight, so this covers them too.
    let shards = survey.in_motion + moves.len();
    if shards > 0 {
        return Plan { moves, idle: Some(Idle::InMotion { shards }) };
    }
    match rebalance(problem, policy, &survey.loads) {
        Ok(moves) => Plan { moves, idle: None },
        Err(idle) => Plan { moves, idle: Some(idle) },
    }
}

/// What waits for no stability: orphans, recalls and drains, in this order.
///
/// Whoever is furthest below its goal gets the next shard. The goals sum to all shards, so there
/// are at least as many vacancies as shards to place, and no member is ever filled past its goal:
/// nothing that is placed here has to be rebalanced later.
fn urgent_moves(problem: &Problem<'_>, policy: &Policy, survey: &Survey) -> Vec<Move> {
    let goals = goals(problem.members, &survey.loads, problem.shards.len());
    let vacancies = goals.iter().zip(&survey.loads);
    let mut vacancies: Greatest =
        vacancies.map(|(goal, load)| goal.saturating_sub(*load)).enumerate().collect();

    // The side that ends first must stand first in each `zip`: it is asked first, and a vacancy
    // that is drawn in vain would be lost.
    let orphans = survey.orphans.iter().zip(&mut vacancies);
    let mut moves: Vec<Move> = orphans
        .map(|(shard, to)| Move { shard: *shard, from: None, to, reason: MoveReason::Orphan })
        .collect();

    moves.extend(survey.recalls.iter().map(|(shard, owner)| Move {
        shard: *shard,
        from: Some(*owner),
        to: *owner,
        reason: MoveReason::Recall,
    }));

    let free_places = policy.batch_len().saturating_sub(survey.drains_in_flight);
    let drains = survey.redirects.iter();
    let drains = drains.chain(survey.drains.iter().take(free_places));
    moves.extend(drains.zip(&mut vacancies).map(|((shard, owner), to)| Move {
        shard: *shard,
        from: Some(*owner),
        to,
        reason: MoveReason::Drain,
    }));
    moves
}
