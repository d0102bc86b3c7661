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

use greenroom_shardlock::{Closed, GateState, Gates};
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
        assert_eq!(stage.gates.close(0, far()).await, Closed::Drained);
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
        let closer = |gates: Arc<Gates>| async move { gates.close(0, far()).await };
        let others = [(); 2].map(|()| tokio::spawn(closer(Arc::clone(&stage.gates))));
        drop(stage.gates.close(0, far()));
        assert_eq!(stage.gates.close(0, far()).await, Closed::Drained);
        for other in others {
            assert_eq!(other.await.unwrap(), Closed::Drained);
        }
    }
    stage.finish(readers);
    assert!(format!("{:?}", stage.gates).contains("awaited: 0"));
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
            0 => stage.gates.enter_owned(0),
            _ => stage.gates.enter_owned_at(0, asked),
        };
        let Ok(permit) = entered else { return };
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
