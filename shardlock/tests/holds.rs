//! How long a gate may be held, and who hears of it: guards that are held for too long, waits that
//! last unusually long, and what is counted.

use std::{
    cell::RefCell,
    fmt::{Debug, Write},
    sync::{Arc, Mutex, Once},
    time::Duration,
};

use greenroom_shardlock::{
    Counts, Gates, OnWait, OpenError, Options, Refused, Side, Wait, WaitEnd, WriteError,
};
use tokio::{
    join, select,
    time::{Instant, sleep, timeout},
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// The clock of these tests is paused and moves only when nothing else can, so it costs no time.
const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);
/// What the tables of these tests allow.
const HOLD_MAX: Duration = Duration::from_secs(10);
const WARN_AFTER: Duration = Duration::from_secs(60);

/// Proves: C16
#[tokio::test(start_paused = true)]
async fn a_guard_that_is_held_too_long_is_revoked_for_who_waits() {
    let gates = opened();
    let held_since = Instant::now();
    let stuck = gates.write(0, "claim", held_since).await.unwrap();
    let line = line!() - 1;
    let next = gates.write(0, "handoff", held_since + HOUR).await.unwrap();
    assert!(held_since.elapsed() >= HOLD_MAX && held_since.elapsed() < HOLD_MAX + SECOND);

    // The old holder's next use fails, and changes nothing for the new one.
    assert!(!stuck.is_valid() && next.is_valid());
    assert!(stuck.close().is_err());
    assert_eq!(stuck.open(7), Err(OpenError::Revoked));
    assert!(stuck.release().is_err());
    assert!(next.release().is_ok());
    assert_eq!(gates.enter(0).unwrap().epoch(), 1);

    let errors = lines(Level::ERROR);
    assert_eq!(errors.len(), 1, "{errors:?}");
    let at = format!("at=shardlock/tests/holds.rs:{line}:");
    for part in ["shard=0", "who=\"claim\"", &at, "held=10", "hold_max=10s"] {
        assert!(errors[0].contains(part), "no {part} in {}", errors[0]);
    }
    assert_eq!(gates.counts().holds_revoked, 1);
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_is_held_too_long_is_in_nobody_s_way() {
    for comes in [0, 1, 2, 3] {
        let gates = opened();
        let now = Instant::now();
        let stuck = gates.write(0, "claim", now).await.unwrap();
        assert_eq!(gates.enter(0).err(), Some(Refused::Busy));
        tokio::time::advance(HOLD_MAX).await;
        match comes {
            0 => drop(gates.enter(0).unwrap()),
            1 => drop(gates.read(0, now).await.unwrap()),
            2 => drop(gates.close(0, "handoff", now).await.unwrap()),
            _ => assert_eq!(gates.open(0, 2), Err(OpenError::NotClosed), "not `Held`"),
        }
        assert!(stuck.open(9).is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn readers_wait_for_a_stuck_writer_only_as_long_as_it_may_hold() {
    let gates = opened();
    let now = Instant::now();
    let _stuck = gates.write(0, "claim", now).await.unwrap();
    assert!(gates.read(0, now + HOUR).await.is_ok());
    assert!(now.elapsed() < HOLD_MAX + SECOND);
}

/// Whoever waits must find a holder that came after it has looked, too.
#[tokio::test(start_paused = true)]
async fn a_waiter_finds_a_stuck_holder_whose_turn_came_before_its_own() {
    let gates = opened();
    let now = Instant::now();
    let permit = gates.enter(0).unwrap();
    let mut stuck = Box::pin(gates.write(0, "claim", now + HOUR));
    assert!(timeout(SECOND, &mut stuck).await.is_err());
    let ((), (), _stuck) = join!(
        async { drop(gates.read(0, now + HOUR).await.unwrap()) },
        async { drop(gates.write(0, "handoff", now + HOUR).await.unwrap()) },
        async {
            // After the warning, with no reason to look again before the deadline.
            sleep(2 * WARN_AFTER).await;
            drop(permit);
            stuck.await.unwrap()
        }
    );
    assert!(now.elapsed() < 2 * WARN_AFTER + 3 * HOLD_MAX, "{:?}", now.elapsed());
}

/// A hold that may not last at all is as good as none; those who wait for it must not spin.
#[tokio::test(start_paused = true)]
async fn a_table_that_allows_no_time_to_hold_still_lets_others_wait() {
    let gates = Gates::with_options(1, Options { hold_max: Duration::ZERO, ..options() });
    gates.open(0, 1).unwrap();
    let _permit = gates.enter(0).unwrap();
    let begin = Instant::now();
    assert!(gates.write(0, "claim", begin + SECOND).await.is_err());
    assert!(begin.elapsed() >= SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_hold_counts_from_when_its_owner_hears_of_it() {
    let gates = opened();
    let handoff = gates.close(0, "handoff", Instant::now() + HOUR);
    tokio::time::advance(HOLD_MAX - SECOND).await;
    let guard = handoff.await.unwrap();
    tokio::time::advance(HOLD_MAX - SECOND).await;
    assert!(guard.is_valid());
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_nobody_collects_is_in_nobody_s_way() {
    let gates = opened();
    let now = Instant::now();
    let forgotten = gates.close(0, "handoff", now + HOUR);
    assert_eq!(gates.open(0, 2), Err(OpenError::Held { by: "handoff" }));
    drop(gates.write(0, "claim", now + HOUR).await.unwrap());
    assert!(now.elapsed() >= HOLD_MAX && now.elapsed() < HOLD_MAX + SECOND);
    assert_eq!(forgotten.await.err(), Some(WriteError::Missed { shard: 0 }));
    drop(gates.close(0, "handoff", now + HOUR));
    gates.open(0, 2).unwrap();
    let counts = gates.counts();
    assert_eq!((counts.writes, counts.writes_refused), (3, 2), "also those who were never polled");
}

#[tokio::test(start_paused = true)]
async fn a_holder_notices_by_itself_that_its_time_is_up() {
    let gates = opened();
    let guard = gates.close(0, "handoff", Instant::now()).await.unwrap();
    tokio::time::advance(HOLD_MAX - SECOND).await;
    assert!(guard.is_valid());
    assert!(lines(Level::ERROR).is_empty());
    tokio::time::advance(SECOND).await;
    assert!(guard.release().is_err());
    assert_eq!(lines(Level::ERROR).len(), 1);
    gates.open(0, 2).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stuck_holder_that_nobody_waits_for_is_found_by_the_watch() {
    let gates = opened();
    let _stuck = gates.close(0, "handoff", Instant::now()).await.unwrap();
    select! {
        never = gates.watch_holds() => match never {},
        () = sleep(HOLD_MAX - SECOND) => {}
    }
    assert!(lines(Level::ERROR).is_empty(), "it has the time that it has");
    select! {
        never = gates.watch_holds() => match never {},
        () = sleep(3 * SECOND) => {}
    }
    assert_eq!(lines(Level::ERROR).len(), 1);
    assert_eq!(gates.counts().guards, 0);
}

#[tokio::test(start_paused = true)]
async fn the_hold_of_a_set_begins_when_the_set_is_complete() {
    let gates = opened();
    let now = Instant::now();
    let last = gates.write(1, "claim", now).await.unwrap();
    let (many, ()) = join!(gates.write_many(&[1, 0], "many", now + HOUR), async {
        sleep(HOLD_MAX - SECOND).await;
        drop(last);
    });
    let many = many.unwrap();
    tokio::time::advance(HOLD_MAX - SECOND).await;
    assert!(many.iter().all(greenroom_shardlock::WriteGuard::is_valid));
    tokio::time::advance(SECOND).await;
    assert!(many.iter().all(|guard| !guard.is_valid()));
}

#[tokio::test(start_paused = true)]
async fn a_long_wait_is_warned_of_once_with_what_is_in_the_way() {
    let gates = opened();
    let now = Instant::now();
    let permit = gates.enter(0).unwrap();
    assert!(gates.write(0, "claim", now + WARN_AFTER - SECOND).await.is_err());
    assert!(lines(Level::WARN).is_empty());
    assert!(gates.write(0, "claim", Instant::now() + 5 * WARN_AFTER).await.is_err());
    let warnings = lines(Level::WARN);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for part in ["shard=0", "side=\"write\"", "waited=60", "blocker=permits are out, 1"] {
        assert!(warnings[0].contains(part), "no {part} in {}", warnings[0]);
    }
    drop(permit);
}

#[tokio::test(start_paused = true)]
async fn every_wait_is_told_of_once_and_nothing_else_is() {
    let told: Arc<Mutex<Vec<Wait>>> = Arc::default();
    let hears = Arc::clone(&told);
    let on_wait: OnWait = Arc::new(move |wait| hears.lock().unwrap().push(*wait));
    let gates = Gates::with_options(3, Options { on_wait: Some(on_wait), ..options() });
    gates.open(2, 1).unwrap();
    let now = Instant::now();
    drop(gates.enter(2).unwrap());
    drop(gates.read(2, now).await.unwrap());
    drop(gates.write(2, "claim", now).await.unwrap());
    assert!(told.lock().unwrap().is_empty(), "nobody has waited");

    let guard = gates.write(2, "claim", now).await.unwrap();
    assert!(gates.read(2, now + SECOND).await.is_err());
    assert!(timeout(2 * SECOND, gates.write(2, "claim", now + HOUR)).await.is_err());
    let (refused, granted, ()) =
        join!(gates.read(2, now + HOUR), gates.write(2, "claim", now + HOUR), async {
            sleep(3 * SECOND).await;
            guard.close().unwrap();
            drop(guard);
        });
    assert!(refused.is_err() && granted.is_ok());
    let mut told = told.lock().unwrap().clone();
    told.sort_by_key(|wait| wait.lasted);
    let told: Vec<_> =
        told.iter().map(|wait| (wait.shard, wait.side, wait.lasted.as_secs(), wait.end)).collect();
    let expected = [
        (2, Side::Read, 1, WaitEnd::TimedOut),
        (2, Side::Write, 2, WaitEnd::Cancelled),
        (2, Side::Read, 3, WaitEnd::Refused),
        (2, Side::Write, 3, WaitEnd::Granted),
    ];
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_counted_once() {
    let gates = opened();
    let now = Instant::now();
    let counts = |change: fn(&mut Counts)| {
        let mut counts = gates.counts();
        change(&mut counts);
        counts
    };
    let nothing = counts(|_| ());
    // So many that the count in the word comes round.
    for _ in 0..5_000 {
        drop(gates.enter(0).unwrap());
        assert!(gates.enter_at(0, 9).is_err());
    }
    let permit = gates.read(1, now).await.unwrap();
    let seen = gates.counts();
    assert_eq!((seen.reads, seen.reads_refused, seen.permits), (10_001, 5_000, 1));
    assert_eq!(gates.counts_of(0).reads, 10_000);
    assert_eq!((seen.writes, seen.writes_refused), (nothing.writes, 0));

    assert!(gates.write(1, "claim", now).await.is_err());
    drop(permit);
    let guard = gates.write(1, "claim", now).await.unwrap();
    let (mut reader, mut writer) =
        (Box::pin(gates.read(1, now + HOUR)), Box::pin(gates.write(1, "claim", now + HOUR)));
    assert!(timeout(SECOND, &mut reader).await.is_err());
    assert!(timeout(SECOND, &mut writer).await.is_err());
    let seen = gates.counts();
    assert_eq!((seen.guards, seen.readers_waiting, seen.writers_waiting), (1, 1, 1));
    assert_eq!((seen.reads, seen.writes), (10_001, 2), "attempts count when they end");
    drop(writer);
    let mut other = Box::pin(gates.read(1, now + HOUR));
    assert!(timeout(SECOND, &mut other).await.is_err());
    drop(guard);
    assert!(reader.await.is_ok());
    // It was let in and does not come to hear of it.
    drop(other);
    let seen = gates.counts();
    assert_eq!((seen.reads, seen.reads_refused), (10_003, 5_000));
    assert_eq!((seen.writes, seen.writes_refused), (3, 2));
    assert_eq!((seen.guards, seen.readers_waiting, seen.writers_waiting), (0, 0, 0));

    assert!(gates.write_many(&[0, 1], "many", now).await.is_ok());
    let _inside = gates.enter(1).unwrap();
    let failed = gates.write_many(&[0, 1], "many", now).await;
    assert!(matches!(failed, Err(WriteError::TimedOut { shard: 1, .. })), "{failed:?}");
    let seen = gates.counts();
    assert_eq!((seen.writes, seen.writes_refused), (7, 3));

    // Of one gate and of the other.
    let begin = Instant::now();
    let _guards = gates.write_many(&[0], "many", begin).await.unwrap();
    let _more = [gates.enter(1).unwrap(), gates.enter(1).unwrap()];
    let mut writers = [0, 0, 1].map(|shard| Box::pin(gates.write(shard, "claim", begin + HOUR)));
    let mut readers = [0, 1, 1].map(|shard| Box::pin(gates.read(shard, begin + HOUR)));
    for writer in &mut writers {
        assert!(timeout(SECOND, writer).await.is_err());
    }
    for reader in &mut readers {
        assert!(timeout(SECOND, reader).await.is_err());
    }
    let seen = gates.counts();
    assert_eq!((seen.permits, seen.guards), (3, 1));
    assert_eq!((seen.readers_waiting, seen.writers_waiting), (3, 3));
    let closer = gates.close(1, "handoff", Instant::now());
    assert!(closer.await.is_err(), "another one is first");
    drop(writers);
    let guard = gates.close(1, "handoff", Instant::now()).await.unwrap();
    assert_eq!((guard.revoked_permits(), gates.counts().permits_revoked), (0, 0));
    assert_eq!(gates.counts().permits, 0, "revoked for the one that was first");
}

#[tokio::test(start_paused = true)]
async fn permits_that_a_handoff_revokes_are_counted() {
    let gates = opened();
    let _permits = [gates.enter(0).unwrap(), gates.enter(0).unwrap()];
    let guard = gates.close(0, "handoff", Instant::now() + SECOND).await.unwrap();
    assert_eq!((guard.revoked_permits(), gates.counts().permits_revoked), (2, 2));
}

fn options() -> Options {
    Options { hold_max: HOLD_MAX, warn_after: WARN_AFTER, ..Options::default() }
}

/// Two gates, open.
fn opened() -> Gates {
    listen();
    let gates = Gates::with_options(2, options());
    gates.open(0, 1).unwrap();
    gates.open(1, 1).unwrap();
    gates
}

thread_local! {
    /// Every event of this thread, and so of its test, as one line of fields.
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// What is logged in this process. One for all tests: whether anybody listens to an event is
/// remembered for the process.
struct Log;

fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| tracing::subscriber::set_global_default(Log).unwrap());
}

fn lines(level: Level) -> Vec<String> {
    LINES.with_borrow(|lines| {
        lines.iter().filter(|(of, _)| *of == level).map(|(_, line)| line.clone()).collect()
    })
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("greenroom_shardlock")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        LINES.with_borrow_mut(|lines| lines.push((*event.metadata().level(), line.0)));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}
