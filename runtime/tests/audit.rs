//! What the log says of operators' orders. The log is the process's, so this file has it alone.

mod support;

use std::fmt::{Debug, Write};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use greenroom::{MemoryStore, ShardId};
use greenroom_proto::v1::{DrainRequest, HoldRequest, PinRequest, SetLogRequest};
use support::operator::{TOKEN, by, operate, operated, order, ready, refused, with_token};
use support::{Pace, SHARDS, spread, until, within};
use tonic::{Code, Request};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Every event of the process as one line: target, then fields.
static LOG: LazyLock<Mutex<Vec<String>>> = LazyLock::new(Mutex::default);

struct Recorder;

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("greenroom")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().target().to_owned());
        event.record(&mut line);
        LOG.lock().unwrap_or_else(PoisonError::into_inner).push(line.0);
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

fn lines(part: &str) -> Vec<String> {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    log.iter().filter(|line| line.contains(part)).cloned().collect()
}

async fn logged(part: &str) {
    let said = async {
        while lines(part).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(part, said).await;
}

/// Proves: P6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_logged_with_who_asked_and_without_the_token() {
    tracing::subscriber::set_global_default(Recorder).expect("nobody else records");
    let store = MemoryStore::new();
    let a = ready(operated(&store, "a", Pace::Quick)).await;
    let b = ready(operated(&store, "b", Pace::Quick)).await;
    spread(&a, 2).await;
    let mut at_a = operate(&a).await;

    let wrong = "another-token-of-ours";
    let strange = with_token(HoldRequest::default(), wrong);
    refused(within("the refusal", at_a.hold(strange)).await, Code::Unauthenticated);
    let silent = Request::new(HoldRequest::default());
    refused(within("the refusal", at_a.hold(silent)).await, Code::Unauthenticated);
    let audit = lines("greenroom::audit");
    assert_eq!(audit.len(), 2, "{audit:?}");
    let tells = ["node=a", "order=\"hold\"", "from=\"127.0.0.1:", "event=\"refused\""];
    assert!(tells.iter().all(|tell| audit[0].contains(tell)), "{audit:?}");

    let log = |directive: &str| SetLogRequest { directive: directive.to_owned() };
    refused(
        within("the refusal", at_a.set_log(Request::new(log("debug")))).await,
        Code::Unauthenticated,
    );
    let bad = refused(
        within("the refusal", at_a.set_log(order(log("warm")))).await,
        Code::InvalidArgument,
    );
    assert!(bad.contains("got \"warm\": \"warm\" is no level"), "{bad}");
    // The recorder is this program's own, and nobody else's to change.
    let own = at_a.set_log(order(log("debug")));
    let own = refused(within("the refusal", own).await, Code::FailedPrecondition);
    assert!(own.contains("has a log of its own, which orders can't change"), "{own}");

    let drain = |undo| order(DrainRequest { node: "b".to_owned(), undo, force: false });
    assert_eq!(by(within("draining", at_a.drain(drain(false))).await), "b");
    let audit = lines("order=\"drain\"");
    let parts = |parts: &[&str]| audit.iter().any(|line| parts.iter().all(|p| line.contains(p)));
    assert!(parts(&["node=a", "forwarded_by=None", "taken", "drain b"]), "{audit:?}");
    assert!(parts(&["node=b", "forwarded_by=Some(\"a\")", "taken", "drain b"]), "{audit:?}");
    assert!(parts(&["node=b", "event=\"done\"", "by b"]), "{audit:?}");
    assert!(parts(&["node=a", "event=\"done\"", "by b"]), "{audit:?}");
    by(within("undoing", at_a.drain(drain(true))).await);
    // It is done at b, and a may not have seen it yet.
    until("b to take shards again", async || {
        let view = a.view().await.expect("the node has not left");
        view.members().any(|member| member.life.node.as_str() == "b" && member.takes_shards())
    })
    .await;
    spread(&a, 2).await;

    let pin = PinRequest { shards: (0..SHARDS).collect(), node: "b".to_owned() };
    by(within("pinning", at_a.pin(order(pin))).await);
    assert_eq!(lines("pin shards 0-63 to b").len(), 1);
    // A pin to a node that is gone is told, and its shards are served elsewhere.
    within("the crash", b.crash()).await;
    logged("64 shards are pinned to b, which can't have them now").await;
    let served = async {
        loop {
            let view = a.view().await.expect("the node has not left");
            let mut shards = (0..SHARDS).map(ShardId);
            if shards.all(|shard| view.live_owner(shard).is_some()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("the failover", served).await;
    let _b = ready(operated(&store, "b", Pace::Quick)).await;
    logged("all shards pinned to b are served there").await;

    for secret in [TOKEN, wrong] {
        assert_eq!(lines(secret), [""; 0], "a token in the log");
    }
}
