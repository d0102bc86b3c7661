//! The steady load: callers that go round their keys, whatever happens to the cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::calls::{Asks, CALL_TIMEOUT, Caller};

/// Callers that call at the same time.
pub const CALLERS: u64 = 16;
/// Keys of each caller.
pub const KEYS_PER_CALLER: u64 = 25;
/// From one call of a caller to its next, whether or not the earlier ones are answered: a node that
/// hangs must not take the load away from the others.
const PAUSE: Duration = Duration::from_millis(10);
/// Calls on one key that may be under way: three, so that turns queue and readings run beside each
/// other, and what overlaps wrongly is seen.
const CALLS_PER_KEY_MAX: usize = 3;
/// One call of so many only reads.
const READS_ONE_IN: u64 = 3;
/// One call of so many holds its turn for [`HOLD_MS`].
const HOLDS_ONE_IN: u64 = 16;
const HOLD_MS: u64 = 20;

/// Running callers; they end when this value is dropped.
#[derive(Debug)]
pub struct Load {
    running: Arc<AtomicBool>,
    callers: JoinSet<()>,
}

impl Load {
    /// Lets the callers begin.
    #[must_use]
    pub fn start(caller: &Caller) -> Self {
        let running = Arc::new(AtomicBool::new(true));
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            callers.spawn(go_round(number, caller.clone(), Arc::clone(&running)));
        }
        Self { running, callers }
    }

    /// Makes no new calls, and waits until those under way have ended; whether all did in time.
    pub async fn stop(mut self) -> bool {
        self.running.store(false, Ordering::Relaxed);
        let all = async { while self.callers.join_next().await.is_some() {} };
        timeout(CALL_TIMEOUT + Duration::from_secs(3), all).await.is_ok()
    }
}

/// The keys of the load.
pub fn keys() -> impl Iterator<Item = String> {
    (0..CALLERS).flat_map(|caller| (0..KEYS_PER_CALLER).map(move |number| key(caller, number)))
}

fn key(caller: u64, number: u64) -> String {
    format!("load-{caller}-{number}")
}

async fn go_round(number: u64, caller: Caller, running: Arc<AtomicBool>) {
    let mut rng = fastrand::Rng::with_seed(number);
    let keys: Vec<(String, Arc<Semaphore>)> = (0..KEYS_PER_CALLER)
        .map(|place| (key(number, place), Arc::new(Semaphore::new(CALLS_PER_KEY_MAX))))
        .collect();
    let mut calls = JoinSet::new();
    let mut pace = interval(PAUSE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while running.load(Ordering::Relaxed) {
        pace.tick().await;
        while calls.try_join_next().is_some() {}
        let (key, places) = &keys[rng.usize(..keys.len())];
        let Ok(place) = Arc::clone(places).try_acquire_owned() else { continue };
        let hold_ms = if rng.u64(..HOLDS_ONE_IN) == 0 { HOLD_MS } else { 0 };
        let asks = if rng.u64(..READS_ONE_IN) == 0 { Asks::Read } else { Asks::Turn };
        let (key, caller) = (key.clone(), caller.clone());
        calls.spawn(async move {
            caller.call(&key, asks, hold_ms, CALL_TIMEOUT).await;
            drop(place);
        });
    }
    while calls.join_next().await.is_some() {}
}
