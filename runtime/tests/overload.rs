//! Too much to do: each limit refuses at once what surely does not run, with a hint when a new attempt
//! is worth it, and whoever wants to wait for that may.

mod support;

use std::time::{Duration, Instant};

use greenroom::prelude::*;
use greenroom::{FailureCode, Kind, MemoryStore};
use support::http::{metric, post};
use support::probe::probe;
use support::{Pace, alone, begin, config, expect_failure, failure, start, within};

/// An actor that is slow.
#[greenroom::interface(kind = "test.porter")]
pub trait Porter {
    /// Waits until the test lets it go on, and notes its name.
    async fn carry(&mut self, name: String);
    /// Takes so many milliseconds.
    async fn rest(&mut self, millis: u64);
    /// Takes no time at all.
    async fn nod(&self) -> u64;
}

struct PorterActor {
    key: String,
}

impl Actor for PorterActor {
    async fn activate(ctx: &mut Activating<'_>) -> Result<Self, ActivateError> {
        Ok(Self { key: ctx.key().to_owned() })
    }
}

impl Porter for PorterActor {
    async fn carry(&mut self, name: String) {
        let probe = probe(&self.key);
        probe.hold().await;
        probe.note(name);
    }

    async fn rest(&mut self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    async fn nod(&self) -> u64 {
        7
    }
}

fn porters() -> Kind {
    PorterRef::served_by::<PorterActor>()
}

fn porter(node: &Node, key: &str) -> PorterRef {
    node.actor(key).expect("a good key")
}

/// The message of a refusal by a limit, which must come with a hint.
#[track_caller]
fn refusal<T: std::fmt::Debug, E: std::fmt::Debug>(refused: Result<T, CallError<E>>) -> String {
    let failure = failure(refused);
    let hint = failure.retry_after().unwrap_or_else(|| panic!("{failure} has no hint"));
    assert!(hint <= Duration::from_secs(6), "{failure}");
    expect_failure(failure, FailureCode::Overloaded, false)
}

/// A node that owns everything, changed as the test needs it, and one that only calls.
async fn server_and_client(kind: Kind, calls_per_peer_max: usize) -> [Node; 2] {
    let store = MemoryStore::new();
    let mut serving = config(&store.handle(), "server", Pace::Calm);
    serving.limits.calls_per_peer_max = calls_per_peer_max;
    let server = start(serving, [kind]).await;
    let client = start(config(&store.handle(), "client", Pace::Calm), []).await;
    for node in [&server, &client] {
        within("joining", node.ready()).await.expect("the node becomes ready");
    }
    [server, client]
}

#[tokio::test]
async fn a_kind_bounds_its_calls_that_wait_or_run_on_and_refuses_the_next_before_it_runs() {
    let node = alone([porters().calls_waiting_max(3)]).await;
    let keys = ["kind a", "kind b", "kind c", "kind d", "kind e"];
    let [a, b, c, d, e] = keys.map(|key| porter(&node, key));
    let running = begin(a.carry("running".into())).await;
    let waiting = begin(a.carry("waiting".into())).await;
    let one_way = b.carry("one-way".into()).send();
    within("a one-way call", one_way).await.expect("there is room");
    probe("kind b").arrival().await;
    // Whoever it is for, and be it one that would end at once.
    let refused = within("a call too many", c.carry("refused".into())).await;
    let message = refusal(refused);
    assert!(message.contains("3 calls of kind `test.porter`"), "{message}");
    refusal(within("a call too many", c.nod()).await);
    let refused = within("a call too many", c.nod().send()).await;
    expect_failure(refused.unwrap_err(), FailureCode::Overloaded, false);
    assert_eq!(probe("kind c").arrivals(), 0);

    probe("kind a").release(1);
    assert_eq!(within("the first call", running).await, Ok(()));
    assert_eq!(within("a call", c.nod()).await, Ok(7));
    probe("kind a").release(1);
    assert_eq!(within("the second call", waiting).await, Ok(()));
    assert_eq!(probe("kind a").log(), ["running", "waiting"]);
    // A caller that went away leaves its turn behind, which still counts.
    let left = begin(d.carry("left".into())).await;
    let second = begin(c.carry("second".into())).await;
    drop(left);
    refusal(within("a call too many", e.nod()).await);
    for key in ["kind b", "kind c", "kind d"] {
        probe(key).release(1);
    }
    assert_eq!(within("the second call", second).await, Ok(()));
    within("the places of the others", async {
        while e.nod().await != Ok(7) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!(probe("kind c").log(), ["second"]);
}

#[tokio::test]
async fn calls_that_end_at_their_first_poll_are_never_too_many_of_a_kind() {
    let node = alone([porters().calls_waiting_max(1)]).await;
    let callers = (0..100).map(|_| {
        let porter = porter(&node, "polled once");
        tokio::spawn(async move {
            for _ in 0..20 {
                assert_eq!(porter.nod().await, Ok(7));
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        within("a caller", caller).await.expect("no call is refused");
    }
}

#[tokio::test]
async fn the_hint_of_a_full_mailbox_follows_from_how_long_its_turns_take() {
    let node = alone([porters().mailbox_len_max(8)]).await;
    let slow = porter(&node, "hinting");
    for _ in 0..3 {
        within("a call", slow.rest(40)).await.expect("it is answered");
    }
    let mut calls = Vec::new();
    for _ in 0..9 {
        calls.push(begin(slow.rest(40)).await);
    }
    let refused = failure(within("a call too many", slow.rest(40)).await);
    let hint = refused.retry_after().expect("a hint");
    // Half of eight turns of 40 ms or a little more, give or take a quarter.
    assert!((Duration::from_millis(120)..Duration::from_secs(1)).contains(&hint), "{refused}");
    for call in calls {
        within("an accepted call", call).await.expect("it is answered");
    }
}

/// Proves: P5
#[tokio::test]
async fn every_limit_hints_and_is_counted_by_its_name() {
    let mut bounded = config(&MemoryStore::new(), "counting", Pace::Calm);
    bounded.http_listen = Some("127.0.0.1:0".into());
    bounded.limits.calls_in_flight_max = 2;
    let node = start(bounded, [porters().mailbox_len_max(1).calls_waiting_max(3)]).await;
    within("joining", node.ready()).await.expect("the node becomes ready");
    let http = node.http_address().expect("it has a gateway");
    let keys = ["counted a", "counted b", "counted c"];
    let [a, b, c] = keys.map(|key| porter(&node, key));
    let first = begin(a.carry("first".into())).await;
    let one_way = a.carry("one-way".into()).send();
    within("a one-way call", one_way).await.expect("there is room");
    let message = refusal(within("one too many", a.nod()).await);
    assert!(message.contains("1 calls wait in the mailbox"), "{message}");
    let second = begin(b.carry("second".into())).await;
    let message = refusal(within("one too many", c.nod()).await);
    assert!(message.contains("2 calls are under way on this node"), "{message}");
    drop(first);
    let message = refusal(within("one too many", c.nod()).await);
    assert!(message.contains("3 calls of kind"), "{message}");
    for limit in ["mailbox", "node", "kind"] {
        let series =
            format!("greenroom_calls_refused_total{{node=\"counting\",limit=\"{limit}\"}}");
        assert_eq!(metric(http, &series).await, Some(1.0), "{series}");
    }
    probe("counted a").release(2);
    probe("counted b").release(1);
    assert_eq!(within("the second call", second).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_come_along_from_other_nodes_and_a_link_bounds_its_calls() {
    let [server, client] = server_and_client(porters().mailbox_len_max(1), 3).await;
    let full = porter(&client, "afar a");
    let carry = |porter: &PorterRef, name: &str| {
        let (porter, name) = (porter.clone(), name.to_owned());
        tokio::spawn(async move { porter.carry(name).await })
    };
    let running = carry(&full, "running");
    probe("afar a").arrival().await;
    let one_way = full.carry("one-way".into()).send();
    within("a one-way call", one_way).await.expect("there is room");
    let message = refusal(within("a call too many", full.carry("refused".into())).await);
    assert!(message.contains("1 calls wait in the mailbox"), "{message}");
    let others = ["afar b", "afar c"].map(|key| (key, carry(&porter(&client, key), "other")));
    for (key, _) in &others {
        probe(key).arrival().await;
    }
    let message = refusal(within("a call too many", porter(&client, "afar d").nod()).await);
    assert!(message.contains("3 calls of this peer are under way"), "{message}");
    // The limit is the link's: the node's own calls are none of its business.
    assert_eq!(within("a call", porter(&server, "afar d").nod()).await, Ok(7));
    probe("afar a").release(2);
    assert_eq!(within("the first call", running).await.expect("no panic"), Ok(()));
    assert_eq!(within("a call", porter(&client, "afar d").nod()).await, Ok(7));
    for (key, other) in others {
        probe(key).release(1);
        assert_eq!(within("another call", other).await.expect("no panic"), Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_call_waits_until_there_is_room_here_and_elsewhere() {
    let [server, client] = server_and_client(porters().mailbox_len_max(1), 100).await;
    for (node, key) in [(&server, "patient here"), (&client, "patient there")] {
        let porter = porter(node, key);
        let (first, second) = (porter.clone(), porter.clone());
        let first = tokio::spawn(async move { first.carry("first".into()).await });
        probe(key).arrival().await;
        within("a one-way call", second.carry("second".into()).send()).await.expect("room");
        refusal(within("a call in haste", porter.carry("refused".into())).await);
        let patient = porter.clone();
        let patient = tokio::spawn(async move { patient.carry("patient".into()).patient().await });
        let one_way = porter.carry("also patient".into()).patient();
        let one_way = async move { one_way.send().await };
        // A hint or two pass.
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert!(!patient.is_finished());
        probe(key).release(4);
        within("the one-way call", one_way).await.expect("there will be room");
        assert_eq!(within("the patient call", patient).await.expect("no panic"), Ok(()));
        assert_eq!(within("the first call", first).await.expect("no panic"), Ok(()));
        // The last one-way call may still run.
        let mut log = Vec::new();
        within("the last turn", async {
            while log.len() < 4 {
                tokio::time::sleep(Duration::from_millis(1)).await;
                log = probe(key).log();
            }
        })
        .await;
        log[2..].sort_unstable();
        assert_eq!(log, ["first", "second", "also patient", "patient"]);
    }
}

#[tokio::test]
async fn patience_ends_before_a_deadline_that_the_hint_does_not_reach() {
    let node = alone([porters().mailbox_len_max(1)]).await;
    let porter = porter(&node, "impatient");
    let running = begin(porter.carry("running".into())).await;
    let waiting = begin(porter.carry("waiting".into())).await;
    let began = Instant::now();
    let short = porter.carry("refused".into()).patient().timeout(Duration::from_millis(400));
    refusal(within("a patient call", short).await);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    probe("impatient").release(2);
    let both = within("the accepted calls", async { tokio::join!(running, waiting) }).await;
    assert_eq!(both, (Ok(()), Ok(())));
    assert_eq!(probe("impatient").log(), ["running", "waiting"]);
}

#[tokio::test]
async fn without_a_budget_a_patient_call_is_not_tried_again() {
    let mut poor = config(&MemoryStore::new(), "poor", Pace::Calm);
    poor.http_listen = Some("127.0.0.1:0".into());
    (poor.limits.retry_percent, poor.limits.retries_per_s_min) = (0, 0);
    let node = start(poor, [porters().mailbox_len_max(1)]).await;
    within("joining", node.ready()).await.expect("the node becomes ready");
    let porter = porter(&node, "poor");
    let running = begin(porter.carry("running".into())).await;
    let waiting = begin(porter.carry("waiting".into())).await;
    let patient = porter.carry("patient".into()).patient().timeout(Duration::from_millis(500));
    let patient = begin(patient).await;
    probe("poor").release(2);
    let both = within("the accepted calls", async { tokio::join!(running, waiting) }).await;
    assert_eq!(both, (Ok(()), Ok(())));
    // There is room by now, but nothing to pay with.
    refusal(within("the patient call", patient).await);
    assert_eq!(probe("poor").log(), ["running", "waiting"]);
    let http = node.http_address().expect("it has a gateway");
    let withheld = metric(http, "greenroom_call_retries_withheld_total{node=\"poor\"}").await;
    assert!(withheld > Some(0.0), "{withheld:?}");
}

#[tokio::test]
async fn a_call_that_is_tried_once_comes_back_at_once_when_its_shard_has_no_owner() {
    let store = MemoryStore::new();
    let client = start(config(&store.handle(), "client", Pace::Calm), []).await;
    let porter = porter(&client, "nowhere");
    let once = within("a call", porter.nod().once()).await;
    expect_failure(failure(once), FailureCode::NotOwner, false);
    let usual = begin(porter.nod()).await;
    let server = start(config(&store.handle(), "server", Pace::Calm), [porters()]).await;
    assert_eq!(within("a call that waits for an owner", usual).await, Ok(7));
    server.stop().await;
}

#[tokio::test]
async fn a_gateway_passes_hints_on() {
    let mut open = config(&MemoryStore::new(), "hints", Pace::Calm);
    open.http_listen = Some("127.0.0.1:0".into());
    let node = start(open, [porters().mailbox_len_max(1)]).await;
    within("joining", node.ready()).await.expect("the node becomes ready");
    let http = node.http_address().expect("it has a gateway");
    let porter = porter(&node, "hinted");
    let running = begin(porter.carry("running".into())).await;
    let waiting = begin(porter.carry("waiting".into())).await;
    let answer = post(http, "/v1/actors/test.porter/hinted/nod", "").await;
    assert_eq!((answer.status, answer.code()), (429, "overloaded"));
    let hint = answer.body["error"]["retry_after_ms"].as_u64().expect("a hint");
    assert!((1..=6000).contains(&hint), "{answer:?}");
    let seconds = format!("retry-after: {}", hint.div_ceil(1000));
    assert!(answer.headers.contains(&seconds), "{answer:?}");
    probe("hinted").release(2);
    let both = within("the accepted calls", async { tokio::join!(running, waiting) }).await;
    assert_eq!(both, (Ok(()), Ok(())));
}
