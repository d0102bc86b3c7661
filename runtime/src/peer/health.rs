//! What is known of each peer besides its link: its [`Breaker`] and its share of retries.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use greenroom_cluster::metrics::{BREAKER_OPENINGS, PEER_BREAKER};
use greenroom_core::Life;
use metrics::{Counter, Gauge, SharedString};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::breaker::{Breaker, State, Verdict};
use super::link::Link;
use crate::router::{Budget, Income};

/// What a node has for all its peers.
#[derive(Debug)]
pub(super) struct Common {
    /// Which node.
    node: SharedString,
    income: Income,
    /// Wakes whoever waits for a peer to come back.
    pub(super) back: Notify,
    openings: Counter,
}

impl Common {
    pub(super) fn of(node: &str, income: Income) -> Arc<Self> {
        let node: SharedString = node.to_owned().into();
        let openings = BREAKER_OPENINGS.counter(&node, &[]);
        Arc::new(Self { node, income, back: Notify::new(), openings })
    }
}

/// A peer that calls are for, by its address.
#[derive(Debug)]
pub(super) struct Known {
    /// The newest at this address.
    life: Life,
    pub(super) health: Arc<Health>,
    /// Retries of calls to this peer.
    pub(super) budget: Budget,
    /// As many as go to each peer; a shard's calls always take the same one.
    pub(super) links: Box<[Option<Arc<Link>>]>,
    /// Whether anybody had a call for it since that was last asked.
    wanted: AtomicBool,
}

impl Known {
    pub(super) fn new(life: &Life, links: usize, common: &Arc<Common>) -> Self {
        let health = Arc::new(Health::of(life, Arc::clone(common)));
        let budget = Budget::of_peer(common.income);
        let links = vec![None; links].into();
        Self { life: life.clone(), health, budget, links, wanted: AtomicBool::new(true) }
    }

    /// A call is for this life. What was learnt of an earlier one says nothing about it. The link stays:
    /// a process that was taken for dead joins again as a new life, and still answers on it.
    pub(super) fn is_wanted(&mut self, life: &Life) {
        self.wanted.store(true, Ordering::Relaxed);
        if self.life.incarnation < life.incarnation {
            let common = Arc::clone(&self.health.common);
            self.health = Arc::new(Health::of(life, common));
            self.life = life.clone();
        }
    }

    /// Whether there is anything left to remember of it: asked now and then, so that what is known of
    /// peers stays as little as there are peers.
    pub(super) fn is_used(&mut self) -> bool {
        let linked = self.links.iter().flatten().any(|link| !link.has_ended());
        self.wanted.swap(false, Ordering::Relaxed) || linked
    }

    /// A link for a call for this life, if nothing has to be changed first.
    pub(super) fn link(&self, life: &Life, number: usize) -> Option<&Arc<Link>> {
        let well = self.health.closed.load(Ordering::Acquire);
        let ready = well && self.life.incarnation >= life.incarnation;
        let link = self.links[number].as_ref().filter(|_| ready)?;
        if !self.wanted.load(Ordering::Relaxed) {
            self.wanted.store(true, Ordering::Relaxed);
        }
        Some(link)
    }
}

/// How one life of a peer does, as its links tell.
#[derive(Debug)]
pub(super) struct Health {
    peer: Life,
    /// So that calls for a peer that is well look at nothing else.
    closed: AtomicBool,
    breaker: Mutex<Breaker>,
    common: Arc<Common>,
    gauge: Gauge,
}

impl Health {
    fn of(peer: &Life, common: Arc<Common>) -> Self {
        let gauge = PEER_BREAKER.gauge(&common.node, &[peer.node.as_str().to_owned().into()]);
        gauge.set(0.0);
        Self {
            peer: peer.clone(),
            closed: AtomicBool::new(true),
            breaker: Mutex::default(),
            common,
            gauge,
        }
    }

    /// What to do with a call.
    pub(super) fn ask(&self) -> Verdict {
        if self.closed.load(Ordering::Acquire) {
            return Verdict::Pass;
        }
        self.change(|breaker| breaker.ask(Instant::now()))
    }

    /// Changes the breaker, and tells it if that changed its state.
    fn change<T>(&self, change: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breaker = self.breaker.lock();
        let before = breaker.state();
        let changed = change(&mut breaker);
        let now = breaker.state();
        if before != now {
            self.closed.store(now == State::Closed, Ordering::Release);
            self.tell(before, now);
        }
        drop(breaker);
        if now == State::Closed && before != State::Closed {
            self.common.back.notify_waiters();
        }
        changed
    }

