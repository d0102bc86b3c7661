//! Many threads at one gate. Each test counts what it promises and also that it has tried at all.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed,
            Ordering::Release,
        },
    },
    thread,
    time::Duration,
};

use greenroom_shardlock::{GateState, Gates, Options};
use tokio::{task::yield_now, time::Instant};

const READERS: usize = 3;
const ROUNDS: u64 = 10_000;

/// What the threads share. The counters are relaxed on purpose: the gate alone must order them.
struct Stage {
    gates: Arc<Gates>,
    inside: AtomicU32,
    entered: AtomicU64,
    over: AtomicBool,
    failed: AtomicBool,
}

impl Stage {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            gates: Arc::new(Gates::new(2)),
            inside: AtomicU32::new(0),
            entered: AtomicU64::new(0),
            over: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        })
    }

    fn readers(self: &Arc<Self>, turn: fn(&Self)) -> Vec<thread::JoinHandle<()>> {
        let read = |stage: Arc<Self>| {
            move || {
                while !stage.over.load(Relaxed) {
                    let result = catch_unwind(AssertUnwindSafe(|| turn(&stage)));
                    stage.failed.fetch_or(result.is_err(), Relaxed);
                    thread::yield_now();
                }
            }
        };
        (0..READERS).map(|_| thread::spawn(read(Arc::clone(self)))).collect()
    }

    /// Until somebody was inside since the gate was opened, so that no round is empty.
    async fn somebody_enters(&self, since: u64) {
        while !self.entered_after(since) {
            yield_now().await;
        }
    }

    /// Gives the readers a chance, and tells whether one has used it.
    fn entered_after(&self, since: u64) -> bool {
        thread::yield_now();
        assert!(!self.failed.load(Relaxed), "a reader has failed");
        self.entered.load(Relaxed) != since
    }

    fn finish(&self, readers: Vec<thread::JoinHandle<()>>) {
        self.over.store(true, Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
        assert!(!self.failed.load(Relaxed), "a reader has failed");
    }
}

