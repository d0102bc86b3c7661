//! What must hold at every instant, whatever goes wrong.

mod deaths;
mod moves;
mod one_activation;
mod orders;

use std::collections::BTreeMap;

use greenroom_core::{Epoch, Life, ShardId};

/// What the checks remember.
#[derive(Debug, Default)]
pub(crate) struct Invariants {
    /// Who served a shard at an epoch.
    servers: BTreeMap<(ShardId, Epoch), Life>,
    /// Greatest epoch that a shard was ever served at.
    epochs: BTreeMap<ShardId, Epoch>,
}
