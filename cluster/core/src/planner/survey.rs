//! Sorts the shards by what they need.

use super::problem::{Member, MemberIndex, Placement, Problem};
use crate::ShardId;

/// What one pass over the shards finds.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// For each member the shards that are meant to stay with it or to come to it, recalls
    /// included. What orphans and drains will add isn't in it yet.
    pub(super) loads: Vec<usize>,
    /// Shards without a live owner whose target is dead or drains.
    pub(super) orphans: Vec<ShardId>,
    /// Shards on their way to a dead or draining member, with their owner, which takes shards and
    /// so may keep them.
    pub(super) recalls: Vec<(ShardId, MemberIndex)>,
    /// Shards on their way from one draining member (named) to another. They are in flight
    /// already, so a better target costs no place in the batch.
    pub(super) redirects: Vec<(ShardId, MemberIndex)>,
    /// Shards at rest at a draining member, with that member.
    pub(super) drains: Vec<(ShardId, MemberIndex)>,
    /// How many shards are on their way out of a draining member, redirects included.
    pub(super) drains_in_flight: usize,
    /// How many shards are on their way to a good target.
    pub(super) in_motion: usize,
}

impl Survey {
    pub(super) fn of(problem: &Problem<'_>) -> Self {
        let mut survey = Self { loads: vec![0; problem.members.len()], ..Self::default() };
        for (number, placement) in problem.shards.iter().enumerate() {
            // A cluster has at most 65,536 shards.
            survey.add(ShardId(number as u32), *placement, problem.members);
        }
        // One draining member is emptied before the next, so that the first may leave early.
        survey.drains.sort_unstable_by_key(|(shard, owner)| (*owner, *shard));
        survey
    }

    fn add(&mut self, shard: ShardId, placement: Placement, members: &[Member]) {
        let live = |index: &MemberIndex| *index < members.len();
        let takes = |index: &MemberIndex| members[*index].takes_shards;
        let target = placement.target.filter(live);
        let good_target = target.filter(takes);

        let Some(owner) = placement.owner.filter(live) else {
            match good_target {
                Some(target) => {
                    self.loads[target] += 1;
                    self.in_motion += 1;
                }
                None => self.orphans.push(shard),
            }
            return;
        };

        let leaves = target.is_some_and(|target| target != owner);
        if leaves && !takes(&owner) {
            self.drains_in_flight += 1;
        }
        match good_target {
            Some(target) => {
                self.loads[target] += 1;
                self.in_motion += usize::from(leaves);
            }
            None if takes(&owner) => {
                self.loads[owner] += 1;
                self.recalls.push((shard, owner));
            }
            None if leaves => self.redirects.push((shard, owner)),
            None => self.drains.push((shard, owner)),
        }
    }
}
