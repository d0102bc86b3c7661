//! By count: moves what members have too many of to those that have too few.

use std::collections::{BTreeMap, VecDeque};

use super::answer::{Move, MoveReason};
use super::budget::Budget;
use super::greatest::Greatest;
use super::problem::{MemberIndex, Problem};
use super::shares::{Rule, apportion};
use super::survey::Survey;
use crate::ShardId;

/// How many shards each member is to have in the end. Whoever has an odd shard keeps it.
pub(super) fn goals(problem: &Problem<'_>, spread_zones: bool, survey: &Survey) -> Vec<u64> {
    let rule = Rule { spread_zones, favour_holders: true };
    apportion(problem.members, &survey.holdings, problem.shards.len() as u64, rule)
}

/// As many moves from members above their goal to members below it as the budget allows.
pub(super) fn surplus(
    problem: &Problem<'_>,
    spread_zones: bool,
    survey: &Survey,
    mut budget: Budget,
) -> Vec<Move> {
    let goals = goals(problem, spread_zones, survey);
    let differences = goals
        .iter()
        .zip(&survey.holdings)
        .map(|(goal, holding)| holding.load as i64 - *goal as i64)
        .collect::<Vec<_>>();

    let mut outgoing: Vec<VecDeque<MemberIndex>> = vec![VecDeque::new(); goals.len()];
    for (from, to) in pairs(problem, spread_zones, &differences) {
        if budget.is_spent() {
            break;
        }
        if budget.take(from, to) {
            outgoing[from].push_back(to);
        }
    }
    pick_shards(problem, outgoing)
}

/// Who gives a shard to whom, as often as it must.
///
/// First within the zones, then between them: so a zone that has too many only ever gives, and one
/// that has too few only ever gets, and the goals stand still meanwhile.
fn pairs(
    problem: &Problem<'_>,
    spread_zones: bool,
    differences: &[i64],
) -> impl Iterator<Item = (MemberIndex, MemberIndex)> {
    let mut zones: BTreeMap<u32, Vec<MemberIndex>> = BTreeMap::new();
    for (i, member) in problem.members.iter().enumerate() {
        zones.entry(if spread_zones { member.zone } else { 0 }).or_default().push(i);
    }
    let mut within = Vec::new();
    let mut left = differences.to_vec();
    for zone in zones.values() {
        let of = |sign: i64| -> Greatest {
            zone.iter().map(|i| (*i, (differences[*i] * sign).max(0) as u64)).collect()
        };
        for (from, to) in of(1).zip(of(-1)) {
            left[from] -= 1;
            left[to] += 1;
            within.push((from, to));
        }
    }
    let of = |sign: i64| -> Greatest {
        left.iter().enumerate().map(|(i, left)| (i, (left * sign).max(0) as u64)).collect()
    };
    within.into_iter().chain(of(1).zip(of(-1)))
}

/// Chooses of each member that has outgoing shards those with the lowest load.
fn pick_shards(problem: &Problem<'_>, mut outgoing: Vec<VecDeque<MemberIndex>>) -> Vec<Move> {
    let mut candidates: Vec<(MemberIndex, u32, usize)> = Vec::new();
    for (number, placement) in problem.shards.iter().enumerate() {
        if let Some(from) = placement.owner
            && placement.pin.is_none()
            && !outgoing[from].is_empty()
        {
            candidates.push((from, placement.load, number));
        }
    }
    candidates.sort_unstable();

    let mut moves = Vec::new();
    for (from, _, number) in candidates {
        let avoid = problem.shards[number].avoid;
        let destinations = &mut outgoing[from];
        let Some(place) = destinations.iter().position(|to| avoid != Some(*to)) else {
            continue;
        };
        moves.extend(destinations.remove(place).map(|to| Move {
            shard: ShardId(number as u32),
            from: Some(from),
            to,
            reason: MoveReason::Rebalance,
        }));
    }
    moves.sort_unstable_by_key(|step| step.shard);
    moves
}
