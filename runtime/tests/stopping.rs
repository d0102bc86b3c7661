//! A node that stops while calls come in through it: over HTTP, and from its own process.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use greenroom::prelude::*;
use greenroom::{FailureCode, MemoryStore, StatusPhase};
use support::ledger::{TallyRef, tallies};
use support::{Pace, config, spread, start, until, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Two nodes that share the shards; the first has a gateway.
async fn pair() -> [Node; 2] {
    let store = MemoryStore::new();
    let mut nodes = Vec::new();
    for name in ["a", "b"] {
        let mut config = config(&store, name, Pace::Calm);
        config.http_listen = Some("127.0.0.1:0".to_owned());
        nodes.push(start(config, [tallies()]).await);
    }
    for node in &nodes {
        within("being ready", node.ready()).await.expect("it joins");
        spread(node, 2).await;
    }
    nodes.try_into().expect("two nodes")
}

/// The first line of the answer; `None` when the gateway took no such request any more.
async fn add(gateway: SocketAddr, key: &str) -> Option<String> {
    let mut stream = TcpStream::connect(gateway).await.ok()?;
    let head = format!(
        "POST /v1/actors/test.tally/{key}/add HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-length: 2\r\n\r\n{{}}"
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.lines().next().map(str::to_owned)
}

/// Proves: P3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_answers_every_request_that_it_took_before_its_node_stopped() {
    let [stopping, other] = pair().await;
    let gateway = stopping.http_address().expect("it has a gateway");
    let callers: Vec<_> = (0..16)
        .map(|caller| {
            tokio::spawn(async move {
                let (mut answered, mut key) = (0, 0);
                while let Some(status) = add(gateway, &format!("{caller}-{key}")).await {
                    assert!(status.contains(" 200 "), "after {answered} answers: {status}");
                    answered += 1;
                    key = (key + 1) % 50;
                }
                answered
            })
        })
        .collect();
    let warm: TallyRef = other.actor("warm").expect("a good key");
    for _ in 0..200 {
        within("a call", warm.add()).await.expect("it is answered");
    }
    within("the stop", stopping.stop()).await;
    let mut answered = 0;
    for caller in callers {
        answered += within("a caller", caller).await.expect("no call failed");
    }
    assert!(answered > 0, "no load");
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_made_on_a_node_that_stops_are_answered_or_refused_as_stopping() {
    let [stopping, other] = pair().await;
    let callers: Vec<_> = (0..16)
        .map(|caller| {
            let node = stopping.clone();
            tokio::spawn(async move {
                for key in 0.. {
                    let tally: TallyRef = node.actor(&format!("{caller}-{}", key % 50))?;
                    match tally.add().await {
                        Ok(_) => {}
                        Err(CallError::Failed(failure)) => return Err(failure),
                        Err(CallError::Actor(never)) => match never {},
                    }
                }
                Ok(())
            })
        })
        .collect();
    within("the stop", stopping.stop()).await;
    for caller in callers {
        let ended: Result<(), Failure> = within("a caller", caller).await.expect("no panic");
        let failure = ended.expect_err("a stopped node makes no calls");
        assert_eq!(
            (failure.code, failure.may_have_run),
            (FailureCode::Stopping, false),
            "{failure}"
        );
    }
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_node_does_not_wait_for_an_owner_that_nobody_can_be() {
    let [first, last] = pair().await;
    first.stop().await;
    let gateway = last.http_address().expect("it has a gateway");
    let caller = tokio::spawn(async move { while add(gateway, "key").await.is_some() {} });
    tokio::time::timeout(Duration::from_secs(5), last.stop()).await.expect("it stops soon");
    within("the caller", caller).await.expect("no panic");
}

/// A call over a connection that is kept.
async fn add_and_stay(stream: &mut TcpStream) -> String {
    let head =
        "POST /v1/actors/test.tally/kept/add HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    stream.write_all(head.as_bytes()).await.expect("the connection is open");
    let mut answer = Vec::new();
    // The body of an answer is a number of one digit.
    let whole = |answer: &[u8]| {
        let text = String::from_utf8_lossy(answer);
        text.split_once("\r\n\r\n").is_some_and(|(_, body)| !body.is_empty())
    };
    while !whole(&answer) {
        assert!(stream.read_buf(&mut answer).await.expect("an answer") > 0, "closed: {answer:?}");
    }
    String::from_utf8(answer).expect("UTF-8").to_ascii_lowercase()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_told_to_go_before_a_gateway_closes_their_connections() {
    let [stopping, other] = pair().await;
    let gateway = stopping.http_address().expect("it has a gateway");
    let [mut early, mut late] =
        [TcpStream::connect(gateway).await.unwrap(), TcpStream::connect(gateway).await.unwrap()];
    for stream in [&mut early, &mut late] {
        let answer = within("a call", add_and_stay(stream)).await;
        assert!(answer.contains(" 200 ") && !answer.contains("connection: close"), "{answer}");
    }
    let stop = tokio::spawn({
        let stopping = stopping.clone();
        async move { stopping.stop().await }
    });
    let leaves = |node: &Node| node.status().phase == StatusPhase::Draining;
    // One while the shards go, and one that comes when none is left.
    until("the drain", async || leaves(&stopping)).await;
    let mut answers = vec![within("a call", add_and_stay(&mut early)).await];
    until("the end of the drain", async || stopping.status().drained).await;
    answers.push(within("a call", add_and_stay(&mut late)).await);
    for answer in answers {
        assert!(answer.contains(" 200 ") && answer.contains("connection: close"), "{answer}");
    }
    for mut stream in [early, late] {
        let left = within("the end", stream.read_to_end(&mut Vec::new())).await;
        assert_eq!(left.expect("it is closed in order"), 0);
    }
    within("the stop", stop).await.expect("no panic");
    other.stop().await;
}

/// What HTTP/2 calls the frames that the test below is about.
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

async fn send_frame(stream: &mut TcpStream, kind: u8, flags: u8, payload: &[u8]) {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [len[1], len[2], len[3], kind, flags, 0, 0, 0, 0];
    stream.write_all(&[&head, payload].concat()).await.expect("the gateway reads");
}

/// `None` when the connection has ended.
async fn next_frame(stream: &mut TcpStream) -> Option<(u8, u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload).await.ok()?;
    Some((head[3], head[4], payload))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_over_http_2_is_told_to_go_without_an_error() {
    let [stopping, other] = pair().await;
    let gateway = stopping.http_address().expect("it has a gateway");
    let mut stream = TcpStream::connect(gateway).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    send_frame(&mut stream, SETTINGS, 0, &[]).await;
    let greeting = within("the greeting", next_frame(&mut stream)).await.expect("HTTP/2");
    assert_eq!(greeting.0, SETTINGS);
    send_frame(&mut stream, SETTINGS, 1, &[]).await;
    let stop = tokio::spawn({
        let stopping = stopping.clone();
        async move { stopping.stop().await }
    });
    let mut goodbyes = Vec::new();
    while let Some((kind, flags, payload)) = within("a frame", next_frame(&mut stream)).await {
        match (kind, flags) {
            (PING, 0) => send_frame(&mut stream, PING, 1, &payload).await,
            // The last stream that is served, and why.
            (GOAWAY, _) => goodbyes.push(payload[4..8].to_vec()),
            _ => {}
        }
    }
    // First that no more is taken, then which was the last.
    assert_eq!(goodbyes, [[0; 4], [0; 4]]);
    within("the stop", stop).await.expect("no panic");
    other.stop().await;
}
