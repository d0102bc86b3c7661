//! Runs many seeds, each in a process of its own, and sums up what came of them.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::Arguments;
use crate::sim::Outcome;

/// After so many failures there is enough to look at.
const FAILED_MAX: usize = 5;
/// How often it is told how far it is, in runs.
const TELL_EVERY: u64 = 50;

#[derive(Default)]
struct Summary {
    runs: u64,
    hours: f64,
    failed: Vec<u64>,
    idle: Vec<u64>,
    repeated: u64,
    faults: BTreeMap<String, u64>,
    turns: u64,
    turns_fenced: u64,
    moves: u64,
    deaths: u64,
    leader_changes: u64,
    answers: BTreeMap<String, u64>,
    whole_after_max: f64,
    /// Seconds of processors, without those of repeats.
    took: f64,
}

/// Runs seeds until there are enough hours.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let (next, summary) = (AtomicU64::new(arguments.first), Mutex::new(Summary::default()));
    let work = || {
        loop {
            {
                let summary = summary.lock().expect("nothing panics under it");
                if summary.hours >= arguments.hours || summary.failed.len() >= FAILED_MAX {
                    return;
                }
            }
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let outcome = replay(seed);
            let is_repeated = seed - arguments.first < arguments.repeats;
            let again = is_repeated.then(|| replay(seed));
            let mut summary = summary.lock().expect("nothing panics under it");
            summary.add(outcome, again);
        }
    };
    thread::scope(|scope| (0..arguments.jobs).for_each(|_| drop(scope.spawn(work))));
    let summary = summary.into_inner().expect("nothing panics under it");
    println!("{summary}");
    let is_good = summary.failed.is_empty() && summary.idle.len() as u64 * 10 <= summary.runs;
    ExitCode::from(u8::from(!is_good))
}

/// Runs a seed in a process of its own.
fn replay(seed: u64) -> Outcome {
    let program = env::current_exe().expect("this program");
    let output = Command::new(program).args(["--seed", &seed.to_string(), "--json"]).output();
    let output = output.expect("this program can be run again");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        panic!("seed {seed} ended without a result ({error}): {said}")
    })
}

impl Summary {
    fn add(&mut self, outcome: Outcome, again: Option<Outcome>) {
        self.runs += 1;
        self.hours += outcome.seconds / 3600.0;
        let seed = outcome.seed;
        let mut violations = outcome.violations;
        if let Some(again) = again {
            self.repeated += 1;
            if again.fingerprint != outcome.fingerprint {
                violations.push("run again, it was another run".to_owned());
            }
        }
        if !violations.is_empty() {
            self.failed.push(seed);
            println!(
                "seed {seed} failed, with {}\n  {}\n  make wire SEED={seed}",
                outcome.shape,
                violations.join("\n  ")
            );
        } else if !outcome.counts {
            self.idle.push(seed);
        }
        for (fault, times) in outcome.faults {
            *self.faults.entry(fault).or_default() += times;
        }
        self.took += outcome.took;
        self.turns += outcome.turns;
        self.turns_fenced += outcome.turns_fenced;
        self.moves += outcome.moves;
        self.deaths += outcome.deaths;
        self.leader_changes += outcome.leader_changes;
        for (what, times) in outcome.answers {
            *self.answers.entry(what).or_default() += times;
        }
        self.whole_after_max = self.whole_after_max.max(outcome.whole_after);
        if self.runs.is_multiple_of(TELL_EVERY) {
            println!(
                "{} runs, {:.1} cluster-hours, {} failed",
                self.runs,
                self.hours,
                self.failed.len()
            );
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (fault, times) in &self.faults {
            writeln!(f, "{times:>9} {fault}")?;
        }
        for (what, times) in &self.answers {
            writeln!(f, "{times:>9} {what}")?;
        }
        writeln!(
            f,
            "{:>9} shards moved, {} lives ended, {} changes of \
             the leader\n{:>9} turns acknowledged, {} fenced",
            self.moves, self.deaths, self.leader_changes, self.turns, self.turns_fenced,
        )?;
        let faults = self.faults.values().sum::<u64>();
        write!(
            f,
            "{} runs, {} of them twice: {:.1} cluster-hours, {:.2} a core-minute; a fault every {:.1} s; \
             whole again {:.1} s after the last at most\n{} runs did not count: {:?}\n{} failed: {:?}",
            self.runs,
            self.repeated,
            self.hours,
            self.hours / (self.took / 60.0),
            self.hours * 3600.0 / faults as f64,
            self.whole_after_max,
            self.idle.len(),
            self.idle,
            self.failed.len(),
            self.failed,
        )
    }
}
