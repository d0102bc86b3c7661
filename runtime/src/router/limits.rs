//! Bounds of calls.

use std::time::Duration;

/// Bounds of the calls that a node makes and takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// How long a call may take in all, unless it says otherwise.
    pub call_timeout: Duration,
    /// Most calls under way that were made on this node.
    pub calls_in_flight_max: usize,
    /// Most calls under way that one peer made to this node.
    pub calls_per_peer_max: usize,
    /// Largest arguments or reply, in bytes.
    pub payload_bytes_max: usize,
    /// How many retries may be sent for 100 first attempts, on the whole and to each peer.
    pub retry_percent: u32,
    /// How many retries may be sent in a second, however few first attempts there are, on the whole and
    /// to each peer.
    pub retries_per_s_min: u32,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(10),
            calls_in_flight_max: 65_536,
            calls_per_peer_max: 65_536,
            payload_bytes_max: 4 << 20,
            retry_percent: 20,
            retries_per_s_min: 10,
        }
    }
}
