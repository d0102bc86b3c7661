//! A store of durable state beside etcd: it knows nothing of owners, but refuses what comes under an
//! older epoch than it has seen. An activation shows its epoch when it loads, so that whoever loads
//! shuts all former ones out.

use std::collections::BTreeMap;

use greenroom_core::{Epoch, ShardId};

/// Under what a state is loaded and written: the epoch of the shard, and which of its activations
/// under that epoch it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fence {
    pub(crate) epoch: Epoch,
    pub(crate) activation: u64,
}

/// The state of one actor a shard: a number that only grows.
#[derive(Debug, Default)]
struct State {
    fence: Fence,
    value: u64,
}

/// All states.
#[derive(Debug, Default)]
pub(crate) struct States {
    held: BTreeMap<ShardId, State>,
}

impl States {
    /// Loads a state and shuts out all older ones; `None` when a newer one did that already.
    pub(super) fn load(&mut self, shard: ShardId, fence: Fence) -> Option<u64> {
        let state = self.held.entry(shard).or_default();
        if fence < state.fence {
            return None;
        }
        state.fence = fence;
        Some(state.value)
    }

    /// Writes a state, unless a newer activation has shown itself.
    pub(super) fn write(&mut self, shard: ShardId, fence: Fence, value: u64) -> bool {
        let state = self.held.entry(shard).or_default();
        if fence < state.fence {
            return false;
        }
        state.fence = fence;
        state.value = value;
        true
    }
}
