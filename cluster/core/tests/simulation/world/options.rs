//! What a run draws before it begins: how bad clocks and network are, and which faults may happen.
//! Not every run has every fault: what many faults hide, few may show.

use std::fmt;

use fastrand::Rng;

use super::faults::Fault;
use super::node::TIMING;

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
    /// What may happen, each to one node or to the whole cluster.
    pub(crate) faults: Vec<Fault>,
    /// Milliseconds from one fault of a node to its next, at most.
    pub(crate) fault_every_ms: u64,
    pub(crate) clients: u32,
}

impl Options {
    /// What scripted worlds have: clocks 2 % off at most, and everything may happen once faults are
    /// switched on.
    pub(crate) fn plain() -> Self {
        Self {
            network: Network { late: 30, lost: 20, swallowed: 20, repeated: 10 },
            drift_ppm: 20_000,
            faults: Fault::ALL.to_vec(),
            fault_every_ms: 12_000,
            clients: 2,
        }
    }

    /// One run in eight has clocks that the margin does not cover.
    pub(crate) fn drawn(rng: &mut Rng) -> Self {
        let covered = covered_ppm();
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
        let fault_every_ms = rng.u64(4_000..14_000);
        Self { network, drift_ppm, faults, fault_every_ms, clients: rng.u32(1..=4) }
    }

    /// Whether the margin covers what any two clocks drift apart within a window.
    pub(crate) fn is_within_bound(&self) -> bool {
        self.drift_ppm <= covered_ppm()
    }
}

/// The greatest drift that the margin covers: the slow clock's right, `(D - m) / (1 - r)`, must end
/// before the fast clock's window, `D / (1 + r)`.
fn covered_ppm() -> i64 {
    let (window, margin) = (TIMING.window.as_micros() as i64, TIMING.margin.as_micros() as i64);
    margin * 1_000_000 / (2 * window - margin)
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Network { late, lost, swallowed, repeated } = self.network;
        let bound = if self.is_within_bound() { "covered" } else { "beyond the bound" };
        write!(
            f,
            "clocks {} ppm ({bound}); of 1000 messages {late} late, {lost} unanswered, {swallowed} \
             swallowed, {repeated} repeated; {} clients; a fault a node every {} ms at most: {:?}",
            self.drift_ppm, self.clients, self.fault_every_ms, self.faults
        )
    }
}
