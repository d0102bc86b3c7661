//! Breaks real clusters of Greenroom, one fault at a time, and judges what they did.
//!
//! The principal type is [`stage::Stage`]: a real etcd, node processes, callers, and the faults
//! that a scenario puts on them. The [`scenarios`] and the cells of the [`matrix`] are run by the
//! binary `chaos`. What happened is
//! judged from outside, by what the nodes answered, what stands in etcd's history and what the
//! logs say: this crate must never ask the code under test whether it did well, and shares none
//! with `greenroom-core`.

pub mod calls;
pub mod clock;
pub mod expect;
pub mod hogs;
pub mod judge;
pub mod load;
pub mod matrix;
pub mod mirror;
pub mod process;
pub mod proxy;
pub mod rate;
pub mod records;
pub mod report;
pub mod scenarios;
pub mod shard;
pub mod sockets;
pub mod stage;
pub mod witness;

/// What the steps of a scenario return: an error means that it could not be played, not that the
/// cluster did wrong.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
