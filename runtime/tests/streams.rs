//! What streamed replies promise: items in order and each once, on this node and from another one; no
//! work ahead of a slow reader; an end that is told apart from an interruption; and an actor that stays
//! alive, but holds up no move, while somebody reads.

mod support;

use std::time::Duration;

use futures_util::{StreamExt, stream};
use greenroom::prelude::*;
use greenroom::{FailureCode, Items, Kind, MemoryStore};
use serde::{Deserialize, Serialize};
use support::http::{exchange, metric};
use support::probe::probe;
use support::{Pace, config, expect_failure, join, spread, start, until, within};
use tokio::sync::mpsc;

/// Why a feed refuses.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Refusal {
    /// There is nothing so old.
    TooOld,
}

/// An actor that answers with streams.
#[greenroom::interface(kind = "test.feed")]
pub trait Feed {
    /// Counts up to `end`, each number with so many letters, and notes each.
    async fn count(&self, end: u64, letters: usize) -> Streamed<(u64, String)>;
    /// Counts from there, unless that is too old.
    async fn since(&self, from: u64) -> Result<Streamed<u64>, Refusal>;
    /// What is said from now on.
    async fn follow(&mut self) -> Streamed<String>;
    /// Says something to all followers; how many there are.
    async fn say(&mut self, word: String) -> usize;
    /// Counts, and panics instead of the item of this number.
    async fn fragile(&self, until: u64) -> Streamed<u64>;
    /// A stream whose second item nobody can write down.
    async fn unwritable(&self) -> Streamed<Awkward>;
    /// Panics.
    async fn panic(&mut self);
    /// Reads another feed to its end, and adds up.
    async fn sum(&self, ctx: &mut Context, other: String, end: u64) -> u64;
}

/// What can't be written down if it says so.
#[derive(Debug, Deserialize)]
pub struct Awkward(bool);

impl Serialize for Awkward {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            true => Err(serde::ser::Error::custom("it does not want to")),
            false => serializer.serialize_bool(false),
        }
    }
}

struct FeedActor {
    key: String,
    followers: Vec<mpsc::Sender<String>>,
}

/// Notes its end.
struct Noted(String);

impl Drop for Noted {
    fn drop(&mut self) {
        probe(&self.0).note("dropped");
    }
}

impl Actor for FeedActor {
    async fn activate(ctx: &mut Activating<'_>) -> Result<Self, ActivateError> {
        probe(ctx.key()).activated();
        Ok(Self { key: ctx.key().to_owned(), followers: Vec::new() })
    }

    async fn deactivate(self, reason: DeactivateReason) {
        probe(&self.key).deactivated(reason);
    }
}

impl Feed for FeedActor {
    async fn count(&self, end: u64, letters: usize) -> Streamed<(u64, String)> {
        let noted = Noted(self.key.clone());
        Streamed::new(stream::iter(0..end).map(move |number| {
            probe(&noted.0).note(number.to_string());
            (number, "x".repeat(letters))
        }))
    }

    async fn since(&self, from: u64) -> Result<Streamed<u64>, Refusal> {
        match from {
            0 => Err(Refusal::TooOld),
            from => Ok(Streamed::new(stream::iter(from..from + 3))),
        }
    }

    async fn follow(&mut self) -> Streamed<String> {
        let (follower, words) = mpsc::channel(4);
        self.followers.push(follower);
        Streamed::from_channel(words)
    }

    async fn say(&mut self, word: String) -> usize {
        self.followers.retain(|follower| follower.try_send(word.clone()).is_ok());
        self.followers.len()
    }

    async fn fragile(&self, until: u64) -> Streamed<u64> {
        Streamed::new(stream::iter(0..).map(move |number| {
            assert!(number != until, "as the test wants it");
            number
        }))
    }

    async fn unwritable(&self) -> Streamed<Awkward> {
        Streamed::new(stream::iter([Awkward(false), Awkward(true), Awkward(false)]))
    }

