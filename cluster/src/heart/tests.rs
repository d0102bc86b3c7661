//! A heart that beats into a store that answers late, or not at all. Time is tokio's paused clock, so
//! it costs none.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use greenroom_core::{Incarnation, Moment};
use parking_lot::Mutex;

use super::*;
use crate::simulation::Simulation;
use crate::store::{KeyValue, Listing, MemoryStore, StoreError, Txn, Watch};

const TIMING: Timing = Timing {
    window: Duration::from_secs(6),
    heartbeat: Duration::from_secs(1),
    margin: Duration::from_millis(500),
};
const RIGHT: Duration = Duration::from_millis(5_500);
const SECOND: Duration = Duration::from_secs(1);
/// What is over by then was over at the moment in question.
const MOMENT: Duration = Duration::from_millis(1);

/// The boot clock of a machine whose time is tokio's.
#[derive(Debug)]
struct Machine {
    booted: Instant,
}

impl Simulation for Machine {
    fn moment(&self) -> Moment {
        Moment(1).after(self.booted.elapsed())
    }

    fn is_refused(&self, _address: &str) -> bool {
        false
    }
}

/// A store whose answers are late.
#[derive(Debug)]
struct Late {
    store: MemoryStore,
    /// By how much those to writes are; what takes longer than anybody waits is lost.
    by: Mutex<Duration>,
    /// Those to reads as well.
    reads_too: Mutex<bool>,
    reads: AtomicU32,
    writes: AtomicU32,
}

#[async_trait]
impl Store for Late {
    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        self.store.list(prefix).await
    }

    async fn get(&self, key: &str) -> Result<(u64, Option<KeyValue>), StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let late = if *self.reads_too.lock() { *self.by.lock() } else { Duration::ZERO };
        tokio::time::sleep(late).await;
        self.store.get(key).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        let outcome = self.store.commit(txn).await;
        let late = *self.by.lock();
        tokio::time::sleep(late).await;
        outcome
    }

    async fn watch(&self, prefix: &str, after: u64) -> Result<Box<dyn Watch>, StoreError> {
        self.store.watch(prefix, after).await
    }
}

/// What the driver is told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Acknowledged(Incarnation),
    Refused(Incarnation),
}

/// A life whose heart beats.
struct Beats {
    late: Arc<Late>,
    right: Arc<RightToRun>,
    lives: watch::Sender<Option<Life>>,
    life: Life,
    pulses: Pulses,
    reports: mpsc::Receiver<Event>,
    codec: Codec,
}

impl Beats {
    /// The first beat is answered after so long.
    async fn begin(late_by: Duration) -> Self {
        let node = NodeId::new("a").unwrap();
        let clock = Clock::Simulated(Arc::new(Machine { booted: Instant::now() }));
        let late = Arc::new(Late {
            store: MemoryStore::new(),
            by: Mutex::new(late_by),
            reads_too: Mutex::new(false),
            reads: AtomicU32::new(0),
            writes: AtomicU32::new(0),
        });
        let codec = Codec::new("t", 8);
        let life = born(&late.store, &codec, &node).await;
        let right = Arc::new(RightToRun::by(clock.clone()));
        right.begin(life.incarnation);
        let (report, reports) = mpsc::channel(8);
        let pulses = Pulses::new(&clock);
        let mut beating = Beating {
            codec: codec.clone(),
            timing: TIMING,
            right: Arc::clone(&right),
            report,
            quiet: Quiet::default(),
            pulses: pulses.clone(),
            beats: crate::metrics::Beats::of(&node),
            node,
            clock,
        };
        let (lives, mut listening) = watch::channel(Some(life.clone()));
        let store = Arc::clone(&late);
        tokio::spawn(async move { beating.beat_for_ever(&*store, &mut listening).await });
        Self { late, right, lives, life, pulses, reports, codec }
    }

    /// Time passes, and the driver carries on.
    async fn pass(&self, span: Duration) {
        let until = Instant::now() + span;
        while Instant::now() < until {
            self.pulses.driver.beat();
            sleep_until(until.min(Instant::now() + SECOND)).await;
        }
    }

    fn counts(&self) -> (u32, u32) {
        (self.late.reads.load(Ordering::Relaxed), self.late.writes.load(Ordering::Relaxed))
    }

    /// What the driver was told since it was last asked for.
    fn told(&mut self) -> Vec<Told> {
        let reports = std::iter::from_fn(|| self.reports.try_recv().ok());
        let told = reports.map(|event| match event {
            Event::HeartbeatAcknowledged { incarnation } => Told::Acknowledged(incarnation),
            Event::HeartbeatRefused { incarnation } => Told::Refused(incarnation),
            other => panic!("a heart has nothing to say but that: {other:?}"),
        });
        told.collect()
    }

