//! Shards on their way: for how long, in which phase, and who did not take what it was given.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::time::Moment;
use crate::view::View;
use crate::{NodeId, ShardId};

/// For how many migration time-outs a node that claimed nothing is given nothing new, and a shard
/// is not given again to the node that did not claim it.
const UNABLE_FOR_TIMEOUTS: u32 = 4;

/// What a shard on its way waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MotionPhase {
    /// Its owner must end its turns and release it.
    Releasing,
    /// Nobody owns it; its target must claim it.
    Claiming,
    /// Nobody owns it, and it has no live target.
    Orphaned,
}

impl MotionPhase {
    /// The written name, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Releasing => "releasing",
            Self::Claiming => "claiming",
            Self::Orphaned => "orphaned",
        }
    }
}

impl fmt::Display for MotionPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A shard that is not where it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Motion {
    /// Since when this node has seen it on its way, through all phases.
    pub since: Moment,
    /// Its live owner.
    pub from: Option<NodeId>,
    /// Its live target.
    pub to: Option<NodeId>,
    /// Since when it has had this owner and this target.
    pub phase_since: Moment,
    /// When it was last reported as stuck.
    told: Option<Moment>,
}

impl Motion {
    /// What it waits for.
    pub fn phase(&self) -> MotionPhase {
        match (&self.from, &self.to) {
            (Some(_), _) => MotionPhase::Releasing,
            (None, Some(_)) => MotionPhase::Claiming,
            (None, None) => MotionPhase::Orphaned,
        }
    }
}

/// Shards that wait for the same for too long. Prints as "shards 7, 8 are stuck claiming on the way
/// from nobody to node-2".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// Which; at least one.
    pub shards: Vec<ShardId>,
    /// Their live owner.
    pub from: Option<NodeId>,
    /// Their live target.
    pub to: Option<NodeId>,
    /// What they wait for.
    pub phase: MotionPhase,
}

/// Most shards that are named in one sentence.
const NAMED_MAX: usize = 8;

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            |node: &Option<NodeId>| node.as_ref().map_or("nobody", NodeId::as_str).to_owned();
        let named: Vec<_> = self.shards.iter().take(NAMED_MAX).map(ToString::to_string).collect();
        match (self.shards.len(), self.shards.len() - named.len()) {
            (1, _) => write!(f, "shard {} is", named[0])?,
            (_, 0) => write!(f, "shards {} are", named.join(", "))?,
            (_, more) => write!(f, "shards {} and {more} more are", named.join(", "))?,
        }
        write!(
            f,
            " stuck {} on the way from {} to {}",
            self.phase,
            name(&self.from),
            name(&self.to)
        )
    }
}

/// All shards on their way, and the nodes that let them wait.
#[derive(Debug, Default)]
pub(super) struct Motions {
    moving: BTreeMap<ShardId, Motion>,
    /// Targets that did not claim a shard in time, and when that was found. A shard that is served
    /// elsewhere meanwhile goes on to avoid its target: else a pin would send it there at once, and
    /// it would be without an owner for most of the time.
    avoid: BTreeMap<ShardId, (NodeId, Moment)>,
    /// When each node last claimed a shard.
    claimed: BTreeMap<NodeId, Moment>,
    /// Nodes that were found unable to claim, and when.
    unable: BTreeMap<NodeId, Moment>,
    changes: u64,
}

impl Motions {
    /// Looks at a shard whose record, owner or target may have changed. Answers for how long it
    /// was on its way, when it has just arrived.
    pub(super) fn observe(&mut self, view: &View, shard: ShardId, now: Moment) -> Option<Duration> {
        let record = &view.shard(shard).record;
        let from = view.live_owner(shard).map(|(life, _)| &life.node);
        let to = record.target.as_ref().filter(|target| view.member(target).is_some());
        if from.is_some() && (from == record.target.as_ref() || to.is_none()) {
            let arrived = self.moving.remove(&shard)?;
            self.changes += 1;
            let owner = from.cloned()?;
            if self.avoid.get(&shard).is_some_and(|(avoided, _)| *avoided == owner) {
                self.avoid.remove(&shard);
            }
            if arrived.from.as_ref() != Some(&owner) {
                self.claimed.insert(owner, now);
                return Some(now.since(arrived.since));
            }
            return None;
        }
        let fresh = || Motion {
            since: now,
            from: from.cloned(),
            to: to.cloned(),
            phase_since: now,
            told: None,
        };
        let motion = self.moving.entry(shard).or_insert_with(fresh);
        if motion.from.as_ref() != from || motion.to.as_ref() != to {
            *motion = Motion { since: motion.since, ..fresh() };
        }
        None
    }

