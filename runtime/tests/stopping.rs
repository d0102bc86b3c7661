//! A node that stops while calls come in through it: over HTTP, and from its own process.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use greenroom::prelude::*;
use greenroom::{FailureCode, MemoryStore};
use support::ledger::{TallyRef, tallies};
use support::{Pace, config, spread, start, within};
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
