//! A cluster as the planner sees it, that carries out plans.

use std::collections::HashSet;
use std::time::Duration;

use greenroom_core::planner::{
    Idle, Member, MemberIndex, Move, MoveReason, Pin, Placement, Plan, Policy, Problem, Settled,
    Standing, Strategy, plan, settle, shares,
};
use greenroom_core::{NodeId, ShardId};

pub(crate) const LONG_STABLE: Duration = Duration::from_secs(3600);

pub(crate) fn policy() -> Policy {
    Policy {
        stability: Duration::from_secs(10),
        batch_len_max: usize::MAX,
        node_moves_max: usize::MAX,
        imbalance_threshold_permille: 0,
        strategy: Strategy::Count,
        spread_zones: false,
        move_gain_permille: 0,
    }
}

pub(crate) fn by_load() -> Policy {
    Policy { strategy: Strategy::Load, ..policy() }
}

pub(crate) fn by_zone() -> Policy {
    Policy { spread_zones: true, ..policy() }
}

/// Members `n0`, `n1`, ... of these weights; a negative weight drains.
pub(crate) fn members(weights: &[i32]) -> Vec<Member> {
    let members = weights.iter().enumerate();
    members
        .map(|(i, weight)| Member {
            node: NodeId::new(format!("n{i}")).expect("a valid name"),
            weight: weight.unsigned_abs(),
            zone: 0,
            standing: if *weight < 0 { Standing::Leaving } else { Standing::Taking },
        })
        .collect()
}

pub(crate) fn placed(owner: Option<MemberIndex>, target: Option<MemberIndex>) -> Placement {
    Placement { owner, target, ..Placement::default() }
}

/// Shards at rest with these loads: `loads[i]` at member `i`.
pub(crate) fn loaded(loads: &[&[u32]]) -> Vec<Placement> {
    let loads = loads.iter().enumerate();
    let shards = loads.flat_map(|(i, loads)| {
        loads.iter().map(move |load| Placement { load: *load, ..placed(Some(i), Some(i)) })
    });
    shards.collect()
}

pub(crate) fn step(shard: u32, from: Option<usize>, to: usize, reason: MoveReason) -> Move {
    Move { shard: ShardId(shard), from, to, reason }
}

pub(crate) fn batches_of(batch_len_max: usize) -> Policy {
    Policy { batch_len_max, ..policy() }
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

    /// What would become of it.
    pub(crate) fn settled(&self, policy: &Policy) -> Settled {
        let (members, shards) = (&self.members, &self.shards);
        settle(&Problem { members, shards, stable_for: Duration::ZERO }, policy)
    }

    pub(crate) fn takes(&self, member: MemberIndex) -> bool {
        self.members[member].standing == Standing::Taking
    }

    /// How many shards each member should have by its weight alone.
    pub(crate) fn shares(&self) -> Vec<usize> {
        let shares = shares(&self.members, self.shards.len() as u64, false);
        shares.into_iter().map(|share| share as usize).collect()
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

    /// The load of each member's shards.
    pub(crate) fn owned_load(&self) -> Vec<u64> {
        let mut loads = vec![0; self.members.len()];
        for shard in &self.shards {
            shard.owner.into_iter().for_each(|owner| loads[owner] += u64::from(shard.load));
        }
        loads
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
            let pin = shard.pin.map(|pin| match pin {
                Pin::To(pinned) => close(Some(pinned)).map_or(Pin::Elsewhere, Pin::To),
                Pin::Elsewhere => Pin::Elsewhere,
            });
            *shard = Placement {
                owner: close(shard.owner),
                target: close(shard.target),
                pin,
                load: shard.load,
                avoid: close(shard.avoid),
            };
        }
    }
}

#[derive(Debug)]
pub(crate) struct Converged {
    pub(crate) moves: usize,
    pub(crate) rounds: usize,
    pub(crate) idle: Idle,
}
