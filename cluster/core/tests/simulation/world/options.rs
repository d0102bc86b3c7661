//! What a run draws before it begins: how bad clocks and network are, and which faults may happen.
//! Not every run has every fault: what many faults hide, few may show.

use std::fmt;

use fastrand::Rng;
use greenroom_core::Timing;

use super::SECOND;
use super::faults::Fault;
use super::shape::{Shape, TIMING};

/// How many messages in a thousand suffer what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    /// They take seconds, and take effect long after their sender gave up.
    pub(crate) late: u32,
    /// Their reply is lost.
    pub(crate) lost: u32,
    /// They never arrive.
    pub(crate) swallowed: u32,
    /// They arrive twice, or their reply does.
    pub(crate) repeated: u32,
}

/// What a run draws before it begins.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) network: Network,
    /// By how many millionths each clock may run fast or slow.
    pub(crate) drift_ppm: i64,
    /// How many of those the margin covers.
    covered_ppm: i64,
    /// What may happen, each to one node or to the whole cluster.
    pub(crate) faults: Vec<Fault>,
    /// Milliseconds from one fault of a node to its next, at most.
    pub(crate) fault_every_ms: u64,
    pub(crate) clients: u32,
    /// How often the faults begin, go on for a while, and stop until the cluster is whole.
    pub(crate) rounds: u32,
    /// How long they go on each time, in microseconds.
    pub(crate) faults_us: u64,
}

impl Options {
    /// What scripted worlds have: clocks 2 % off at most, and everything may happen once faults are
    /// switched on.
    pub(crate) fn plain() -> Self {
        Self {
            network: Network { late: 30, lost: 20, swallowed: 20, repeated: 10 },
            drift_ppm: 20_000,
            covered_ppm: covered_ppm(TIMING),
            faults: Fault::ALL.to_vec(),
            fault_every_ms: 12_000,
            clients: 2,
            rounds: 1,
            faults_us: 90 * SECOND,
        }
    }

    /// One run in eight has clocks that the margin does not cover, and one in eight is long.
    pub(crate) fn drawn(rng: &mut Rng, shape: &Shape) -> Self {
        let (covered, slowness) = (covered_ppm(shape.timing), u64::from(shape.slowness()));
        let drift_ppm = match rng.u32(..8) {
            0 => rng.i64(2 * covered..3 * covered),
            1 | 2 => covered,
            _ => rng.i64(0..=covered),
        };
        let network = Network {
            late: rng.u32(..60),
            lost: rng.u32(..40),
            swallowed: rng.u32(..40),
            repeated: rng.u32(..40),
        };
        let mut faults: Vec<Fault> =
            Fault::ALL.iter().copied().filter(|_| rng.u32(..3) > 0).collect();
        if !faults.iter().any(|fault| !fault.is_of_cluster()) {
            faults.push(Fault::Crash);
        }
        let fault_every_ms = rng.u64(4_000..24_000) * slowness.min(2);
        let clients = rng.u32(1..=4);
        let long = rng.u32(..8) == 0;
        let rounds = if long { rng.u32(3..=6) } else { 1 };
        let (least, most) = if long { (120, 240) } else { (60, 120) };
        let faults_us = rng.u64(least..=most) * SECOND * slowness.min(2);
        Self {
            network,
            drift_ppm,
            covered_ppm: covered,
            faults,
            fault_every_ms,
            clients,
            rounds,
            faults_us,
        }
    }

    /// Whether the margin covers what any two clocks drift apart within a window.
    pub(crate) fn is_within_bound(&self) -> bool {
        self.drift_ppm <= self.covered_ppm
    }
}

/// The greatest drift that the margin covers: the slow clock's right, `(D - m) / (1 - r)`, must end
/// before the fast clock's window, `D / (1 + r)`.
fn covered_ppm(timing: Timing) -> i64 {
    let (window, margin) = (timing.window.as_micros() as i64, timing.margin.as_micros() as i64);
    margin * 1_000_000 / (2 * window - margin)
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Network { late, lost, swallowed, repeated } = self.network;
        let bound = if self.is_within_bound() { "covered" } else { "beyond the bound" };
        write!(
            f,
            "{} times {} s of faults; clocks {} ppm ({bound}); of 1000 messages {late} late, {lost} unanswered, {swallowed} \
             swallowed, {repeated} repeated; {} clients; a fault a node every {} ms at most: {:?}",
            self.rounds,
            self.faults_us / SECOND,
            self.drift_ppm,
            self.clients,
            self.fault_every_ms,
            self.faults
        )
    }
}
