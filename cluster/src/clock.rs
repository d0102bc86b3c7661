//! The clock that decides.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use greenroom_core::{Moment, Now};
use rustix::time::{ClockId, clock_gettime};

use crate::simulation::Simulation;

/// The clock that decides.
#[derive(Clone, Debug, Default)]
pub(crate) enum Clock {
    /// `CLOCK_BOOTTIME`, which goes on while the machine is suspended: a process that was frozen
    /// must not believe that no time has passed.
    #[default]
    Boot,
    /// A simulated node's.
    Simulated(Arc<dyn Simulation>),
}

impl Clock {
    /// The present moment.
    #[inline]
    pub(crate) fn moment(&self) -> Moment {
        match self {
            Self::Boot => boot_moment(),
            Self::Simulated(simulation) => simulation.moment(),
        }
    }

    /// The present moment, with the wall clock for people to read.
    pub(crate) fn now(&self) -> Now {
        Now { moment: self.moment(), wall_ms: wall_ms() }
    }
}

#[inline]
fn boot_moment() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Moment(seconds * 1_000_000_000 + nanos)
}

/// Milliseconds since 1970, for people to read; decides nothing.
pub fn wall_ms() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "written into records for people to read")]
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)
}
