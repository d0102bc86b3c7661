//! A sign of life inside the process: when a loop last went round.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use greenroom_core::Moment;

use crate::clock;

/// When a loop last went round.
#[derive(Debug)]
pub(crate) struct Pulse(AtomicU64);

impl Pulse {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(clock::moment().0))
    }

    /// The loop goes round.
    pub(crate) fn beat(&self) {
        self.0.store(clock::moment().0, Ordering::Relaxed);
    }

    /// How long ago it last did.
    pub(crate) fn age(&self) -> Duration {
        clock::moment().since(Moment(self.0.load(Ordering::Relaxed)))
    }
}

/// When the loops that keep a membership going last went round.
#[derive(Clone, Debug)]
pub(crate) struct Pulses {
    pub(crate) driver: Arc<Pulse>,
    pub(crate) heart: Arc<Pulse>,
}

impl Pulses {
    pub(crate) fn new() -> Self {
        Self { driver: Arc::new(Pulse::new()), heart: Arc::new(Pulse::new()) }
    }
}
