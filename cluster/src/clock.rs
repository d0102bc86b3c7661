//! The clock that decides.

use std::time::{SystemTime, UNIX_EPOCH};

use greenroom_core::{Moment, Now};
use rustix::time::{ClockId, clock_gettime};

/// The present moment on `CLOCK_BOOTTIME`, which goes on while the machine is suspended: a process
/// that was frozen must not believe that no time has passed.
#[inline]
pub(crate) fn moment() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Moment(seconds * 1_000_000_000 + nanos)
}

/// The present moment, with the wall clock for people to read.
pub(crate) fn now() -> Now {
    Now { moment: moment(), wall_ms: wall_ms() }
}

/// Milliseconds since 1970, for people to read; decides nothing.
pub fn wall_ms() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "written into records for people to read")]
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)
}
