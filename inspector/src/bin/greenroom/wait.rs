//! Waits until shards are where an order wants them, and shows how far that is.

use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use greenroom_inspector::{ClusterView, Order, Shard};
use tokio::time::{Instant, sleep};

use crate::Failure;

/// How often the node is asked.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// Waits for as long as `patience` until no shard is left that the order is about.
pub(crate) async fn until_done(
    node: &str,
    order: &Order,
    patience: Duration,
) -> Result<(), Failure> {
    let deadline = Instant::now() + patience;
    let mut progress = Progress::new();
    loop {
        let view = ClusterView::fetch(node).await?;
        let left = left(&view, order);
        progress.left(left, "shards are left");
        if left == 0 {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Failure::NotYet { left, patience });
        }
        sleep(ASK_EVERY).await;
    }
}

/// How many shards are not where the order wants them.
fn left(view: &ClusterView, order: &Order) -> usize {
    let owned_by =
        |shard: &Shard, node: &str| view.live_owner(shard).is_some_and(|owner| owner.node == node);
    // The numbers are sorted.
    let named = |shards: &[u32], is_left: &dyn Fn(&Shard) -> bool| {
        // The numbers are sorted.
        let named = view.shards.iter().filter(|shard| shards.binary_search(&shard.number).is_ok());
        named.filter(|shard| is_left(shard)).count()
    };
    match order {
        Order::Drain { node, undo: false, .. } => {
            let node = node.as_str();
            let of_node =
                |shard: &&Shard| owned_by(shard, node) || shard.target.as_deref() == Some(node);
            view.shards.iter().filter(of_node).count()
        }
        Order::Move { shards, to } | Order::Pin { shards, to: Some(to) } => {
            named(shards, &|shard| !owned_by(shard, to))
        }
        _ => 0,
    }
}

/// How far something is, on standard error, if a person looks at that.
pub(crate) struct Progress {
    shown: bool,
    first: Option<usize>,
    last: Option<String>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { shown: stderr().is_terminal(), first: None, last: None }
    }

    /// So many are left, of as many as there were at first.
    pub(crate) fn left(&mut self, left: usize, what: &str) {
        let first = *self.first.get_or_insert(left);
        let line = format!("{left} of {} {what}", first.max(left));
        if !self.shown || self.last.as_ref() == Some(&line) {
            return;
        }
        // The line is written over, and what was longer is blotted out.
        let mut out = stderr().lock();
        let _ = write!(out, "\r{line}\x1b[K").and_then(|()| out.flush());
        self.last = Some(line);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.last.is_some() {
            eprintln!();
        }
    }
}
