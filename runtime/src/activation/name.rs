//! Which actor a call is for, as its caller names it.

use std::sync::Arc;

use greenroom_core::ActorId;

/// The name of an actor that may not be in memory. Both forms are known to be good names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name<'a> {
    /// From an address.
    Known(&'a ActorId),
    /// From the wire, where it still stands.
    Written {
        /// Of a kind that is hosted here.
        kind: &'a str,
        /// Checked.
        key: &'a str,
    },
}

impl Name<'_> {
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Known(id) => id.key(),
            Self::Written { key, .. } => key,
        }
    }

    /// The name itself, for an actor of the kind.
    pub(crate) fn id(&self, shared_kind: &Arc<str>) -> ActorId {
        match self {
            Self::Known(id) => (*id).clone(),
            Self::Written { kind, key } => {
                debug_assert_eq!(*kind, &**shared_kind);
                ActorId::new(Arc::clone(shared_kind), *key).expect("the name was checked")
            }
        }
    }
}
