//! What was so before a fault, and whether all is served again.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{PATIENCE, Stage};
use crate::Result;
use crate::clock::machine_ns;
use crate::records::{Life, State};
use crate::shard::{SHARDS, shard_of};

/// Keys of each owner that are asked for after a fault.
const PROBES_PER_OWNER: usize = 3;
/// Calls that waited for a node without which its pause or cut proves nothing.
const WAITED_MIN: usize = 20;
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

/// What was so just before a fault.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The moment before it, on [`machine_ns`].
    pub began_ns: u64,
    /// The last revision before it, as far as was seen.
    pub revision: u64,
    /// Who owned each shard.
    pub owners: HashMap<u32, Life>,
    /// A few keys of each owner's shards.
    probes: Vec<String>,
}

impl Fault {
    /// How many shards a node owned.
    #[must_use]
    pub fn owned_by(&self, node: &str) -> usize {
        self.owners.values().filter(|owner| owner.node == node).count()
    }

    /// Whether a key belonged to a node.
    #[must_use]
    pub fn is_of(&self, key: &str, node: &str) -> bool {
        self.owners.get(&shard_of(key)).is_some_and(|owner| owner.node == node)
    }
}

impl Stage {
    /// Notes what is so now: the next thing that the scenario does is the fault.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let (revision, owners) = self.mirror.look(|state| (state.revision, owners(state)));
        let mut probes = Vec::new();
        let mut missing: BTreeMap<&Life, usize> =
            owners.values().map(|owner| (owner, PROBES_PER_OWNER)).collect();
        for key in (0..SHARDS).map(|number| format!("probe-{number}")) {
            let owner = owners.get(&shard_of(&key));
            let Some(missing) = owner.and_then(|owner| missing.get_mut(owner)) else { continue };
            if *missing > 0 {
                *missing -= 1;
                probes.push(key);
            }
        }
        Fault { began_ns: machine_ns(), revision, owners, probes }
    }

    /// Waits until every shard is owned by a live node, none by the lives that are `gone`, and a
    /// few keys of every former owner are answered; how long that took since `from_ns`.
    ///
    /// # Errors
    /// When it doesn't within [`PATIENCE`].
    pub async fn recovered(&self, fault: &Fault, gone: &[Life], from_ns: u64) -> Result<Duration> {
        let whole = |state: &State| is_whole(state, gone);
        self.mirror.wait("all shards are owned by live nodes", PATIENCE, whole).await?;
        let mut probes = JoinSet::new();
        for key in fault.probes.clone() {
            let caller = self.caller().clone();
            probes.spawn(async move {
                let began = Instant::now();
                while !caller.probe(&key, PROBE_TIMEOUT).await {
                    if began.elapsed() > PATIENCE {
                        return Err(format!("{key} is not served"));
                    }
                }
                Ok(machine_ns())
            });
        }
        let mut last = from_ns;
        while let Some(answered) = probes.join_next().await {
            last = last.max(answered??);
        }
        Ok(Duration::from_nanos(last - from_ns))
    }

    /// Makes it a condition that calls had to wait for a node: so many of those on its keys that
    /// were made between the fault and `healed_ns` ended only after that, or in doubt.
    pub fn require_waited(&mut self, fault: &Fault, node: &str, healed_ns: u64) {
        let book = self.caller().book();
        let waited = book.iter().filter(|call| {
            let during = call.sent_ns >= fault.began_ns && call.sent_ns < healed_ns;
            let waited = call.answered_ns >= healed_ns || call.in_doubt();
            during && waited && !call.is_probe && fault.is_of(&call.key, node)
        });
        let waited = waited.count();
        self.require(waited >= WAITED_MIN, format!("only {waited} calls waited for {node}"));
        self.note(format!("{waited} calls waited for {node}"));
    }
}

pub(super) fn owners(state: &State) -> HashMap<u32, Life> {
    let owners = state.shards.iter().filter_map(|(name, shard)| {
        let number = name.rsplit_once('/')?.1.parse().ok()?;
        Some((number, state.live_owner(shard)?))
    });
    owners.collect()
}

fn is_whole(state: &State, gone: &[Life]) -> bool {
    let served = |shard| state.live_owner(shard).is_some_and(|owner| !gone.contains(&owner));
    state.shards.len() == SHARDS as usize && state.shards.values().all(served)
}
