//! Why a gate lets nobody in, and why it does not open.

use std::{error::Error, fmt};

use crate::PERMITS_MAX;

/// Why [`Gates::enter`](crate::Gates::enter) and its siblings gave no permit.
///
/// Whoever is refused has not run, so trying again, here or at another node, is always safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The gate is closed, or closing: the shard is not served here now.
    Closed,
    /// The gate is open, but with another epoch than the caller asked for.
    Epoch {
        /// The epoch that the caller asked for.
        asked: u64,
        /// The epoch that the gate has. Greater than `asked` when the caller knows an old owner;
        /// less when this node is the one that is behind.
        current: u64,
    },
    /// As many permits are out as one gate can count ([`PERMITS_MAX`]).
    Full,
    /// The table has no such shard: caller and node disagree about the number of shards.
    OutOfRange {
        /// The shard that was asked for.
        shard: u32,
        /// How many shards the table has; the greatest valid shard is one less.
        shards: u32,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => write!(f, "the gate is closed"),
            Self::Epoch { asked, current } => {
                write!(f, "the gate has epoch {current}, not {asked}")
            }
            Self::Full => write!(f, "all {PERMITS_MAX} permits of the gate are out"),
            Self::OutOfRange { shard, shards } => {
                write!(f, "shard {shard} is beyond the table of {shards} shards")
            }
        }
    }
}

impl Error for Refused {}

/// Why [`Gates::open`](crate::Gates::open) did not open the gate. The gate is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The gate is open, or closed with permits still out. Close it and wait for the answer first.
    NotClosed,
    /// The gate has had a greater epoch: whoever opens it acts on outdated knowledge.
    OlderEpoch {
        /// The epoch that the caller wanted to open with.
        asked: u64,
        /// The greatest epoch that the gate has had.
        last: u64,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotClosed => write!(f, "the gate is not closed and drained"),
            Self::OlderEpoch { asked, last } => {
                write!(f, "epoch {asked} is older than {last}, which the gate has had")
            }
        }
    }
}

impl Error for OpenError {}
