//! Probes: what a test and its actors share, found by the actor's key. Keys are unique among the
//! tests of one file, so no two tests share a probe.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use greenroom::DeactivateReason;
use tokio::sync::{Barrier, Semaphore};

use super::within;

static PROBES: LazyLock<Mutex<HashMap<String, Arc<Probe>>>> = LazyLock::new(Mutex::default);

/// The probe of the actor with this key.
pub fn probe(key: &str) -> Arc<Probe> {
    let mut probes = PROBES.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(probes.entry(key.to_owned()).or_default())
}

/// What one actor and its test share.
#[derive(Debug)]
pub struct Probe {
    /// A permit for each turn that has come to its holding place.
    arrived: Semaphore,
    /// A permit for each turn that may go on.
    go_on: Semaphore,
    /// A permit for each end of an activation that was told.
    farewell: Semaphore,
    /// Whether a turn is between its begin and its end.
    pub inside: AtomicBool,
    /// Whether an activation lives.
    pub alive: AtomicBool,
    /// Whether activations are refused.
    pub refuse: AtomicBool,
    pub activations: AtomicUsize,
    /// Turns that are inside now, and the most that ever were.
    pub now: AtomicUsize,
    pub most: AtomicUsize,
    /// For two turns that wait for each other.
    pub meeting: Barrier,
    log: Mutex<Vec<String>>,
    reasons: Mutex<Vec<DeactivateReason>>,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            arrived: Semaphore::new(0),
            go_on: Semaphore::new(0),
            farewell: Semaphore::new(0),
            inside: AtomicBool::new(false),
            alive: AtomicBool::new(false),
            refuse: AtomicBool::new(false),
            activations: AtomicUsize::new(0),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            meeting: Barrier::new(2),
            log: Mutex::default(),
            reasons: Mutex::default(),
        }
    }
}

impl Probe {
    /// In a turn: says that it is here, and waits until the test lets it go on.
    pub async fn hold(&self) {
        self.arrived.add_permits(1);
        take_one(&self.go_on).await;
    }

    /// In a test: waits for one more turn to come to its holding place.
    pub async fn arrival(&self) {
        within("the arrival of a turn", take_one(&self.arrived)).await;
    }

    /// Turns that have arrived and that the test has not waited for.
    pub fn arrivals(&self) -> usize {
        self.arrived.available_permits()
    }

    /// In a test: lets so many turns go on.
    pub fn release(&self, turns: usize) {
        self.go_on.add_permits(turns);
    }

    /// In `activate`: counts it, and panics if another activation lives.
    pub fn activated(&self) {
        self.activations.fetch_add(1, Ordering::SeqCst);
        assert!(!self.alive.swap(true, Ordering::SeqCst), "a second activation");
    }

    pub fn activations(&self) -> usize {
        self.activations.load(Ordering::SeqCst)
    }

    /// In `deactivate`.
    pub fn deactivated(&self, reason: DeactivateReason) {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).push(reason);
        self.alive.store(false, Ordering::SeqCst);
        self.farewell.add_permits(1);
    }

    /// In a test: waits for one more end of an activation.
    pub async fn farewell(&self) {
        within("a deactivation", take_one(&self.farewell)).await;
    }

    pub fn reasons(&self) -> Vec<DeactivateReason> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn note(&self, line: impl Into<String>) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(line.into());
    }

    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn take_one(semaphore: &Semaphore) {
    semaphore.acquire().await.expect("a probe's semaphores are never closed").forget();
}