    fn tell(&self, before: State, now: State) {
        let (node, peer) = (&*self.common.node, &self.peer);
        match (before, now) {
            (_, State::Closed) => {
                self.gauge.set(0.0);
                tracing::info!(node, %peer, "the peer can be reached again");
            }
            (_, State::HalfOpen) => self.gauge.set(1.0),
            (State::Closed, State::Open(_)) => {
                // In this order: whoever sees the opening counted finds it in the gauge.
                self.gauge.set(2.0);
                self.common.openings.increment(1);
                tracing::warn!(
                    node,
                    %peer,
                    "the peer can't be reached; its calls wait, and it is asked now and then"
                );
            }
            (_, State::Open(until)) => {
                self.gauge.set(2.0);
                let pause = until.saturating_duration_since(Instant::now());
                tracing::debug!(node, %peer, ?pause, "the peer still can't be reached");
            }
        }
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.gauge.set(0.0);
    }
}

/// By which a link reports how it fares: each is told once, at its end at the latest.
#[derive(Debug)]
pub(super) struct Witness {
    /// A later life at the same address is no concern of this link.
    health: Weak<Health>,
    told: bool,
}

impl Witness {
    pub(super) fn of(health: &Arc<Health>) -> Self {
        Self { health: Arc::downgrade(health), told: false }
    }

    /// The peer has greeted.
    pub(super) fn connected(&self) {
        self.tell(Breaker::connected);
    }

    /// The link ended in good order, or was good for something before it broke.
    pub(super) fn ended(mut self, broke: bool, answered: bool) {
        self.told = true;
        if answered || !broke {
            self.tell(Breaker::proven);
        }
        if broke {
            self.failed();
        }
    }

    fn failed(&self) {
        self.tell(|breaker| breaker.failed(Instant::now(), fastrand::f64()));
    }

    fn tell(&self, what: impl FnOnce(&mut Breaker)) {
        if let Some(health) = self.health.upgrade() {
            health.change(what);
        }
    }
}

impl Drop for Witness {
    /// Whatever else ended the attempt, the link was not opened.
    fn drop(&mut self) {
        if !self.told {
            self.failed();
        }
    }
}

/// How often what is known of peers is gone through.
pub(super) const TIDY_EVERY: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use greenroom_core::{Incarnation, NodeId};

    use super::super::Identity;
    use super::*;

    fn life(incarnation: u64) -> Life {
        Life { node: NodeId::new("peer").unwrap(), incarnation: Incarnation(incarnation) }
    }

    fn known() -> Known {
        let income = Income { percent: 20, per_s_min: 10 };
        Known::new(&life(1), 2, &Common::of("n", income))
    }

    fn fail(known: &Known, times: u32) {
        for _ in 0..times {
            drop(Witness::of(&known.health));
        }
    }

    #[test]
    fn a_new_life_at_the_same_address_begins_well() {
        let mut known = known();
        fail(&known, super::super::breaker::FAILURES_MAX);
        assert_ne!(known.health.ask(), Verdict::Pass);
        let of_the_former = Witness::of(&known.health);
        known.is_wanted(&life(1));
        assert_ne!(known.health.ask(), Verdict::Pass, "the same life");
        known.is_wanted(&life(2));
        assert_eq!(known.health.ask(), Verdict::Pass);
        // Neither an old route nor an old link changes that.
        known.is_wanted(&life(1));
        of_the_former.ended(true, false);
        fail(&known, super::super::breaker::FAILURES_MAX - 1);
        assert_eq!(known.health.ask(), Verdict::Pass);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_when_the_peer_is_back() {
        let known = known();
        fail(&known, super::super::breaker::FAILURES_MAX);
        tokio::time::sleep(super::super::breaker::PAUSE_FIRST).await;
        let mut back = std::pin::pin!(known.health.common.back.notified());
        back.as_mut().enable();
        assert_eq!(known.health.ask(), Verdict::Probe);
        let witness = Witness::of(&known.health);
        assert!(matches!(known.health.ask(), Verdict::Refuse(_)));
        witness.connected();
        back.await;
        assert_eq!(known.health.ask(), Verdict::Pass);
        witness.ended(false, false);
        assert_eq!(known.health.ask(), Verdict::Pass);
    }

    #[test]
    fn a_peer_that_nobody_calls_is_forgotten() {
        let mut known = known();
        assert!(known.is_used());
        assert!(!known.is_used());
        known.is_wanted(&life(1));
        assert!(known.is_used());
        let identity = Identity { cluster: "c".into(), node: "n".into() };
        let link = Link::new("127.0.0.1:1", &identity, 1024);
        known.links[1] = Some(Arc::clone(&link));
        assert!(known.is_used() && known.is_used(), "it has a link");
        link.close();
        assert!(!known.is_used());
    }
}
