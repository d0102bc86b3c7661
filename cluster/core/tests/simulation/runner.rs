//! Runs seeds, on all cores, and sums up what happened.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::whole;
use crate::world::{Counts, Options, SECOND, Shape, World};

/// How long a cluster has to come to rest after the faults, unless everything takes longer there.
const REST: u64 = 60 * SECOND;
/// With fewer faults while they go on, or fewer answered calls, a run proves little.
const FAULT_EVERY_MAX: u64 = 15 * SECOND;
const CALL_EVERY_MAX: u64 = 3 * SECOND;
/// One seed in so many is checked in full at every event.
const THOROUGH_ONE_IN: u64 = 64;

/// After so many failures there is enough to look at.
const FAILED_MAX: usize = 10;

/// What a run was like.
pub(crate) struct Report {
    pub(crate) options: Options,
    pub(crate) counts: Counts,
    /// How long it took in virtual time, all in all.
    span_us: u64,
    events: u64,
}

impl Report {
    /// Whether its faults took effect and its load was reached.
    pub(crate) fn counts_as_a_run(&self) -> bool {
        self.counts.faults >= self.disturbed_us() / FAULT_EVERY_MAX
            && self.counts.calls_acknowledged >= self.span_us / CALL_EVERY_MAX
    }

    /// For how long faults went on.
    fn disturbed_us(&self) -> u64 {
        u64::from(self.options.rounds) * self.options.faults_us
    }
}

/// What a seed stands for.
fn draw(seed: u64) -> (Shape, Options) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let shape = Shape::mixed(&mut rng);
    let options = Options::drawn(&mut rng, &shape);
    (shape, options)
}

/// One run, from the seed alone.
pub(crate) fn run(seed: u64, traced: bool) -> Report {
    let world = world_after(seed, traced);
    let (span_us, events) = (world.now_us, world.events());
    Report { options: world.options, counts: world.counts, span_us, events }
}

/// The world in which a run ends, which has been checked.
pub(crate) fn world_after(seed: u64, traced: bool) -> World {
    let (shape, options) = draw(seed);
    let mut world = World::with(seed, shape, options);
    world.traced = traced;
    world.thorough = seed.is_multiple_of(THOROUGH_ONE_IN);
    world.faults = true;
    for round in 0..u64::from(world.options.rounds) {
        if round > 0 {
            world.begin_faults_again();
        }
        world.run_for(world.options.faults_us);
        world.end_faults();
        let orders = world.last_orders((seed + round).is_multiple_of(2));
        world.insist(orders);
        world.run_for(REST * u64::from(world.shape.slowness()));
        whole::check(&world);
    }
    world
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
    /// In virtual time: all of it, and while faults went on.
    span_us: u64,
    disturbed_us: u64,
    events: u64,
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

fn hours(span_us: u64) -> f64 {
    span_us as f64 / SECOND as f64 / 3600.0
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
        self.span_us += report.span_us;
        self.disturbed_us += report.disturbed_us();
        self.events += report.events;
        self.beyond_bound += u64::from(!report.options.is_within_bound());
        self.counts += &report.counts;
        if !report.counts_as_a_run() {
            self.idle.push(seed);
        }
        if self.runs.is_multiple_of(1000) {
            let (runs, failed) = (self.runs, self.failed.len());
            println!("{runs} runs, {:.1} cluster-hours, {failed} failed", hours(self.span_us));
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core_minutes = self.took.as_secs_f64() * f64::from(self.threads) / 60.0;
        let cluster_hours = hours(self.span_us);
        let every_s = |span_us: u64| span_us as f64 / (SECOND * self.counts.faults) as f64;
        write!(
            f,
            "{}{} runs, {} of them with clocks beyond the bound: {cluster_hours:.1} cluster-hours, \
             {:.1} a core-minute, {} events\none fault every {:.1} s, and every {:.1} s while they \
             went on, which was {:.1} hours\n{} runs did not count: {:?}\n{} failed: {:?}",
            self.counts,
            self.runs,
            self.beyond_bound,
            cluster_hours / core_minutes,
            self.events,
            every_s(self.span_us),
            every_s(self.disturbed_us),
            hours(self.disturbed_us),
            self.idle.len(),
            self.idle,
            self.failed.len(),
            self.failed,
        )
    }
}
