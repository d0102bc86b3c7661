//! The actors of a node, as ownership sees them.

use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use greenroom_cluster::Activations;
use greenroom_core::ShardId;

use crate::activation::Hosted;

/// The kinds that a node hosts, as ownership sees them.
#[derive(Clone, Default)]
pub(super) struct Kinds(Arc<OnceLock<Vec<Arc<dyn Hosted>>>>);

impl Kinds {
    pub(super) fn fill(&self, kinds: Vec<Arc<dyn Hosted>>) {
        let _ = self.0.set(kinds);
    }

    pub(super) fn all(&self) -> Vec<Arc<dyn Hosted>> {
        self.0.get().cloned().unwrap_or_default()
    }
}

impl Activations for Kinds {
    fn deactivate(&self, shard: ShardId) -> Option<BoxFuture<'static, ()>> {
        let kinds = self.0.get()?;
        let farewells: Vec<_> =
            kinds.iter().filter_map(|kind| kind.deactivate_shard(shard)).collect();
        if farewells.is_empty() {
            return None;
        }
        Some(Box::pin(async move {
            futures_util::future::join_all(farewells).await;
        }))
    }

    fn drop_all(&self) {
        for kind in self.0.get().into_iter().flatten() {
            kind.drop_all();
        }
    }
}