    /// Somebody else ends the life.
    async fn bury(&self) {
        let key = self.codec.key(&Key::Heartbeat(self.life.node.clone()));
        let writes = vec![crate::store::Write::Delete { key }];
        self.late.store.commit(Txn { guards: Vec::new(), writes }).await.unwrap();
    }

    async fn key(&self) -> Option<KeyValue> {
        let key = self.codec.key(&Key::Heartbeat(self.life.node.clone()));
        self.late.store.get(&key).await.unwrap().1
    }
}

/// A life begins with a heartbeat that nobody had written before.
async fn born(store: &MemoryStore, codec: &Codec, node: &NodeId) -> Life {
    let key = Key::Heartbeat(node.clone());
    let (window_ms, interval_ms) = (TIMING.window_ms(), TIMING.interval_ms());
    let record =
        HeartbeatRecord { incarnation: None, sequence: 0, nonce: 7, window_ms, interval_ms };
    let writes = vec![Write::Put(key, Record::Heartbeat(record))];
    let transaction = codec.transaction(&Transaction { guards: Vec::new(), writes });
    let Commit::Applied { revision } = store.commit(transaction).await.unwrap() else {
        panic!("nothing is in the way")
    };
    Life { node: node.clone(), incarnation: Incarnation(revision) }
}

/// Others count from when they saw the beat, which is before its answer came.
///
/// Proves: C1, C7, P1
#[tokio::test(start_paused = true)]
async fn the_right_counts_from_the_sending_and_not_from_the_answer() {
    let mut beats = Beats::begin(SECOND).await;
    beats.pass(SECOND - MOMENT).await;
    assert!(!beats.right.holds(), "its first beat is not answered yet");
    assert_eq!(beats.told(), []);
    beats.pass(2 * MOMENT).await;
    assert!(beats.right.holds());
    assert!(beats.right.remaining() <= RIGHT - SECOND, "{:?} left", beats.right.remaining());
    assert_eq!(beats.told(), [Told::Acknowledged(beats.life.incarnation)]);
    beats.pass(10 * SECOND).await;
    assert!(beats.right.remaining() > RIGHT - 3 * SECOND, "it goes on");
    assert_eq!(beats.told(), [], "the first one tells it all");
}

#[tokio::test(start_paused = true)]
async fn it_beats_once_an_interval_while_it_is_answered() {
    let beats = Beats::begin(Duration::ZERO).await;
    beats.pass(10 * SECOND + MOMENT).await;
    assert_eq!(beats.counts(), (0, 11));
    assert!(beats.right.remaining() > RIGHT - SECOND);
    assert!(!beats.right.is_lost_to_silence());
}

/// Beats that arrive although their answers don't would keep a node looking alive that may run
/// nothing, and its shards from everybody: so after one without an answer it looks first whether
/// there are answers at all.
///
/// Proves: C7, C13
#[tokio::test(start_paused = true)]
async fn a_heart_that_hears_nothing_writes_nothing() {
    let beats = Beats::begin(Duration::ZERO).await;
    beats.pass(MOMENT).await;
    *beats.late.by.lock() = 60 * SECOND;
    *beats.late.reads_too.lock() = true;
    beats.pass(3 * SECOND).await;
    let (reads, writes) = beats.counts();
    assert_eq!(writes, 2, "the first of all, and the first without an answer");
    assert!(reads > 0);
    let seen = beats.key().await.unwrap();
    beats.pass(5 * SECOND).await;
    assert_eq!(beats.key().await.unwrap(), seen, "it looks alive to everybody else");
    assert!(!beats.right.holds());
    beats.pass(2 * SECOND).await;
    assert!(beats.right.is_lost_to_silence());

    *beats.late.by.lock() = Duration::ZERO;
    beats.pass(2 * SECOND).await;
    assert!(beats.right.holds(), "its life was not ended meanwhile");
    assert!(!beats.right.is_lost_to_silence());
}

#[tokio::test(start_paused = true)]
async fn it_tries_more_often_while_only_the_answers_to_beats_are_lost() {
    let beats = Beats::begin(60 * SECOND).await;
    beats.pass(RIGHT / 4 - MOMENT).await;
    assert_eq!(beats.counts(), (0, 1), "an answer has a quarter of the right's span");
    beats.pass(2 * MOMENT).await;
    assert_eq!(beats.counts().0, 1);
    beats.pass(RIGHT - RIGHT / 4 - MOMENT).await;
    let (reads, writes) = beats.counts();
    assert!((4..=6).contains(&writes), "{writes} attempts in {RIGHT:?}");
    assert!(reads >= writes - 1, "each but the first after a look");
    assert!(!beats.right.holds());
}

