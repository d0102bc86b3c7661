//! Whether it is worth opening a link to a peer: after some failures in a row nobody tries for a while,
//! then one attempt is made for all, and the first success lets everybody through again.
//!
//! Decides only, with the time given to it; [`super::health`] carries it out. It judges links, never
//! calls: an actor that takes its time is no sick peer.

use std::time::Duration;

use tokio::time::Instant;

/// Links that fail one after the other before nobody tries any more.
pub(super) const FAILURES_MAX: u32 = 3;
/// The pause after that, doubled each time.
pub(super) const PAUSE_FIRST: Duration = Duration::from_millis(50);
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(2);

/// One peer's.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: State,
    /// Links that failed since one was good for something.
    failures: u32,
}

/// How things stand with a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Links are opened whenever they are needed.
    #[default]
    Closed,
    /// None is opened until then.
    Open(Instant),
    /// One is being opened, to see.
    HalfOpen,
}

/// What to do with a call for the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Give it to the link, or to a new one.
    Pass,
    /// Open a link, to see, and refuse the call meanwhile.
    Probe,
    /// Refuse it: there is nothing new before this has passed.
    Refuse(Duration),
}

impl Breaker {
    pub(super) fn state(&self) -> State {
        self.state
    }

    pub(super) fn ask(&mut self, now: Instant) -> Verdict {
        match self.state {
            State::Closed => Verdict::Pass,
            State::Open(until) if until <= now => {
                self.state = State::HalfOpen;
                Verdict::Probe
            }
            State::Open(until) => Verdict::Refuse(until - now),
            State::HalfOpen => Verdict::Refuse(PAUSE_FIRST),
        }
    }

    /// A link was opened: the peer has greeted. It may still break before it is good for anything, so
    /// that the failures are not forgotten yet.
    pub(super) fn connected(&mut self) {
        self.state = State::Closed;
    }

    /// A link ended after it answered something, or in good order.
    pub(super) fn proven(&mut self) {
        self.failures = 0;
    }

    /// A link could not be opened, or broke. `jitter` is between 0 and 1: the pause is never longer than
    /// its bound, and at most half as long.
    pub(super) fn failed(&mut self, now: Instant, jitter: f64) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_MAX {
            let doublings = (self.failures - FAILURES_MAX).min(16);
            let pause = PAUSE_MAX.min(PAUSE_FIRST * 2_u32.pow(doublings));
            self.state = State::Open(now + pause.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0));
        } else {
            self.state = State::Closed;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A breaker that has just opened, without jitter.
    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_MAX {
            assert_eq!(breaker.ask(now), Verdict::Pass);
            breaker.failed(now, 1.0);
        }
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_attempt_through_after_the_pause() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.ask(now), Verdict::Refuse(PAUSE_FIRST));
        let almost = now + PAUSE_FIRST - Duration::from_millis(1);
        assert_eq!(breaker.ask(almost), Verdict::Refuse(Duration::from_millis(1)));
        let then = now + PAUSE_FIRST;
        assert_eq!(breaker.ask(then), Verdict::Probe);
        assert_eq!(breaker.ask(then), Verdict::Refuse(PAUSE_FIRST));
        breaker.connected();
        assert_eq!(breaker.ask(then), Verdict::Pass);
    }

    #[test]
    fn pauses_double_up_to_their_bound_until_a_link_was_good_for_something() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let Verdict::Refuse(pause) = breaker.ask(now) else { panic!("{breaker:?}") };
            pauses.push(pause.as_millis());
            now += pause;
            assert_eq!(breaker.ask(now), Verdict::Probe);
            // One that opens and breaks at once is no better.
            breaker.connected();
            breaker.failed(now, 1.0);
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
        breaker.connected();
        breaker.proven();
        breaker.failed(now, 1.0);
        assert_eq!(breaker.ask(now), Verdict::Pass, "one failure is none");
    }

    #[test]
    fn jitter_makes_pauses_shorter_and_never_longer() {
        for (jitter, pause) in [(0.0, 25), (0.5, 37), (1.0, 50), (7.0, 50)] {
            let now = Instant::now();
            let mut breaker = Breaker::default();
            for _ in 0..FAILURES_MAX {
                breaker.failed(now, jitter);
            }
            let Verdict::Refuse(told) = breaker.ask(now) else { panic!("{breaker:?}") };
            assert_eq!(told.as_millis(), pause);
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Ask,
        /// The link that is being opened.
        Opened,
        NotOpened,
        /// The link that is open.
        Broke,
        Ended,
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::Ask),
            1 => Just(Step::Opened),
            3 => Just(Step::NotOpened),
            1 => Just(Step::Broke),
            1 => Just(Step::Ended),
            2 => (0..3000_u64).prop_map(Step::Wait),
        ];
        proptest::collection::vec(step, 0..300)
    }

    proptest! {
        #[test]
        fn one_probe_at_a_time_after_enough_failures_and_every_success_closes_it(steps in steps()) {
            let mut now = Instant::now();
            let mut breaker = Breaker::default();
            // As the callers keep it: whether a link is being opened, and whether one is open.
            let (mut opening, mut open, mut probing) = (false, false, false);
            let mut in_a_row = 0;
            for step in steps {
                match step {
                    Step::Ask => match breaker.ask(now) {
                        Verdict::Pass => opening |= !open,
                        Verdict::Probe => {
                            prop_assert!(!probing && !opening && !open, "a second probe");
                            prop_assert!(in_a_row >= FAILURES_MAX);
                            (opening, probing) = (true, true);
                        }
                        Verdict::Refuse(pause) => {
                            prop_assert!(in_a_row >= FAILURES_MAX);
                            prop_assert!(!pause.is_zero() && pause <= PAUSE_MAX);
                        }
                    },
                    Step::Opened if opening => {
                        breaker.connected();
                        (opening, open, probing) = (false, true, false);
                        prop_assert_eq!(breaker.ask(now), Verdict::Pass);
                    }
                    Step::NotOpened if opening => {
                        breaker.failed(now, 0.5);
                        (opening, probing) = (false, false);
                        in_a_row += 1;
                    }
                    Step::Broke if open => {
                        breaker.failed(now, 0.5);
                        open = false;
                        in_a_row += 1;
                    }
                    Step::Ended if open => {
                        breaker.proven();
                        open = false;
                        in_a_row = 0;
                    }
                    Step::Wait(ms) => now += Duration::from_millis(ms),
                    _ => {}
                }
            }
            // Whatever happened, it asks again in time, unless it is asking already.
            now += PAUSE_MAX;
            let asks = matches!(breaker.ask(now), Verdict::Pass | Verdict::Probe);
            prop_assert!(asks || probing, "{breaker:?}");
        }
    }
}
