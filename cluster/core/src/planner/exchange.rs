//! By load: moves and exchanges shards between members above their share and members below it.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::answer::{Move, MoveReason};
use super::budget::Budget;
use super::gain::{Gain, Side};
use super::policy::{Policy, Strategy, even};
use super::problem::{MemberIndex, Problem, Standing};
use super::rebalance::Shares;
use super::survey::Survey;
use crate::ShardId;

/// With how many of the members below their share a member above its own tries what helps.
const PARTNERS_MAX: usize = 8;
/// How many shards of a member are looked at for an exchange with one other.
const EXCHANGE_TRIES_MAX: usize = 128;

/// The state of one plan.
#[derive(Debug)]
pub(super) struct Exchange<'a> {
    problem: &'a Problem<'a>,
    gain: Gain,
    budget: Budget,
    sides: Vec<Side>,
    /// For each member the shards that may leave it, by load; the last of equal ones has the lowest
    /// number. What arrives in this plan isn't added.
    shards: Vec<BTreeSet<Sized>>,
    /// Who is above its share and may still give, the furthest for its share first.
    above: BTreeSet<(Reverse<u64>, MemberIndex)>,
    /// Who is below its share, the furthest for its share first.
    below: BTreeSet<(Reverse<u64>, MemberIndex)>,
    moves: Vec<Move>,
}

/// What may be done between two members.
#[derive(Clone, Debug)]
struct Step {
    /// What the member above gives.
    give: Sized,
    /// What it gets in return, if anything.
    take: Vec<Sized>,
    gain: f64,
}

/// A shard by its load and number.
type Sized = (u32, Reverse<u32>);

impl Step {
    fn moves(&self) -> usize {
        1 + self.take.len()
    }

    fn gain_per_move(&self) -> f64 {
        self.gain / self.moves() as f64
    }
}

impl<'a> Exchange<'a> {
    pub(super) fn new(
        problem: &'a Problem<'a>,
        policy: &Policy,
        survey: &Survey,
        shares: &Shares,
        budget: Budget,
    ) -> Self {
        let sides = problem.members.iter().enumerate().map(|(i, member)| Side {
            zone: member.zone,
            share: shares.nominal[i],
            goal: shares.reachable[i],
            load: survey.holdings[i].load,
        });
        let mut exchange = Self {
            problem,
            gain: Gain::new(problem, policy, survey, shares),
            budget,
            sides: sides.collect(),
            shards: vec![BTreeSet::new(); problem.members.len()],
            above: BTreeSet::new(),
            below: BTreeSet::new(),
            moves: Vec::new(),
        };
        for (number, placement) in problem.shards.iter().enumerate() {
            if let Some(owner) = placement.owner
                && placement.pin.is_none()
                && problem.members[owner].standing == Standing::Taking
            {
                exchange.shards[owner].insert((placement.load, Reverse(number as u32)));
            }
        }
        (0..problem.members.len()).for_each(|member| exchange.rank(member));
        exchange
    }

    /// The moves, by shard. Each step lowers what [`Gain`] measures.
    pub(super) fn moves(mut self) -> Vec<Move> {
        let above = self.above.clone();
        self.run(Self::best_step);
        if self.moves.is_empty() {
            self.above = above;
            self.run(Self::best_displacement);
        }
        self.moves.sort_unstable_by_key(|step| step.shard);
        self.moves
    }

    /// Makes the step that `find` answers for whoever is the furthest above its share, until there
    /// is none for anybody.
    fn run(&mut self, find: impl Fn(&Self, MemberIndex) -> Option<(MemberIndex, Step)>) {
        while !self.budget.is_spent()
            && let Some(first) = self.above.first().copied()
        {
            let (_, from) = first;
            match find(self, from) {
                Some((to, step)) => self.carry_out(from, to, step),
                // It stays put for the rest of this plan.
                None => {
                    self.above.remove(&first);
                }
            }
        }
    }

