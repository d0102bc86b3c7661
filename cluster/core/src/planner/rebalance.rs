//! Evens out a cluster at rest.

use std::cmp::Reverse;

use super::answer::{Furthest, Idle, Move};
use super::budget::Budget;
use super::exchange::Exchange;
use super::policy::{Policy, Strategy, even};
use super::problem::{MemberIndex, Problem, Standing};
use super::shares::{Holding, Rule, apportion};
use super::surplus::{goals, surplus};
use super::survey::Survey;

/// The next batch of moves, never empty, or why there is none.
///
/// The cluster must be at rest: every shard has its target as owner, and that may have it.
pub(super) fn rebalance(
    problem: &Problem<'_>,
    policy: &Policy,
    strategy: Strategy,
    survey: &Survey,
    budget: Budget,
) -> Result<Vec<Move>, Idle> {
    let shares = Shares::of(problem, policy, strategy, survey);
    let mut offs = offs(survey, &shares.reachable);
    if offs.any(|off| off.by > policy.tolerance(strategy, off.share)) {
        let moves = match strategy {
            Strategy::Count => surplus(problem, policy.spread_zones, survey, budget),
            Strategy::Load => Exchange::new(problem, policy, survey, &shares, budget).moves(),
        };
        if !moves.is_empty() {
            return Ok(moves);
        }
    }
    Err(shares.why_idle(problem, policy, strategy, survey))
}

/// What the members should have, by how much is taken for granted.
#[derive(Debug)]
pub(super) struct Shares {
    /// By weight and zone alone, but for members that keep what they have.
    pub(super) nominal: Vec<u64>,
    /// With the floors of pinned shards.
    pinned: Vec<u64>,
    /// As `pinned`, and by load no member is asked for less than its largest shard.
    pub(super) reachable: Vec<u64>,
}

impl Shares {
    fn of(problem: &Problem<'_>, policy: &Policy, strategy: Strategy, survey: &Survey) -> Self {
        let total = survey.holdings.iter().map(|holding| holding.load).sum();
        let rule = Rule { spread_zones: policy.spread_zones, favour_holders: false };
        let share_out = |floor: &dyn Fn(usize) -> u64| {
            let holdings = survey.holdings.iter().enumerate();
            let holdings: Vec<Holding> = holdings
                .map(|(i, holding)| match problem.members[i].standing {
                    Standing::Taking => Holding { floor: floor(i), ..*holding },
                    Standing::Keeping | Standing::Leaving => *holding,
                })
                .collect();
            apportion(problem.members, &holdings, total, rule)
        };
        let floor = |i: usize| survey.holdings[i].floor;
        Self {
            nominal: share_out(&|_| 0),
            pinned: share_out(&floor),
            reachable: match strategy {
                Strategy::Count => share_out(&floor),
                Strategy::Load => share_out(&|i| floor(i).max(survey.largest[i])),
            },
        }
    }

    /// Why nothing moves, given that nothing does.
    fn why_idle(
        &self,
        problem: &Problem<'_>,
        policy: &Policy,
        strategy: Strategy,
        survey: &Survey,
    ) -> Idle {
        let worst = |shares: &[u64], tolerance: &dyn Fn(u64) -> u64| {
            let offs = offs(survey, shares).filter(|off| off.by > tolerance(off.share));
            // The first of equals.
            offs.max_by_key(|off| (off.by, Reverse(off.member)))
        };
        let told = |off: Off| Furthest {
            node: problem.members[off.member].node.clone(),
            load: survey.holdings[off.member].load,
            share: off.share,
            strategy,
        };
        let threshold = |share| policy.tolerance(strategy, share);
        let uneven = |share| even(strategy, share);
        // By count nothing is left to move, and all that members are off is how shares are rounded.
        let at_goals = strategy == Strategy::Count
            && offs(survey, &goals(problem, policy.spread_zones, survey)).all(|off| off.by == 0);
        if at_goals {
            let off = worst(&self.nominal, &uneven).filter(|_| self.pinned != self.nominal);
            let pins = |off| Idle::PinnedOnly { furthest: told(off) };
            return off.map_or(Idle::Balanced, pins);
        }

        if let Some(off) = worst(&self.reachable, &threshold) {
            return match strategy {
                Strategy::Count => Idle::PinnedOnly { furthest: told(off) },
                Strategy::Load => Idle::Small { furthest: told(off) },
            };
        }
        if let Some(off) = worst(&self.reachable, &uneven) {
            let tolerance = threshold(off.share);
            return Idle::WithinThreshold { furthest: told(off), tolerance };
        }
        match worst(&self.nominal, &uneven) {
            None => Idle::Balanced,
            Some(off) if worst(&self.pinned, &uneven).is_some() => {
                Idle::Small { furthest: told(off) }
            }
            Some(off) => Idle::PinnedOnly { furthest: told(off) },
        }
    }
}

/// How far a member is off its share.
#[derive(Clone, Copy, Debug)]
struct Off {
    member: MemberIndex,
    share: u64,
    by: u64,
}

fn offs(survey: &Survey, shares: &[u64]) -> impl Iterator<Item = Off> {
    let members = survey.holdings.iter().zip(shares).enumerate();
    members.map(|(member, (holding, share))| Off {
        member,
        share: *share,
        by: holding.load.abs_diff(*share),
    })
}
