//! Who owns which shard: the shell around the decisions of `greenroom-core`.
//!
//! The principal type is [`Cluster`], a node's membership: it joins, keeps the heartbeat going,
//! claims and releases shards through a [`store::Store`], opens and closes gates, and keeps the
//! [`Routes`] by which calls find their node. This crate must never decide anything about
//! ownership by itself: decisions are the core's, this crate carries them out. It knows shards
//! and lives, no actors and no calls.

mod clock;
mod cluster;
mod codec;
mod connect;
mod driver;
mod heart;
pub mod metrics;
mod options;
mod probe;
mod pulse;
mod quiet;
mod right;
mod routing;
mod simulation;
mod status;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod told;
mod watcher;

pub use clock::wall_ms;
pub use cluster::{Activations, Cluster};
pub use connect::StoreConfig;
pub use options::{ClusterError, ClusterOptions, gates};
pub use right::RightToRun;
pub use routing::{Owner, Route, Routes};
pub use simulation::Simulation;
pub use status::{Hosted, Leader, Status, StatusPhase};
