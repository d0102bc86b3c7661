//! What a gate says about itself, and how a close ended.

/// How closing a gate ended. In both cases nobody with a valid permit is inside any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a revoked turn may still be running; only `Drained` says that all are done"]
pub enum Closed {
    /// Every permit came back by itself; all that was done under them has happened before.
    Drained,
    /// Permits were taken away, by the deadline or by [`Gates::revoke`](crate::Gates::revoke). The
    /// turns that held them may still be running.
    Revoked {
        /// How many permits were taken away; at least 1.
        permits: u32,
    },
}

impl Closed {
    /// The answer that follows from how many permits had to be revoked.
    pub(crate) fn after_revoking(permits: u32) -> Self {
        match permits {
            0 => Self::Drained,
            permits => Self::Revoked { permits },
        }
    }
}

/// What a gate was at the moment of asking. It may have changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateState {
    /// Callers may enter.
    Open {
        /// The epoch that the gate was opened with.
        epoch: u64,
        /// How many are inside.
        permits: u32,
    },
    /// Nobody may enter, and some are still inside.
    Closing {
        /// The epoch that the gate was opened with.
        epoch: u64,
        /// How many are still inside; at least 1.
        permits: u32,
    },
    /// Nobody may enter, and nobody with a valid permit is inside.
    Closed {
        /// The epoch that the gate was last opened with; 0 if it never was open.
        last_epoch: u64,
    },
}
