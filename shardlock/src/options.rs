//! How patient a table is, and who hears of it.

use std::{fmt, sync::Arc, time::Duration};

/// How patient a table of gates is.
#[derive(Clone)]
pub struct Options {
    /// How long a write guard may be held; past it the guard is revoked. 30 s unless set.
    pub hold_max: Duration,
    /// After how long a wait is worth a warning in the log. 1 s unless set.
    pub warn_after: Duration,
    /// Most readers and, separately, most writers that wait for one gate; more are refused at once.
    /// 65,536 unless set.
    pub waiting_max: usize,
    /// Hears of every wait that has ended, on the thread that waited: the place to feed a histogram
    /// from. Whoever did not have to wait is not told of.
    pub on_wait: Option<OnWait>,
}

/// What [`Options::on_wait`] calls.
pub type OnWait = Arc<dyn Fn(&Wait) + Send + Sync>;

impl Default for Options {
    fn default() -> Self {
        Self {
            hold_max: Duration::from_secs(30),
            warn_after: Duration::from_secs(1),
            waiting_max: 65_536,
            on_wait: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("hold_max", &self.hold_max)
            .field("warn_after", &self.warn_after)
            .field("waiting_max", &self.waiting_max)
            .finish_non_exhaustive()
    }
}

/// One wait for a gate that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wait {
    /// The shard of the gate.
    pub shard: u32,
    /// What for.
    pub side: Side,
    /// For how long.
    pub lasted: Duration,
    /// How it ended.
    pub end: WaitEnd,
}

/// The two ways through a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A permit, beside others.
    Read,
    /// A guard, alone.
    Write,
}

impl Side {
    /// Its name in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitEnd {
    /// With what was waited for.
    Granted,
    /// The gate was closed, revoked, or opened with another epoch.
    Refused,
    /// The deadline passed.
    TimedOut,
    /// The future was dropped.
    Cancelled,
}
