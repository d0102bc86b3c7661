//! Many gates at once: all or nothing, in one deadline, without a deadlock; held against a model.

use std::{
    collections::{BTreeSet, VecDeque},
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use greenroom_shardlock::{Gates, Options, WriteError, WriteGuard};
use proptest::{collection, prelude::*, sample::Index};
use tokio::time::{Instant, advance};

const HOUR: Duration = Duration::from_secs(3600);
const SHARDS: u32 = 5;
/// Time moves in these; deadlines lie half-way, so that it is clear what came first.
const TICK: Duration = Duration::from_millis(10);

#[tokio::test(start_paused = true)]
async fn guards_come_in_order_and_each_shard_once() {
    let gates = opened();
    let guards = gates.write_many(&[3, 1, 3, 0], "test", Instant::now()).await.unwrap();
    let shards: Vec<u32> = guards.iter().map(WriteGuard::shard).collect();
    assert_eq!(shards, [0, 1, 3]);
    assert!(gates.enter(2).is_ok() && gates.enter(3).is_err());
    drop(guards);
    assert!((0..SHARDS).all(|shard| gates.enter(shard).is_ok()));
    assert!(gates.write_many(&[], "test", Instant::now()).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_not_to_be_had_in_time_leaves_nothing_held() {
    let gates = opened();
    let (begin, permit) = (Instant::now(), gates.enter(3).unwrap());
    let failed = gates.write_many(&[0, 1, 2, 3, 4], "test", begin + HOUR).await;
    assert!(matches!(failed, Err(WriteError::TimedOut { shard: 3, .. })), "{failed:?}");
    assert!(begin.elapsed() >= HOUR && begin.elapsed() < HOUR + TICK, "one deadline for all");
    assert!((0..SHARDS).all(|shard| gates.enter(shard).is_ok()));
    assert!(permit.is_valid());
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_revoked_in_part_while_it_is_gathered_is_no_set() {
    let gates = opened();
    let permit = gates.enter(3).unwrap();
    let many = gates.write_many(&[0, 3], "test", Instant::now() + HOUR);
    let (many, ()) = tokio::join!(many, async {
        gates.revoke(0);
        drop(permit);
    });
    assert_eq!(many.err(), Some(WriteError::Revoked { shard: 0 }));
    assert!(gates.enter(3).is_ok());
}

#[tokio::test]
#[should_panic(expected = "shard 5 is beyond the table of 5 shards")]
async fn nothing_is_held_for_an_owner_whose_books_are_wrong() {
    let _ = opened().write_many(&[0, 5], "test", Instant::now()).await;
}

/// In whatever order each of them names the shards.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sets_that_overlap_never_deadlock() {
    let gates = Arc::new(opened());
    let tasks = (0..8_u32).map(|task| {
        let gates = Arc::clone(&gates);
        tokio::spawn(async move {
            for turn in 0..2_000_u32 {
                let shards = [0, 1, 2].map(|step| (task * 7 + turn * 3 + step * task) % SHARDS);
                let deadline = Instant::now() + Duration::from_secs(60);
                let guards = gates.write_many(&shards, "test", deadline).await.unwrap();
                assert!(guards.iter().all(WriteGuard::is_valid));
                tokio::task::yield_now().await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

/// What is done to a table.
#[derive(Debug, Clone)]
enum Step {
    /// Asks for a set of shards, for so many ticks.
    Ask(BTreeSet<u32>, u32),
    /// Lets a set go, whether it was granted or is still waited for.
    Drop(Index),
    /// So many ticks pass.
    Wait(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (collection::btree_set(0..SHARDS, 1..4), 0..6_u32)
            .prop_map(|(shards, ticks)| Step::Ask(shards, ticks)),
        3 => any::<Index>().prop_map(Step::Drop),
        1 => (1..4_u32).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn sets_are_granted_as_the_model_says(steps in collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let gates = opened();
            let mut sides = Sides::new(&gates);
            for step in steps {
                sides.perform(step).await;
                sides.compare();
            }
            // Whoever still waits has a deadline.
            sides.perform(Step::Wait(10)).await;
            sides.compare();
            sides.real.clear();
            assert!((0..SHARDS).all(|shard| gates.enter(shard).is_ok()));
        });
    }
}

/// A set in the real table.
enum Real<'a> {
    Asked(Pin<Box<dyn Future<Output = Result<Vec<WriteGuard<'a>>, WriteError>> + 'a>>),
    Granted(#[allow(dead_code, reason = "it is held")] Vec<WriteGuard<'a>>),
    Gone,
}

/// A set in the model: it takes its shards in ascending order, and stands in line at the next one.
struct Modelled {
    shards: Vec<u32>,
    deadline: u32,
    /// How many of the shards it holds; `None` when it is gone.
    held: Option<usize>,
}

#[derive(Clone, Default)]
struct Line {
    holder: Option<usize>,
    waiting: VecDeque<usize>,
}

/// The table and the model, side by side.
struct Sides<'a> {
    gates: &'a Gates,
    begin: Instant,
    now: u32,
    real: Vec<Real<'a>>,
    model: Vec<Modelled>,
    lines: Vec<Line>,
}

impl<'a> Sides<'a> {
    fn new(gates: &'a Gates) -> Self {
        let lines = vec![Line::default(); SHARDS as usize];
        Self { gates, begin: Instant::now(), now: 0, real: vec![], model: vec![], lines }
    }

    async fn perform(&mut self, step: Step) {
        match step {
            Step::Ask(shards, ticks) => {
                let deadline = self.now + ticks;
                let at = self.begin + TICK * deadline + TICK / 2;
                let descending: Vec<u32> = shards.iter().rev().copied().collect();
                let asked = self.gates.write_many(&descending, "test", at);
                self.real.push(Real::Asked(Box::pin(asked)));
                let shards: Vec<u32> = shards.into_iter().collect();
                self.join(shards[0], self.model.len());
                self.model.push(Modelled { shards, deadline, held: Some(0) });
            }
            Step::Drop(index) if !self.model.is_empty() => {
                let set = index.index(self.model.len());
                self.real[set] = Real::Gone;
                self.leave(set);
            }
            Step::Drop(_) => {}
            Step::Wait(ticks) => {
                advance(TICK * ticks).await;
                self.now += ticks;
            }
        }
        // Both look at the sets in the same order, until nothing changes any more.
        while self.look().await {}
    }

    /// Gives every set that waits a chance; whether anything came of it.
    async fn look(&mut self) -> bool {
        let mut changed = false;
        for set in 0..self.real.len() {
            if let Real::Asked(asked) = &mut self.real[set] {
                let polled = poll_fn(|cx| Poll::Ready(asked.as_mut().poll(cx))).await;
                if let Poll::Ready(answer) = polled {
                    changed = true;
                    self.real[set] = answer.map_or(Real::Gone, Real::Granted);
                }
            }
            changed |= self.look_at_model(set);
        }
        changed
    }

    fn look_at_model(&mut self, set: usize) -> bool {
        let before = self.model[set].held;
        while let Modelled { shards, held: Some(held), .. } = &self.model[set]
            && let Some(shard) = shards.get(*held)
            && self.lines[*shard as usize].holder == Some(set)
        {
            let (next, held) = (shards.get(held + 1).copied(), held + 1);
            self.model[set].held = Some(held);
            if let Some(next) = next {
                self.join(next, set);
            }
        }
        let Modelled { shards, deadline, held } = &self.model[set];
        let late = held.is_some_and(|held| held < shards.len()) && self.now > *deadline;
        if late {
            self.leave(set);
        }
        before != self.model[set].held
    }

    fn join(&mut self, shard: u32, set: usize) {
        self.lines[shard as usize].waiting.push_back(set);
        self.seat(shard);
    }

    fn seat(&mut self, shard: u32) {
        let line = &mut self.lines[shard as usize];
        line.holder = line.holder.or_else(|| line.waiting.pop_front());
    }

    fn leave(&mut self, set: usize) {
        self.model[set].held = None;
        for shard in 0..SHARDS {
            let line = &mut self.lines[shard as usize];
            line.holder = line.holder.filter(|holder| *holder != set);
            line.waiting.retain(|waiting| *waiting != set);
            self.seat(shard);
        }
    }

    fn compare(&self) {
        for (set, (real, model)) in self.real.iter().zip(&self.model).enumerate() {
            let real = match real {
                Real::Asked(_) => "asked",
                Real::Granted(_) => "granted",
                Real::Gone => "gone",
            };
            let model = match model.held {
                Some(held) if held == model.shards.len() => "granted",
                Some(_) => "asked",
                None => "gone",
            };
            assert_eq!(real, model, "set {set} at tick {}", self.now);
        }
        for (shard, line) in (0..).zip(&self.lines) {
            let counts = self.gates.counts_of(shard);
            let model = (line.holder.is_some().into(), line.waiting.len() as u64);
            assert_eq!((counts.guards, counts.writers_waiting), model, "shard {shard}");
        }
    }
}

/// All open, whose holders have all the time that a test needs.
fn opened() -> Gates {
    let options = Options { hold_max: 24 * HOUR, ..Options::default() };
    let gates = Gates::with_options(SHARDS, options);
    (0..SHARDS).for_each(|shard| gates.open(shard, 1).unwrap());
    gates
}
