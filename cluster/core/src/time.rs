//! Moments and the timing rules of liveness. Nothing here reads a clock.

use std::fmt;
use std::time::Duration;

/// A point on one process's own clock that counts suspended time (`CLOCK_BOOTTIME`), in
/// nanoseconds. Moments of two processes are never compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

impl Moment {
    /// The moment `span` later.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }

    /// How long it is since `earlier`; zero when that lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// What time it is: the moment that decisions use, and the wall clock that only people read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// The deciding clock.
    pub moment: Moment,
    /// Milliseconds since 1970, written into records for people; decides nothing.
    pub wall_ms: u64,
}

/// The timing of heartbeats, the same on every node of a cluster.
///
/// A node may run turns until *(send time of its last acknowledged heartbeat) + window − margin*.
/// An observer may have it declared dead after seeing its heartbeat key unchanged for `window`.
/// The observation begins after the put was applied, which is after it was sent, so the two never
/// overlap as long as the margin covers what two clocks may drift apart within a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// *D*: how long a heartbeat key must stay unchanged before its node may be declared dead.
    pub window: Duration,
    /// *h*: from one heartbeat to the next.
    pub heartbeat: Duration,
    /// *m*: how much earlier a node stops than others may declare it dead.
    pub margin: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(6),
            heartbeat: Duration::from_secs(1),
            margin: Duration::from_millis(500),
        }
    }
}

/// By how many millionths a clock is assumed to run fast or slow at most, unless told otherwise:
/// 0.5 %, which is ten times what a machine's clock is off while it is being slewed by NTP.
pub const CLOCK_DRIFT_PPM_DEFAULT: u32 = 5_000;
/// The greatest drift that may be assumed: 20 %.
pub const CLOCK_DRIFT_PPM_MAX: u32 = 200_000;

impl Timing {
    /// Checks the three against each other, and against the assumed bound on clock rates: each
    /// clock may run fast or slow by so many millionths.
    ///
    /// # Errors
    /// When the heartbeat is zero, the margin is less than what one slow and one fast clock drift
    /// apart within a window, or fewer than two heartbeats fit into *window − margin*.
    pub fn check(self, clock_drift_ppm: u32) -> Result<Self, BadTiming> {
        if self.heartbeat.is_zero() {
            return Err(BadTiming("the heartbeat interval must be above zero".into()));
        }
        let drift = self.window.as_secs_f64() * f64::from(clock_drift_ppm) * 2.0 / 1e6;
        let drift = Duration::try_from_secs_f64(drift).unwrap_or(Duration::MAX);
        if self.margin.is_zero() || self.margin < drift {
            return Err(BadTiming(format!(
                "the margin ({:?}) must be above zero and at least {drift:?}, which is how far two \
                 clocks, each off by at most {clock_drift_ppm} ppm, drift apart within the liveness \
                 window ({:?})",
                self.margin, self.window
            )));
        }
        let beats = self.heartbeat.checked_mul(2);
        let needed = beats.and_then(|beats| beats.checked_add(self.margin));
        if needed.is_none_or(|needed| needed > self.window) {
            return Err(BadTiming(format!(
                "the liveness window ({:?}) must hold the margin ({:?}) and at least two \
                 heartbeat intervals ({:?})",
                self.window, self.margin, self.heartbeat
            )));
        }
        Ok(self)
    }

    /// The window in whole milliseconds, rounded up: what others must wait at least.
    pub fn window_ms(self) -> u64 {
        u64::try_from(self.window.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    /// The interval in whole milliseconds, rounded up.
    pub fn interval_ms(self) -> u64 {
        u64::try_from(self.heartbeat.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    /// Until when a node may run turns whose last acknowledged heartbeat was sent at `sent`.
    pub fn right_until(self, sent: Moment) -> Moment {
        sent.after(self.window - self.margin)
    }
}

/// How to wait after failures of the store: twice as long each time, with jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// After the first failure.
    pub first: Duration,
    /// At most.
    pub max: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { first: Duration::from_millis(10), max: Duration::from_secs(1) }
    }
}

impl Retry {
    /// How long to wait after so many failures before, not counting the jitter.
    pub fn span(self, failures: u32) -> Duration {
        self.first.saturating_mul(2u32.saturating_pow(failures.min(20))).min(self.max)
    }
}

/// Timing values that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadTiming(pub String);

impl fmt::Display for BadTiming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadTiming {}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn defaults_agree_with_each_other() {
        assert_eq!(Timing::default().check(CLOCK_DRIFT_PPM_DEFAULT), Ok(Timing::default()));
        // The margin of half a second covers up to 4 % each way.
        assert!(
            Timing::default().check(40_000).is_ok() && Timing::default().check(42_000).is_err()
        );
    }

    /// Proves: C3
    #[test]
    fn contradictions_are_refused() {
        let bad = |window, heartbeat, margin| {
            Timing { window: ms(window), heartbeat: ms(heartbeat), margin: ms(margin) }
                .check(CLOCK_DRIFT_PPM_DEFAULT)
                .unwrap_err()
                .to_string()
        };
        assert!(bad(1000, 0, 100).contains("heartbeat interval must be above zero"));
        assert!(bad(1000, 100, 9).contains("margin (9ms)"));
        assert!(bad(1000, 450, 101).contains("at least two"));
        // As long as a variable may say, which is checked before anybody looks at the ranges.
        let (short, endless) = (ms(100), Duration::MAX);
        for [window, heartbeat, margin] in [
            [endless, short, short],
            [short, endless, short],
            [short, short, endless],
            [endless, endless, endless],
        ] {
            assert!(Timing { window, heartbeat, margin }.check(CLOCK_DRIFT_PPM_MAX).is_err());
        }
    }

    #[test]
    fn what_is_just_enough_is_taken_and_spans_are_rounded_up() {
        let timing = |window, heartbeat, margin| Timing { window, heartbeat, margin };
        let just = timing(ms(1000), ms(495), ms(10));
        assert_eq!(just.check(CLOCK_DRIFT_PPM_DEFAULT), Ok(just));
        let more = timing(ms(1000), ms(496), ms(10));
        assert!(more.check(CLOCK_DRIFT_PPM_DEFAULT).is_err());
        let odd = timing(Duration::from_micros(1500), Duration::from_micros(100), ms(1));
        assert_eq!((odd.window_ms(), odd.interval_ms()), (2, 1));
        assert_eq!((just.window_ms(), just.interval_ms()), (1000, 495));
    }

    #[test]
    fn moments_never_go_below_nothing_and_waits_never_beyond_their_bound() {
        assert_eq!(Moment(7).since(Moment(5)), Duration::from_nanos(2));
        assert_eq!(Moment(5).since(Moment(7)), Duration::ZERO);
        assert_eq!(Moment(5).after(Duration::MAX), Moment(u64::MAX));
        let retry = Retry { first: ms(10), max: ms(70) };
        let spans = [0, 1, 2, 3, 40].map(|failures| retry.span(failures));
        assert_eq!(spans, [ms(10), ms(20), ms(40), ms(70), ms(70)]);
    }

    /// Proves: C3
    #[test]
    fn the_right_to_run_ends_a_margin_before_the_window() {
        let timing = Timing::default();
        assert_eq!(timing.right_until(Moment(7)), Moment(7).after(ms(5500)));
    }
}
