//! The local gate: one gate for each shard, in one compact table.
//!
//! A node answers calls of a shard only between the moment in which it takes the shard and the
//! moment in which it gives it away. [`Gates`], the principal type, draws that line. A turn enters
//! and holds a [`Permit`]; a handoff closes the gate, which stops new turns at once, and then waits
//! until the running ones are done or its deadline has passed. Permits that are still out at the
//! deadline are *revoked*: the turn that holds one can see it with [`Permit::is_valid`], and its
//! return no longer counts.
//!
//! What this crate must never do:
//!
//! - **Wait on the call path.** Entering, leaving and asking for validity are a few atomic
//!   operations on one word. Only the last permit that leaves a closed gate takes a lock, to wake
//!   whoever closed it.
//! - **Know what an actor is.** It knows shards, by number, and epochs. Who owns a shard, and what
//!   runs under a permit, is decided elsewhere.
//! - **Be the last line of defence.** A permit can be revoked right after it was found valid. The
//!   epoch that it carries must go with every durable write, where the store compares it.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use greenroom_shardlock::{Closed, Gates, Refused};
//! use tokio::time::Instant;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let gates = Arc::new(Gates::new(64));
//! gates.open(7, 1)?;
//!
//! // A turn takes its permit along into a task.
//! let permit = gates.enter_owned(7)?;
//! let turn = tokio::spawn(async move { permit.epoch() });
//!
//! // The handoff closes the gate at once, then waits for the turn.
//! let closing = gates.close(7, Instant::now() + Duration::from_secs(5));
//! assert_eq!(gates.enter(7).err(), Some(Refused::Closed));
//! assert_eq!(closing.await, Closed::Drained);
//! assert_eq!(turn.await?, 1);
//! # Ok(())
//! # }
//! ```

mod closers;
mod errors;
mod gate;
mod gates;
mod permit;
mod state;
mod word;

pub use errors::{OpenError, Refused};
pub use gates::Gates;
pub use permit::{OwnedPermit, Permit};
pub use state::{Closed, GateState};
pub use word::PERMITS_MAX;
