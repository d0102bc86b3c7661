//! A cluster as the planner sees it, that carries out plans.

use std::collections::HashSet;
use std::time::Duration;

use greenroom_core::NodeId;
use greenroom_core::planner::{Idle, Member, MemberIndex, Placement, Plan, Policy, Problem, plan};

pub(crate) const LONG_STABLE: Duration = Duration::from_secs(3600);

pub(crate) fn policy() -> Policy {
    Policy {
        stability: Duration::from_secs(10),
        batch_len_max: usize::MAX,
        imbalance_threshold_permille: 0,
    }
}

/// Members `n0`, `n1`, ... of these weights; a negative weight drains.
pub(crate) fn members(weights: &[i32]) -> Vec<Member> {
    let members = weights.iter().enumerate();
    members
        .map(|(i, weight)| Member {
            node: NodeId::new(format!("n{i}")).expect("a valid name"),
            weight: weight.unsigned_abs(),
            takes_shards: *weight >= 0,
        })
        .collect()
}

pub(crate) fn placed(owner: Option<MemberIndex>, target: Option<MemberIndex>) -> Placement {
    Placement { owner, target }
}

/// Shards at rest: `counts[i]` of them at member `i`.
pub(crate) fn at_rest(counts: &[usize]) -> Vec<Placement> {
    let counts = counts.iter().enumerate();
    counts.flat_map(|(i, count)| vec![placed(Some(i), Some(i)); *count]).collect()
}

#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) members: Vec<Member>,
    pub(crate) shards: Vec<Placement>,
}

impl Cluster {
    pub(crate) fn new(weights: &[i32], shards: Vec<Placement>) -> Self {
        Self { members: members(weights), shards }
    }

    pub(crate) fn plan_at(&self, stable_for: Duration, policy: &Policy) -> Plan {
        let problem = Problem { members: &self.members, shards: &self.shards, stable_for };
        let result = plan(&problem, policy);
        let moved: HashSet<_> = result.moves.iter().map(|m| m.shard).collect();
        assert_eq!(moved.len(), result.moves.len(), "a shard moves twice: {result:?}");
        result
    }

    pub(crate) fn plan(&self, policy: &Policy) -> Plan {
        self.plan_at(LONG_STABLE, policy)
    }

    /// Writes the targets of a plan.
    pub(crate) fn apply(&mut self, plan: &Plan) {
        for m in &plan.moves {
            let shard = &mut self.shards[m.shard.0 as usize];
            let live_owner = shard.owner.filter(|i| *i < self.members.len());
            assert_eq!(live_owner, m.from, "a plan names the owner it saw");
            shard.target = Some(m.to);
        }
    }

    /// The shard arrives at its target.
    pub(crate) fn settle(&mut self, shard: usize) {
        let shard = &mut self.shards[shard];
        shard.owner = shard.target.or(shard.owner);
    }

    /// Plans, and carries each plan out at once, until nothing is left to do. Answers how many
    /// shards changed their owner, why it is idle, and in how many rounds.
    pub(crate) fn converge(&mut self, policy: &Policy) -> Converged {
        let mut moves = 0;
        for rounds in 0.. {
            assert!(rounds <= 10 + 4 * self.shards.len(), "does not come to rest: {self:?}");
            let plan = self.plan(policy);
            let waits = matches!(plan.idle, Some(Idle::InMotion { .. }));
            if plan.moves.is_empty() && !waits {
                let idle = plan.idle.expect("an empty plan says why");
                return Converged { moves, rounds, idle };
            }
            moves += plan.moves.iter().filter(|m| m.from != Some(m.to)).count();
            self.apply(&plan);
            (0..self.shards.len()).for_each(|shard| self.settle(shard));
        }
        unreachable!("the loop has no end of its own")
    }

    pub(crate) fn owned(&self) -> Vec<usize> {
        let mut counts = vec![0; self.members.len()];
        let owners = self.shards.iter().filter_map(|shard| shard.owner);
        owners.for_each(|owner| counts[owner] += 1);
        counts
    }

    /// The member dies: it is no member any more, and the others close ranks.
    pub(crate) fn lose(&mut self, member: MemberIndex) {
        self.members.remove(member);
        let close = |index: Option<MemberIndex>| match index {
            Some(i) if i == member => None,
            Some(i) if i > member => Some(i - 1),
            other => other,
        };
        for shard in &mut self.shards {
            *shard = placed(close(shard.owner), close(shard.target));
        }
    }
}

#[derive(Debug)]
pub(crate) struct Converged {
    pub(crate) moves: usize,
    pub(crate) rounds: usize,
    pub(crate) idle: Idle,
}
