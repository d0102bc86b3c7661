//! How many more moves may be under way.

use super::policy::Policy;
use super::problem::MemberIndex;

/// Moves that are under way: between owners and targets that are different live members.
#[derive(Clone, Debug)]
pub(super) struct Flights {
    cluster: usize,
    nodes: Vec<usize>,
}

impl Flights {
    pub(super) fn none(members: usize) -> Self {
        Self { cluster: 0, nodes: vec![0; members] }
    }

    pub(super) fn add(&mut self, from: MemberIndex, to: MemberIndex) {
        self.cluster += 1;
        self.nodes[from] += 1;
        self.nodes[to] += 1;
    }
}

/// What the policy's two bounds leave for new moves.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    cluster: usize,
    nodes: Vec<usize>,
}

impl Budget {
    pub(super) fn left_of(policy: &Policy, flights: &Flights) -> Self {
        let left = |max: usize, used: usize| max.max(1).saturating_sub(used);
        Self {
            cluster: left(policy.batch_len_max, flights.cluster),
            nodes: flights.nodes.iter().map(|used| left(policy.node_moves_max, *used)).collect(),
        }
    }

    /// Whether no move may be added at all.
    pub(super) fn is_spent(&self) -> bool {
        self.cluster == 0
    }

    /// How many moves this member may still take part in.
    pub(super) fn of(&self, member: MemberIndex) -> usize {
        self.nodes[member].min(self.cluster)
    }

    /// Whether so many moves may be added between these two.
    pub(super) fn has(&self, moves: usize, from: MemberIndex, to: MemberIndex) -> bool {
        self.of(from) >= moves && self.of(to) >= moves
    }

    /// Adds one move, if it may be added.
    pub(super) fn take(&mut self, from: MemberIndex, to: MemberIndex) -> bool {
        let has = self.has(1, from, to);
        if has {
            self.cluster -= 1;
            self.nodes[from] -= 1;
            self.nodes[to] -= 1;
        }
        has
    }

    /// Gives a move that is under way another destination, if that may have one more.
    pub(super) fn redirect(&mut self, from: MemberIndex, to: MemberIndex) -> bool {
        let has = self.nodes[to] > 0;
        if has {
            self.nodes[from] += 1;
            self.nodes[to] -= 1;
        }
        has
    }

    /// Gives a move that is under way another destination, whatever the bounds.
    pub(super) fn force(&mut self, from: MemberIndex, to: MemberIndex) {
        self.nodes[from] += 1;
        self.nodes[to] = self.nodes[to].saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three members, none of which may take part in more than two of four moves.
    fn budget() -> Budget {
        Budget { cluster: 4, nodes: vec![2; 3] }
    }

    fn left(budget: &Budget) -> (usize, [usize; 3]) {
        (budget.cluster, [0, 1, 2].map(|member| budget.nodes[member]))
    }

    #[test]
    fn a_move_costs_both_members_and_the_cluster_one() {
        let mut budget = budget();
        assert!(budget.has(2, 0, 1) && !budget.has(3, 0, 1));
        assert!(budget.take(0, 1) && budget.take(0, 2));
        assert_eq!(left(&budget), (2, [0, 1, 1]));
        assert!(!budget.take(0, 1) && !budget.take(1, 0), "the first one is spent");
        assert_eq!(left(&budget), (2, [0, 1, 1]));
        assert!(budget.take(1, 2) && !budget.is_spent());
        budget.cluster = 0;
        assert!(budget.is_spent());
        budget.nodes = vec![2; 3];
        assert!(!budget.take(0, 1));
        assert_eq!(budget.of(0), 0);
    }

    /// What is under way already counts in the cluster, and at its source.
    #[test]
    fn another_destination_costs_that_one_and_frees_the_former() {
        let mut budget = budget();
        assert!(budget.redirect(0, 1) && budget.redirect(0, 1));
        assert_eq!(left(&budget), (4, [4, 0, 2]));
        assert!(!budget.redirect(0, 1), "it may have no more");
        assert_eq!(left(&budget), (4, [4, 0, 2]));
        budget.force(2, 1);
        assert_eq!(left(&budget), (4, [4, 0, 3]), "whatever the bounds");
        budget.force(2, 0);
        assert_eq!(left(&budget), (4, [3, 0, 4]));
    }
}
