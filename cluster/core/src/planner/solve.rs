//! The solver: what is urgent at once, or else a batch of rebalancing.

use super::answer::{Idle, Move, MoveReason, Plan};
use super::budget::Budget;
use super::places::Places;
use super::policy::{Policy, Strategy};
use super::problem::Problem;
use super::rebalance::rebalance;
use super::survey::Survey;

/// Decides which shards get a new target now. The [module](super) states the problem and the
/// rules.
///
/// A pure function: the same problem and policy always give the same plan, and applying a plan
/// and planning again leads, in a bounded number of rounds, to a plan without moves.
pub fn plan(problem: &Problem<'_>, policy: &Policy) -> Plan {
    let strategy = effective_strategy(problem, policy);
    let survey = Survey::of(problem, strategy);
    let mut budget = Budget::left_of(policy, &survey.flights);
    let urgent = Urgent { problem, policy, strategy, survey: &survey };
    let (moves, waiting) = urgent.moves(&mut budget);
    let idle = |idle| Some(idle);

    if !problem.any_takes() {
        return Plan { moves, idle: idle(Idle::NoMembers) };
    }
    if problem.stable_for < policy.stability {
        let (stable_for, needed) = (problem.stable_for, policy.stability);
        return Plan { moves, idle: idle(Idle::Unstable { stable_for, needed }) };
    }
    // Whatever waits for a place in the batch waits for a move that is in flight or in this plan,
    // so these cover it.
    let shards = survey.in_motion + waiting + moves.len();
    if shards > 0 {
        return Plan { moves, idle: idle(Idle::InMotion { shards }) };
    }
    match rebalance(problem, policy, strategy, &survey, budget) {
        Ok(moves) => Plan { moves, idle: None },
        Err(reason) => Plan { moves, idle: idle(reason) },
    }
}

/// Without any load there is nothing to share out but shards.
pub(super) fn effective_strategy(problem: &Problem<'_>, policy: &Policy) -> Strategy {
    let all_idle = problem.shards.iter().all(|shard| shard.load == 0);
    if all_idle { Strategy::Count } else { policy.strategy }
}

/// What waits for no stability.
struct Urgent<'a> {
    problem: &'a Problem<'a>,
    policy: &'a Policy,
    strategy: Strategy,
    survey: &'a Survey,
}

impl Urgent<'_> {
    /// The homeless, recalls, redirects, pins and drains, in this order; and how many shards are
    /// under way elsewhere while they wait to go where they are pinned.
    ///
    /// Whoever has the most room below its goal gets the next shard. By count the goals sum to all
    /// shards, so there is room for each shard to place, and no member is filled past its goal
    /// unless a shard avoids everybody else: what is placed here need not be rebalanced later.
    fn moves(&self, budget: &mut Budget) -> (Vec<Move>, usize) {
        let Self { problem, policy, strategy, survey } = self;
        let mut places = Places::new(problem, *strategy, policy.spread_zones, survey);
        let mut moves = Vec::new();
        for (shard, reason) in &survey.homeless {
            if let Some(to) = places.urgent(shard.0 as usize) {
                moves.push(Move { shard: *shard, from: None, to, reason: *reason });
            }
        }
        moves.extend(&survey.certain);
        let reason = MoveReason::Drain;
        for (shard, owner, target) in &survey.redirects {
            if let Some(to) = places.urgent(shard.0 as usize) {
                budget.force(*target, to);
                moves.push(Move { shard: *shard, from: Some(*owner), to, reason });
            }
        }
        let waiting = self.pin(budget, &mut moves);
        for (shard, owner) in &survey.drains {
            if budget.is_spent() {
                break;
            }
            if budget.of(*owner) > 0
                && let Some(to) = places.within(shard.0 as usize, budget)
            {
                budget.take(*owner, to);
                moves.push(Move { shard: *shard, from: Some(*owner), to, reason });
            }
        }
        (moves, waiting)
    }

    fn pin(&self, budget: &mut Budget, moves: &mut Vec<Move>) -> usize {
        let mut waiting = 0;
        for pinned in &self.survey.pins {
            let goes = match pinned.under_way_to {
                Some(target) => budget.redirect(target, pinned.to),
                None => budget.take(pinned.owner, pinned.to),
            };
            let (shard, from) = (pinned.shard, Some(pinned.owner));
            if goes {
                moves.push(Move { shard, from, to: pinned.to, reason: MoveReason::Pin });
            } else if pinned.needs_recall {
                moves.push(Move { shard, from, to: pinned.owner, reason: MoveReason::Recall });
            } else {
                waiting += usize::from(pinned.under_way_to.is_some());
            }
        }
        waiting
    }
}
