//! What an author's own lines say of where they come from.

mod support;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use greenroom::prelude::*;
use greenroom::{Config, MemoryStore, RequestContext};
use serde_json::{Value, json};
use support::{Pace, config, start, within};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Tells of itself.
#[greenroom::interface(kind = "test.teller")]
pub trait Teller {
    /// Logs, waits, and logs again.
    async fn tell(&mut self);
}

struct TellerActor;

impl Actor for TellerActor {
    async fn activate(_: &mut Activating<'_>) -> Result<Self, ActivateError> {
        tracing::info!("activated");
        Ok(Self)
    }
}

impl Teller for TellerActor {
    async fn tell(&mut self) {
        tracing::info!("before");
        tokio::task::yield_now().await;
        tracing::info!("after");
    }
}

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines of a call's activation and turn, under a filter.
fn told(filter: &str, change: fn(&mut Config)) -> Vec<Value> {
    let page = Page::default();
    let lines = page.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || lines.clone())
        .with_env_filter(filter)
        .json()
        .finish();
    // This thread alone, on which the turns run as well.
    let _here = tracing::subscriber::set_default(subscriber);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut config = config(&MemoryStore::new(), "a", Pace::Quick);
        change(&mut config);
        let node = start(config, [TellerRef::served_by::<TellerActor>()]).await;
        within("joining", node.ready()).await.expect("the node becomes ready");
        let teller: TellerRef = node.actor("somebody").unwrap();
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let mut context = RequestContext::new();
        context.set_trace(&parent, "").expect("a good trace context");
        teller.tell().with_context(context).await.expect("it answers");
        within("stopping", node.stop()).await;
    });
    let text = page.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let text = String::from_utf8(text).expect("a log is text");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    lines.filter(|line: &Value| line["target"] == json!("turn_logs")).collect()
}

#[test]
fn an_authors_lines_say_which_turn_they_come_from() {
    let lines = told("info,greenroom::turns=debug", |_| {});
    let messages: Vec<_> = lines.iter().map(|line| &line["fields"]["message"]).collect();
    assert_eq!(messages, [&json!("activated"), &json!("before"), &json!("after")]);
    for (line, name) in lines.iter().zip(["activation", "turn", "turn"]) {
        let span = &line["span"];
        assert_eq!((&span["name"], &span["actor"]), (&json!(name), &json!("test.teller")));
        assert_eq!((&span["node"], &span["epoch"]), (&json!("a"), &json!(1)));
        assert!(span["shard"].is_u64() && span.get("key").is_none(), "{span}");
        assert_eq!(span["trace"], json!(TRACE));
        assert_eq!(line["spans"].as_array().unwrap().len(), 1, "nothing of its caller's: {line}");
    }
    assert_eq!(lines[2]["span"]["method"], json!("tell"));
}

#[test]
fn keys_are_told_when_they_are_asked_for_and_spans_made_when_they_are_wanted() {
    let lines = told("info,greenroom::turns=debug", |config| config.log.keys = true);
    assert_eq!(lines[1]["span"]["key"], json!("somebody"));
    let lines = told("info", |_| {});
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.get("span").is_none()), "{lines:?}");
}
