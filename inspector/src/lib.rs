//! What an operator sees of a cluster: who leads, which nodes there are, and where each shard is.
//!
//! The principal type is [`ClusterView`]: the picture that one node has of its cluster, fetched
//! over the wire, with pure functions that count and sort what it shows. [`peek`] asks where one
//! actor lives without activating it, [`decisions`] what a leader decided and why, and [`export`]
//! for the cluster as a document, which [`diff`] compares with another. [`Operator`] tells a cluster
//! what to do. The command `greenroom` does all of that from a terminal, and [`page`] serves it to
//! browsers.
//!
//! What this crate must never do:
//!
//! - **Know a cluster by another way than the wire.** It opens no store and links no code of a
//!   node, so that it works with any node that speaks the same protocol.
//! - **Change anything unless told to.** Only [`Operator`] changes things, each method one, and only
//!   with the operators' token; it decides nothing by itself and repeats nothing.
//! - **Mix intent and observation.** A shard's target is what the leader wants, its owner is what
//!   the owner itself wrote; both are shown as they are.
//!
//! ```no_run
//! use greenroom_inspector::{ClusterView, InspectError};
//!
//! # async fn show() -> Result<(), InspectError> {
//! let view = ClusterView::fetch("127.0.0.1:7400").await?;
//! for (node, share) in view.shares() {
//!     println!("{node} owns {} shards and should own {}", share.owned, share.targeted);
//! }
//! # Ok(())
//! # }
//! ```

mod ask;
pub mod call;
mod client;
mod convert;
mod decision;
mod error;
mod filter;
#[doc(hidden)]
pub mod fuzzing;
mod group;
pub mod json;
mod load;
mod log_level;
mod node;
mod order;
pub mod page;
#[cfg(test)]
mod samples;
mod shard;
mod tally;
mod topology;
mod view;

pub use ask::{WHY_DECISIONS_MAX, decisions, export, loads, log_level, peek, what_if};
pub use client::{ANSWER_BYTES_MAX, CONNECT_TIMEOUT, REQUEST_TIMEOUT};
pub use convert::Malformed;
pub use decision::{DecidedMove, Decision, Decisions};
pub use error::InspectError;
pub use filter::ShardFilter;
/// The cluster as a document; its JSON is the file that operators keep.
pub use greenroom_proto::v1::Topology;
/// What is supposed to be otherwise, and what would become of it.
pub use greenroom_proto::v1::{
    Forecast, ForecastMoves, SupposedNode, SupposedPin, SupposedWeight, WhatIfReply, WhatIfRequest,
};
pub use group::{BadShardSpan, Group, ShardSpan, UnknownShard};
pub use load::{Loads, ShardLoad};
pub use log_level::LogLevel;
pub use node::{Life, Node, NodeState};
pub use order::{BadToken, ORDER_TIMEOUT, Operator, OperatorToken, Order};
pub use shard::{Placement, Shard, ShardCondition};
pub use tally::{Share, Totals};
pub use topology::{
    BadImport, BadTopology, Difference, Severity, ShardField, ShardList, diff, import,
    read_topology, write_topology,
};
pub use view::ClusterView;
