//! The turns of one actor: what excludes what, in which order they run, and that no caller can cut
//! one in half.

mod support;

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use greenroom::prelude::*;
use support::ledger::{TallyRef, tallies};
use support::probe::{Probe, probe};
use support::{alone, begin, within};
use tokio::task::JoinSet;

/// An actor whose turns a test can look into.
#[greenroom::interface(kind = "test.desk")]
pub trait Desk {
    /// Looks whether another turn is inside, waits a little, and counts.
    async fn count(&mut self) -> Result<u64, String>;
    /// Notes the name when it begins and again when it ends; waits between the two.
    async fn write_slowly(&mut self, name: String);
    /// The same beside other reads.
    async fn read_slowly(&self, name: String);
    /// Waits for another call of this method.
    async fn meet(&self);
    /// Notes a line.
    async fn note(&mut self, line: String);
}

struct DeskActor {
    probe: std::sync::Arc<Probe>,
    count: u64,
}

impl Actor for DeskActor {
    async fn activate(ctx: &mut Activating<'_>) -> Result<Self, ActivateError> {
        Ok(Self { probe: probe(ctx.key()), count: 0 })
    }
}

impl Desk for DeskActor {
    async fn count(&mut self) -> Result<u64, String> {
        if self.probe.inside.swap(true, Ordering::SeqCst) {
            return Err("another turn runs".to_owned());
        }
        let count = self.count + 1;
        tokio::task::yield_now().await;
        self.count = count;
        self.probe.inside.store(false, Ordering::SeqCst);
        Ok(count)
    }

    async fn write_slowly(&mut self, name: String) {
        self.read_slowly(name).await;
    }

    async fn read_slowly(&self, name: String) {
        self.probe.note(format!("{name} begins"));
        self.probe.hold().await;
        self.probe.note(format!("{name} ends"));
    }

    async fn meet(&self) {
        self.probe.meeting.wait().await;
    }

    async fn note(&mut self, line: String) {
        self.probe.note(line);
    }
}

