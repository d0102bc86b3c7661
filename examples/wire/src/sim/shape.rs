//! What a run draws before it begins.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use greenroom_core::Timing;

use super::TICK;
use super::faults::Fault;

/// What a run draws before it begins. Not every run has every fault: what many faults hide, few may
/// show.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) nodes: usize,
    pub(crate) members: usize,
    pub(crate) timing: Timing,
    /// By how many millionths each clock is off at most, either way.
    pub(crate) drift_ppm: i64,
    pub(crate) crash_detection: bool,
    /// The longest that a message takes when nothing is wrong.
    pub(crate) latency_max: Duration,
    pub(crate) faults: Vec<Fault>,
    /// The longest from one fault to the next.
    pub(crate) fault_every: Duration,
}

impl Shape {
    pub(crate) fn drawn(rng: &mut Rng) -> Self {
        let [window, heartbeat, margin] =
            if rng.bool() { [6_000, 1_000, 500] } else { [2_000, 250, 200] }
                .map(Duration::from_millis);
        let timing = Timing { window, heartbeat, margin };
        let mut faults: Vec<Fault> =
            Fault::ALL.iter().copied().filter(|_| rng.u32(..3) > 0).collect();
        if faults.is_empty() {
            faults.push(Fault::Cut);
        }
        Self {
            nodes: rng.usize(3..=5),
            members: rng.usize(1..=3),
            drift_ppm: match rng.bool() {
                true => covered_ppm(timing),
                false => rng.i64(0..=covered_ppm(timing)),
            },
            latency_max: Duration::from_millis(rng.u64(2..60)),
            timing,
            crash_detection: rng.u32(..3) > 0,
            faults,
            fault_every: Duration::from_millis(rng.u64(2_000..8_000)),
        }
    }

    /// By how much one clock is off: mostly by all that it may, since that is where margins are thin.
    pub(crate) fn draw_drift(&self, rng: &mut Rng) -> i64 {
        match rng.u32(..3) {
            0 => self.drift_ppm,
            1 => -self.drift_ppm,
            _ => rng.i64(-self.drift_ppm..=self.drift_ppm),
        }
    }
}

/// The greatest drift that the margin covers, as in the check of the product's own options, less what
/// a clock that moves in ticks is off besides.
fn covered_ppm(timing: Timing) -> i64 {
    let margin = (timing.margin - 2 * TICK).as_micros() as i64;
    margin * 1_000_000 / (2 * timing.window.as_micros() as i64)
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} nodes, {} members of etcd, window {:?}, clocks off by {} ppm at most, messages \
             of {:?} at most, crash detection {}, a fault every {:?} at most: {:?}",
            self.nodes,
            self.members,
            self.timing.window,
            self.drift_ppm,
            self.latency_max,
            if self.crash_detection { "on" } else { "off" },
            self.fault_every,
            self.faults,
        )
    }
}
