//! The local gate: one read-write lock for each shard, in one compact table.
//!
//! A node answers calls of a shard only between the moment in which it takes the shard and the
//! moment in which it gives it away. [`Gates`], the principal type, draws that line. A turn enters
//! and holds a [`Permit`], which carries the epoch of the shard. Whoever takes or gives the shard
//! holds a [`WriteGuard`]: nobody is inside then. A handoff closes the gate, which stops new turns
//! at once, and waits until the running ones are done or its deadline has passed. Permits that are
//! still out at the deadline are *revoked*: the turn that holds one can see it with
//! [`Permit::is_valid`], and its return no longer counts. Guards are revoked too, when they are held
//! for longer than the table [allows](Options::hold_max).
//!
//! What this crate must never do:
//!
//! - **Wait on the call path.** Entering, leaving and asking for validity are a few atomic
//!   operations on one word. Only the last permit that leaves a gate that a writer waits for takes a
//!   lock, to let it in.
//! - **Wait without an end.** Whoever waits has a deadline, and whoever is waited for may be revoked.
//! - **Know what an actor is.** It knows shards, by number, and epochs. Who owns a shard, and what
//!   runs under a permit, is decided elsewhere.
//! - **Be the last line of defence.** A permit can be revoked right after it was found valid. The
//!   epoch that it carries must go with every durable write, where the store compares it.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use greenroom_shardlock::{Gates, Refused};
//! use tokio::time::Instant;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let gates = Arc::new(Gates::new(64));
//! gates.open(7, 1)?;
//!
//! // A turn takes its permit along into a task.
//! let permit = gates.enter(7)?.into_owned(&gates);
//! let turn = tokio::spawn(async move { permit.epoch() });
//!
//! // The handoff closes the gate at once, then waits for the turn.
//! let handoff = gates.close(7, "handoff", Instant::now() + Duration::from_secs(5));
//! assert_eq!(gates.enter(7).err(), Some(Refused::Closed));
//! let guard = handoff.await?;
//! assert_eq!(guard.revoked_permits(), 0);
//! assert_eq!(turn.await?, 1);
//!
//! // Whoever holds the guard may open the gate again, here with the next epoch.
//! guard.open(2)?;
//! drop(guard);
//! assert_eq!(gates.enter(7)?.epoch(), 2);
//! # Ok(())
//! # }
//! ```

mod counts;
mod desk;
mod errors;
mod gate;
mod gates;
mod guard;
mod options;
mod patience;
mod permit;
mod queue;
mod reading;
mod state;
mod sync;
mod waiting;
mod word;
mod writing;

pub use counts::Counts;
pub use errors::{Blocker, OpenError, Refused, Revoked, WriteError};
pub use gates::Gates;
pub use guard::WriteGuard;
pub use options::{OnWait, Options, Side, Wait, WaitEnd};
pub use permit::{OwnedPermit, Permit};
pub use state::GateState;
pub use word::PERMITS_MAX;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
