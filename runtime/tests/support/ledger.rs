//! A counter whose answers say which activation gave them and when, steady load on such counters,
//! and the check that no two activations of one actor ever answered in turns.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use greenroom::Kind;
use greenroom::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::probe::probe;
use super::within;

/// Where all nodes of a test read the time.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
static ACTIVATIONS: AtomicU64 = AtomicU64::new(0);

/// One answer of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// Unique among all activations of the process.
    pub activation: u64,
    /// The count, from 1 in each activation.
    pub value: u64,
    /// When the turn ran, in nanoseconds.
    pub at: u64,
}

/// Counts its calls, in memory alone.
#[greenroom::interface(kind = "test.tally")]
pub trait Tally {
    /// Adds one.
    async fn add(&mut self) -> Tick;
    /// Adds one and tells how much longer the caller waits, in milliseconds.
    async fn remaining(&mut self, ctx: &mut Context) -> u64;
    /// Has the last counter on the way add one, each called from a turn of the one before.
    async fn pass_on(&mut self, ctx: &mut Context, way: Vec<String>) -> Result<Tick, Failed>;
    /// The same, as soon as the test lets it.
    async fn pass_on_later(&mut self, ctx: &mut Context, way: Vec<String>) -> Result<Tick, Failed>;
    /// Notes a number, to see in which order such calls arrive.
    async fn note(&mut self, number: u64);
    /// All numbers so far.
    async fn notes(&self) -> Vec<u64>;
    /// Numbers from there on, without end.
    async fn onward(&self, number: u64) -> Streamed<u64>;
}

/// The failure of a call made in a turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    pub code: String,
    pub message: String,
}

#[derive(Debug)]
struct TallyActor {
    activation: u64,
    value: u64,
    notes: Vec<u64>,
}

impl Actor for TallyActor {
    async fn activate(_: &mut Activating<'_>) -> Result<Self, ActivateError> {
        let activation = ACTIVATIONS.fetch_add(1, Ordering::Relaxed);
        let (value, notes) = (0, Vec::new());
        Ok(Self { activation, value, notes })
    }
}

impl Tally for TallyActor {
    async fn add(&mut self) -> Tick {
        self.value += 1;
        let at = u64::try_from(BEGAN.elapsed().as_nanos()).expect("a test is over before that");
        let (activation, value) = (self.activation, self.value);
        // Now and then a turn is slow, so that what happens to the cluster meets turns that run.
        if value % 3 == 0 {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        Tick { activation, value, at }
    }

    async fn remaining(&mut self, ctx: &mut Context) -> u64 {
        u64::try_from(ctx.remaining().as_millis()).unwrap_or(u64::MAX)
    }

    async fn pass_on(&mut self, ctx: &mut Context, way: Vec<String>) -> Result<Tick, Failed> {
        let Some((next, rest)) = way.split_first() else {
            return Ok(self.add().await);
        };
        let told =
            |failure: Failure| Failed { code: failure.code.to_string(), message: failure.message };
        let next: TallyRef = ctx.actor(next).map_err(told)?;
        let answer = next.pass_on(rest.to_vec()).await;
        answer.map_err(|error| error.into_actor().unwrap_or_else(told))
    }

    async fn pass_on_later(&mut self, ctx: &mut Context, way: Vec<String>) -> Result<Tick, Failed> {
        probe(ctx.key()).hold().await;
        self.pass_on(ctx, way).await
    }

    async fn note(&mut self, number: u64) {
        self.notes.push(number);
    }

    async fn notes(&self) -> Vec<u64> {
        self.notes.clone()
    }

    async fn onward(&self, number: u64) -> Streamed<u64> {
        Streamed::new(futures_util::stream::iter(number..))
    }
}

/// The kind of the counters.
pub fn tallies() -> Kind {
    TallyRef::served_by::<TallyActor>()
}

/// The acknowledged answers of counters, by key.
#[derive(Debug, Default)]
pub struct Ledger(HashMap<String, Vec<Tick>>);

impl Ledger {
    pub fn record(&mut self, key: &str, tick: Tick) {
        self.0.entry(key.to_owned()).or_default().push(tick);
    }

