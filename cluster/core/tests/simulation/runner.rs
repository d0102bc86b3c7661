//! Runs seeds, on all cores, and sums up what happened.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::whole;
use crate::world::{Counts, Options, SECOND, Shape, World};

/// How long faults go on, and how long the cluster then has to come to rest.
const FAULTS_UNTIL: u64 = 90 * SECOND;
const REST_UNTIL: u64 = 150 * SECOND;
/// With fewer faults or fewer answered calls a run proves little.
const FAULTS_MIN: u64 = 20;
const CALLS_MIN: u64 = 100;

/// After so many failures there is enough to look at.
const FAILED_MAX: usize = 10;

/// What a run was like.
pub(crate) struct Report {
    pub(crate) options: Options,
    pub(crate) counts: Counts,
    pub(crate) fingerprint: u64,
}

impl Report {
    /// Whether its faults took effect and its load was reached.
    pub(crate) fn counts_as_a_run(&self) -> bool {
        self.counts.faults >= FAULTS_MIN && self.counts.calls_acknowledged >= CALLS_MIN
    }
}

/// What a seed stands for.
fn draw(seed: u64) -> (Shape, Options) {
    let mut rng = fastrand::Rng::with_seed(seed);
    (Shape::mixed(&mut rng), Options::drawn(&mut rng))
}

/// One run, from the seed alone.
pub(crate) fn run(seed: u64, traced: bool) -> Report {
    let (shape, options) = draw(seed);
    let mut world = World::with(seed, shape, options);
    world.traced = traced;
    world.faults = true;
    world.run_until(FAULTS_UNTIL);
    world.end_faults();
    let orders = world.last_orders(seed.is_multiple_of(2));
    world.insist(orders);
    world.run_until(REST_UNTIL);
    whole::check(&world);
    let (options, counts) = (world.options.clone(), world.counts.clone());
    Report { options, counts, fingerprint: world.fingerprint() }
}

/// What many runs were like.
#[derive(Default)]
pub(crate) struct Summary {
    pub(crate) counts: Counts,
    pub(crate) failed: Vec<u64>,
    /// Those that don't count.
    pub(crate) idle: Vec<u64>,
    runs: u64,
    pub(crate) beyond_bound: u64,
    took: Duration,
    threads: u32,
}

/// Runs these seeds. A seed that fails prints what it drew and the command that replays it.
pub(crate) fn run_all(seeds: &[u64]) -> Summary {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, summary) = (AtomicUsize::new(0), Mutex::new(Summary::default()));
    let began = Instant::now();
    let work = || {
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
            if summary.lock().expect("nothing panics under it").failed.len() >= FAILED_MAX {
                return;
            }
            let result = catch_unwind(AssertUnwindSafe(|| run(seed, false)));
            summary.lock().expect("nothing panics under it").add(seed, result.ok().as_ref());
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut summary = summary.into_inner().expect("nothing panics under it");
    (summary.took, summary.threads) = (began.elapsed(), threads as u32);
    summary
}

impl Summary {
    fn add(&mut self, seed: u64, report: Option<&Report>) {
        self.runs += 1;
        let Some(report) = report else {
            self.failed.push(seed);
            println!(
                "seed {seed} failed, with {}\n  GREENROOM_SIM_SEED={seed} GREENROOM_SIM_TRACE=1 cargo \
                 test -p greenroom-core --test simulation the_invariants -- --nocapture",
                draw(seed).1
            );
            return;
        };
        self.beyond_bound += u64::from(!report.options.is_within_bound());
        self.counts += &report.counts;
        if !report.counts_as_a_run() {
            self.idle.push(seed);
        }
        if self.runs.is_multiple_of(1000) {
            println!("{} runs, {} failed", self.runs, self.failed.len());
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.runs as f64 * (REST_UNTIL / SECOND) as f64 / 3600.0;
        let core_minutes = self.took.as_secs_f64() * f64::from(self.threads) / 60.0;
        let disturbed = self.runs * (FAULTS_UNTIL / SECOND);
        write!(
            f,
            "{}{} runs, {} of them with clocks beyond the bound: {hours:.1} cluster-hours, {:.1} a \
             core-minute; while faults went on, one every {:.1} s\n{} runs did not count: {:?}\n{} \
             failed: {:?}",
            self.counts,
            self.runs,
            self.beyond_bound,
            hours / core_minutes,
            disturbed as f64 / self.counts.faults as f64,
            self.idle.len(),
            self.idle,
            self.failed.len(),
            self.failed,
        )
    }
}
