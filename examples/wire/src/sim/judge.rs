//! What must hold at every instant, looked at from outside.
//!
//! Proves: C16, C19, P1

use std::collections::BTreeMap;

use super::SHARDS;
use super::node::Seat;

/// Turns of all nodes: what was acknowledged under an older epoch, after one of a newer had begun,
/// was acknowledged by a node that owned nothing any more.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    newest: BTreeMap<u32, u64>,
    pub(crate) acknowledged: u64,
    /// Those that lost their shard, or their node its right, while they ran.
    pub(crate) fenced: u64,
    pub(crate) violations: Vec<String>,
}

impl Turns {
    pub(crate) fn begin(&mut self, shard: u32, epoch: u64) {
        let newest = self.newest.entry(shard).or_default();
        *newest = epoch.max(*newest);
    }

    pub(crate) fn acknowledge(&mut self, shard: u32, epoch: u64) {
        self.acknowledged += 1;
        let newest = self.newest.get(&shard).copied().unwrap_or_default();
        if epoch < newest {
            let what = format!(
                "shard {shard}: a turn of epoch {epoch} was acknowledged after one of {newest} began"
            );
            self.violations.push(what);
        }
    }
}

/// Who serves which shard.
#[derive(Debug, Default)]
pub(crate) struct Served {
    /// The greatest epoch that a shard was ever served at, and by whom.
    epochs: BTreeMap<u32, (u64, usize)>,
}

impl Served {
    /// Looks at all shards: whoever passes the gate and has the right to run owns it. Answers with
    /// how many shards are served.
    pub(crate) fn look(&mut self, seats: &[Seat], violations: &mut Vec<String>) -> usize {
        let nodes: Vec<_> = seats.iter().map(|seat| seat.lock().clone()).collect();
        let with_right: Vec<_> = nodes
            .iter()
            .enumerate()
            .filter_map(|(number, node)| Some((number, node.as_ref()?)))
            .filter(|(_, node)| node.cluster.right().holds())
            .collect();
        let mut served = 0;
        for shard in 0..SHARDS {
            let mut owners = with_right.iter().filter_map(|(number, node)| {
                let permit = node.gates.enter(shard).ok()?;
                Some((*number, permit.epoch()))
            });
            let Some((number, epoch)) = owners.next() else { continue };
            served += 1;
            if let Some((other, newer)) = owners.next() {
                violations.push(format!(
                    "shard {shard}: n{number} at epoch {epoch} and n{other} at epoch {newer} both \
                     pass the ownership check"
                ));
            }
            let (newest, server) = *self.epochs.entry(shard).or_insert((epoch, number));
            if epoch < newest || (epoch == newest && number != server) {
                violations.push(format!(
                    "shard {shard}: n{number} serves epoch {epoch} after n{server} served {newest}"
                ));
            }
            self.epochs.insert(shard, (epoch, number));
        }
        served
    }
}
