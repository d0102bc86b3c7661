//! How many shards each member should have.

use std::cmp::Reverse;

use super::problem::Member;

/// How many of `shards` shards each member should have by its weight, in the members' order.
///
/// Each gets the whole part of its exact part; the shards left over go to the largest remainders,
/// and among equals to whoever comes first. A member that takes no shards gets 0. The numbers sum
/// to `shards` if any member takes shards.
pub fn shares(members: &[Member], shards: usize) -> Vec<usize> {
    apportion(members, shards, |_, _| false)
}

/// Shares that agree with where the shards are: as [`shares`], but the shards left over go first
/// to members whose load already has one.
///
/// Whose part is 3.5 may have 3 or 4; who has 4 need not give one away to a neighbour just for
/// coming later in the order. Every goal is within one shard of the share, and moving shards from
/// members above their goal to members below it never changes a goal.
pub(super) fn goals(members: &[Member], loads: &[usize], shards: usize) -> Vec<usize> {
    apportion(members, shards, |member, whole| loads[member] > whole)
}

/// Largest remainder, with the members that `prefer(index, whole part)` names served first.
fn apportion(
    members: &[Member],
    shards: usize,
    prefer: impl Fn(usize, usize) -> bool,
) -> Vec<usize> {
    let weights: Vec<u128> = members.iter().map(|m| u128::from(m.effective_weight())).collect();
    let total: u128 = weights.iter().sum();
    if total == 0 {
        return vec![0; members.len()];
    }
    // 128 bits hold any product, and no quotient exceeds `shards`.
    let parts = weights.iter().map(|weight| shards as u128 * weight);
    let mut result: Vec<usize> = parts.clone().map(|part| (part / total) as usize).collect();

    // The remainders sum to `total` times the shards left over, and each is below `total`: so
    // there are always more members with a remainder than shards left over.
    let left_over = shards - result.iter().sum::<usize>();
    let mut queue: Vec<_> = parts
        .map(|part| part % total)
        .enumerate()
        .filter(|(_, remainder)| *remainder > 0)
        .map(|(i, remainder)| (Reverse((prefer(i, result[i]), remainder)), i))
        .collect();
    queue.sort_unstable();
    for (_, member) in queue.into_iter().take(left_over) {
        result[member] += 1;
    }
    result
}
