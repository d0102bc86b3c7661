//! Finds a member for each shard that needs one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::budget::Budget;
use super::policy::Strategy;
use super::problem::{MemberIndex, Problem};
use super::shares::{Holding, Rule, apportion, weights};
use super::survey::Survey;

/// The members that take shards, by how much room each has below its goal.
#[derive(Debug)]
pub(super) struct Places<'a> {
    problem: &'a Problem<'a>,
    strategy: Strategy,
    rule: Rule,
    total: u64,
    weights: Vec<u64>,
    /// With what was placed. The floors count the largest shard of each member, by load: no member
    /// can have less than that.
    holdings: Vec<Holding>,
    goals: Vec<u64>,
    /// Whoever has the most room is on top, but those without a weight come last.
    heap: BinaryHeap<Place>,
    takers: usize,
    /// Whether a member was dropped because it may not take part in more moves. Others then only
    /// get what fits, for what doesn't is better placed there later.
    dropped: bool,
}

/// Whether it has a weight, its room, and who it is: the first of equals is the greatest.
type Place = (bool, i64, Reverse<MemberIndex>);

impl<'a> Places<'a> {
    pub(super) fn new(
        problem: &'a Problem<'a>,
        strategy: Strategy,
        spread_zones: bool,
        survey: &Survey,
    ) -> Self {
        let mut holdings = survey.holdings.clone();
        if strategy == Strategy::Load {
            let floors = holdings.iter_mut().zip(&survey.largest);
            floors.for_each(|(holding, largest)| holding.floor = holding.floor.max(*largest));
        }
        let mut places = Self {
            problem,
            strategy,
            rule: Rule { spread_zones, favour_holders: strategy == Strategy::Count },
            total: problem.shards.iter().map(|shard| shard.size(strategy)).sum(),
            weights: weights(problem.members),
            holdings,
            goals: Vec::new(),
            heap: BinaryHeap::new(),
            takers: (0..problem.members.len()).filter(|i| problem.takes(*i)).count(),
            dropped: false,
        };
        places.set_goals();
        places
    }

    /// A place for a shard that can't wait.
    pub(super) fn urgent(&mut self, shard: usize) -> Option<MemberIndex> {
        self.find(shard, |_| true)
    }

    /// A place for a shard that can wait, among the members that may take part in more moves.
    pub(super) fn within(&mut self, shard: usize, budget: &Budget) -> Option<MemberIndex> {
        self.find(shard, |member| budget.of(member) > 0)
    }

    fn find(&mut self, shard: usize, may: impl Fn(MemberIndex) -> bool) -> Option<MemberIndex> {
        let size = self.problem.shards[shard].size(self.strategy);
        let avoid = self.problem.shards[shard].avoid.filter(|_| self.takers > 1);
        let mut avoided = None;
        let mut found = None;
        while let Some(place) = self.heap.pop() {
            let (_, room, Reverse(member)) = place;
            if avoid == Some(member) {
                avoided = Some(place);
            } else if !may(member) {
                self.dropped = true;
            } else if self.dropped && room < size as i64 {
                self.heap.push(place);
                break;
            } else {
                found = Some(member);
                break;
            }
        }
        self.heap.extend(avoided);
        let member = found?;
        self.put(member, size);
        Some(member)
    }

    fn put(&mut self, member: MemberIndex, size: u64) {
        let holding = &mut self.holdings[member];
        holding.load += size;
        let divides = self.strategy == Strategy::Load && self.weights[member] > 0;
        if divides && size > self.goals[member] {
            // More than the member's part in one piece: the others share what is left.
            holding.floor = size;
            self.heap.clear();
            self.set_goals();
        } else {
            let place = self.place(member);
            self.heap.push(place);
        }
    }

    fn set_goals(&mut self) {
        self.goals = apportion(self.problem.members, &self.holdings, self.total, self.rule);
        let takers = (0..self.problem.members.len()).filter(|i| self.problem.takes(*i));
        self.heap = takers.map(|member| self.place(member)).collect();
    }

    fn place(&self, member: MemberIndex) -> Place {
        let room = self.goals[member] as i64 - self.holdings[member].load as i64;
        (self.weights[member] > 0, room, Reverse(member))
    }
}
