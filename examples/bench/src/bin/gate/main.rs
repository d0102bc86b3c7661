//! Figures of the gate: what a permit costs, beside other read-write locks and the least that any
//! count of readers can cost.
//!
//! Run it with `cargo run --release -p greenroom-bench --bin gate`. It needs nothing else.

mod contestants;
#[path = "../../row.rs"]
mod row;

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use contestants::{Contestant, contestants};
use row::Row;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const BARE: &str = "bare atomic pair";
const GATE: &str = "gate, enter";

/// Measures the gate beside other locks.
#[derive(Debug, Parser)]
struct Options {
    /// Rounds of each case and contestant; medians are told.
    #[arg(long, default_value_t = 31)]
    rounds: usize,
    /// Acquisitions of each thread in a round.
    #[arg(long, default_value_t = 1_000_000)]
    acquisitions: u64,
    /// Only contestants whose names contain this.
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,
}

/// Which locks the threads of a case take.
#[derive(Clone, Copy)]
enum Case {
    Alone,
    /// Two threads, each at a lock of its own; the locks are neighbours.
    Apart,
    /// Two threads at one lock.
    Together,
}

impl Case {
    const ALL: [Self; 3] = [Self::Alone, Self::Apart, Self::Together];

    fn name(self) -> &'static str {
        match self {
            Self::Alone => "1 thread",
            Self::Apart => "2 threads, different shards",
            Self::Together => "2 threads, the same shard",
        }
    }

    /// The lock of each thread.
    fn locks(self) -> &'static [usize] {
        match self {
            Self::Alone => &[0],
            Self::Apart => &[0, 1],
            Self::Together => &[0, 0],
        }
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: its figures say nothing");
    }
    let mut contestants = contestants();
    if let Some(only) = &options.only {
        contestants.retain(|contestant| contestant.name().contains(only.as_str()));
    }
    let mut rows = Vec::new();
    let mut alone = Vec::new();
    for case in Case::ALL {
        let measured = measure(case, &contestants, &options);
        if matches!(case, Case::Alone) {
            alone.clone_from(&measured);
        }
        for (contestant, figures) in contestants.iter().zip(&measured) {
            let name = contestant.name();
            let mut row = Row::new(&format!("{}: {name}", case.name()), "ns", figures.clone());
            if name == GATE {
                for &(other, goal) in goals(case) {
                    let of = |name: &str| contestants.iter().position(|other| other.name() == name);
                    let baseline = match other {
                        Other::Here(name) => of(name).map(|at| &measured[at]),
                        Other::Alone => of(GATE).map(|at| &alone[at]),
                    };
                    let Some(baseline) = baseline else { continue };
                    row.notes.push(judge(figures, baseline, other, goal));
                }
            }
            row.print();
            rows.push(row);
        }
        println!();
    }
    row::write("gate", &rows)
}

/// What a figure of the gate is compared with.
#[derive(Clone, Copy)]
enum Other {
    Here(&'static str),
    /// Itself with one thread.
    Alone,
}

/// At most how many times as much as what the gate may cost.
fn goals(case: Case) -> &'static [(Other, f64)] {
    match case {
        Case::Alone => &[(Other::Here(BARE), 1.5), (Other::Here("tokio RwLock::read"), 0.4)],
        Case::Apart => &[(Other::Alone, 1.2)],
        Case::Together => &[(Other::Here("parking_lot RwLock::read"), 1.0)],
    }
}

/// The median of the ratios of rounds, because both figures of a round met the same noise.
fn judge(figures: &[f64], baseline: &[f64], other: Other, goal: f64) -> String {
    let mut ratios: Vec<f64> =
        figures.iter().zip(baseline).map(|(ours, theirs)| ours / theirs).collect();
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    let other = match other {
        Other::Here(name) => name,
        Other::Alone => "1 thread",
    };
    let met = if ratio <= goal { "met" } else { "not met" };
    format!("{ratio:.2} of {other}, goal at most {goal}: {met}")
}

/// Nanoseconds an acquisition and release of one thread, for each contestant and round.
fn measure(case: Case, contestants: &[Box<dyn Contestant>], options: &Options) -> Vec<Vec<f64>> {
    let mut figures = vec![Vec::with_capacity(options.rounds); contestants.len()];
    // The first round warms up. Contestants take turns, so that a noisy machine hurts all alike.
    for round in 0..=options.rounds {
        for (contestant, figures) in contestants.iter().zip(&mut figures) {
            let figure = run(case, &**contestant, options.acquisitions);
            if round > 0 {
                figures.push(figure);
            }
        }
    }
    figures
}

/// Keeps a thread on a processor of its own, where the machine lets it: two threads on one would
/// take turns, and never meet at a lock.
fn pin(thread: usize) {
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let mut processors = (0..CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor));
    if let Some(processor) = processors.nth(thread) {
        let mut own = CpuSet::new();
        own.set(processor);
        let _ = sched_setaffinity(None, &own);
    }
}

fn run(case: Case, contestant: &dyn Contestant, acquisitions: u64) -> f64 {
    let locks = case.locks();
    let start = Barrier::new(locks.len());
    let spans = thread::scope(|scope| {
        let threads: Vec<_> = locks
            .iter()
            .enumerate()
            .map(|(thread, lock)| {
                let start = &start;
                scope.spawn(move || {
                    pin(thread);
                    start.wait();
                    let began = Instant::now();
                    contestant.acquire_and_release(*lock, acquisitions);
                    began.elapsed()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no lock panics")).collect::<Vec<_>>()
    });
    let total: f64 = spans.iter().map(Duration::as_secs_f64).sum();
    total / spans.len() as f64 / acquisitions as f64 * 1e9
}