    async fn panic(&mut self) {
        panic!("as the test wants it");
    }

    async fn sum(&self, ctx: &mut Context, other: String, end: u64) -> u64 {
        let other: FeedRef = ctx.actor(&other).expect("a good key");
        let mut items = other.count(end, 0).await.expect("a stream");
        let mut sum = 0;
        while let Some(item) = items.next().await {
            sum += item.expect("an item").0;
        }
        sum
    }
}

fn feeds() -> Kind {
    FeedRef::served_by::<FeedActor>()
}

fn at(node: &Node, key: &str) -> FeedRef {
    node.actor(key).expect("a good key")
}

/// A node that hosts, with a gateway, and one that only calls. Most promises hold for both.
async fn pair(kind: Kind) -> (Node, Node) {
    let store = MemoryStore::new();
    let node = |name, kinds: Vec<Kind>| {
        let mut config = config(&store.handle(), name, Pace::Calm);
        config.http_listen = Some("127.0.0.1:0".into());
        start(config, kinds)
    };
    let host = node("host", vec![kind]).await;
    within("joining", host.ready()).await.expect("the node becomes ready");
    let caller = node("caller", Vec::new()).await;
    within("joining", caller.ready()).await.expect("the node becomes ready");
    (host, caller)
}

async fn next<T: serde::de::DeserializeOwned + Send + 'static>(
    items: &mut Items<T>,
) -> Option<Result<T, Failure>> {
    within("an item", items.next()).await
}

/// What is left of a stream: the items, and how it ended.
async fn rest<T: serde::de::DeserializeOwned + Send + 'static>(
    mut items: Items<T>,
) -> (Vec<T>, Option<Failure>) {
    let mut all = Vec::new();
    let mut end = None;
    while let Some(item) = next(&mut items).await {
        match item {
            Ok(item) => all.push(item),
            Err(failure) => end = Some(failure),
        }
        assert!(end.is_none() || next(&mut items).await.is_none(), "it goes on after its end");
    }
    (all, end)
}

/// How many items the actor's stream was asked for so far.
fn produced(key: &str) -> usize {
    probe(key).log().iter().filter(|line| *line != "dropped").count()
}

