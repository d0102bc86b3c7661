//! What must hold at every instant, whatever goes wrong.

mod acknowledged;
mod deaths;
mod late_writes;
mod moves;
mod one_activation;
mod orders;
mod owned_or_moving;
mod pins;
mod terms;

use std::collections::BTreeMap;

use greenroom_core::{Epoch, Life, ShardId};

pub(super) use one_activation::More;

/// What the checks remember.
#[derive(Debug, Default)]
pub(crate) struct Invariants {
    /// Who served a shard at an epoch.
    servers: BTreeMap<(ShardId, Epoch), Life>,
    /// Greatest epoch that a shard was ever served at.
    epochs: BTreeMap<ShardId, Epoch>,
    /// The newest epoch that the store of states was shown.
    shown: BTreeMap<ShardId, Epoch>,
    /// Who has shown an epoch to it.
    shown_by: BTreeMap<(ShardId, Epoch), Life>,
}
