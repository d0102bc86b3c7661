//! What an operator sees of a cluster: who leads, which nodes there are, and where each shard is.
//!
//! The principal type is [`ClusterView`]: the picture that one node has of its cluster, fetched
//! over the wire, with pure functions that count and sort what it shows. [`peek`] asks where one
//! actor lives without activating it. The command `greenroom` prints both.
//!
//! What this crate must never do:
//!
//! - **Know a cluster by another way than the wire.** It opens no store and links no code of a
//!   node, so that it works with any node that speaks the same protocol.
//! - **Change anything.** It only asks.
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

mod client;
mod convert;
mod error;
mod node;
mod shard;
mod tally;
mod view;

pub use client::{ANSWER_BYTES_MAX, CONNECT_TIMEOUT, REQUEST_TIMEOUT, peek};
pub use convert::Malformed;
pub use error::InspectError;
pub use node::{Life, Node, NodeState};
pub use shard::{Placement, Shard, ShardCondition};
pub use tally::{Share, Totals};
pub use view::ClusterView;
