//! What a simulated node gets from its simulation, where a real one asks its machine.

use std::fmt::Debug;

use greenroom_core::Moment;

/// The machine of a simulated node. Time and network of a simulation are of one thread, so the heart
/// of such a node beats on the runtime that the node was started on, and not on a thread of its own.
pub trait Simulation: Debug + Send + Sync + 'static {
    /// The node's clock, which never goes back.
    fn moment(&self) -> Moment;

    /// Whether whoever connects to this `host:port` from the node is actively refused.
    fn is_refused(&self, address: &str) -> bool;
}