    fn is_uneven(&self, member: MemberIndex) -> bool {
        let side = self.sides[member];
        side.off().unsigned_abs() > even(Strategy::Load, side.goal)
    }

    fn best_step(&self, from: MemberIndex) -> Option<(MemberIndex, Step)> {
        let uneven = |member| self.is_uneven(member);
        let able = |to: &MemberIndex| self.budget.has(1, from, *to);
        let step_to = |to: MemberIndex| Some((to, self.step_between(from, to)?));
        if !uneven(from) {
            // Then it gives only to help another, and the first of these is the furthest off.
            let below = self.below.iter().map(|(_, to)| *to).take_while(|to| uneven(*to));
            return below.filter(able).take(PARTNERS_MAX).find_map(step_to);
        }
        let below = self.below.iter().map(|(_, to)| *to).filter(able);
        below.take(PARTNERS_MAX).find_map(step_to)
    }

    /// As [`best_step`](Self::best_step), for when that finds nothing more.
    fn best_displacement(&self, from: MemberIndex) -> Option<(MemberIndex, Step)> {
        if !self.is_uneven(from) {
            return None;
        }
        let mut below: Vec<MemberIndex> = self.below.iter().map(|(_, to)| *to).collect();
        below.retain(|to| self.budget.has(1, from, *to));
        // Those that have the most besides their largest shard can give the most for another.
        let largest = |to: MemberIndex| self.shards[to].last().map_or(0, |(load, _)| *load);
        below.sort_by_key(|to| {
            Reverse(self.sides[*to].goal.saturating_sub(u64::from(largest(*to))))
        });
        let mut partners = below.into_iter().take(PARTNERS_MAX);
        partners.find_map(|to| Some((to, self.displace(from, to)?)))
    }

    /// The largest shard that fits, or else whatever gains the most for each move: an exchange, or
    /// a shard that is too large for either to end up even.
    fn step_between(&self, from: MemberIndex, to: MemberIndex) -> Option<Step> {
        let limit = self.limit(from, to);
        let halfway = (self.sides[from].off() - self.sides[to].off()).unsigned_abs() / 2;

        let at_most = |limit: u64| {
            let limit = u32::try_from(limit).unwrap_or(u32::MAX);
            let fitting = self.shards[from].range(..=(limit, Reverse(0))).rev();
            let mut fitting = fitting.filter(|shard| self.may_go(**shard, to));
            self.step(from, to, *fitting.next()?, Vec::new())
        };
        let fitting = at_most(limit).or_else(|| at_most(limit.min(halfway)));
        if fitting.as_ref().is_some_and(|step| u64::from(step.give.0) * 2 >= limit) {
            return fitting;
        }
        let exchanged = self.exchange(from, to, limit);
        let too_large = if fitting.is_none() {
            let give = self.beyond(from, to, limit).next();
            give.and_then(|give| self.step(from, to, give, Vec::new()))
        } else {
            None
        };
        let steps = [fitting, exchanged, too_large].into_iter().flatten();
        steps.max_by(|a, b| a.gain_per_move().total_cmp(&b.gain_per_move()))
    }

    /// The shards that are larger than what fits, the smallest first.
    fn beyond(
        &self,
        from: MemberIndex,
        to: MemberIndex,
        limit: u64,
    ) -> impl Iterator<Item = Sized> {
        let start = u32::try_from(limit + 1).ok().map(|least| (least, Reverse(u32::MAX)));
        let shards = start.into_iter().flat_map(move |start| self.shards[from].range(start..));
        shards.copied().filter(move |shard| self.may_go(*shard, to))
    }

