//! The limit of memory, with real memory: alone in its process, whose memory it measures.

mod support;

use std::time::Duration;

use greenroom::prelude::*;
use greenroom::{FailureCode, MemoryStore};
use support::http::get_text;
use support::probe::probe;
use support::{Pace, begin, config, expect_failure, failure, start, until, within};

const MIB: usize = 1 << 20;

/// An actor that takes 1 MiB.
#[greenroom::interface(kind = "test.whale")]
pub trait Whale {
    /// Does nothing.
    async fn sing(&self);
    /// Waits until the test lets it go on.
    async fn dive(&self);
}

struct WhaleActor {
    key: String,
    body: Vec<u8>,
}

impl Actor for WhaleActor {
    async fn activate(ctx: &mut Activating<'_>) -> Result<Self, ActivateError> {
        // Not of zeros, which take no memory.
        Ok(Self { key: ctx.key().to_owned(), body: vec![1; MIB] })
    }

    async fn deactivate(self, reason: DeactivateReason) {
        assert_eq!(self.body.len(), MIB);
        probe(&self.key).deactivated(reason);
    }
}

impl Whale for WhaleActor {
    async fn sing(&self) {}

    async fn dive(&self) {
        probe(&self.key).hold().await;
    }
}

/// In bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number") * rustix::param::page_size()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn above_the_limit_the_coldest_go_and_when_nobody_is_idle_no_more_come() {
    let mut config = config(&MemoryStore::new(), "ocean", Pace::Calm);
    config.http_listen = Some("127.0.0.1:0".to_owned());
    let limit = resident() + 96 * MIB;
    config.memory_shed_bytes = Some(limit as u64);
    let node = start(config, [WhaleRef::served_by::<WhaleActor>()]).await;
    within("joining", node.ready()).await.expect("the node becomes ready");
    let whale = |key: &str| node.actor::<WhaleRef>(key).expect("a good key");
    let sing = |key: String| {
        let whale = whale(&key);
        async move { within("a call", whale.sing()).await.expect("it is answered") }
    };

    // Below the limit nobody goes.
    for number in 0..32 {
        sing(format!("old {number}")).await;
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(node.active_actors(), 32);

    // In another moment than the last ones.
    for number in 0..32 {
        sing(format!("new {number}")).await;
    }
    let mut rest = 0;
    // A round of measuring may come in between.
    while resident() <= limit {
        sing(format!("old {}", 32 + rest)).await;
        rest += 1;
    }
    for number in 0..32 {
        sing(format!("new {number}")).await;
    }
    until("the farewells", async || resident() <= limit).await;
    let left = node.active_actors();
    assert!(left >= 32, "no more went than had to: {left} are left");
    for number in 0..32 {
        let reasons = probe(&format!("new {number}")).reasons();
        assert!(reasons.is_empty(), "new {number} went before colder ones");
    }
    let gone: Vec<_> =
        (0..32 + rest).flat_map(|number| probe(&format!("old {number}")).reasons()).collect();
    assert!(!gone.is_empty(), "memory fell by itself");
    assert!(gone.iter().all(|reason| *reason == DeactivateReason::Pressure), "{gone:?}");

    // What is not of actors can't be made to go.
    let diver = whale("diver");
    let diving = begin(diver.dive()).await;
    probe("diver").arrival().await;
    let ballast = vec![1_u8; 192 * MIB];
    // Each call for it brings it back, as fast as it goes.
    let refusal = async || match whale("late").sing().await {
        Ok(()) => None,
        refused => Some(failure(refused)),
    };
    let mut refused = None;
    until("a refusal", async || {
        refused = refusal().await;
        refused.is_some()
    })
    .await;
    let refused = refused.expect("it was");
    assert!(refused.retry_after().is_some(), "{refused:?}");
    let message = expect_failure(refused, FailureCode::Overloaded, false);
    assert!(message.contains("GREENROOM_MEMORY_SHED_BYTES"), "{message}");
    until("all idle ones to go", async || node.active_actors() == 1).await;
    assert_eq!(within("a call", diver.sing()).await, Ok(()), "who lives is called as ever");
    let text = get_text(node.http_address().expect("it has a gateway"), "/metrics").await;
    let count = |series: &str, labels: &str| {
        let series = format!("{series}{{node=\"ocean\",{labels}=\"memory\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&series));
        line.and_then(|value| value.parse::<usize>().ok()).expect("it is counted")
    };
    let of_whales = "kind=\"test.whale\",reason";
    assert!(count("greenroom_passivations_total", of_whales) >= 32, "{text}");
    assert!(count("greenroom_activations_refused_total", of_whales) >= 1, "{text}");
    assert!(count("greenroom_calls_refused_total", "limit") >= 1, "{text}");
    assert!(text.contains("greenroom_resident_memory_bytes{node=\"ocean\"} "), "{text}");

    assert_eq!(ballast.len(), 192 * MIB);
    drop(ballast);
    until("memory again", async || refusal().await.is_none()).await;
    probe("diver").release(1);
    assert_eq!(within("the dive", diving).await, Ok(()));
}
