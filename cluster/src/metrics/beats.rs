//! The numbers of the heartbeat.

use std::time::Duration;

use greenroom_core::NodeId;
use metrics::SharedString;

use super::{HEARTBEAT_ROUND_TRIP, HEARTBEATS_UNACKNOWLEDGED};

/// Why a heartbeat was not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unacknowledged {
    /// No success in time.
    Unanswered,
    /// The life is over.
    Refused,
    /// Not sent: the driver hangs.
    Withheld,
}

impl Unacknowledged {
    const ALL: [Self; 3] = [Self::Unanswered, Self::Refused, Self::Withheld];

    fn as_str(self) -> &'static str {
        match self {
            Self::Unanswered => "unanswered",
            Self::Refused => "refused",
            Self::Withheld => "withheld",
        }
    }
}

/// Counts the heartbeats of a node.
#[derive(Debug)]
pub(crate) struct Beats {
    node: SharedString,
}

impl Beats {
    /// With all counters at 0, so that the first to count is seen to be one more.
    pub(crate) fn of(node: &NodeId) -> Self {
        let beats = Self { node: node.as_str().to_owned().into() };
        for reason in Unacknowledged::ALL {
            beats.count(reason, 0);
        }
        beats
    }

    pub(crate) fn acknowledged(&self, round_trip: Duration) {
        HEARTBEAT_ROUND_TRIP.histogram(&self.node, &[]).record(round_trip);
    }

    pub(crate) fn unacknowledged(&self, reason: Unacknowledged) {
        self.count(reason, 1);
    }

    fn count(&self, reason: Unacknowledged, by: u64) {
        let reason = SharedString::const_str(reason.as_str());
        HEARTBEATS_UNACKNOWLEDGED.counter(&self.node, &[reason]).increment(by);
    }
}
