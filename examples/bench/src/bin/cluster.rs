//! Figures of whole clusters: node processes on a real etcd.
//!
//! Run it with `make bench`, or `cargo run --release -p greenroom-bench --bin cluster` after
//! `cargo build --release -p greenroom-examples`. It needs `etcd` on the path.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use greenroom::{Config, EtcdOptions, Failure, Node, NodeId, StoreConfig};
use greenroom_cluster::store::{EtcdStore, Store, Txn, Write};
use greenroom_cluster::testing::EtcdServer;
use greenroom_examples::bank::AccountRef;
use parking_lot::Mutex;
use serde::Serialize;

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

/// One case as it stands in the file.
#[derive(Debug, Serialize)]
struct Row {
    case: String,
    value: f64,
    unit: &'static str,
    lowest: f64,
    highest: f64,
    baseline: Option<f64>,
    ratio: Option<f64>,
    goal: Option<String>,
    met: Option<bool>,
    notes: Vec<String>,
}

impl Row {
    fn new(case: &str, unit: &'static str, mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            case: case.to_owned(),
            value: values[values.len() / 2],
            unit,
            lowest: values[0],
            highest: values[values.len() - 1],
            baseline: None,
            ratio: None,
            goal: None,
            met: None,
            notes: Vec::new(),
        }
    }

    fn print(&self) {
        let Self { case, value, unit, lowest, highest, .. } = self;
        println!("{case:<58} {value:>9.0} {unit}   [{lowest:.0} .. {highest:.0}]");
        if let (Some(baseline), Some(ratio)) = (self.baseline, self.ratio) {
            println!("    baseline {baseline:.0} {unit}: {ratio:.1} times as good");
        }
        if let (Some(goal), Some(met)) = (&self.goal, self.met) {
            println!("    goal {goal}: {}", if met { "met" } else { "not met" });
        }
        for note in &self.notes {
            println!("    {note}");
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let wants = |case: &str| options.only.as_deref().is_none_or(|only| case.contains(only));
    let mut rows = Vec::new();
    if wants("cold start") {
        rows.push(cold_start(options.runs).await?);
    }
    for (name, timing) in [("kill -9, default timing", DEFAULT), ("kill -9, 2 s window", SHORT)] {
        if wants(name) {
            rows.push(kill(name, options.runs, timing).await?);
        }
    }
    let path = Path::new("target/bench/cluster.json");
    fs::create_dir_all("target/bench")?;
    fs::write(path, serde_json::to_string_pretty(&rows)?)?;
    println!("\nwritten to {}", path.display());
    Ok(())
}

type Timing = &'static [(&'static str, &'static str)];
const DEFAULT: Timing = &[];
const SHORT: Timing = &[
    ("GREENROOM_LIVENESS_WINDOW", "2s"),
    ("GREENROOM_HEARTBEAT_INTERVAL", "250ms"),
    ("GREENROOM_LIVENESS_MARGIN", "200ms"),
];

/// A node process; killed when dropped.
struct Process(Child);

impl Process {
    fn start(name: &str, etcd: &EtcdServer, timing: Timing) -> Result<Self> {
        let child = Command::new(node_binary()?)
            .env("GREENROOM_CLUSTER", CLUSTER)
            .env("GREENROOM_NODE_ID", name)
            .env("GREENROOM_LISTEN", "127.0.0.1:0")
            .env("GREENROOM_HTTP_LISTEN", "off")
            .env("GREENROOM_ETCD_ENDPOINTS", etcd.endpoint())
            .env("GREENROOM_REBALANCE_STABILITY", "200ms")
            .envs(timing.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The node of the examples stands beside this binary.
fn node_binary() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("node");
    if !path.exists() {
        let hint = "build it first: cargo build --release -p greenroom-examples";
        return Err(format!("{} is missing; {hint}", path.display()).into());
    }
    Ok(path)
}

/// How many shards each live incarnation owns, as it stands in etcd.
async fn owned(store: &EtcdStore) -> Result<BTreeMap<String, usize>> {
    let prefix = format!("/greenroom/{CLUSTER}/");
    let listing = store.list(&prefix).await?;
    let mut alive = BTreeSet::new();
    let mut owned = BTreeMap::new();
    for item in &listing.items {
        if let Some(node) = item.key.strip_prefix(&format!("{prefix}heartbeats/")) {
            alive.insert((node.to_owned(), item.create_revision));
        }
    }
    for item in listing.items.iter().filter(|item| item.key.contains("/shards/")) {
        let record: serde_json::Value = serde_json::from_slice(&item.value)?;
        let owner = &record["owner"];
        let life = (owner["node"].as_str(), owner["incarnation"].as_u64());
        if let (Some(node), Some(incarnation)) = life
            && alive.contains(&(node.to_owned(), incarnation))
        {
            *owned.entry(node.to_owned()).or_default() += 1;
        }
    }
    Ok(owned)
}

/// Waits until all shards are owned by live nodes, at least by so many.
async fn wait_until_owned(store: &EtcdStore, nodes: usize) -> Result<Duration> {
    let began = Instant::now();
    loop {
        let owned = owned(store).await?;
        if owned.len() >= nodes && owned.values().sum::<usize>() == SHARDS {
            return Ok(began.elapsed());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("the shards are not all owned: {owned:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn cold_start(runs: usize) -> Result<Row> {
    let (mut owned_after, mut one_by_one) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let etcd = EtcdServer::start();
        let store = EtcdStore::connect(EtcdOptions::new([etcd.endpoint()])).await?;
        one_by_one.push(write_one_by_one(&store).await?);
        let mut processes = Vec::new();
        for name in NODES {
            processes.push(Process::start(name, &etcd, DEFAULT)?);
        }
        owned_after.push(wait_until_owned(&store, 1).await?.as_secs_f64() * 1e3);
    }
    let case = "cold start of 3 processes, last start to all shards owned";
    let mut row = Row::new(case, "ms", owned_after);
    let baseline = Row::new("one write a shard", "ms", one_by_one).value;
    row.baseline = Some(baseline);
    row.ratio = Some(baseline / row.value);
    row.goal = Some("< 1000 ms".to_owned());
    row.met = Some(row.value < 1000.0);
    row.notes.push("baseline: 8192 transactions of one write each, in sequence".to_owned());
    row.print();
    Ok(row)
}

/// The naive way: a transaction for each shard, one after the other. In milliseconds.
async fn write_one_by_one(store: &EtcdStore) -> Result<f64> {
    let began = Instant::now();
    for shard in 0..SHARDS {
        let key = format!("/naive/{shard:05}");
        let value = Bytes::from_static(br#"{"target":"node-1","owner":null,"epoch":0}"#);
        let writes = vec![Write::Put { key, value }];
        store.commit(Txn { guards: Vec::new(), writes }).await?;
    }
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

async fn kill(name: &str, runs: usize, timing: Timing) -> Result<Row> {
    let mut recovered = Vec::new();
    let mut notes = Vec::new();
    for run in 1..=runs {
        let etcd = EtcdServer::start();
        let store = EtcdStore::connect(EtcdOptions::new([etcd.endpoint()])).await?;
        let mut processes = Vec::new();
        for name in NODES {
            processes.push(Process::start(name, &etcd, timing)?);
        }
        wait_until_owned(&store, NODES.len()).await?;
        wait_until_even(&store).await?;
        let load = Load::start(&etcd).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = load.answered();
        let began = Instant::now();
        // The last one; dropping a process is `kill -9`.
        drop(processes.pop());
        wait_until_gone(&store, NODES[NODES.len() - 1]).await?;
        recovered.push(began.elapsed().as_secs_f64() * 1e3);
        let during = load.answered() - before;
        let failed = load.stop().await;
        notes.push(format!(
            "run {run}: {during} calls answered until then, failed: {}",
            if failed.is_empty() { "none".to_owned() } else { format!("{failed:?}") }
        ));
    }
    let case = format!("{name}, 1 of 3 under load, to all shards owned again");
    let mut row = Row::new(&case, "ms", recovered);
    row.notes = notes;
    row.print();
    Ok(row)
}

async fn wait_until_even(store: &EtcdStore) -> Result<()> {
    let began = Instant::now();
    let fair = SHARDS / NODES.len();
    loop {
        let owned = owned(store).await?;
        let even = owned.values().all(|count| count.abs_diff(fair) <= fair / 10);
        if owned.len() == NODES.len() && even {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("the shards are not spread: {owned:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn wait_until_gone(store: &EtcdStore, node: &str) -> Result<()> {
    let began = Instant::now();
    loop {
        let owned = owned(store).await?;
        if !owned.contains_key(node) && owned.values().sum::<usize>() == SHARDS {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("{node} still owns shards: {owned:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Callers in this process, through a node that hosts nothing.
struct Load {
    node: Node,
    answered: Arc<AtomicU64>,
    failed: Arc<Mutex<BTreeMap<String, u64>>>,
    running: Arc<AtomicBool>,
    callers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    async fn start(etcd: &EtcdServer) -> Result<Self> {
        let mut config = Config::embedded(StoreConfig::Etcd(EtcdOptions::new([etcd.endpoint()])));
        config.cluster = CLUSTER.to_owned();
        config.node = NodeId::new("caller")?;
        config.http_listen = None;
        let node = Node::with(config).start().await?;
        node.ready().await?;
        let mut load = Self {
            node,
            answered: Arc::default(),
            failed: Arc::default(),
            running: Arc::new(AtomicBool::new(true)),
            callers: Vec::new(),
        };
        for caller in 0..CALLERS {
            load.callers.push(tokio::spawn(load.caller(caller as u64)));
        }
        Ok(load)
    }

    fn caller(&self, seed: u64) -> impl Future<Output = ()> + Send + 'static {
        let (node, answered) = (self.node.clone(), Arc::clone(&self.answered));
        let (failed, running) = (Arc::clone(&self.failed), Arc::clone(&self.running));
        async move {
            let mut rng = fastrand::Rng::with_seed(seed);
            while running.load(Ordering::Relaxed) {
                match deposit(&node, rng.u64(..KEYS)).await {
                    Ok(()) => {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(failure) => {
                        let doubt = if failure.may_have_run { "may have run" } else { "not run" };
                        let class = format!("{} ({doubt})", failure.code);
                        *failed.lock().entry(class).or_default() += 1;
                    }
                }
            }
        }
    }

    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends the load; the failures by code.
    async fn stop(self) -> BTreeMap<String, u64> {
        self.running.store(false, Ordering::Relaxed);
        for caller in self.callers {
            let _ = caller.await;
        }
        self.node.stop().await;
        std::mem::take(&mut *self.failed.lock())
    }
}

async fn deposit(node: &Node, key: u64) -> std::result::Result<(), Failure> {
    let account: AccountRef = node.actor(&key.to_string())?;
    match account.deposit(1).await {
        Ok(_) => Ok(()),
        Err(error) => match error.into_actor() {
            Ok(_) => Ok(()),
            Err(failure) => Err(failure),
        },
    }
}