async fn desk(key: &str) -> (Node, DeskRef) {
    let node = alone([DeskRef::served_by::<DeskActor>()]).await;
    let desk = node.actor(key).expect("a good key");
    (node, desk)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writes_never_overlap_and_none_is_lost() {
    const CALLERS: u64 = 32;
    const CALLS: u64 = 25;
    let (_node, desk) = desk("overlap").await;
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let desk = desk.clone();
        callers.spawn(async move {
            let mut counts = Vec::new();
            for _ in 0..CALLS {
                counts.push(desk.count().await.expect("no turn runs beside another"));
            }
            counts
        });
    }
    let mut counts: Vec<u64> = within("all calls", callers.join_all()).await.concat();
    counts.sort_unstable();
    assert_eq!(counts, (1..=CALLERS * CALLS).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_run_beside_each_other() {
    let (_node, desk) = desk("meeting").await;
    desk.note("awake".into()).await.expect("the actor wakes up");
    let (one, other) = within("a meeting", async { tokio::join!(desk.meet(), desk.meet()) }).await;
    assert_eq!((one, other), (Ok(()), Ok(())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_activates_its_actor_leaves_room_for_others() {
    let (node, desk) = desk("first meeting").await;
    assert_eq!(node.active_actors(), 0);
    let (one, other) = within("a meeting", async { tokio::join!(desk.meet(), desk.meet()) }).await;
    assert_eq!((one, other), (Ok(()), Ok(())));
    assert_eq!(node.active_actors(), 1);
}

#[tokio::test]
async fn a_write_waits_for_reads_and_later_reads_wait_for_it() {
    let (_node, desk) = desk("fairness").await;
    let probe = probe("fairness");
    let first = begin(desk.read_slowly("first read".into())).await;
    probe.arrival().await;
    // Each stands in the mailbox when it has been polled once.
    let write = begin(desk.write_slowly("write".into())).await;
    let last = begin(desk.read_slowly("last read".into())).await;
    assert_eq!(probe.log(), ["first read begins"]);
    probe.release(1);
    assert_eq!(within("the first read", first).await, Ok(()));
    probe.arrival().await;
    assert_eq!(probe.log()[1..], ["first read ends", "write begins"]);
    probe.release(2);
    let both = within("the other two", async { tokio::join!(write, last) }).await;
    assert_eq!(both, (Ok(()), Ok(())));
    let rest = ["write ends", "last read begins", "last read ends"];
    assert_eq!(probe.log()[3..], rest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_one_caller_keep_their_order() {
    let (_node, desk) = desk("order").await;
    let probe = probe("order");
    let busy = begin(desk.write_slowly("busy".into())).await;
    probe.arrival().await;
    // These stand in the mailbox, one-way and two-way ones in turns,
    let mut answers = Vec::new();
    for line in 0..100 {
        let note = desk.note(line.to_string());
        if line % 2 == 0 {
            within("a one-way call", note.send()).await.expect("there is room");
        } else {
            let answer = begin(note).await;
            answers.push(answer);
        }
    }
    probe.release(1);
    assert_eq!(within("the long turn", busy).await, Ok(()));
    // and these may meet an actor that is idle or one that is not.
    for line in 100..200 {
        within("a one-way call", desk.note(line.to_string()).send()).await.expect("there is room");
    }
    let answers = within("the two-way calls", join_all(answers)).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    within("the last call", desk.note("last".into())).await.expect("it is answered");
    let mut expected: Vec<String> = (0..200).map(|line| line.to_string()).collect();
    expected.push("last".into());
    assert_eq!(probe.log()[2..], expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_cuts_no_turn_in_half() {
    let (_node, desk) = desk("cut").await;
    let probe = probe("cut");
    let call = begin(desk.write_slowly("turn".into())).await;
    probe.arrival().await;
    drop(call);
    probe.release(1);
    within("the next call", desk.note("next".into())).await.expect("it is answered");
    assert_eq!(probe.log(), ["turn begins", "turn ends", "next"]);
}

/// A turn goes on to its end also where it calls others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_whose_caller_has_gone_away_still_calls_other_actors() {
    let node = alone([tallies()]).await;
    let [first, alive, new]: [TallyRef; 3] =
        ["orphan", "alive", "new"].map(|key| node.actor(key).expect("a good key"));
    within("a call", alive.add()).await.expect("it is answered");
    for (way, counted, before) in [("alive", &alive, 1), ("new", &new, 0)] {
        let call = begin(first.pass_on_later(vec![way.to_owned()])).await;
        let probe = probe("orphan");
        probe.arrival().await;
        drop(call);
        probe.release(1);
        // Behind the orphaned turn.
        within("the next call", first.add()).await.expect("it is answered");
        let tick = within("the other's count", counted.add()).await.expect("it is answered");
        assert_eq!(tick.value, before + 2, "{way} was not called");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_waits_needs_no_caller_to_go_on() {
    let (_node, desk) = desk("executor").await;
    let probe = probe("executor");
    let call = begin(desk.write_slowly("turn".into())).await;
    probe.release(1);
    // The first call is not polled here: another one finds its turn done.
    within("the next call", desk.note("next".into())).await.expect("it is answered");
    assert_eq!(probe.log(), ["turn begins", "turn ends", "next"]);
    assert_eq!(within("the first call", call).await, Ok(()));
}

/// On one thread: who never let go of it would leave nothing to the neighbour until the end.
#[tokio::test]
async fn a_task_that_calls_without_end_lets_others_have_its_thread() {
    const CALLS: usize = 50_000;
    let (node, desk) = desk("hot").await;
    let other: DeskRef = node.actor("neighbour").expect("a good key");
    within("the neighbour's first call", other.note("first".into())).await.expect("it is answered");
    let hot = tokio::spawn(async move {
        for _ in 0..CALLS {
            desk.note(String::new()).await.expect("it is answered");
        }
    });
    let mut between = 0;
    while !hot.is_finished() {
        other.note(String::new()).await.expect("it is answered");
        between += 1;
        tokio::task::yield_now().await;
    }
    hot.await.expect("no panic");
    assert!(between > CALLS / 5_000, "the neighbour had its turn only {between} times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_in_vain_never_runs() {
    let (_node, desk) = desk("gone").await;
    let probe = probe("gone");
    let busy = begin(desk.write_slowly("busy".into())).await;
    let gone = begin(desk.note("gone".into())).await;
    drop(gone);
    within("a one-way call", desk.note("one-way".into()).send()).await.expect("there is room");
    probe.release(1);
    within("the next call", desk.note("next".into())).await.expect("it is answered");
    assert_eq!(probe.log()[2..], ["one-way", "next"]);
    assert_eq!(within("the long turn", busy).await, Ok(()));
}
