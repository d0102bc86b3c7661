//! What may go wrong with etcd without breaking its contract.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use tonic::Status;

use super::refusal;

/// How many of a thousand requests, or watches, suffer what.
#[derive(Clone, Debug, Default)]
pub struct Troubles {
    /// Requests that are carried out late and answered later, each by up to [`Troubles::late`].
    pub slow: u32,
    /// Requests that are carried out at once and answered late.
    pub told_late: u32,
    /// Requests that are refused before anything is done.
    pub refused: u32,
    /// Requests that are carried out and never answered.
    pub unanswered: u32,
    /// Requests that are carried out and answered with an error.
    pub denied: u32,
    /// Requests that are carried out late, after an error or none.
    pub deferred: u32,
    /// Requests that are answered with an error, or not at all, and never carried out.
    pub dropped: u32,
    /// New watches that fall silent sooner or later, for a while.
    pub stalled: u32,
    /// New watches that end by themselves sooner or later.
    pub cancelled: u32,
    /// The longest that anything is late.
    pub late: Duration,
}

/// What goes wrong, and how often it did.
#[derive(Debug)]
pub struct Faults {
    /// What goes wrong at present.
    pub troubles: Troubles,
    /// Members that have lost sight of the others: they serve nothing, and say so.
    pub leaderless: BTreeSet<usize>,
    /// How often the watches that there are were disturbed.
    disturbances: u64,
    /// How often what went wrong.
    pub counts: BTreeMap<&'static str, u64>,
    rng: Rng,
}

/// The longest that a disturbed watch is silent: longer than its client trusts any watch.
const DISTURBED_MAX: Duration = Duration::from_secs(90);

/// The names of [`Troubles`] of requests, in their order.
const REQUESTS: [&str; 7] = [
    "done late and answered later",
    "answered late",
    "refused",
    "done and not answered",
    "done and denied",
    "done late",
    "dropped",
];

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Fate {
    Refused(Status),
    /// Carried out after the first span, answered after the second.
    Done(Duration, Duration),
    /// Carried out after the span, if at all; answered with an error, or not.
    Lost(Option<Duration>, Option<Status>),
}

/// What becomes of a watch, and when.
#[derive(Clone, Copy, Debug)]
pub(super) enum WatchFate {
    Fine,
    /// Says nothing of what happens between these two spans; whether it still says that it lives.
    Stalls(Duration, Duration, bool),
    Ends(Duration),
}

impl Faults {
    /// Nothing goes wrong.
    #[must_use]
    pub fn none() -> Self {
        Self::drawn(0, Troubles::default())
    }

    /// What goes wrong is drawn from `seed`.
    #[must_use]
    pub fn drawn(seed: u64, troubles: Troubles) -> Self {
        Self {
            troubles,
            leaderless: BTreeSet::new(),
            disturbances: 0,
            counts: BTreeMap::new(),
            rng: Rng::with_seed(seed),
        }
    }

    /// Half of the watches that there are fall silent, for up to a minute and a half, or end.
    pub fn disturb_watches(&mut self) {
        self.disturbances += 1;
    }

    /// What becomes of a watch that has seen so many disturbances; `None` when there was none since.
    pub(super) fn of_disturbed_watch(&mut self, seen: &mut u64) -> Option<WatchFate> {
        if std::mem::replace(seen, self.disturbances) == self.disturbances || self.rng.bool() {
            return None;
        }
        Some(if self.rng.u32(..3) == 0 {
            self.count("watch ended");
            WatchFate::Ends(Duration::ZERO)
        } else {
            self.count("watch stalled");
            let span = DISTURBED_MAX.mul_f64(self.rng.f64().powi(3));
            WatchFate::Stalls(Duration::ZERO, span, self.rng.bool())
        })
    }

    pub(super) fn of_request(&mut self, member: usize) -> Fate {
        if self.leaderless.contains(&member) {
            self.count("refused without a leader");
            return Fate::Refused(refusal::no_leader());
        }
        let Troubles { slow, told_late, refused, unanswered, denied, deferred, dropped, .. } =
            self.troubles;
        let mut drawn = self.rng.u32(..1000);
        let mut is = |permille: u32| {
            let hit = drawn < permille;
            drawn = drawn.wrapping_sub(permille);
            hit || drawn > 1000
        };
        let which = [slow, told_late, refused, unanswered, denied, deferred, dropped].map(&mut is);
        let Some(which) = which.iter().position(|hit| *hit) else {
            return Fate::Done(Duration::ZERO, Duration::ZERO);
        };
        self.count(REQUESTS[which]);
        match which {
            0 => Fate::Done(self.span(), self.span()),
            1 => Fate::Done(Duration::ZERO, self.span()),
            2 => Fate::Refused(refusal::no_leader()),
            3 => Fate::Lost(Some(Duration::ZERO), None),
            4 => Fate::Lost(Some(Duration::ZERO), Some(self.error())),
            5 => Fate::Lost(Some(self.span()), self.perhaps_error()),
            _ => Fate::Lost(None, self.perhaps_error()),
        }
    }

    pub(super) fn of_watch(&mut self) -> WatchFate {
        let Troubles { stalled, cancelled, .. } = self.troubles;
        let drawn = self.rng.u32(..1000);
        if drawn >= stalled + cancelled {
            return WatchFate::Fine;
        }
        let begins = self.span() * 4;
        if drawn < stalled {
            self.count("watch stalled");
            WatchFate::Stalls(begins, begins + self.span() * 8, self.rng.bool())
        } else {
            self.count("watch ended");
            WatchFate::Ends(begins)
        }
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn span(&mut self) -> Duration {
        self.troubles.late.mul_f64(self.rng.f64())
    }

    fn error(&mut self) -> Status {
        if self.rng.bool() { refusal::timed_out() } else { refusal::leader_changed() }
    }

    fn perhaps_error(&mut self) -> Option<Status> {
        self.rng.bool().then(|| self.error())
    }
}