    /// A shard that is too large, for one in return that is small enough to leave a difference that
    /// fits.
    fn exchange(&self, from: MemberIndex, to: MemberIndex, limit: u64) -> Option<Step> {
        let mut best: Option<Step> = None;
        for give in self.beyond(from, to, limit).take(EXCHANGE_TRIES_MAX) {
            // At least 1, for what is given is beyond the limit.
            let least = (u64::from(give.0) - limit) as u32;
            let returned =
                self.shards[to].range((least, Reverse(u32::MAX))..(give.0, Reverse(u32::MAX)));
            let mut returned = returned.filter(|shard| self.may_go(**shard, from));
            let step = returned.next().and_then(|take| self.step(from, to, give, vec![*take]));
            if let Some(step) = step
                && best.as_ref().is_none_or(|best| best.gain < step.gain)
            {
                best = Some(step);
            }
        }
        best
    }

    /// A shard that is too large, for as many in return as it takes to leave a difference that fits,
    /// the largest first: where large shards have met at one member, nothing less parts them.
    fn displace(&self, from: MemberIndex, to: MemberIndex) -> Option<Step> {
        let limit = self.limit(from, to);
        self.beyond(from, to, limit).take(PARTNERS_MAX).find_map(|give| {
            let mut rest = u64::from(give.0);
            let mut take = Vec::new();
            for shard in self.shards[to].range(..(give.0, Reverse(u32::MAX))).rev() {
                let load = u64::from(shard.0);
                if rest <= limit || load == 0 {
                    break;
                }
                if load + limit / 2 < rest && self.may_go(*shard, from) {
                    rest -= load;
                    take.push(*shard);
                }
            }
            if rest <= limit { self.step(from, to, give, take) } else { None }
        })
    }

    /// The most that may go from one to the other without leaving either uneven on the other side.
    fn limit(&self, from: MemberIndex, to: MemberIndex) -> u64 {
        let room = |member: MemberIndex| {
            let side = self.sides[member];
            side.off().unsigned_abs() + even(Strategy::Load, side.goal)
        };
        room(from).min(room(to))
    }

    fn may_go(&self, (_, Reverse(number)): Sized, to: MemberIndex) -> bool {
        self.problem.shards[number as usize].avoid != Some(to)
    }

    /// The step, if it may be made and gains enough.
    fn step(
        &self,
        from: MemberIndex,
        to: MemberIndex,
        give: Sized,
        take: Vec<Sized>,
    ) -> Option<Step> {
        let net = u64::from(give.0) - take.iter().map(|(load, _)| u64::from(*load)).sum::<u64>();
        let gain = self.gain.of(&self.sides[from], &self.sides[to], net)?;
        let step = Step { give, take, gain };
        if !step.take.is_empty() && self.sides[from].share == 0 {
            return None;
        }
        self.budget.has(step.moves(), from, to).then_some(step)
    }

    fn carry_out(&mut self, from: MemberIndex, to: MemberIndex, step: Step) {
        [from, to].into_iter().for_each(|member| self.unrank(member));
        self.send(from, to, step.give);
        step.take.into_iter().for_each(|shard| self.send(to, from, shard));
        [from, to].into_iter().for_each(|member| self.rank(member));
    }

    fn send(&mut self, from: MemberIndex, to: MemberIndex, shard: Sized) {
        let (load, Reverse(number)) = shard;
        self.shards[from].remove(&shard);
        self.budget.take(from, to);
        self.gain.note(self.sides[from].zone, self.sides[to].zone, load);
        self.sides[from].load -= u64::from(load);
        self.sides[to].load += u64::from(load);
        self.moves.push(Move {
            shard: ShardId(number),
            from: Some(from),
            to,
            reason: MoveReason::Rebalance,
        });
    }

    /// Enters a member among those above or below their shares.
    fn rank(&mut self, member: MemberIndex) {
        let side = self.sides[member];
        if self.problem.takes(member) && self.budget.of(member) > 0 {
            let entry = (Reverse(side.relative()), member);
            match side.off() {
                0 => {}
                1.. => drop(self.above.insert(entry)),
                ..0 => drop(self.below.insert(entry)),
            }
        }
    }

    fn unrank(&mut self, member: MemberIndex) {
        let entry = (Reverse(self.sides[member].relative()), member);
        self.above.remove(&entry);
        self.below.remove(&entry);
    }
}
