//! One run: from a seed to what came of it. Nothing else goes into it, so the same seed is the same
//! run.

mod faults;
mod history;
mod judge;
mod machine;
mod net;
mod node;
mod shape;
mod stage;

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use greenroom_chaos::judge::history::{judge, tally};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use self::stage::Stage;

use greenroom_chaos::records::CLUSTER;

const SHARDS: u32 = 32;
/// How far the hosts run at a time.
const TICK: Duration = Duration::from_millis(10);
/// How long faults go on.
const FAULTS_FOR: Duration = Duration::from_secs(300);
/// How long the cluster may take to be whole once they stop. Most are whole within seconds; the longest way is that
/// of a node whose watch stalls: until it reads everything again, after half a minute, it does not claim what it is
/// given, is found unable after a migration time-out (30 s), and given nothing for four of them.
const WHOLE_WITHIN: Duration = Duration::from_secs(170);
/// How long it must stay so.
const WHOLE_FOR: Duration = Duration::from_secs(10);
/// With fewer faults or turns a run proves little.
const FAULTS_MIN: u64 = 20;
const TURNS_MIN: u64 = 500;

/// What came of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) shape: String,
    pub(crate) violations: Vec<String>,
    /// Simulated seconds.
    pub(crate) seconds: f64,
    /// Seconds from the end of the faults until the cluster was whole.
    pub(crate) whole_after: f64,
    pub(crate) faults: BTreeMap<String, u64>,
    pub(crate) turns: u64,
    pub(crate) turns_fenced: u64,
    pub(crate) moves: u64,
    pub(crate) deaths: u64,
    pub(crate) leader_changes: u64,
    /// What the double did not answer as one would like.
    pub(crate) answers: BTreeMap<String, u64>,
    pub(crate) counts: bool,
    /// Seconds of a processor that it took.
    pub(crate) took: f64,
    pub(crate) fingerprint: u64,
}

/// Runs a seed, and nothing else ever in this process.
pub(crate) fn run(seed: u64) -> Outcome {
    // What asks the operating system for chance gets it from the seed too: tokio does, for its
    // choices among branches that are ready.
    mad_turmoil::rand::set_rng(StdRng::seed_from_u64(seed));
    // A new thread, because this one may have drawn its chances before.
    let run = thread::Builder::new().stack_size(64 << 20).spawn(move || {
        fastrand::seed(seed);
        play(seed)
    });
    let outcome = run.expect("a thread").join();
    outcome.unwrap_or_else(|_| Outcome::panicked(seed))
}

fn play(seed: u64) -> Outcome {
    let mut stage = Stage::new(seed);
    stage.run(FAULTS_FOR, true);
    stage.heal();
    let healed = stage.sim.elapsed();
    let mut whole_since = None;
    while stage.violations.is_empty() {
        let now = stage.sim.elapsed();
        match whole_since.filter(|_| stage.is_whole()) {
            Some(since) if now >= since + WHOLE_FOR => break,
            Some(_) => {}
            None => whole_since = stage.is_whole().then_some(now),
        }
        if now > healed + WHOLE_WITHIN + WHOLE_FOR {
            let told = stage.told();
            let within = WHOLE_WITHIN;
            stage.violations.push(format!("not whole within {within:?} after the faults:\n{told}"));
        }
        stage.run(now + TICK, false);
    }
    let history = stage.history.lock();
    stage.violations.extend(judge(&history));
    let happened = tally(&history, 0);
    drop(history);
    let fingerprint = stage.fingerprint();
    let (turns, faults) = (stage.turns.lock(), stage.counts.values().sum::<u64>());
    Outcome {
        seed,
        shape: stage.shape.to_string(),
        violations: stage.violations.clone(),
        seconds: stage.sim.elapsed().as_secs_f64(),
        whole_after: whole_since.map_or(0.0, |since| since.saturating_sub(healed).as_secs_f64()),
        counts: faults >= FAULTS_MIN && turns.acknowledged >= TURNS_MIN,
        faults: stage.counts.clone(),
        turns: turns.acknowledged,
        turns_fenced: turns.fenced,
        moves: happened.moves as u64,
        deaths: happened.lives_over as u64,
        leader_changes: happened.leader_changes as u64,
        answers: stage.etcd.faults(|faults| {
            faults.counts.iter().map(|(what, times)| ((*what).to_owned(), *times)).collect()
        }),
        fingerprint,
        took: processor_seconds(),
    }
}

/// The processor's time of this process. Asked in this way, clocks of the machine are not replaced.
fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

impl Outcome {
    fn panicked(seed: u64) -> Self {
        Self {
            seed,
            shape: String::new(),
            violations: vec!["it panicked".to_owned()],
            seconds: 0.0,
            whole_after: 0.0,
            faults: BTreeMap::new(),
            turns: 0,
            turns_fenced: 0,
            moves: 0,
            deaths: 0,
            leader_changes: 0,
            answers: BTreeMap::new(),
            counts: false,
            took: 0.0,
            fingerprint: 0,
        }
    }
}