    /// Panics unless each counter's activations answered one after the other, each counting up.
    pub fn check(&mut self) {
        for (key, ticks) in &mut self.0 {
            ticks.sort_unstable_by_key(|tick| tick.at);
            let mut former = HashSet::new();
            for pair in ticks.windows(2) {
                let (before, after) = (pair[0], pair[1]);
                if before.activation == after.activation {
                    assert!(before.value < after.value, "{key}: {before:?}, then {after:?}");
                } else {
                    former.insert(before.activation);
                    let back = former.contains(&after.activation);
                    assert!(!back, "{key}: {before:?}, then again {after:?}");
                }
            }
        }
    }

    /// How many activations of this counter answered.
    pub fn activations(&self, key: &str) -> usize {
        let ticks = self.0.get(key).into_iter().flatten();
        ticks.map(|tick| tick.activation).collect::<HashSet<_>>().len()
    }

    /// The activation that gave this counter's last answer.
    pub fn last_activation(&self, key: &str) -> Option<u64> {
        let ticks = self.0.get(key).into_iter().flatten();
        ticks.max_by_key(|tick| tick.at).map(|tick| tick.activation)
    }
}

/// What came of a load.
#[derive(Debug, Default)]
pub struct Report {
    pub answered: usize,
    pub failures: Vec<Failure>,
    pub ledger: Ledger,
}

/// Callers that call counters, one after the other, until they are told to stop.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: watch::Receiver<usize>,
    report: Arc<Mutex<Report>>,
    callers: JoinSet<()>,
}

impl Load {
    /// One caller for each of `keys` through each of `nodes`; a call may take `patience`.
    pub fn start(nodes: &[&Node], keys: &[String], patience: Duration) -> Self {
        Self::begin(nodes, keys, patience, false)
    }

    /// The same with callers that wait also when their own node has lost its right to run.
    pub fn start_patient(nodes: &[&Node], keys: &[String], patience: Duration) -> Self {
        Self::begin(nodes, keys, patience, true)
    }

    fn begin(nodes: &[&Node], keys: &[String], patience: Duration, is_patient: bool) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let report = Arc::new(Mutex::new(Report::default()));
        let (count, answered) = watch::channel(0);
        let count = Arc::new(count);
        let mut callers = JoinSet::new();
        for (node, key) in nodes.iter().flat_map(|node| keys.iter().map(move |key| (node, key))) {
            let tally: TallyRef = node.actor(key).expect("a good key");
            let (stop, report, count) = (stop.clone(), report.clone(), count.clone());
            callers.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let call = tally.add().timeout(patience);
                    let answer = if is_patient { call.patient().await } else { call.await };
                    Self::note(&report, tally.key(), answer);
                    count.send_modify(|count| *count += 1);
                    // Steady load, and not all that the machine can do.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
        }
        Self { stop, answered, report, callers }
    }

    fn note(
        report: &Mutex<Report>,
        key: &str,
        answer: Result<Tick, CallError<std::convert::Infallible>>,
    ) {
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(tick) => {
                report.answered += 1;
                report.ledger.record(key, tick);
            }
            Err(CallError::Failed(failure)) => report.failures.push(failure),
            Err(CallError::Actor(never)) => match never {},
        }
    }

    /// Waits for so many more calls to end, well or not.
    pub async fn goes_on(&self, calls: usize) {
        let mut answered = self.answered.clone();
        let goal = *answered.borrow() + calls;
        let reached = answered.wait_for(|answered| *answered >= goal);
        within("more calls under load", reached).await.expect("callers run");
    }

    /// Lets all callers end, and tells what they saw.
    pub async fn stop(mut self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = within("the end of a caller", self.callers.join_next()).await {
            ended.expect("no caller panics");
        }
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *report)
    }
}
