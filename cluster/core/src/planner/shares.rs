//! What each member should have, of the shards or of their load.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::problem::{Member, MemberIndex, Standing, WEIGHT_MAX};

/// What each member should have of a total by its weight, in the members' order.
///
/// Each gets the whole part of its exact part; the units left over go to the largest remainders,
/// and among equals to whoever comes first. With `spread_zones` the zones are served first in this
/// way, each with an equal part, and then the members of each. Who isn't [`Standing::Taking`] gets
/// 0. The numbers sum to `total` if any member takes shards.
///
/// Where shards are plays no part in this: members that keep shards, and pins, are not seen.
pub fn shares(members: &[Member], total: u64, spread_zones: bool) -> Vec<u64> {
    let holdings = vec![Holding::default(); members.len()];
    apportion(members, &holdings, total, Rule { spread_zones, favour_holders: false })
}

/// What a member has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Holding {
    /// All of it, in shards or load.
    pub(super) load: u64,
    /// The least that it can be brought down to.
    pub(super) floor: u64,
}

/// How to apportion.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// Whether the zones get equal parts.
    pub(super) spread_zones: bool,
    /// Whether the units left over go first to who has them. Whose part is 3.5 may have 3 or 4; who
    /// has 4 need not give one away to a neighbour just for coming later in the order.
    pub(super) favour_holders: bool,
}

/// As [`shares`], but nobody is given less than its floor, and the others share the rest.
///
/// The goals sum to `total`, which must be at least the sum of the floors, if any member takes
/// shards.
pub(super) fn apportion(
    members: &[Member],
    holdings: &[Holding],
    total: u64,
    rule: Rule,
) -> Vec<u64> {
    let weights = weights(members);
    let mut zones: BTreeMap<u32, Zone> = BTreeMap::new();
    for (i, (member, holding)) in members.iter().zip(holdings).enumerate() {
        let zone = zones.entry(if rule.spread_zones { member.zone } else { 0 }).or_default();
        zone.members.push(i);
        zone.parties.push(Party { weight: weights[i], holding: *holding });
    }
    let parties: Vec<Party> = zones.values().map(Zone::as_party).collect();
    let mut goals = vec![0; members.len()];
    for (zone, zone_goal) in zones.values().zip(fill(&parties, total, rule)) {
        let in_zone = fill(&zone.parties, zone_goal, rule);
        zone.members.iter().zip(in_zone).for_each(|(member, goal)| goals[*member] = goal);
    }
    goals
}

/// What each member weighs in the apportionment.
pub(super) fn weights(members: &[Member]) -> Vec<u64> {
    let takes = |member: &Member| member.standing == Standing::Taking;
    let some_weigh = members.iter().any(|member| takes(member) && member.weight > 0);
    let weight = |member: &Member| match (takes(member), some_weigh) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => u64::from(member.weight.min(WEIGHT_MAX)),
    };
    members.iter().map(weight).collect()
}

/// Members that share a part among themselves.
#[derive(Debug, Default)]
struct Zone {
    members: Vec<MemberIndex>,
    parties: Vec<Party>,
}

impl Zone {
    /// The zone as one of many, which all weigh alike.
    fn as_party(&self) -> Party {
        let sum = |of: fn(&Party) -> u64| self.parties.iter().map(of).sum();
        Party {
            weight: u64::from(self.parties.iter().any(|party| party.weight > 0)),
            holding: Holding {
                load: sum(|party| party.holding.load),
                floor: sum(|party| party.holding.floor),
            },
        }
    }
}

/// Someone who gets a part.
#[derive(Clone, Copy, Debug)]
struct Party {
    weight: u64,
    holding: Holding,
}

/// Gives each its part by weight, or its floor if that is more, which leaves less for the others.
fn fill(parties: &[Party], total: u64, rule: Rule) -> Vec<u64> {
    // 128 bits hold any product here, and no quotient exceeds `total`.
    let wide = |number: u64| u128::from(number);
    let floor = |i: usize| parties[i].holding.floor;
    let weight = |i: usize| parties[i].weight;
    let mut goals: Vec<u64> = (0..parties.len()).map(floor).collect();

    let (mut open, closed): (Vec<usize>, Vec<usize>) =
        (0..parties.len()).partition(|i| weight(*i) > 0);
    let mut rest = total.saturating_sub(closed.into_iter().map(floor).sum());
    let mut weights: u64 = open.iter().map(|i| weight(*i)).sum();
    // Whoever has the highest floor for its weight is the first to exceed its part; with its floor
    // set aside the parts of the others shrink, so that the next one may exceed its own.
    open.sort_unstable_by(|a, b| {
        let (a_floor, b_floor) =
            (wide(floor(*a)) * wide(weight(*b)), wide(floor(*b)) * wide(weight(*a)));
        a_floor.cmp(&b_floor).then(a.cmp(b))
    });
    while let Some(i) = open.last().copied()
        && wide(floor(i)) * wide(weights) > wide(rest) * wide(weight(i))
    {
        open.pop();
        rest = rest.saturating_sub(floor(i));
        weights -= weight(i);
    }

    // The remainders sum to `weights` times the units left over, and each is below `weights`: so
    // there are always more parties with a remainder than units left over.
    let mut left_over = rest;
    let mut queue = Vec::with_capacity(open.len());
    for i in open {
        let product = wide(rest) * wide(weight(i));
        let whole = (product / wide(weights)) as u64;
        let remainder = product % wide(weights);
        goals[i] = whole;
        left_over -= whole;
        if remainder > 0 {
            let favoured = rule.favour_holders && parties[i].holding.load > whole;
            queue.push((Reverse((favoured, remainder)), i));
        }
    }
    queue.sort_unstable();
    queue.into_iter().take(left_over as usize).for_each(|(_, i)| goals[i] += 1);
    goals
}
