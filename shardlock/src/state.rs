//! What a gate says about itself.

/// What a gate was at the moment of asking. It may have changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateState {
    /// Callers may enter, unless a writer keeps them waiting.
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

impl GateState {
    /// The epoch that the gate is open with, or was last; 0 if it never was.
    #[must_use]
    pub fn epoch(self) -> u64 {
        match self {
            Self::Open { epoch, .. } | Self::Closing { epoch, .. } => epoch,
            Self::Closed { last_epoch } => last_epoch,
        }
    }
}
