//! The clock that all processes of this machine share.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC_RAW` in nanoseconds: the same for every process of this machine, so that what
/// one of them noted compares exactly with what another did. Nodes decide by other clocks, so it
/// stays right when a scenario makes those of a node run faster or slower.
#[must_use]
pub fn machine_ns() -> u64 {
    let time = clock_gettime(ClockId::MonotonicRaw);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// A span in nanoseconds.
#[must_use]
pub fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// How long it is since a moment of [`machine_ns`].
#[must_use]
pub fn since(began_ns: u64) -> Duration {
    Duration::from_nanos(machine_ns().saturating_sub(began_ns))
}
