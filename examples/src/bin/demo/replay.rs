//! Replays the flights, many at a time, and kills a node in the middle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use greenroom::{CallError, Node, NodeId};
use greenroom_examples::flights::{Flight, FlyError, RouteRef};
use hdrhistogram::Histogram;
use tokio::sync::oneshot;

use crate::nodes::Nodes;
use crate::shards::follow_the_shards;
use crate::{millis, thousands};

/// Each flight is a call of its route, which calls both airports.
const CALLS_PER_FLIGHT: u64 = 3;
/// How often a flight that failed is flown again before the demo gives it up.
const ATTEMPTS_MAX: u32 = 20;
/// Lines of progress.
const PROGRESS_LINES: u64 = 10;

#[derive(Default)]
struct Counts {
    flown: AtomicU64,
    /// Attempts that failed and may have run.
    may_have_run: AtomicU64,
    /// Attempts that failed and surely did not run.
    did_not_run: AtomicU64,
    given_up: AtomicU64,
}

/// Flies all flights; with a `victim`, kills that node when half of them are flown.
pub(crate) async fn replay(
    nodes: &mut Nodes,
    flights: &[Flight],
    concurrency: usize,
    victim: Option<NodeId>,
) {
    let total = flights.len() as u64;
    println!(
        "replaying {} flights, {concurrency} at a time, {CALLS_PER_FLIGHT} calls each",
        thousands(total)
    );
    let counts = Arc::new(Counts::default());
    let caller = nodes.caller().clone();
    let (half_flown, halfway) = oneshot::channel();
    let began = Instant::now();
    let flying = fly_all(caller.clone(), flights, concurrency, Arc::clone(&counts), half_flown);
    let killing = async {
        let Some(victim) = victim else { return };
        // If the sender is gone, all flights are flown.
        let _ = halfway.await;
        let (shards, actors) = nodes.kill(&victim).await;
        println!(
            "  killed {victim}, which owned {} shards and held {} actors in memory",
            thousands(shards as u64),
            thousands(actors as u64)
        );
        follow_the_shards(&caller, &victim).await;
    };
    let (latencies, ()) = tokio::join!(flying, killing);
    report(&latencies, &counts, began.elapsed());
}

async fn fly_all(
    node: Node,
    flights: &[Flight],
    concurrency: usize,
    counts: Arc<Counts>,
    half_flown: oneshot::Sender<()>,
) -> Histogram<u64> {
    let began = Instant::now();
    let total = flights.len() as u64;
    let mut half_flown = Some(half_flown);
    let mut latencies = Histogram::new(3).expect("three digits are allowed");
    let attempts = flights.iter().map(|flight| {
        let (node, flight, counts) = (node.clone(), flight.clone(), Arc::clone(&counts));
        // A task each, so that both processors work.
        async move { tokio::spawn(async move { fly(&node, flight, &counts).await }).await }
    });
    let mut attempts = stream::iter(attempts).buffer_unordered(concurrency);
    while let Some(taken) = attempts.next().await {
        let taken = taken.unwrap_or_default();
        // Grows as it needs.
        let _ = latencies.record(u64::try_from(taken.as_micros()).unwrap_or(u64::MAX));
        let flown = counts.flown.fetch_add(1, Ordering::Relaxed) + 1;
        if flown * PROGRESS_LINES / total > (flown - 1) * PROGRESS_LINES / total {
            let rate = flown as f64 * CALLS_PER_FLIGHT as f64 / began.elapsed().as_secs_f64();
            let percent = flown * 100 / total;
            let (flown, rate) = (thousands(flown), thousands(rate as u64));
            println!("  {percent:3} %  {flown:>6} flights  {rate:>7} calls/s on average");
        }
        if flown * 2 >= total
            && let Some(half_flown) = half_flown.take()
        {
            let _ = half_flown.send(());
        }
    }
    latencies
}

/// Flies one flight, again if it failed: telling an airport twice is harmless. Answers with the
/// time that it took in all.
async fn fly(node: &Node, flight: Flight, counts: &Counts) -> Duration {
    let began = Instant::now();
    for attempt in 1..=ATTEMPTS_MAX {
        let route: RouteRef = match node.actor(&flight.route()) {
            Ok(route) => route,
            Err(error) => {
                println!("  flight {} has no route: {error}", flight.number);
                break;
            }
        };
        let Err(error) = route.fly(flight.clone()).await else {
            return began.elapsed();
        };
        count(&error, counts);
        tokio::time::sleep(Duration::from_millis(10) * attempt).await;
    }
    counts.given_up.fetch_add(1, Ordering::Relaxed);
    began.elapsed()
}

fn count(error: &CallError<FlyError>, counts: &Counts) {
    let counter = if error.may_have_run() { &counts.may_have_run } else { &counts.did_not_run };
    counter.fetch_add(1, Ordering::Relaxed);
}

fn report(latencies: &Histogram<u64>, counts: &Counts, took: Duration) {
    let flown = counts.flown.load(Ordering::Relaxed);
    let rate = flown as f64 * CALLS_PER_FLIGHT as f64 / took.as_secs_f64();
    println!(
        "flew {} flights in {:.2} s: {} calls/s",
        thousands(flown),
        took.as_secs_f64(),
        thousands(rate as u64)
    );
    let at = |quantile| millis(Duration::from_micros(latencies.value_at_quantile(quantile)));
    println!(
        "  a flight took (repeats included): p50 {}, p90 {}, p99 {}, p99.9 {}, max {}",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        millis(Duration::from_micros(latencies.max()))
    );
    println!(
        "  attempts that failed and were repeated: {} that may have run, {} that surely did not; \
         given up: {}",
        counts.may_have_run.load(Ordering::Relaxed),
        counts.did_not_run.load(Ordering::Relaxed),
        counts.given_up.load(Ordering::Relaxed)
    );
}
