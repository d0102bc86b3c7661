//! The right to run turns.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use greenroom_core::{Incarnation, Moment};
use parking_lot::Mutex;

use crate::clock::Clock;

/// After so many heartbeats in a row without an answer the store counts as silent. A process that wakes from
/// a pause has two that tell nothing: the one that was under way, and a look over a connection that broke
/// meanwhile.
const UNANSWERED_UNTIL_SILENT: u32 = 3;
/// A store that is back so soon after the right ended, such as after an election that took long, costs calls
/// patience and not an answer.
const LOST_UNTIL_SILENT: Duration = Duration::from_secs(2);

/// Until when this node may run turns and acknowledge them: a moment that each acknowledged
/// heartbeat moves on. Nothing has to happen for the right to end, so a process that was paused
/// has lost it before it runs its first instruction again.
#[derive(Debug, Default)]
pub struct RightToRun {
    /// Nanoseconds on the boot clock; 0 for no right at all.
    until: AtomicU64,
    /// Whose right it is: the answer to a heartbeat of a former life moves nothing.
    life: Mutex<Option<Incarnation>>,
    /// Heartbeats in a row that the store did not answer.
    unanswered: AtomicU32,
    clock: Clock,
}

impl RightToRun {
    pub(crate) fn by(clock: Clock) -> Self {
        Self { clock, ..Self::default() }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether turns may run now. Reads the clock: a flag set by a timer would be late exactly
    /// when it matters.
    #[inline]
    pub fn holds(&self) -> bool {
        self.clock.moment().0 < self.until.load(Ordering::Acquire)
    }

    /// How long the right lasts if no further heartbeat is acknowledged.
    pub fn remaining(&self) -> Duration {
        Moment(self.until.load(Ordering::Acquire)).since(self.clock.moment())
    }

    /// Whether the right is lost and will not be back at once, because the store does not answer: the node can
    /// neither run turns nor learn who else may.
    pub fn is_lost_to_silence(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) >= UNANSWERED_UNTIL_SILENT
            && self.lost_for() >= LOST_UNTIL_SILENT
    }

    /// How long ago the right ended; nothing while it holds.
    fn lost_for(&self) -> Duration {
        self.clock.moment().since(Moment(self.until.load(Ordering::Acquire)))
    }

    /// The store did not answer a heartbeat.
    pub(crate) fn unanswered(&self) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
    }

    /// The store answered, whatever it said.
    pub(crate) fn answered(&self) {
        self.unanswered.store(0, Ordering::Relaxed);
    }

    /// A life begins, without a right until its first heartbeat is acknowledged.
    pub(crate) fn begin(&self, incarnation: Incarnation) {
        let mut life = self.life.lock();
        *life = Some(incarnation);
        self.until.store(0, Ordering::Release);
    }

    /// The life is over.
    pub(crate) fn end(&self) {
        let mut life = self.life.lock();
        *life = None;
        self.until.store(0, Ordering::Release);
    }

    /// A heartbeat of this life was refused, so it is over; a later one that has begun meanwhile is
    /// not.
    pub(crate) fn end_of(&self, incarnation: Incarnation) {
        let mut life = self.life.lock();
        if *life == Some(incarnation) {
            *life = None;
            self.until.store(0, Ordering::Release);
        }
    }

    /// A heartbeat of this life was acknowledged.
    pub(crate) fn extend(&self, incarnation: Incarnation, until: Moment) {
        let life = self.life.lock();
        if *life == Some(incarnation) {
            self.until.fetch_max(until.0, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::simulation::Simulation;

    fn soon() -> Moment {
        Clock::Boot.moment().after(Duration::from_secs(60))
    }

    /// Proves: C20, P1
    #[test]
    fn a_life_has_no_right_before_its_first_acknowledged_heartbeat() {
        let right = RightToRun::default();
        assert!(!right.holds());
        right.begin(Incarnation(1));
        assert!(!right.holds());
        right.extend(Incarnation(1), soon());
        assert!(right.holds());
        assert!(right.remaining() > Duration::from_secs(50));
    }

    /// Proves: C20
    #[test]
    fn an_answer_to_a_former_life_gives_no_right() {
        let right = RightToRun::default();
        right.begin(Incarnation(1));
        right.end();
        right.extend(Incarnation(1), soon());
        assert!(!right.holds());
        right.begin(Incarnation(2));
        right.extend(Incarnation(1), soon());
        assert!(!right.holds());
    }

    #[test]
    fn a_right_is_lost_to_silence_after_three_heartbeats_and_only_if_it_does_not_hold() {
        let right = RightToRun::default();
        right.begin(Incarnation(1));
        right.unanswered();
        right.unanswered();
        assert!(!right.is_lost_to_silence(), "a process that woke from a pause looks like that");
        right.unanswered();
        assert!(right.is_lost_to_silence());
        right.extend(Incarnation(1), right.clock.moment());
        assert!(!right.is_lost_to_silence(), "it ended a moment ago");
        right.extend(Incarnation(1), soon());
        assert!(!right.is_lost_to_silence(), "it holds");
        right.end();
        assert!(right.is_lost_to_silence());
        right.answered();
        assert!(!right.is_lost_to_silence());
    }

    /// Proves: C1, P1
    #[test]
    fn a_late_refusal_of_a_former_life_ends_nothing() {
        let right = RightToRun::default();
        right.begin(Incarnation(1));
        right.begin(Incarnation(2));
        right.end_of(Incarnation(1));
        right.extend(Incarnation(2), soon());
        assert!(right.holds());
        right.end_of(Incarnation(1));
        assert!(right.holds());
        right.end_of(Incarnation(2));
        assert!(!right.holds());
        right.extend(Incarnation(2), soon());
        assert!(!right.holds());
    }

    #[test]
    fn the_right_ends_by_itself_and_never_moves_back() {
        let right = RightToRun::default();
        right.begin(Incarnation(1));
        right.extend(Incarnation(1), Clock::Boot.moment());
        assert!(!right.holds());
        right.extend(Incarnation(1), soon());
        right.extend(Incarnation(1), Clock::Boot.moment());
        assert!(right.holds());
    }

    /// A clock that somebody sets.
    #[derive(Debug, Default)]
    struct Set(AtomicU64);

    impl Simulation for Set {
        fn moment(&self) -> Moment {
            Moment(self.0.load(Ordering::Relaxed))
        }

        fn is_refused(&self, _address: &str) -> bool {
            false
        }
    }

    #[test]
    fn the_right_holds_until_its_moment_and_is_lost_to_silence_two_seconds_later() {
        let set = Arc::new(Set::default());
        let right = RightToRun::by(Clock::Simulated(Arc::clone(&set) as Arc<dyn Simulation>));
        right.begin(Incarnation(1));
        let until = Moment(1).after(Duration::from_secs(9));
        right.extend(Incarnation(1), until);
        (0..3).for_each(|_| right.unanswered());
        let at = |moment: Moment, off: i64| {
            set.0.store(moment.0.saturating_add_signed(off), Ordering::Relaxed);
            assert_eq!(
                right.clock().moment(),
                right.clock.moment(),
                "it is the clock it was given"
            );
            (right.holds(), right.remaining().as_nanos(), right.is_lost_to_silence())
        };
        assert_eq!(at(until, -1), (true, 1, false));
        assert_eq!(at(until, 0), (false, 0, false));
        let later = until.after(LOST_UNTIL_SILENT);
        assert_eq!(at(later, -1), (false, 0, false));
        assert_eq!(at(later, 0), (false, 0, true));
    }
}
