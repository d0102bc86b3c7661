//! What a move by load is worth, and why such moves come to an end.

use std::collections::BTreeMap;

use super::policy::{Policy, permille};
use super::problem::Problem;
use super::rebalance::Shares;
use super::shares::weights;
use super::survey::Survey;

/// A member as the source or the destination of a move by load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    pub(super) zone: u32,
    /// What it should have by weight and zone alone. It stands still while shards are rebalanced.
    pub(super) share: u64,
    /// What it should have, given where pinned and very large shards are.
    pub(super) goal: u64,
    pub(super) load: u64,
}

impl Side {
    /// How far it is above its goal; negative below.
    pub(super) fn off(&self) -> i64 {
        self.load as i64 - self.goal as i64
    }

    /// How far it is off its goal, for the size of that: in millionths.
    pub(super) fn relative(&self) -> u64 {
        let off = u128::from(self.off().unsigned_abs());
        u64::try_from(off * 1_000_000 / u128::from(self.goal.max(1))).unwrap_or(u64::MAX)
    }
}

/// Judges moves.
///
/// A move must lower one measure of the whole cluster, besides bringing its two members nearer to
/// their goals by enough. The measure is, in this order: the number of shards of members
/// without a share; the
/// sum over the zones of their load squared, if zones get equal parts; the sum over the members of
/// their load squared divided by their share. It depends on nothing but who has which shard. So no
/// state comes back, and rebalancing ends.
#[derive(Debug)]
pub(super) struct Gain {
    least: f64,
    /// The load of each zone, if they get equal parts.
    zones: Option<BTreeMap<u32, u64>>,
}

impl Gain {
    pub(super) fn new(
        problem: &Problem<'_>,
        policy: &Policy,
        survey: &Survey,
        shares: &Shares,
    ) -> Self {
        let sharing = weights(problem.members).iter().filter(|weight| **weight > 0).count() as u64;
        let total: u64 = shares.nominal.iter().sum();
        let zones = policy.spread_zones.then(|| {
            let mut zones = BTreeMap::new();
            for (member, holding) in problem.members.iter().zip(&survey.holdings) {
                *zones.entry(member.zone).or_default() += holding.load;
            }
            zones
        });
        Self { least: permille(total / sharing.max(1), policy.move_gain_permille) as f64, zones }
    }

    /// By how much sending so much load nets from one to the other brings the two nearer to their
    /// goals, if that is enough: the distance is that of the point (load of the one, load of the
    /// other) from the point of their goals.
    pub(super) fn of(&self, from: &Side, to: &Side, load: u64) -> Option<f64> {
        if !self.lowers_the_measure(from, to, load) {
            return None;
        }
        // Only multiplication, addition and square root, which are the same on every machine.
        let distance = |from: f64, to: f64| (from * from + to * to).sqrt();
        let (above, below, load) = (from.off() as f64, to.off() as f64, load as f64);
        let gain = distance(above, below) - distance(above - load, below + load);
        // Who has no share is to be emptied, not evened out.
        (gain > self.least || from.share == 0).then_some(gain)
    }

    fn lowers_the_measure(&self, from: &Side, to: &Side, load: u64) -> bool {
        if load == 0 || to.share == 0 {
            return false;
        }
        if from.share == 0 {
            return true;
        }
        if let Some(zones) = &self.zones
            && from.zone != to.zone
        {
            return zones[&from.zone] > zones[&to.zone] + load;
        }
        // load² / share falls by more at the one than it rises at the other; 128 bits hold it.
        let wide = |number: u64| i128::from(number);
        let slope = wide(from.load) * wide(to.share) - wide(to.load) * wide(from.share);
        wide(load) * (wide(from.share) + wide(to.share)) < 2 * slope
    }

    /// Notes that a load went from one zone to another.
    pub(super) fn note(&mut self, from: u32, to: u32, load: u32) {
        if let Some(zones) = &mut self.zones {
            *zones.entry(from).or_default() -= u64::from(load);
            *zones.entry(to).or_default() += u64::from(load);
        }
    }
}
