//! Waiting, on both sides: whose turn it is, how it ends, and that it leaves no trace.

use std::time::Duration;

use greenroom_shardlock::{
    Blocker, GateState, Gates, Options, Permit, Refused, WriteError, WriteGuard,
};
use tokio::{
    join,
    time::{Instant, timeout},
};

/// The clock of these tests is paused and moves only when nothing else can, so it costs no time.
const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const OPEN: GateState = GateState::Open { epoch: 1, permits: 0 };

#[tokio::test(start_paused = true)]
async fn a_writer_waits_for_readers_and_keeps_new_ones_out() {
    let gates = opened();
    let permit = gates.enter(0).unwrap();
    let mut writer = Box::pin(write(&gates, HOUR));
    assert!(timeout(MINUTE, &mut writer).await.is_err());
    assert_eq!(gates.enter(0).err(), Some(Refused::Busy), "else readers would starve it");
    assert!(permit.is_valid());
    let before = Instant::now();
    drop(permit);
    let guard = writer.await.unwrap();
    assert_eq!(Instant::now(), before, "woken, not by the deadline");
    assert_eq!(gates.enter(0).err(), Some(Refused::Busy));
    drop(guard);
    assert!(gates.enter(0).is_ok());
    assert_eq!(gates.state(0), OPEN);
}

#[tokio::test(start_paused = true)]
async fn a_reader_waits_for_the_writer_and_no_longer() {
    let gates = opened();
    let guard = write(&gates, HOUR).await.unwrap();
    let mut reader = Box::pin(read(&gates, HOUR));
    assert!(timeout(MINUTE, &mut reader).await.is_err());
    let before = Instant::now();
    drop(guard);
    assert_eq!(reader.await.unwrap().epoch(), 1);
    assert_eq!(Instant::now(), before);
}

