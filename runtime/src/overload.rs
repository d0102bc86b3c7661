//! Limits: what is refused at once because there is too much of it, and when a new attempt is worth it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use greenroom_cluster::metrics::CALLS_REFUSED;
use greenroom_core::NodeId;
use metrics::Counter;

use crate::failure::{Failure, FailureCode};

/// What is hinted where nothing tells when there will be room: a few turns of an actor that waits for
/// something, and little to whoever waits in vain.
pub(crate) const HINT_DEFAULT: Duration = Duration::from_millis(50);
/// Hints that are worked out lie between these.
const HINT_MIN: Duration = Duration::from_millis(1);
const HINT_MAX: Duration = Duration::from_secs(5);

/// What there was too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Calls that wait for one actor.
    Mailbox,
    /// Calls of one kind that wait or run on.
    Kind,
    /// Actors in memory, of the node or of one kind.
    Activations,
    /// Memory of the process.
    Memory,
    /// Calls under way that were made on this node.
    Node,
    /// Calls under way that one peer made over one link.
    Connection,
    /// HTTP calls that the gateway serves at a time.
    Gateway,
    /// HTTP calls in a span of time, of everybody.
    GatewayRate,
    /// HTTP calls in a span of time, of one client.
    ClientRate,
}

impl Limit {
    const ALL: [Self; 9] = [
        Self::Mailbox,
        Self::Kind,
        Self::Activations,
        Self::Memory,
        Self::Node,
        Self::Connection,
        Self::Gateway,
        Self::GatewayRate,
        Self::ClientRate,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Mailbox => "mailbox",
            Self::Kind => "kind",
            Self::Activations => "activations",
            Self::Memory => "memory",
            Self::Node => "node",
            Self::Connection => "connection",
            Self::Gateway => "gateway",
            Self::GatewayRate => "gateway_rate",
            Self::ClientRate => "client_rate",
        }
    }
}

/// Counts what a node refuses, by the limit.
pub(crate) struct Refusals([Counter; Limit::ALL.len()]);

impl Refusals {
    pub(crate) fn of(node: &NodeId) -> Self {
        let node = node.as_str().to_owned().into();
        Self(Limit::ALL.map(|limit| CALLS_REFUSED.counter(&node, &[limit.as_str().into()])))
    }

    /// Counts a call that a limit refuses.
    pub(crate) fn count(&self, limit: Limit) {
        self.0[limit as usize].increment(1);
    }

    /// Counts and refuses a call that surely does not run.
    #[cold]
    pub(crate) fn refuse(&self, limit: Limit, message: String, hint: Duration) -> Failure {
        self.count(limit);
        Failure::new(FailureCode::Overloaded, message).with_retry_after(hint)
    }
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusals").finish_non_exhaustive()
    }
}

/// A hint that differs a little from one caller to the next: 75 % to 125 % of `span`, from 1 ms to 5 s.
pub(crate) fn about(span: Duration) -> Duration {
    span.clamp(HINT_MIN, HINT_MAX).mul_f64(0.75 + 0.5 * fastrand::f64()).clamp(HINT_MIN, HINT_MAX)
}

/// When half of a full mailbox will be empty, if turns take as long as they did lately: then there is
/// room for as many callers as wait in the other half.
pub(crate) fn half_of(waiting: usize, turn: Option<Duration>) -> Duration {
    let turns = u32::try_from(waiting.div_ceil(2)).unwrap_or(u32::MAX);
    about(turn.map_or(HINT_DEFAULT, |turn| turn.saturating_mul(turns)))
}

/// How many calls of a kind wait or run on after their first poll. Only those write to it, and it has a
/// cache line to itself, so that calls which end at their first poll read it from their own cache.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Crowd(AtomicUsize);

impl Crowd {
    pub(crate) fn len(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts a call until the place is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Place {
        self.0.fetch_add(1, Ordering::Relaxed);
        Place(Arc::clone(self))
    }
}

/// A call's place among those of its kind.
#[derive(Debug)]
pub(crate) struct Place(Arc<Crowd>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_name_and_a_counter_of_its_own() {
        for (index, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, index);
            let same = Limit::ALL.into_iter().filter(|other| other.as_str() == limit.as_str());
            assert_eq!(same.count(), 1, "{limit:?}");
        }
        let told: Vec<_> = Limit::ALL.iter().map(|limit| limit.as_str()).collect();
        assert_eq!(CALLS_REFUSED.labels, [("limit", told.join(", ").as_str())]);
    }

    #[test]
    fn a_hint_says_when_half_of_the_mailbox_is_empty() {
        let near = |hint: Duration, ms: f64| {
            let hint = hint.as_secs_f64() * 1000.0;
            assert!((0.75 * ms..=1.25 * ms).contains(&hint), "{hint} ms is not about {ms} ms");
        };
        for _ in 0..100 {
            near(half_of(8, Some(Duration::from_millis(20))), 80.0);
            near(half_of(1, Some(Duration::from_millis(20))), 20.0);
            near(half_of(8, None), HINT_DEFAULT.as_secs_f64() * 1000.0);
        }
        let least = half_of(1, Some(Duration::ZERO));
        assert!((HINT_MIN..2 * HINT_MIN).contains(&least), "{least:?}");
        let endless = half_of(usize::MAX, Some(Duration::MAX));
        assert!(endless <= HINT_MAX && endless > HINT_MAX / 2, "{endless:?}");
    }

    #[test]
    fn a_place_is_free_again_when_it_is_dropped() {
        let crowd = Arc::new(Crowd::default());
        let (first, second) = (crowd.enter(), crowd.enter());
        assert_eq!(crowd.len(), 2);
        drop(first);
        assert_eq!(crowd.len(), 1);
        drop(second);
        assert_eq!(crowd.len(), 0);
    }
}