#[tokio::test]
async fn after_a_drain_nobody_is_inside() {
    let stage = Stage::new();
    let readers = stage.readers(|stage| {
        if let Ok(permit) = stage.gates.enter(0) {
            stage.inside.fetch_add(1, Relaxed);
            stage.entered.fetch_add(1, Relaxed);
            thread::yield_now();
            stage.inside.fetch_sub(1, Relaxed);
            drop(permit);
        }
    });

    for epoch in 1..=ROUNDS {
        let since = stage.entered.load(Relaxed);
        stage.gates.open(0, epoch).unwrap();
        stage.somebody_enters(since).await;
        let guard = stage.gates.close(0, "stress", far()).await.unwrap();
        assert_eq!(guard.revoked_permits(), 0);
        for _ in 0..8 {
            assert_eq!(stage.inside.load(Relaxed), 0, "in round {epoch}");
            thread::yield_now();
        }
    }
    stage.finish(readers);
    let last_epoch = ROUNDS;
    assert_eq!(stage.gates.state(0), GateState::Closed { last_epoch });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closers_side_by_side_are_all_answered() {
    let stage = Stage::new();
    let readers = stage.readers(|stage| {
        if let Ok(permit) = stage.gates.enter(0) {
            stage.entered.fetch_add(1, Relaxed);
            thread::yield_now();
            drop(permit);
        }
    });

    for epoch in 1..=ROUNDS {
        let since = stage.entered.load(Relaxed);
        stage.gates.open(0, epoch).unwrap();
        stage.somebody_enters(since).await;
        let closer = |gates: Arc<Gates>| async move {
            gates.close(0, "stress", far()).await.unwrap().revoked_permits()
        };
        let others = [(); 2].map(|()| tokio::spawn(closer(Arc::clone(&stage.gates))));
        drop(stage.gates.close(0, "stress", far()));
        assert_eq!(stage.gates.close(0, "stress", far()).await.unwrap().revoked_permits(), 0);
        for other in others {
            assert_eq!(other.await.unwrap(), 0);
        }
    }
    stage.finish(readers);
    assert_eq!(stage.gates.counts().writers_waiting, 0);
}

/// Writers and readers who wait, hasty ones among them, and tasks that are aborted at any point: no
/// writer ever meets anybody, nobody sleeps on for ever, and in the end nothing is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_are_alone_whoever_comes_and_goes() {
    const TASKS: u64 = 8;
    const TURNS: u64 = 4_000;

    let options = Options { waiting_max: 1024, ..Options::default() };
    let gates = Arc::new(Gates::with_options(2, options));
    gates.open(0, 1).unwrap();
    gates.open(1, 1).unwrap();
    // Written and read without order of its own: the gate alone must order it.
    let shared = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let written = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let turn = |task: u64, number: u64| {
        let (gates, shared, written) =
            (Arc::clone(&gates), Arc::clone(&shared), Arc::clone(&written));
        let shard = (task + number) % 2;
        let at = shard as usize;
        async move {
            let patience = Duration::from_micros((task * 31 + number * 7) % 200);
            let hasty = number.is_multiple_of(3);
            let deadline = if hasty { Instant::now() + patience } else { far() };
            if (task + number / 2).is_multiple_of(4) {
                let Ok(_guard) = gates.write(shard as u32, "stress", deadline).await else {
                    return;
                };
                let before = shared[at].load(Relaxed);
                shared[at].store(before | 1 << 63, Relaxed);
                if number.is_multiple_of(5) {
                    thread::yield_now();
                }
                shared[at].store(before + 1, Relaxed);
                written[at].fetch_add(1, Relaxed);
            } else {
                let permit = gates.read(shard as u32, deadline).await;
                assert!(permit.is_ok() || hasty, "a wake-up was lost");
                let Ok(_permit) = permit else { return };
                let first = shared[at].load(Relaxed);
                assert_eq!(first >> 63, 0, "a reader met a writer");
                if number.is_multiple_of(7) {
                    yield_now().await;
                }
                assert_eq!(shared[at].load(Relaxed), first, "a writer met a reader");
            }
        }
    };
    let tasks = (0..TASKS).map(|task| {
        let turns: Vec<_> = (0..TURNS).map(|number| turn(task, number)).collect();
        tokio::spawn(async move {
            for (number, turn) in turns.into_iter().enumerate() {
                if number.is_multiple_of(11) {
                    let aborted = tokio::spawn(turn);
                    yield_now().await;
                    aborted.abort();
                    assert!(aborted.await.err().is_none_or(|error| error.is_cancelled()));
                } else {
                    turn.await;
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let counts = gates.counts();
    let now = (counts.permits, counts.guards, counts.readers_waiting, counts.writers_waiting);
    assert_eq!(now, (0, 0, 0, 0));
    for shard in 0..2 {
        let writes = written[shard].load(Relaxed);
        assert!(writes > TURNS / 4, "only {writes} writes");
        assert_eq!(shared[shard].load(Relaxed), writes, "a write was lost");
        assert!(gates.enter(shard as u32).is_ok());
    }
}

/// Revocations and late drops in all orders must leave the count exact, and a permit that is valid
/// after a look at the published epoch must carry that epoch.
#[test]
fn revocations_keep_the_count_and_the_epoch() {
    /// The epoch of the opening, published before it and never changed while a permit is valid.
    static PUBLISHED: AtomicU64 = AtomicU64::new(0);

    let stage = Stage::new();
    let readers = stage.readers(|stage| {
        let asked = PUBLISHED.load(Acquire);
        let entered = match asked % 2 {
            0 => stage.gates.enter(0),
            _ => stage.gates.enter_at(0, asked),
        };
        let Ok(permit) = entered else { return };
        let permit = permit.into_owned(&stage.gates);
        stage.entered.fetch_add(1, Relaxed);
        thread::yield_now();
        let published = PUBLISHED.load(Acquire);
        if permit.is_valid() {
            assert_eq!(permit.epoch(), published);
        }
    });

    for epoch in 1..=ROUNDS * 5 {
        PUBLISHED.store(epoch, Release);
        let since = stage.entered.load(Relaxed);
        stage.gates.open(0, epoch).unwrap();
        while !stage.entered_after(since) {}
        match epoch % 2 {
            0 => stage.gates.revoke(0),
            _ => stage.gates.revoke_all(),
        };
        assert_eq!(stage.gates.state(0), GateState::Closed { last_epoch: epoch });
    }

    // The last opening is not revoked: when the readers have gone, so have all their permits.
    let epoch = ROUNDS * 5;
    stage.gates.open(0, epoch).unwrap();
    stage.finish(readers);
    assert_eq!(stage.gates.state(0), GateState::Open { epoch, permits: 0 });
}

/// A deadline that no round comes near; a lost wake-up fails the test instead of hanging it.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}
