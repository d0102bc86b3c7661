//! What links between nodes promise: large payloads arrive whole and keep nobody waiting, callers that
//! went away are told to the owner, and several streams serve as well as one.

mod support;

use std::time::Duration;

use greenroom::prelude::*;
use greenroom::{FailureCode, Kind, MemoryStore};
use support::probe::probe;
use support::{Pace, begin, config, expect_failure, failure, start, within};

/// An actor that sends things back.
#[greenroom::interface(kind = "test.post")]
pub trait Post {
    /// Sends the letter back.
    async fn back(&self, letter: String) -> String;
    /// A letter of so many letters.
    async fn write(&self, len: usize) -> String;
    /// Waits until its caller is gone, and notes that.
    async fn until_alone(&self, ctx: &mut Context);
    /// Waits until the test lets it go on, and notes its name.
    async fn hold(&mut self, name: String);
}

struct PostActor(String);

impl Actor for PostActor {
    async fn activate(ctx: &mut Activating<'_>) -> Result<Self, ActivateError> {
        Ok(Self(ctx.key().to_owned()))
    }
}

impl Post for PostActor {
    async fn back(&self, letter: String) -> String {
        letter
    }

    async fn write(&self, len: usize) -> String {
        "x".repeat(len)
    }

    async fn until_alone(&self, ctx: &mut Context) {
        let probe = probe(&self.0);
        probe.hold().await;
        assert!(!ctx.caller_is_gone());
        ctx.caller_gone().await;
        probe.note(format!("gone: {}", ctx.caller_is_gone()));
        probe.hold().await;
    }

    async fn hold(&mut self, name: String) {
        let probe = probe(&self.0);
        probe.hold().await;
        probe.note(name);
    }
}

fn post() -> Kind {
    PostRef::served_by::<PostActor>()
}

/// One node that calls and one that hosts.
async fn pair(streams: u32, payload_bytes_max: usize) -> (Node, Node) {
    let store = MemoryStore::new();
    let node = |name, kinds: Vec<Kind>| {
        let mut config = config(&store.handle(), name, Pace::Calm);
        config.peer_streams = streams;
        config.limits.payload_bytes_max = payload_bytes_max;
        start(config, kinds)
    };
    let host = node("host", vec![post()]).await;
    within("joining", host.ready()).await.expect("the node becomes ready");
    let caller = node("caller", Vec::new()).await;
    within("joining", caller.ready()).await.expect("the node becomes ready");
    (caller, host)
}

fn at(node: &Node, key: &str) -> PostRef {
    node.actor(key).expect("a good key")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payloads_up_to_the_limit_arrive_whole_in_both_directions() {
    let (caller, _host) = pair(1, 4 << 20).await;
    // Around the size of a piece, of several, and of the limit.
    for len in [0, 1, 65_500, 65_536, 65_600, 131_100, 200_000, (4 << 20) - 64] {
        let letter: String = (0..len).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
        let back = within("a letter", at(&caller, "whole").back(letter.clone())).await;
        assert!(back.as_ref() == Ok(&letter), "{len} bytes: {:?}", back.map(|back| back.len()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_and_small_payloads_of_many_callers_do_not_mix() {
    let (caller, _host) = pair(1, 4 << 20).await;
    let letters = (0..24_u32).map(|number| {
        let post = at(&caller, &format!("mixed {number}"));
        let letter = number.to_string().repeat(if number % 3 == 0 { 100_000 } else { 3 });
        async move {
            let back = within("a letter", post.back(letter.clone())).await;
            assert!(back == Ok(letter), "letter {number}");
        }
    });
    futures_util::future::join_all(letters).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_fails_alone() {
    let (caller, _host) = pair(1, 100_000).await;
    let post = at(&caller, "limit");
    let held = begin(post.hold("held".into())).await;
    probe("limit").arrival().await;
    let sent = within("a large call", at(&caller, "x").back("x".repeat(100_000))).await;
    let message = expect_failure(failure(sent), FailureCode::TooLarge, false);
    assert!(message.contains("at most 100000"), "{message}");
    let returned = within("a large reply", at(&caller, "x").write(100_000)).await;
    let message = expect_failure(failure(returned), FailureCode::TooLarge, true);
    assert!(message.contains("100005 bytes"), "{message}");
    probe("limit").release(1);
    assert_eq!(within("the call on the same link", held).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_given_up_is_taken_out_of_its_mailbox_on_another_node() {
    let (caller, _host) = pair(1, 4 << 20).await;
    let (post, probe) = (at(&caller, "gone"), probe("gone"));
    let running = begin(post.hold("running".into())).await;
    probe.arrival().await;
    let dropped = begin(post.hold("dropped".into())).await;
    let late = post.hold("late".into()).timeout(Duration::from_millis(50));
    let late = within("a call without an answer", late).await;
    expect_failure(failure(late), FailureCode::Timeout, true);
    drop(dropped);
    let last = begin(post.hold("last".into())).await;
    // The last call stands behind the other two by now, and the news of them before it.
    within("a call after them", at(&caller, "other").back("x".into())).await.expect("an answer");
    probe.release(9);
    assert_eq!(within("the running call", running).await, Ok(()));
    assert_eq!(within("the last call", last).await, Ok(()));
    assert_eq!(probe.log(), ["running", "last"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_hears_that_its_caller_on_another_node_is_gone() {
    let (caller, _host) = pair(1, 4 << 20).await;
    let (post, probe) = (at(&caller, "heard"), probe("heard"));
    let dropped = begin(post.until_alone()).await;
    probe.release(1);
    probe.arrival().await;
    drop(dropped);
    // Its second holding place comes after the news.
    probe.arrival().await;
    assert_eq!(probe.log(), ["gone: true"]);
    probe.release(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_to_another_node_end_at_their_deadlines() {
    let (caller, _host) = pair(1, 4 << 20).await;
    let (post, probe) = (at(&caller, "deadlines"), probe("deadlines"));
    let _running = begin(post.hold("running".into())).await;
    probe.arrival().await;
    let began = std::time::Instant::now();
    let spans = [300, 100, 200].map(Duration::from_millis);
    let calls = spans.map(|span| {
        let call = post.hold("late".into()).timeout(span);
        async move { (failure(call.await), began.elapsed()) }
    });
    let ended = within("the deadlines", futures_util::future::join_all(calls)).await;
    for (span, (failed, took)) in spans.into_iter().zip(ended) {
        expect_failure(failed, FailureCode::Timeout, true);
        assert!(took >= span, "{took:?} for {span:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_streams_serve_as_well_as_one() {
    let (caller, host) = pair(3, 4 << 20).await;
    let calls = (0..100).map(|number| {
        let post = at(&caller, &format!("stream {number}"));
        async move { within("a call", post.back(number.to_string())).await }
    });
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    // All of them end in good order.
    let (post, probe) = (at(&caller, "the end"), probe("the end"));
    let held = begin(post.hold("held".into())).await;
    probe.arrival().await;
    let (stopped, held) = tokio::join!(host.stop(), async {
        probe.release(1);
        within("the last call", held).await
    });
    assert_eq!(((), Ok(())), (stopped, held));
}