    /// The shards that have waited in one phase for longer than `timeout` and were not reported
    /// for as long. A target that did not claim one is avoided from now on.
    ///
    /// Orphans are left out of which `homeless` says that no node may own them: that is told
    /// otherwise, and no time-out changes it.
    pub(super) fn stuck(
        &mut self,
        now: Moment,
        timeout: Duration,
        homeless: impl Fn(ShardId) -> bool,
    ) -> Vec<(ShardId, Motion)> {
        let late = self.moving.iter_mut().filter(|(shard, motion)| {
            let waits_since = motion.told.unwrap_or(motion.phase_since);
            now.since(waits_since) >= timeout
                && !(motion.phase() == MotionPhase::Orphaned && homeless(**shard))
        });
        let stuck: Vec<_> = late
            .map(|(shard, motion)| {
                motion.told = Some(now);
                (*shard, motion.clone())
            })
            .collect();
        self.changes += stuck.len() as u64;
        for (shard, motion) in &stuck {
            if let (MotionPhase::Claiming, Some(target)) = (motion.phase(), &motion.to) {
                self.avoid.insert(*shard, (target.clone(), now));
                let claimed = self.claimed.get(target);
                if claimed.is_none_or(|claimed| *claimed < motion.phase_since) {
                    self.unable.insert(target.clone(), now);
                }
            }
        }
        stuck
    }

    /// The target that did not claim this shard in time, and not long ago.
    pub(super) fn avoided(
        &self,
        shard: ShardId,
        now: Moment,
        timeout: Duration,
    ) -> Option<&NodeId> {
        let (target, found) = self.avoid.get(&shard)?;
        (now < able_from(*found, timeout)).then_some(target)
    }

    /// Whether a node claimed nothing of what it was given, and has not claimed anything since.
    pub(super) fn is_unable(&self, node: &NodeId, now: Moment, timeout: Duration) -> bool {
        let Some(found) = self.unable.get(node) else { return false };
        let claimed = self.claimed.get(node).is_some_and(|claimed| claimed > found);
        !claimed && now < able_from(*found, timeout)
    }

    /// When the next of the nodes that were found unable, or are avoided by a shard, may be given
    /// shards again, if none claims any before.
    pub(super) fn next_able(&self, now: Moment, timeout: Duration) -> Option<Moment> {
        let found = self.unable.values().chain(self.avoid.values().map(|(_, found)| found));
        let able = found.map(|found| able_from(*found, timeout));
        able.filter(|able| now < *able).min()
    }

    /// How often what [`Motions::avoided`] and [`Motions::is_unable`] answer may have changed, but
    /// for time.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// A node that begins a life has a clean slate.
    pub(super) fn forgive(&mut self, node: &NodeId) {
        self.changes += 1;
        self.unable.remove(node);
        self.avoid.retain(|_, (avoided, _)| avoided != node);
    }

    /// What nodes did that are no members any more is of no use.
    pub(super) fn forget_all_but(&mut self, view: &View) {
        self.changes += 1;
        self.claimed.retain(|node, _| view.member(node).is_some());
        self.unable.retain(|node, _| view.member(node).is_some());
        self.avoid.retain(|_, (node, _)| view.member(node).is_some());
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ShardId, &Motion)> {
        self.moving.iter().map(|(shard, motion)| (*shard, motion))
    }
}

/// From when a node may be given again what it was found not to claim.
fn able_from(found: Moment, timeout: Duration) -> Moment {
    found.after(timeout * UNABLE_FOR_TIMEOUTS)
}

#[cfg(test)]
mod tests;
