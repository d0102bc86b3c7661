//! Sorts the shards by what they need.

use std::cmp::Reverse;

use super::answer::{Move, MoveReason};
use super::budget::Flights;
use super::policy::Strategy;
use super::problem::{MemberIndex, Pin, Placement, Problem, Standing};
use super::shares::{Holding, weights};
use crate::ShardId;

/// What one pass over the shards finds.
#[derive(Debug)]
pub(super) struct Survey {
    /// What each member has of the shards that are meant to stay with it or to come to it: recalls
    /// and pins included, also pins that have to wait. What the homeless and drains will add isn't
    /// in it yet. The floor is what can't be moved: pinned shards, and all of a member that keeps.
    pub(super) holdings: Vec<Holding>,
    /// The largest shard of each member that has a part of its own to hold it against; else 0.
    pub(super) largest: Vec<u64>,
    /// What leaves no choice and waits for nothing: recalls, and pinned shards without an owner.
    pub(super) certain: Vec<Move>,
    /// Shards without a live owner and without a target that will do, and what makes them so.
    pub(super) homeless: Vec<(ShardId, MoveReason)>,
    /// Shards with an owner that are pinned to another member and not on their way there.
    pub(super) pins: Vec<Pinned>,
    /// Shards on their way from a leaving member (named first) to one (named second) that takes
    /// none. They are in flight already, so a better target costs no place in the batch.
    pub(super) redirects: Vec<(ShardId, MemberIndex, MemberIndex)>,
    /// Shards at rest at a leaving member, with that member.
    pub(super) drains: Vec<(ShardId, MemberIndex)>,
    /// What is under way and counts against the bounds.
    pub(super) flights: Flights,
    /// How many shards are on their way to a good target.
    pub(super) in_motion: usize,
    takers: usize,
}

/// A shard that has to go to the member that it is pinned to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pinned {
    pub(super) shard: ShardId,
    pub(super) owner: MemberIndex,
    pub(super) to: MemberIndex,
    /// The member that it is on its way to instead, if it is on its way.
    pub(super) under_way_to: Option<MemberIndex>,
    /// Whether it must go back to its owner if it can't go where it is pinned yet.
    pub(super) needs_recall: bool,
}

impl Survey {
    pub(super) fn of(problem: &Problem<'_>, strategy: Strategy) -> Self {
        let members = problem.members.len();
        let mut survey = Self {
            holdings: vec![Holding::default(); members],
            largest: vec![0; members],
            certain: Vec::new(),
            homeless: Vec::new(),
            pins: Vec::new(),
            redirects: Vec::new(),
            drains: Vec::new(),
            flights: Flights::none(members),
            in_motion: 0,
            takers: (0..members).filter(|member| problem.takes(*member)).count(),
        };
        for (number, placement) in problem.shards.iter().enumerate() {
            // A cluster has at most 65,536 shards.
            survey.add(problem, strategy, ShardId(number as u32), placement);
        }
        for (largest, weight) in survey.largest.iter_mut().zip(weights(problem.members)) {
            *largest = if weight > 0 { *largest } else { 0 };
        }
        // One leaving member is emptied before the next, so that the first may leave early. By load
        // the largest shards are placed first, while there is room for them.
        let rank = |shard: ShardId| match strategy {
            Strategy::Count => Reverse(0),
            Strategy::Load => Reverse(problem.shards[shard.0 as usize].load),
        };
        survey.homeless.sort_by_key(|(shard, _)| rank(*shard));
        survey.drains.sort_by_key(|(shard, owner)| (*owner, rank(*shard)));
        survey
    }

    fn add(&mut self, problem: &Problem<'_>, by: Strategy, shard: ShardId, placement: &Placement) {
        let live = |index: &MemberIndex| *index < problem.members.len();
        let leaves = |index: &MemberIndex| problem.members[*index].standing == Standing::Leaving;
        let seen = Seen {
            problem,
            shard,
            size: placement.size(by),
            pinned: placement.pin.is_some(),
            owner: placement.owner.filter(live),
            target: placement.target.filter(live),
            avoid: placement.avoid.filter(live),
        };
        match placement.pin {
            Some(Pin::To(to)) if live(&to) && !leaves(&to) && placement.avoid != Some(to) => {
                self.add_pinned(&seen, to);
            }
            _ => match seen.owner {
                None => self.add_unowned(&seen),
                Some(owner) if leaves(&owner) => self.add_leaving(&seen, owner),
                Some(owner) => self.add_owned(&seen, owner),
            },
        }
    }

