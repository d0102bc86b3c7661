//! A seeded simulation of the ownership protocol: nodes with clocks of their own, a store, a network,
//! clients, and a store of durable states that knows nothing but epochs. Faults come every few
//! seconds (`world/faults.rs`, `world/cluster_faults.rs`); each run draws which of them it has and how
//! often, how bad its network is and how far its clocks drift, now and then beyond what the margin
//! covers. Half of the runs have the liveness window of a real cluster, and half a shorter one. The
//! invariants hold at every event (a file each in `world/invariants`); when the faults stop, the
//! cluster must be whole and even (`whole.rs`). In one run of eight they begin again, several times.
//!
//! The checks look at what an event may have changed; one run in 64 looks at everything at every
//! event, and must come to the same.
//!
//! `make sim` runs thousands of seeds. A failure prints the command that replays its seed, which
//! prints every step. Seeds that once failed are in `regressions.txt`, and run first.

mod checks;
mod repeat;
mod runner;
mod whole;
#[allow(dead_code, reason = "scripted worlds use more of it than this one")]
mod world;

use runner::{Report, run, run_all, world_after};

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}: {text:?} is no number")))
}

/// Seeds that once failed, the first word of each line.
fn regressions() -> Vec<u64> {
    let lines = include_str!("regressions.txt").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}

#[test]
fn the_invariants_hold_through_all_faults_and_the_cluster_is_whole_afterwards() {
    if let Some(seed) = number_from("GREENROOM_SIM_SEED") {
        let traced = number_from("GREENROOM_SIM_TRACE").is_some_and(|value| value > 0);
        let world = world_after(seed, traced);
        println!("seed {seed}: {}\n{}", world.options, world.counts);
        println!("fingerprint {:016x}", world.fingerprint());
        return;
    }
    let first = number_from("GREENROOM_SIM_FIRST").unwrap_or(1);
    let runs = number_from("GREENROOM_SIM_RUNS").unwrap_or(200);
    let seeds: Vec<u64> = regressions().into_iter().chain(first..first + runs).collect();
    let summary = run_all(&seeds);
    println!("{summary}");
    assert!(summary.failed.is_empty(), "{} seeds failed, see above", summary.failed.len());
    if runs >= 100 {
        // A run counts only if its faults took effect and its load was reached.
        let idle = summary.idle.len() as u64;
        assert!(idle * 50 <= runs, "{idle} of {runs} runs were hardly disturbed or hardly used");
        let named = summary.counts.named();
        // Some can happen only with clocks beyond the bound, which few runs have.
        let of = |name: &str| if name.starts_with("beyond") { summary.beyond_bound } else { runs };
        let few = named.into_iter().filter(|(name, count)| *count < of(name) / 60);
        let few: Vec<_> = few.collect();
        assert!(few.is_empty(), "hardly ever happened in {runs} runs: {few:?}");
    }
}

#[test]
fn a_run_that_is_too_short_to_be_disturbed_does_not_count() {
    let mut report: Report = run(1, false);
    assert!(report.counts_as_a_run());
    report.counts.calls_acknowledged = 0;
    assert!(!report.counts_as_a_run());
}
