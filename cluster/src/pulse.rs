//! A sign of life inside the process: when a loop last went round.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use greenroom_core::Moment;

use crate::clock::Clock;

/// When a loop last went round.
#[derive(Debug)]
pub(crate) struct Pulse {
    beat: AtomicU64,
    clock: Clock,
}

impl Pulse {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { beat: AtomicU64::new(clock.moment().0), clock }
    }

    /// The loop goes round.
    pub(crate) fn beat(&self) {
        self.beat.store(self.clock.moment().0, Ordering::Relaxed);
    }

    /// How long ago it last did.
    pub(crate) fn age(&self) -> Duration {
        self.clock.moment().since(Moment(self.beat.load(Ordering::Relaxed)))
    }
}

/// When the loops that keep a membership going last went round.
#[derive(Clone, Debug)]
pub(crate) struct Pulses {
    pub(crate) driver: Arc<Pulse>,
    pub(crate) heart: Arc<Pulse>,
}

impl Pulses {
    pub(crate) fn new(clock: &Clock) -> Self {
        let pulse = || Arc::new(Pulse::new(clock.clone()));
        Self { driver: pulse(), heart: pulse() }
    }
}