/// Each writer asks again as soon as it has let go, so that one always waits.
#[tokio::test(start_paused = true)]
async fn readers_are_let_in_between_two_writers() {
    let gates = opened();
    let first = write(&gates, HOUR).await.unwrap();
    let mut second = Box::pin(write(&gates, HOUR));
    assert!(timeout(MINUTE, &mut second).await.is_err());
    let mut readers = [Box::pin(read(&gates, HOUR)), Box::pin(read(&gates, HOUR))];
    for reader in &mut readers {
        assert!(timeout(MINUTE, reader).await.is_err());
    }
    drop(first);
    let [one, other] = readers;
    let (one, other) = join!(one, other);
    assert!(timeout(MINUTE, &mut second).await.is_err(), "the readers come first");
    assert_eq!(gates.enter(0).err(), Some(Refused::Busy), "but no more of them");
    drop((one, other));
    assert!(second.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn writers_that_give_up_one_after_the_other_do_not_starve_readers() {
    let gates = opened();
    let _inside = gates.enter(0).unwrap();
    let mut next = Box::pin(write(&gates, MINUTE));
    assert!(timeout(MINUTE / 2, &mut next).await.is_err());
    let mut reader = Box::pin(read(&gates, HOUR));
    assert!(timeout(MINUTE / 4, &mut reader).await.is_err());
    let mut after = Box::pin(write(&gates, HOUR));
    assert!(timeout(MINUTE / 8, &mut after).await.is_err());
    assert!(next.await.is_err());
    let permit = timeout(Duration::ZERO, reader).await.expect("let in at once").unwrap();
    assert!(timeout(MINUTE, &mut after).await.is_err());
    assert!(permit.is_valid());
}

/// Only the first writer in line keeps readers waiting, so only when it goes are they let in.
#[tokio::test(start_paused = true)]
async fn a_writer_that_gives_up_behind_another_lets_nobody_in() {
    let gates = opened();
    let inside = gates.enter(0).unwrap();
    let mut first = Box::pin(write(&gates, HOUR));
    assert!(timeout(MINUTE, &mut first).await.is_err());
    let mut reader = Box::pin(read(&gates, HOUR));
    assert!(timeout(MINUTE, &mut reader).await.is_err());
    assert!(write(&gates, MINUTE).await.is_err());
    assert!(timeout(MINUTE, &mut reader).await.is_err(), "the first one is still in line");
    drop(inside);
    drop(first.await.unwrap());
    assert!(reader.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn writers_are_served_in_the_order_of_their_coming() {
    let gates = opened();
    let permit = gates.enter(0).unwrap();
    let order = std::sync::Mutex::new(Vec::new());
    let writer = async |number: u32| {
        let guard = write(&gates, HOUR).await.unwrap();
        order.lock().unwrap().push(number);
        tokio::time::sleep(MINUTE).await;
        drop(guard);
    };
    join!(writer(1), writer(2), writer(3), async { drop(permit) });
    assert_eq!(order.into_inner().unwrap(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_writer_gives_up_at_its_deadline_and_says_what_was_in_the_way() {
    let gates = opened();
    let permit = gates.enter(0).unwrap();
    let late = write(&gates, MINUTE).await.unwrap_err();
    let blocker = Blocker::Readers { permits: 1 };
    assert_eq!(late, WriteError::TimedOut { shard: 0, blocker });
    let text = "the gate of shard 0 was not free in time: permits are out, 1";
    assert_eq!(late.to_string(), text);
    assert!(permit.is_valid() && gates.enter(0).is_ok());
    drop(permit);

    let guard = write(&gates, HOUR).await.unwrap();
    let late = write(&gates, MINUTE).await.unwrap_err().to_string();
    assert!(late.contains("`test` (shardlock/tests/waiting.rs:"), "{late}");
    drop(guard);
    assert_eq!(gates.state(0), OPEN);
}

#[tokio::test(start_paused = true)]
async fn a_reader_gives_up_at_its_deadline() {
    let gates = opened();
    let guard = write(&gates, HOUR).await.unwrap();
    let begin = Instant::now();
    assert_eq!(read(&gates, MINUTE).await.err(), Some(Refused::Busy));
    assert!(begin.elapsed() >= MINUTE && begin.elapsed() < MINUTE + Duration::from_millis(5));
    drop(guard);
    assert_eq!(gates.state(0), OPEN);
}

#[tokio::test(start_paused = true)]
async fn what_is_free_is_taken_also_after_the_deadline() {
    let gates = opened();
    let past = Instant::now();
    tokio::time::advance(MINUTE).await;
    assert!(gates.read(0, past).await.is_ok());
    let guard = gates.write(0, "test", past).await.unwrap();
    assert_eq!(gates.read(0, past).await.err(), Some(Refused::Busy));
    drop(guard);
    assert_eq!(past.elapsed(), MINUTE, "nobody has waited");
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_and_an_older_epoch_are_refused_without_waiting() {
    let gates = opened();
    let begin = Instant::now();
    let guard = write(&gates, HOUR).await.unwrap();
    guard.close().unwrap();
    guard.open(5).unwrap();
    let older = Some(Refused::Epoch { asked: 4, current: 5 });
    assert_eq!(gates.read_at(0, 4, begin + HOUR).await.err(), older);
    guard.close().unwrap();
    assert_eq!(read(&gates, HOUR).await.err(), Some(Refused::Closed));
    assert_eq!(gates.read_at(0, 5, begin + HOUR).await.err(), Some(Refused::Closed));
    assert_eq!(begin.elapsed(), Duration::ZERO);
    drop(guard);
    assert_eq!(read(&gates, HOUR).await.err(), Some(Refused::Closed));
}

#[tokio::test(start_paused = true)]
async fn readers_that_wait_are_refused_when_the_gate_is_closed() {
    let gates = opened();
    let begin = Instant::now();
    let guard = write(&gates, HOUR).await.unwrap();
    let closed = async { guard.close().unwrap() };
    let (refused, ()) = join!(read(&gates, HOUR), closed);
    assert_eq!(refused.err(), Some(Refused::Closed));
    drop(guard);

    gates.open(0, 1).unwrap();
    let guard = write(&gates, HOUR).await.unwrap();
    // Closed by the call, while somebody else still holds it; the waiting is given up.
    let (refused, ()) = join!(read(&gates, HOUR), async {
        drop(gates.close(0, "handoff", begin + HOUR));
    });
    assert_eq!(refused.err(), Some(Refused::Closed));
    assert_eq!(begin.elapsed(), Duration::ZERO);
    drop(guard);
}

/// Proves: C21
#[tokio::test(start_paused = true)]
async fn readers_that_wait_get_the_epoch_that_they_asked_for_or_none() {
    let gates = opened();
    let deadline = Instant::now() + HOUR;
    let guard = write(&gates, HOUR).await.unwrap();
    let (any, same, newer, ()) = join!(
        gates.read(0, deadline),
        gates.read_at(0, 1, deadline),
        gates.read_at(0, 2, deadline),
        async move {
            tokio::task::yield_now().await;
            guard.close().unwrap();
            guard.open(2).unwrap();
        }
    );
    // Closing has refused those who waited; had it not, they would have met epoch 2.
    assert_eq!([any.err(), same.err(), newer.err()], [Some(Refused::Closed); 3]);

    let guard = write(&gates, HOUR).await.unwrap();
    let (same, newer, ()) =
        join!(gates.read_at(0, 2, deadline), gates.read_at(0, 3, deadline), async { drop(guard) });
    assert_eq!(same.unwrap().epoch(), 2);
    assert_eq!(newer.err(), Some(Refused::Epoch { asked: 3, current: 2 }));
}

/// A permit that was counted and given to nobody would keep every later writer out.
#[tokio::test(start_paused = true)]
async fn a_reader_that_waits_for_another_epoch_is_counted_as_no_permit() {
    let gates = opened();
    let deadline = Instant::now() + HOUR;
    let guard = write(&gates, HOUR).await.unwrap();
    let (same, too, newer, ()) = join!(
        gates.read_at(0, 1, deadline),
        gates.read_at(0, 1, deadline),
        gates.read_at(0, 2, deadline),
        async { drop(guard) }
    );
    assert_eq!(newer.err(), Some(Refused::Epoch { asked: 2, current: 1 }));
    assert_eq!(gates.state(0), GateState::Open { epoch: 1, permits: 2 });
    drop((same.unwrap(), too.unwrap()));
    assert_eq!(gates.state(0), OPEN);
    assert!(write(&gates, Duration::ZERO).await.is_ok(), "nobody is in the way");
}

#[tokio::test(start_paused = true)]
async fn who_is_inside_lets_others_in_beside_while_a_writer_waits() {
    let gates = opened();
    let outer = gates.enter(0).unwrap();
    let mut writer = Box::pin(write(&gates, HOUR));
    assert!(timeout(MINUTE, &mut writer).await.is_err());
    let inner = gates.enter_beside(0, None).unwrap();
    drop(outer);
    assert!(timeout(MINUTE, &mut writer).await.is_err());
    drop(inner);
    let _guard = writer.await.unwrap();
    assert_eq!(gates.enter_beside(0, None).err(), Some(Refused::Busy));
}

/// C25: whoever goes away while it waits, or after it was given what it waited for and before it
/// looked, leaves the gate as if it had not come.
///
/// Proves: C25
#[tokio::test(start_paused = true)]
async fn dropping_a_wait_leaves_no_trace_at_any_moment() {
    let gates = opened();
    // Before the first look.
    drop(write(&gates, HOUR));
    drop(read(&gates, HOUR));
    assert_eq!(gates.state(0), OPEN);

    // While it waits.
    let permit = gates.enter(0).unwrap();
    let mut writer = Box::pin(write(&gates, HOUR));
    let mut reader = Box::pin(read(&gates, HOUR));
    assert!(timeout(MINUTE, &mut writer).await.is_err());
    assert!(timeout(MINUTE, &mut reader).await.is_err());
    drop(reader);
    drop(writer);
    assert!(gates.enter(0).is_ok(), "nobody waits any more");

    // After it was given.
    let mut writer = Box::pin(write(&gates, HOUR));
    assert!(timeout(MINUTE, &mut writer).await.is_err());
    drop(permit);
    assert_eq!(gates.counts().guards, 1, "given");
    drop(writer);
    assert!(gates.enter(0).is_ok());

    let guard = write(&gates, HOUR).await.unwrap();
    let mut reader = Box::pin(read(&gates, HOUR));
    assert!(timeout(MINUTE, &mut reader).await.is_err());
    drop(guard);
    assert_eq!(gates.counts().permits, 1, "given");
    drop(reader);
    assert_eq!(gates.state(0), OPEN);

    // A reader that was let in and went away lets the next writer in.
    let guard = write(&gates, HOUR).await.unwrap();
    let mut reader = Box::pin(read(&gates, HOUR));
    assert!(timeout(MINUTE, &mut reader).await.is_err());
    let mut writer = Box::pin(write(&gates, HOUR));
    assert!(timeout(MINUTE, &mut writer).await.is_err());
    drop(guard);
    drop(reader);
    let before = Instant::now();
    assert!(writer.await.is_ok());
    assert_eq!(Instant::now(), before);

    let counts = gates.counts();
    let now = (counts.permits, counts.guards, counts.readers_waiting, counts.writers_waiting);
    assert_eq!(now, (0, 0, 0, 0));
}

/// Proves: P5
#[tokio::test(start_paused = true)]
async fn no_more_wait_than_the_table_allows() {
    let options = Options { waiting_max: 1, ..patient() };
    let gates = Gates::with_options(1, options);
    gates.open(0, 1).unwrap();
    let guard = write(&gates, HOUR).await.unwrap();
    let mut writer = Box::pin(write(&gates, HOUR));
    let mut reader = Box::pin(read(&gates, HOUR));
    assert!(timeout(MINUTE, &mut writer).await.is_err());
    assert!(timeout(MINUTE, &mut reader).await.is_err());
    assert_eq!(write(&gates, HOUR).await.err(), Some(WriteError::Full { shard: 0 }));
    assert_eq!(read(&gates, HOUR).await.err(), Some(Refused::Full));
    let closer = gates.close(0, "handoff", Instant::now() + HOUR);
    assert_eq!(closer.await.err(), Some(WriteError::Full { shard: 0 }));
    assert_eq!(reader.await.err(), Some(Refused::Closed), "it has closed the gate all the same");
    drop(guard);
    assert!(writer.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_free_needs_no_place_in_line() {
    let gates = Gates::with_options(1, Options { waiting_max: 0, ..patient() });
    gates.open(0, 1).unwrap();
    assert!(read(&gates, HOUR).await.is_ok());
    let guard = write(&gates, HOUR).await.unwrap();
    assert_eq!(read(&gates, HOUR).await.err(), Some(Refused::Full));
    assert_eq!(write(&gates, HOUR).await.err(), Some(WriteError::Full { shard: 0 }));
    drop(guard);
    let permit = gates.enter(0).unwrap();
    assert_eq!(write(&gates, HOUR).await.err(), Some(WriteError::Full { shard: 0 }));
    drop(permit);
    assert_eq!(gates.state(0), OPEN);
    assert!(gates.enter(0).is_ok(), "whoever was refused keeps nobody out");
}

#[track_caller]
fn write(
    gates: &Gates,
    patience: Duration,
) -> impl Future<Output = Result<WriteGuard<'_>, WriteError>> + Send {
    gates.write(0, "test", Instant::now() + patience)
}

fn read(
    gates: &Gates,
    patience: Duration,
) -> impl Future<Output = Result<Permit<'_>, Refused>> + Send {
    gates.read(0, Instant::now() + patience)
}

/// Holders have all the time that a test needs.
fn patient() -> Options {
    Options { hold_max: 24 * HOUR, ..Options::default() }
}

/// One gate, open.
fn opened() -> Gates {
    let gates = Gates::with_options(1, patient());
    gates.open(0, 1).unwrap();
    gates
}