/// Proves: C10, P1
#[tokio::test(start_paused = true)]
async fn a_refused_beat_ends_the_right_at_once_and_says_whose() {
    let mut beats = Beats::begin(Duration::ZERO).await;
    beats.pass(MOMENT).await;
    beats.told();
    beats.bury().await;
    assert!(beats.right.holds(), "it can't know yet");
    beats.pass(SECOND).await;
    assert!(!beats.right.holds());
    assert_eq!(beats.told(), [Told::Refused(beats.life.incarnation)]);
    assert!(!beats.right.is_lost_to_silence(), "the store does answer");
}

#[tokio::test(start_paused = true)]
async fn the_next_life_begins_without_waiting_for_the_interval() {
    let mut beats = Beats::begin(Duration::ZERO).await;
    beats.pass(MOMENT).await;
    beats.lives.send_replace(None);
    beats.right.end();
    beats.pass(2 * SECOND).await;
    assert_eq!(beats.counts(), (0, 1), "nobody lives");
    beats.told();
    beats.bury().await;
    let next = born(&beats.late.store, &beats.codec, &beats.life.node).await;
    beats.right.begin(next.incarnation);
    beats.lives.send_replace(Some(next.clone()));
    beats.pass(MOMENT).await;
    assert!(beats.right.holds());
    assert_eq!(beats.told(), [Told::Acknowledged(next.incarnation)]);
}

/// Proves: C17
#[tokio::test(start_paused = true)]
async fn it_lets_the_life_of_a_driver_that_hangs_end() {
    let beats = Beats::begin(Duration::ZERO).await;
    beats.pass(SECOND).await;
    let hangs_for = TIMING.window * WINDOWS_UNTIL_HUNG;
    sleep_until(Instant::now() + hangs_for - SECOND).await;
    assert!(beats.right.holds(), "it may be busy");
    let (_, before) = beats.counts();
    sleep_until(Instant::now() + 2 * SECOND + RIGHT).await;
    let (_, after) = beats.counts();
    assert!(after <= before + 2, "{} beats for a driver that hangs", after - before);
    assert!(!beats.right.holds());
    assert!(beats.pulses.heart.age() <= 2 * SECOND, "the heart itself goes round");
    beats.pass(2 * SECOND).await;
    assert!(beats.right.holds(), "it has gone on");
}

/// What stands under the heartbeat's key.
async fn record_of(store: &MemoryStore, codec: &Codec, node: &NodeId) -> HeartbeatRecord {
    let item = store.get(&codec.key(&Key::Heartbeat(node.clone()))).await.unwrap().1.unwrap();
    match codec.entry(&item).unwrap().held.unwrap().record {
        Record::Heartbeat(record) => record,
        other => panic!("a heartbeat is there: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_heart_beats_from_the_begin_of_a_life_to_its_end_and_ends_when_it_is_dropped() {
    let (node, codec, store) = (NodeId::new("a").unwrap(), Codec::new("t", 8), MemoryStore::new());
    let clock = Clock::Simulated(Arc::new(Machine { booted: Instant::now() }));
    let right = Arc::new(RightToRun::by(clock.clone()));
    let (report, _reports) = mpsc::channel(8);
    let heart = Heart::start(
        StoreConfig::Memory(store.handle()),
        codec.clone(),
        TIMING,
        Arc::clone(&right),
        report,
        Pulses::new(&clock),
        node.clone(),
    );
    let heart = heart.unwrap();
    let life = born(&store, &codec, &node).await;
    let pass = |span: Duration| sleep_until(Instant::now() + span);
    pass(3 * SECOND).await;
    assert!(!right.holds(), "no life has begun");

    heart.beat(life.clone());
    pass(MOMENT).await;
    assert!(right.holds());
    for beats in 1..=3 {
        let record = record_of(&store, &codec, &node).await;
        assert_eq!((record.sequence, record.incarnation), (beats, Some(life.incarnation)));
        pass(SECOND).await;
    }
    heart.stop();
    assert!(!right.holds(), "at once");
    let last = record_of(&store, &codec, &node).await;
    pass(3 * SECOND).await;
    assert_eq!(record_of(&store, &codec, &node).await, last, "it has stopped");

    heart.beat(life);
    pass(MOMENT).await;
    assert!(right.holds());
    let last = record_of(&store, &codec, &node).await;
    assert!(last.sequence > 4, "it goes on counting");
    drop(heart);
    assert!(!right.holds(), "at once");
    pass(3 * SECOND).await;
    assert_eq!(record_of(&store, &codec, &node).await, last, "it has ended");
}
