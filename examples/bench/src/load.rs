//! Callers that call as fast as they can, for a while, and what they saw.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::system::{Counter, Result};

/// Reading the clock twice for every call would be a good part of a fast call's time.
const LATENCY_SAMPLED_EVERY: u64 = 8;
/// Bounds the memory of a caller's samples.
const LATENCY_SAMPLES_MAX: usize = 1 << 18;
/// Steps from counter to counter; prime to any number of counters that is used here, so that a
/// caller visits all of them.
const STRIDE: usize = 617;

/// How hard to call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Tasks that call, each one call at a time.
    pub(crate) callers: usize,
    pub(crate) span: Duration,
}

/// What one run showed, in the unit of its case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) value: f64,
    /// Latencies of half and of 99 % of the calls, where they were taken.
    pub(crate) p50: Option<Duration>,
    pub(crate) p99: Option<Duration>,
}

impl Sample {
    /// A figure without latencies.
    pub(crate) fn plain(value: f64) -> Self {
        Self { value, p50: None, p99: None }
    }
}

/// What one caller did.
struct Made {
    started: Instant,
    ended: Instant,
    calls: u64,
    latencies: Vec<Duration>,
}

/// Calls the counters from all callers at once, and returns calls per second.
pub(crate) async fn drive<C: Counter>(counters: &Arc<[C]>, load: Load) -> Result<Sample> {
    let stop = Arc::new(AtomicBool::new(false));
    let start = Arc::new(Barrier::new(load.callers));
    let mut callers = JoinSet::new();
    for caller in 0..load.callers {
        let (counters, stop, start) = (Arc::clone(counters), Arc::clone(&stop), Arc::clone(&start));
        callers.spawn(async move {
            start.wait().await;
            call_until(&stop, &counters, caller % counters.len()).await
        });
    }
    // A thread, not a timer of the runtime: callers may keep its workers from looking at timers.
    let clock = thread::spawn(move || {
        thread::sleep(load.span);
        stop.store(true, Ordering::Relaxed);
    });
    let mut made = Vec::with_capacity(load.callers);
    while let Some(caller) = callers.join_next().await {
        made.push(caller??);
    }
    clock.join().map_err(|_| "the clock of a run panicked")?;
    summary(made)
}

async fn call_until<C: Counter>(stop: &AtomicBool, counters: &[C], first: usize) -> Result<Made> {
    let started = Instant::now();
    let (mut calls, mut at, mut latencies) = (0, first, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let counter = &counters[at];
        if calls % LATENCY_SAMPLED_EVERY == 0 && latencies.len() < LATENCY_SAMPLES_MAX {
            let called = Instant::now();
            counter.add(1).await?;
            latencies.push(called.elapsed());
        } else {
            counter.add(1).await?;
        }
        calls += 1;
        at = (at + STRIDE) % counters.len();
    }
    Ok(Made { started, ended: Instant::now(), calls, latencies })
}

fn summary(made: Vec<Made>) -> Result<Sample> {
    let started = made.iter().map(|made| made.started).min();
    let ended = made.iter().map(|made| made.ended).max();
    let (Some(started), Some(ended)) = (started, ended) else {
        return Err("nobody called".into());
    };
    let calls: u64 = made.iter().map(|made| made.calls).sum();
    let mut latencies: Vec<Duration> = made.into_iter().flat_map(|made| made.latencies).collect();
    latencies.sort_unstable();
    Ok(Sample {
        value: per_second(calls, ended - started),
        p50: quantile(&latencies, 50),
        p99: quantile(&latencies, 99),
    })
}

/// A rate; events are few enough to be exact as a float.
pub(crate) fn per_second(events: u64, span: Duration) -> f64 {
    events as f64 / span.as_secs_f64()
}

/// The value that `percent` of the sorted values do not exceed.
fn quantile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contestants::TokioChannel;
    use crate::system::System;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let seen: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(quantile(&seen, 50), Some(Duration::from_millis(100)));
        assert_eq!(quantile(&seen, 99), Some(Duration::from_millis(198)));
        assert_eq!(quantile(&seen[..1], 99), Some(Duration::from_millis(1)));
        assert_eq!(quantile(&[], 50), None);
    }

    #[tokio::test]
    async fn every_call_that_is_reported_was_counted_by_an_actor() {
        let system = TokioChannel::start().await.unwrap();
        let counter = system.counter("one").await.unwrap();
        let counters: Arc<[_]> = vec![counter.clone()].into();
        let stop = AtomicBool::new(false);
        let calling = call_until(&stop, &counters, 0);
        let (made, ()) = tokio::join!(calling, async {
            while counter.add(0).await.unwrap() < 100 {}
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(made.unwrap().calls, counter.add(0).await.unwrap());
    }
}
