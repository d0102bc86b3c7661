//! What a node does when its actors become too many: it has room for so many, and so much memory;
//! [`policy`] says which idle ones must go first, and [`keeper`] bids them farewell.
//!
//! A call to an actor that is in memory knows nothing of all this, but for the note in the mailbox
//! when it was last called.

mod keeper;
mod memory;
mod policy;
mod room;

use greenroom_cluster::metrics::{ACTIVATIONS_REFUSED, PASSIVATIONS};
use greenroom_core::NodeId;
use metrics::{Counter, SharedString};

pub(crate) use keeper::{Evict, Victim, keep, shed};
pub(crate) use memory::Memory;
pub(crate) use policy::{Clock, Coldest, Usage};
pub(crate) use room::{Place, Room, Rooms, Scarce};

use crate::actor::DeactivateReason;

/// Why an idle actor goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Its kind's idle time-out has passed.
    Idle,
    /// There are as many actors as there may be.
    Cap,
    /// Memory is short.
    Memory,
}

impl Why {
    /// What the actor is told.
    pub(crate) fn reason(self) -> DeactivateReason {
        match self {
            Self::Idle => DeactivateReason::Idle,
            Self::Cap | Self::Memory => DeactivateReason::Pressure,
        }
    }
}

/// What is counted of a kind's comings and goings.
pub(crate) struct Told {
    idle: Counter,
    cap: Counter,
    memory: Counter,
    refused_by_node: Counter,
    refused_by_kind: Counter,
    refused_by_memory: Counter,
}

impl Told {
    pub(crate) fn of(node: &NodeId, kind: &'static str) -> Self {
        let node = SharedString::from(node.as_str().to_owned());
        let gone = |why: &'static str| PASSIVATIONS.counter(&node, &[kind.into(), why.into()]);
        let refused =
            |by: &'static str| ACTIVATIONS_REFUSED.counter(&node, &[kind.into(), by.into()]);
        Self {
            idle: gone("idle"),
            cap: gone("cap"),
            memory: gone("memory"),
            refused_by_node: refused("node_cap"),
            refused_by_kind: refused("kind_cap"),
            refused_by_memory: refused("memory"),
        }
    }

    /// An actor has gone because it was idle.
    pub(crate) fn gone(&self, why: Why) {
        match why {
            Why::Idle => self.idle.increment(1),
            Why::Cap => self.cap.increment(1),
            Why::Memory => self.memory.increment(1),
        }
    }

    /// An activation was refused.
    pub(crate) fn refused(&self, scarce: Scarce) {
        match scarce {
            Scarce::OnNode => self.refused_by_node.increment(1),
            Scarce::OfKind => self.refused_by_kind.increment(1),
            Scarce::Memory => self.refused_by_memory.increment(1),
        }
    }
}
