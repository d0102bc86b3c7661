//! What the hosts share without a network between them: the time, by clocks that run fast or slow, and who runs.
//!
//! Proves: C3

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use greenroom_cluster::Simulation;
use greenroom_core::Moment;
use parking_lot::Mutex;

/// The time of the simulation, which its loop moves on, and which hosts run.
#[derive(Debug, Default)]
pub(crate) struct Ground {
    nanos: AtomicU64,
    /// Nodes that don't run: their ports refuse connections.
    pub(crate) down: Mutex<Vec<bool>>,
}

impl Ground {
    pub(crate) fn set(&self, elapsed: Duration) {
        self.nanos.store(elapsed.as_nanos() as u64, Ordering::Relaxed);
    }
}

/// The machine of one node: its clock runs fast or slow.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) ground: Arc<Ground>,
    /// When it was started, by its own clock: clocks of different machines tell nothing to each other.
    pub(crate) offset: u64,
    pub(crate) drift_ppm: i64,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine").field("drift_ppm", &self.drift_ppm).finish_non_exhaustive()
    }
}

impl Simulation for Machine {
    fn moment(&self) -> Moment {
        let nanos = self.ground.nanos.load(Ordering::Relaxed);
        let drift = nanos as i64 / 1_000_000 * self.drift_ppm;
        Moment((self.offset + nanos).saturating_add_signed(drift))
    }

    fn is_refused(&self, address: &str) -> bool {
        // Nodes are never cut off from each other, so a port that is closed always says so.
        let number = address.strip_prefix('n').and_then(|rest| rest.split_once(':'));
        let number = number.and_then(|(number, _)| number.parse::<usize>().ok());
        number.is_some_and(|number| self.ground.down.lock().get(number).is_some_and(|down| *down))
    }
}
