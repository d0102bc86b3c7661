//! Why a gate lets nobody in, why it does not open, and why it can't be held.

use std::{error::Error, fmt, panic::Location, time::Duration};

use crate::PERMITS_MAX;

/// Why a reader got no permit.
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
    /// A writer holds the gate or waits for it; if the caller was willing to wait, until its
    /// deadline.
    Busy,
    /// As many permits are out as one gate can count ([`PERMITS_MAX`]), or as many readers wait as
    /// [`Options::waiting_max`](crate::Options::waiting_max) allows.
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
            Self::Busy => write!(f, "a writer holds the gate or waits for it"),
            Self::Full => {
                write!(f, "all {PERMITS_MAX} permits of the gate are out, or too many wait")
            }
            Self::OutOfRange { shard, shards } => {
                write!(f, "shard {shard} is beyond the table of {shards} shards")
            }
        }
    }
}

impl Error for Refused {}

/// Why a gate did not open. It is as it was before.
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
    /// Somebody holds the gate for writing, who alone may open it.
    Held {
        /// What it is held for.
        by: &'static str,
    },
    /// The guard was revoked: it was held for too long, or the gate was taken away.
    Revoked,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotClosed => write!(f, "the gate is not closed and drained"),
            Self::OlderEpoch { asked, last } => {
                write!(f, "epoch {asked} is older than {last}, which the gate has had")
            }
            Self::Held { by } => write!(f, "the gate is held for `{by}`"),
            Self::Revoked => Revoked.fmt(f),
        }
    }
}

impl Error for OpenError {}

/// A write guard was revoked: it was held for too long, or the gate was taken away from everybody.
/// What its holder wanted to do with it has not happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked;

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the write guard was revoked")
    }
}

impl Error for Revoked {}

/// Why a writer got no guard. It holds nothing then, of several shards none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// The deadline passed.
    TimedOut {
        /// The shard that was not free.
        shard: u32,
        /// What was in the way at the end.
        blocker: Blocker,
    },
    /// As many writers wait for the gate as [`Options::waiting_max`](crate::Options::waiting_max)
    /// allows.
    Full {
        /// The shard of the gate.
        shard: u32,
    },
    /// The gate was taken away from everybody who held it or waited for it.
    Revoked {
        /// The shard of the gate.
        shard: u32,
    },
    /// The guard was ready, but the future was not polled for as long as a gate may be held.
    Missed {
        /// The shard of the gate.
        shard: u32,
    },
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { shard, blocker } => {
                write!(f, "the gate of shard {shard} was not free in time: {blocker}")
            }
            Self::Full { shard } => {
                write!(f, "too many writers wait for the gate of shard {shard}")
            }
            Self::Revoked { shard } => write!(f, "the gate of shard {shard} was revoked"),
            Self::Missed { shard } => {
                write!(f, "the guard of shard {shard} was ready, and not collected in time")
            }
        }
    }
}

impl Error for WriteError {}

/// What keeps somebody waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocker {
    /// Permits are out.
    Readers {
        /// How many.
        permits: u32,
    },
    /// Somebody holds the gate for writing.
    Writer {
        /// What for, as the holder has put it.
        who: &'static str,
        /// Where in the source the gate was asked for.
        at: &'static Location<'static>,
        /// For how long it has been held.
        held: Duration,
    },
    /// Nothing any more.
    Nothing,
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Readers { permits } => write!(f, "permits are out, {permits}"),
            Self::Writer { who, at, held } => write!(f, "`{who}` ({at}) has held it for {held:?}"),
            Self::Nothing => write!(f, "it is free by now"),
        }
    }
}
