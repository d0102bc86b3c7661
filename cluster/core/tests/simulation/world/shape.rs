//! What a simulated cluster is made of.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use greenroom_core::planner::{Policy, Strategy};
use greenroom_core::record::NodeProfile;
use greenroom_core::{GROUP_DEFAULT, ShardId, Timing};

/// Shards of each group.
pub(crate) const SHARDS: u32 = 32;
/// Name of the second group.
pub(crate) const SECOND_GROUP: &str = "second";

/// Times short enough for much to happen in a short run.
pub(crate) const TIMING: Timing = Timing {
    window: Duration::from_millis(2000),
    heartbeat: Duration::from_millis(300),
    margin: Duration::from_millis(250),
};
/// How long a shard may wait in one phase, with those.
pub(crate) const MIGRATION_TIMEOUT: Duration = Duration::from_millis(2500);

/// What a simulated cluster is made of.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) timing: Timing,
    /// Shards of each group.
    pub(crate) shards: u32,
    pub(crate) policy: Policy,
    pub(crate) profiles: Vec<NodeProfile>,
}

impl Shape {
    /// Nodes of weight 1 that all host the one kind of the one group.
    pub(crate) fn plain(nodes: usize) -> Self {
        let policy = Policy {
            stability: Duration::from_millis(1500),
            batch_len_max: 8,
            node_moves_max: 6,
            imbalance_threshold_permille: 50,
            strategy: Strategy::Count,
            spread_zones: false,
            move_gain_permille: 0,
        };
        let profiles = (0..nodes).map(|place| profile(place, 1, &["a"])).collect();
        Self { timing: TIMING, shards: SHARDS, policy, profiles }
    }

    /// Two groups, weights, zones and labels.
    pub(crate) fn mixed(rng: &mut Rng) -> Self {
        let hosted: [&[&str]; 4] = [&["a", "b"], &["a", "b"], &["a"], &["b"]];
        let mut shape = Self::plain(hosted.len());
        // Few enough for many runs, enough for several to each node.
        shape.shards = rng.u32(6..=20);
        shape.policy.spread_zones = rng.u32(..4) == 0;
        if rng.bool() {
            // As nodes have them by default.
            shape.timing = Timing::default();
            shape.policy.stability *= shape.slowness();
        }
        for (place, kinds) in hosted.into_iter().enumerate() {
            let mut profile = profile(place, rng.u32(1..=3), kinds);
            profile.zone = format!("zone-{}", place % 3);
            if place < 2 {
                profile.labels.insert("disk".into(), "ssd".into());
            }
            shape.profiles[place] = profile;
        }
        shape
    }

    /// How many times longer everything takes than with [`TIMING`].
    pub(crate) fn slowness(&self) -> u32 {
        u32::try_from(self.timing.window_ms() / TIMING.window_ms()).unwrap_or(u32::MAX)
    }

    /// How long a shard may wait in one phase.
    pub(crate) fn migration_timeout(&self) -> Duration {
        MIGRATION_TIMEOUT * self.slowness()
    }

    /// Which group each kind belongs to that isn't in the default one.
    pub(crate) fn groups(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("b".to_owned(), SECOND_GROUP.to_owned())])
    }

    /// The names of the groups, each at its index.
    pub(crate) fn group_names(&self) -> Vec<&'static str> {
        let has_second = self.profiles.iter().any(|profile| profile.kinds.iter().any(|k| k == "b"));
        if has_second { vec![GROUP_DEFAULT, SECOND_GROUP] } else { vec![GROUP_DEFAULT] }
    }

    /// All shards of all groups.
    pub(crate) fn all_shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.shards * self.group_names().len() as u32).map(ShardId)
    }
}

/// What the node at this place brings.
fn profile(place: usize, weight: u32, kinds: &[&str]) -> NodeProfile {
    NodeProfile {
        peer_address: format!("10.0.0.{place}:7000"),
        weight,
        kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        ..NodeProfile::default()
    }
}