fn is_dropped(key: &str) -> bool {
    probe(key).log().iter().any(|line| line == "dropped")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_come_in_order_and_each_once_and_then_the_end() {
    let (host, caller) = pair(feeds()).await;
    for (name, node) in [("here", &host), ("there", &caller)] {
        // Of several sizes, so that some come in pieces and some not.
        for letters in [0, 10, 3_000, 200_000] {
            let count = if letters > 100_000 { 10 } else { 1000 };
            let feed = at(node, &format!("order {name} {letters}"));
            let items = within("a call", feed.count(count, letters)).await.expect("a stream");
            let (items, end) = rest(items).await;
            assert_eq!(end, None);
            assert!(items.iter().map(|(number, _)| *number).eq(0..count), "{name}, {letters}");
            assert!(items.iter().all(|(_, text)| text.len() == letters));
        }
        let none = within("a call", at(node, "empty").count(0, 0)).await.expect("a stream");
        assert_eq!(rest(none).await.0.len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_may_refuse_before_the_first_item() {
    let (host, caller) = pair(feeds()).await;
    for node in [&host, &caller] {
        let refused = within("a call", at(node, "old").since(0)).await;
        match refused {
            Err(CallError::Actor(refusal)) => assert_eq!(refusal, Refusal::TooOld),
            other => panic!("{other:?}"),
        }
        let items = within("a call", at(node, "old").since(7)).await.expect("a stream");
        assert_eq!(rest(items).await, (vec![7, 8, 9], None));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_runs_ahead_of_a_slow_reader() {
    let (host, caller) = pair(feeds()).await;
    // On the same node, nothing at all.
    let mut items =
        within("a call", at(&host, "lazy").count(1_000_000, 0)).await.expect("a stream");
    assert_eq!(produced("lazy"), 0);
    for _ in 0..3 {
        assert!(next(&mut items).await.is_some_and(|item| item.is_ok()));
    }
    assert_eq!(produced("lazy"), 3);

    // From another one, what the window has room for: 256 KiB, of which each item takes 64 bytes and
    // its own.
    for (key, letters, window) in [("narrow", 0, 4096), ("wide", 60_000, 5)] {
        let mut items =
            within("a call", at(&caller, key).count(1_000_000, letters)).await.expect("a stream");
        until("the window to fill", async || produced(key) > window * 3 / 4).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let ahead = produced(key);
        assert!(ahead <= window, "{ahead} items ahead of the reader");
        // As it reads on, the actor's stream goes on.
        for number in 0..2 * window as u64 {
            let item = next(&mut items).await.expect("more").expect("an item");
            assert_eq!(item.0, number);
        }
        until("more", async || produced(key) > 2 * window).await;
        assert!(produced(key) <= 3 * window + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_goes_away_takes_the_stream_with_it() {
    let (host, caller) = pair(feeds()).await;
    for (key, node) in [("leave here", &host), ("leave there", &caller)] {
        let mut items = within("a call", at(node, key).count(u64::MAX, 0)).await.expect("a stream");
        assert!(next(&mut items).await.is_some());
        assert!(!is_dropped(key));
        drop(items);
        until("the stream's end", async || is_dropped(key)).await;
        let produced_then = produced(key);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(produced(key), produced_then);
    }
    // A caller that is gone before the answer: the stream that nobody gets ends, too.
    let early = at(&caller, "leave early");
    let _ = tokio::time::timeout(Duration::from_micros(1), early.count(u64::MAX, 0)).await;
    let again = within("a call", early.count(1, 0)).await.expect("a stream");
    assert_eq!(rest(again).await.0.len(), 1);
    until("both streams' ends", async || {
        let log = probe("leave early").log();
        let dropped = log.iter().filter(|line| *line == "dropped").count();
        // The first call may have been given up before it ran.
        dropped == 2 || (dropped == 1 && log.len() == 2)
    })
    .await;
    // Nothing of them is left among the calls under way, so a link is as free as before.
    let one_way = within("a call", at(&caller, "leave early").count(5, 0).send()).await;
    assert_eq!(one_way, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_actor_goes_on_while_its_streams_are_read() {
    let (host, caller) = pair(feeds()).await;
    let mut here = within("a call", at(&host, "town").follow()).await.expect("a stream");
    let mut there = within("a call", at(&caller, "town").follow()).await.expect("a stream");
    for word in ["hear", "ye"] {
        assert_eq!(within("a word", at(&caller, "town").say(word.into())).await, Ok(2));
        assert_eq!(next(&mut here).await, Some(Ok(word.into())));
        assert_eq!(next(&mut there).await, Some(Ok(word.into())));
    }
    drop((here, there));
    within("the followers' leaving", async {
        while at(&host, "town").say("gone?".into()).await != Ok(0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deadline_of_the_call_is_none_of_its_items() {
    let (host, caller) = pair(feeds()).await;
    for (node, side) in [(&host, "here"), (&caller, "there")] {
        let feed = at(node, &format!("patient {side}"));
        let call = feed.follow().timeout(Duration::from_millis(300));
        let mut items = within("a call", call).await.expect("a stream");
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(within("a word", feed.say("late".into())).await, Ok(1));
        assert_eq!(next(&mut items).await, Some(Ok("late".into())));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_reads_the_stream_of_another_actor() {
    let (_host, caller) = pair(feeds()).await;
    let sum = within("a sum", at(&caller, "reader").sum("read".into(), 1000)).await;
    assert_eq!(sum, Ok(499_500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_with_an_open_stream_is_not_idle() {
    let (host, caller) = pair(feeds().idle_timeout(Duration::from_millis(50))).await;
    for (key, node) in [("awake here", &host), ("awake there", &caller)] {
        let mut items = within("a call", at(node, key).follow()).await.expect("a stream");
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(probe(key).reasons(), []);
        assert_eq!(within("a word", at(node, key).say("still here".into())).await, Ok(1));
        assert_eq!(next(&mut items).await, Some(Ok("still here".into())));
        drop(items);
        within("the farewell", probe(key).farewell()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_interrupts_streams_and_is_not_held_up_by_them() {
    let store = MemoryStore::new();
    let first = join(&store, "first", Pace::Calm, feeds()).await;
    let caller = start(config(&store.handle(), "caller", Pace::Calm), []).await;
    within("joining", caller.ready()).await.expect("the node becomes ready");
    let mut open = Vec::new();
    for number in 0..40 {
        for (node, side) in [(&first, "here"), (&caller, "there")] {
            let feed = at(node, &format!("moved {number} {side}"));
            let mut items = within("a call", feed.follow()).await.expect("a stream");
            assert_eq!(within("a word", feed.say("before".into())).await, Ok(1));
            assert_eq!(next(&mut items).await, Some(Ok("before".into())));
            // And one that is blocked because nobody reads it.
            let idle = within("a call", feed.count(u64::MAX, 1000)).await.expect("a stream");
            open.push((feed, items, idle));
        }
    }
    let second = join(&store, "second", Pace::Calm, feeds()).await;
    spread(&second, 2).await;
    let (mut moved, mut stayed) = (0, 0);
    for (feed, mut items, idle) in open {
        let actor = second.actor_of("test.feed", feed.key()).expect("a good key");
        let route = second.peek(&actor).route.expect("an owner");
        if route.owner.life.node.as_str() == "second" {
            moved += 1;
            let failure = next(&mut items).await.expect("a failure").expect_err("it is cut");
            expect_failure(failure, FailureCode::Interrupted, true);
            assert!(next(&mut items).await.is_none());
            // Before anybody reads on: its owner does not wait for that.
            if feed.key().ends_with("there") {
                until("the end of a stream that waits for room", async || is_dropped(feed.key()))
                    .await;
            }
            let (_, end) = rest(idle).await;
            expect_failure(end.expect("it is cut"), FailureCode::Interrupted, true);
            // Who asks again is served by the new owner.
            let mut again = within("a call", feed.follow()).await.expect("a stream");
            assert_eq!(within("a word", feed.say("after".into())).await, Ok(1));
            assert_eq!(next(&mut again).await, Some(Ok("after".into())));
        } else {
            stayed += 1;
            assert_eq!(within("a word", feed.say("still".into())).await, Ok(1));
            assert_eq!(next(&mut items).await, Some(Ok("still".into())));
        }
    }
    assert!(moved > 10 && stayed > 10, "{moved} moved, {stayed} stayed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_readers_and_tells_them() {
    let (host, caller) = pair(feeds()).await;
    let mut open = Vec::new();
    for (node, side) in [(&host, "here"), (&caller, "there")] {
        let feed = at(node, &format!("stopped {side}"));
        open.push(within("a call", feed.count(u64::MAX, 1000)).await.expect("a stream"));
    }
    let began = std::time::Instant::now();
    within("the stop", host.stop()).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    for items in open {
        let (_, end) = rest(items).await;
        expect_failure(end.expect("it is cut"), FailureCode::Interrupted, true);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_is_told_apart_from_the_end() {
    let (host, caller) = pair(feeds()).await;
    let mut items = within("a call", at(&caller, "crash").follow()).await.expect("a stream");
    assert_eq!(within("a word", at(&caller, "crash").say("last words".into())).await, Ok(1));
    assert_eq!(next(&mut items).await, Some(Ok("last words".into())));
    host.crash().await;
    let (items, end) = rest(items).await;
    assert!(items.is_empty());
    expect_failure(end.expect("it is cut"), FailureCode::Interrupted, true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_panics_fails_alone_and_an_actor_that_panics_takes_its_streams_along() {
    let (host, caller) = pair(feeds()).await;
    for (node, side) in [(&host, "here"), (&caller, "there")] {
        let feed = at(node, &format!("fragile {side}"));
        let mut followed = within("a call", feed.follow()).await.expect("a stream");
        let items = within("a call", feed.fragile(5)).await.expect("a stream");
        let (items, end) = rest(items).await;
        assert_eq!(items, [0, 1, 2, 3, 4]);
        expect_failure(end.expect("it panicked"), FailureCode::Panicked, true);
        // The actor is as it was.
        assert_eq!(within("a word", feed.say("well".into())).await, Ok(1));
        assert_eq!(next(&mut followed).await, Some(Ok("well".into())));

        // With the actor goes the sender, which must not look like the end of the stream.
        assert!(within("a panic", feed.panic()).await.is_err());
        let (items, end) = rest(followed).await;
        assert!(items.is_empty());
        expect_failure(end.expect("it is cut"), FailureCode::Interrupted, true);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_that_cannot_travel_ends_the_stream_with_the_reason() {
    let store = MemoryStore::new();
    let node = |name, kinds: Vec<Kind>, bytes_max| {
        let mut config = config(&store.handle(), name, Pace::Calm);
        config.limits.payload_bytes_max = bytes_max;
        start(config, kinds)
    };
    let host = node("host", vec![feeds()], 100_000).await;
    within("joining", host.ready()).await.expect("the node becomes ready");
    let caller = node("caller", vec![], 1024).await;
    within("joining", caller.ready()).await.expect("the node becomes ready");

    let items = within("a call", at(&caller, "awkward").unwritable()).await.expect("a stream");
    let (items, end) = rest(items).await;
    assert_eq!(items.len(), 1);
    let message = expect_failure(end.expect("it fails"), FailureCode::BadReply, true);
    assert!(message.contains("does not want to"), "{message}");
    // Between actors of one node nothing is written down.
    let items = within("a call", at(&host, "awkward").unwritable()).await.expect("a stream");
    assert_eq!(rest(items).await.0.len(), 3);

    for letters in [200_000, 5000] {
        let key = format!("large {letters}");
        let items = within("a call", at(&caller, &key).count(9, letters)).await.expect("a stream");
        let (items, end) = rest(items).await;
        assert!(items.is_empty());
        expect_failure(end.expect("it is too large"), FailureCode::TooLarge, true);
        until("the stream's end", async || is_dropped(&key)).await;
    }
    // The link is as good as before.
    let items = within("a call", at(&caller, "small").count(9, 10)).await.expect("a stream");
    assert_eq!(rest(items).await.0.len(), 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_items_and_small_calls_share_a_link() {
    let (_host, caller) = pair(feeds()).await;
    let mut items =
        within("a call", at(&caller, "heavy").count(40, 1_000_000)).await.expect("a stream");
    let mut calls = 0;
    while let Some(item) = next(&mut items).await {
        assert_eq!(item.expect("an item").1.len(), 1_000_000);
        assert_eq!(within("a word", at(&caller, "light").say("hi".into())).await, Ok(0));
        calls += 1;
    }
    assert_eq!(calls, 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_given_up_in_the_middle_of_an_item_leave_the_link_as_it_was() {
    let (_host, caller) = pair(feeds()).await;
    let mut witness = within("a call", at(&caller, "witness").follow()).await.expect("a stream");
    // More than a peer may leave unfinished.
    for number in 0..40 {
        let key = format!("half {number}");
        let feed = at(&caller, &key);
        let mut items = within("a call", feed.count(u64::MAX, 1_000_000)).await.expect("a stream");
        assert!(next(&mut items).await.is_some_and(|item| item.is_ok()));
        // Some of the next one is on its way, or about to be.
        within("the next item", async {
            while produced(&key) < 2 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    assert_eq!(within("a word", at(&caller, "witness").say("whole".into())).await, Ok(1));
    assert_eq!(next(&mut witness).await, Some(Ok("whole".into())));
}

/// The body of a chunked answer, and its head in lower case.
fn chunked(answer: &str) -> (String, String) {
    let (head, mut rest) = answer.split_once("\r\n\r\n").expect("HTTP");
    let mut body = String::new();
    while let Some((len, after)) = rest.split_once("\r\n") {
        let len = usize::from_str_radix(len, 16).expect("a length");
        body.push_str(&after[..len]);
        rest = after[len..].strip_prefix("\r\n").expect("the end of a chunk");
    }
    (head.to_ascii_lowercase(), body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_a_stream_is_lines_or_events_and_says_how_it_ended() {
    let (host, caller) = pair(feeds()).await;
    for node in [&host, &caller] {
        let gateway = node.http_address().expect("it has a gateway");
        let post = |path: &'static str, headers: &'static str, body: &'static str| async move {
            let path = format!("/v1/actors/test.feed/{path}");
            chunked(&exchange(gateway, "POST", &path, headers, body.as_bytes()).await)
        };
        let (head, body) = post("http/since", "", "{\"from\": 7}").await;
        assert!(
            head.starts_with("http/1.1 200") && head.contains("application/x-ndjson"),
            "{head}"
        );
        assert_eq!(body, "{\"item\":7}\n{\"item\":8}\n{\"item\":9}\n{\"end\":true}\n");

        let accept = "accept: text/event-stream\r\n";
        let (head, body) = post("http/since", accept, "{\"from\": 7}").await;
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        assert_eq!(body, "data: 7\n\ndata: 8\n\ndata: 9\n\nevent: end\ndata: true\n\n");

        let (_, body) = post("http/fragile", "", "{\"until\": 1}").await;
        let (item, error) = body.split_once('\n').expect("two lines");
        assert_eq!(item, "{\"item\":0}");
        assert!(error.contains("\"panicked\"") && !error.contains("end"), "{error}");
        let (_, body) = post("http/fragile", accept, "{\"until\": 1}").await;
        assert!(body.starts_with("data: 0\n\nevent: error\ndata: {"), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_http_stream_counts_as_served_and_does_not_hold_up_the_stop() {
    let store = MemoryStore::new();
    let mut config = config(&store.handle(), "alone", Pace::Calm);
    config.http_listen = Some("127.0.0.1:0".into());
    config.gateway.calls_max = 1;
    // The actor lives elsewhere, and goes on when the gateway stops.
    let _host = join(&store, "host", Pace::Calm, feeds()).await;
    let node = start(config, []).await;
    within("joining", node.ready()).await.expect("the node becomes ready");
    let gateway = node.http_address().expect("it has a gateway");
    let reading = tokio::spawn(async move {
        let path = "/v1/actors/test.feed/held/follow";
        chunked(&exchange(gateway, "POST", path, "", b"{}").await).1
    });
    within("the follower", async {
        while at(&node, "held").say("a".into()).await != Ok(1) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let refused = support::http::post(gateway, "/v1/actors/test.feed/held/say", "{}").await;
    assert_eq!((refused.status, refused.code()), (429, "overloaded"));
    // Probes and metrics are never limited.
    assert!(
        metric(gateway, "greenroom_calls_refused_total{node=\"alone\",limit=\"gateway\"}")
            .await
            .is_some_and(|refused| refused >= 1.0)
    );
    let began = std::time::Instant::now();
    within("the stop", node.stop()).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let body = within("the body's end", reading).await.expect("no panic");
    assert!(
        body.starts_with("{\"item\":\"a\"}\n{\"error\":") && body.contains("interrupted"),
        "{body}"
    );
}