    fn add_pinned(&mut self, seen: &Seen<'_>, to: MemberIndex) {
        let &Seen { problem, shard, owner, target, .. } = seen;
        self.is_at(seen, to);
        let to_taker = target.is_some_and(|target| problem.takes(target));
        let certain = |from, reason| Move { shard, from, to, reason };
        match owner {
            _ if target == Some(to) => match owner {
                Some(owner) => self.is_under_way(owner, to),
                None => self.in_motion += 1,
            },
            None if to_taker => self.certain.push(certain(None, MoveReason::Pin)),
            None => self.certain.push(certain(None, MoveReason::Orphan)),
            Some(owner) if owner == to => {
                let reason = if to_taker { MoveReason::Pin } else { MoveReason::Recall };
                self.certain.push(certain(Some(owner), reason));
            }
            Some(owner) => {
                let stays = problem.members[owner].standing != Standing::Leaving;
                let needs_recall = stays && !to_taker && target != Some(owner);
                let under_way_to = target.filter(|target| *target != owner && !needs_recall);
                if let Some(target) = under_way_to {
                    self.flights.add(owner, target);
                }
                self.pins.push(Pinned { shard, owner, to, under_way_to, needs_recall });
            }
        }
    }

    fn add_unowned(&mut self, seen: &Seen<'_>) {
        match seen.target {
            Some(target) if seen.avoid == Some(target) => {
                let takes = seen.problem.takes(target);
                if takes && self.takers == 1 {
                    self.is_at(seen, target);
                    self.in_motion += 1;
                } else {
                    self.homeless.push((seen.shard, MoveReason::Stuck));
                }
            }
            Some(target) if seen.problem.takes(target) => {
                self.is_at(seen, target);
                self.in_motion += 1;
            }
            _ => self.homeless.push((seen.shard, MoveReason::Orphan)),
        }
    }

    fn add_leaving(&mut self, seen: &Seen<'_>, owner: MemberIndex) {
        match seen.target {
            Some(target) if seen.problem.takes(target) => {
                self.is_at(seen, target);
                self.is_under_way(owner, target);
            }
            Some(target) if target != owner => {
                self.flights.add(owner, target);
                self.redirects.push((seen.shard, owner, target));
            }
            _ => self.drains.push((seen.shard, owner)),
        }
    }

    fn add_owned(&mut self, seen: &Seen<'_>, owner: MemberIndex) {
        match seen.target {
            Some(target) if target == owner || seen.problem.takes(target) => {
                self.is_at(seen, target);
                self.is_under_way(owner, target);
            }
            _ => {
                self.is_at(seen, owner);
                let (shard, from, reason) = (seen.shard, Some(owner), MoveReason::Recall);
                self.certain.push(Move { shard, from, to: owner, reason });
            }
        }
    }

    fn is_at(&mut self, seen: &Seen<'_>, member: MemberIndex) {
        let holding = &mut self.holdings[member];
        holding.load += seen.size;
        if seen.pinned || seen.problem.members[member].standing == Standing::Keeping {
            holding.floor += seen.size;
        }
        self.largest[member] = self.largest[member].max(seen.size);
    }

    fn is_under_way(&mut self, owner: MemberIndex, target: MemberIndex) {
        if owner != target {
            self.in_motion += 1;
            self.flights.add(owner, target);
        }
    }
}

/// One shard, with dead nodes left out.
#[derive(Clone, Copy, Debug)]
struct Seen<'a> {
    problem: &'a Problem<'a>,
    shard: ShardId,
    size: u64,
    pinned: bool,
    owner: Option<MemberIndex>,
    target: Option<MemberIndex>,
    avoid: Option<MemberIndex>,
}
