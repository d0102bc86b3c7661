//! Figures of whole clusters: node processes on a real etcd.
//!
//! Run it with `make bench`, or `cargo run --release -p greenroom-bench --bin cluster` after
//! `cargo build --release -p greenroom-examples`. It needs `etcd` on the path.

mod failover;
mod load;
mod process;
mod records;
#[path = "../../row.rs"]
mod row;
mod start;

use std::time::Duration;

use clap::Parser;

use failover::{Case, Loss, lose};
use process::{DEFAULT, SHORT};

const SHARDS: usize = 8192;
const CLUSTER: &str = "bench";
const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];
const PATIENCE: Duration = Duration::from_secs(60);
/// Callers that call without pause while a node is killed.
const CALLERS: usize = 32;
const KEYS: u64 = 1000;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Measures start and failover of a cluster of three processes on a real etcd.
#[derive(Debug, Parser)]
struct Options {
    /// Runs of each case; medians are told.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Only cases whose names contain this.
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,
}

const LOSSES: [Case; 4] = [
    Case { name: "kill -9, default timing", loss: Loss::Crash, timing: DEFAULT, goal_ms: 2000.0 },
    Case { name: "kill -9, 250 ms heartbeat", loss: Loss::Crash, timing: SHORT, goal_ms: 1000.0 },
    Case { name: "silence, default timing", loss: Loss::Silence, timing: DEFAULT, goal_ms: 7000.0 },
    Case { name: "silence, 2 s window", loss: Loss::Silence, timing: SHORT, goal_ms: 3000.0 },
];

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let wants = |case: &str| options.only.as_deref().is_none_or(|only| case.contains(only));
    let mut rows = Vec::new();
    if wants("claims") {
        rows.push(start::claims(options.runs).await?);
    }
    if wants("cold start") {
        rows.push(start::cold_start(options.runs).await?);
    }
    for case in LOSSES.iter().filter(|case| wants(case.name)) {
        rows.push(lose(case, options.runs).await?);
    }
    row::write("cluster", &rows)
}
