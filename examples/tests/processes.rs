//! Real node processes on a real etcd: what an operator runs.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use greenroom_cluster::store::{EtcdOptions, EtcdStore, Store};
use greenroom_cluster::testing::EtcdServer;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(40);
const SHARDS: usize = 8192;

/// A node process; killed when dropped.
struct Process {
    child: Child,
    name: &'static str,
}

impl Process {
    fn start(name: &'static str, etcd: &EtcdServer, more: &[(&str, &str)]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_node"))
            .env_clear()
            .env("GREENROOM_CLUSTER", "processes")
            .env("GREENROOM_NODE_ID", name)
            .env("GREENROOM_LISTEN", "127.0.0.1:0")
            .env("GREENROOM_HTTP_LISTEN", "127.0.0.1:0")
            .env("GREENROOM_ETCD_ENDPOINTS", etcd.endpoint())
            .env("GREENROOM_LIVENESS_WINDOW", "2s")
            .env("GREENROOM_HEARTBEAT_INTERVAL", "250ms")
            .env("GREENROOM_LIVENESS_MARGIN", "200ms")
            .env("GREENROOM_REBALANCE_STABILITY", "200ms")
            .envs(more.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the node binary starts");
        Self { child, name }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().expect("kill is installed");
        assert!(sent.success(), "kill {name} {pid}");
    }

    /// Waits for the process to end by itself; whether it succeeded, and what it logged.
    fn ended(mut self) -> (bool, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            assert!(Instant::now() < deadline, "{} does not end", self.name);
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut log = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut log);
        }
        (status.success(), log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What stands in etcd, read as any tool would.
struct Records(BTreeMap<String, Value>);

impl Records {
    async fn read(store: &EtcdStore) -> Self {
        let listing = store.list("/greenroom/processes/").await.expect("etcd answers");
        let items = listing.items.into_iter().map(|item| {
            let value = serde_json::from_slice(&item.value).expect("records are JSON");
            (item.key.trim_start_matches("/greenroom/processes/").to_owned(), value)
        });
        Self(items.collect())
    }

    /// How many shards each live life owns.
    fn owned(&self) -> BTreeMap<String, usize> {
        let mut owned = BTreeMap::new();
        for (key, record) in &self.0 {
            let Some(owner) = record["owner"]["node"].as_str() else { continue };
            let heartbeat = &self.0.get(&format!("heartbeats/{owner}"));
            let alive =
                heartbeat.is_some_and(|beat| beat["incarnation"] == record["owner"]["incarnation"]);
            if key.starts_with("shards/") && alive {
                *owned.entry(owner.to_owned()).or_default() += 1;
            }
        }
        owned
    }

    fn http_address(&self, node: &str) -> String {
        self.0[&format!("nodes/{node}")]["http_address"].as_str().expect("a gateway").to_owned()
    }
}

async fn wait_for(store: &EtcdStore, what: &str, holds: impl Fn(&Records) -> bool) -> Records {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let records = Records::read(store).await;
        if holds(&records) {
            return records;
        }
        assert!(Instant::now() < deadline, "{what}: still {:?}", records.owned());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn spread_over(nodes: usize) -> impl Fn(&Records) -> bool {
    move |records| {
        let owned = records.owned();
        let fair = SHARDS / nodes;
        owned.len() == nodes
            && owned.values().sum::<usize>() == SHARDS
            && owned.values().all(|count| count.abs_diff(fair) <= fair / 10)
    }
}

/// Calls an actor through a gateway; status and body.
fn post(address: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let mut stream = TcpStream::connect(address).expect("the gateway listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "POST /v1/actors/{path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the gateway answers");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {answer}")))
}

fn deposit(address: &str, key: &str) -> (u16, Value) {
    post(address, &format!("bank.account/{key}/deposit"), &json!({"amount": 1}))
}

/// Proves: P3
#[tokio::test(flavor = "multi_thread")]
async fn three_processes_share_the_shards_and_survive_a_kill_and_a_graceful_stop() {
    let etcd = EtcdServer::start();
    let store = EtcdStore::connect(EtcdOptions::new([etcd.endpoint()])).await.unwrap();
    let first = Process::start("node-1", &etcd, &[]);
    let second = Process::start("node-2", &etcd, &[]);
    let third = Process::start("node-3", &etcd, &[]);

    let records = wait_for(&store, "three nodes share", spread_over(3)).await;
    assert_eq!(records.0["meta"]["shards"], json!(SHARDS));
    let gateways = ["node-1", "node-2", "node-3"].map(|node| records.http_address(node));
    // One actor, whichever gateway it is called through.
    for round in 1..=3 {
        for (place, gateway) in gateways.iter().enumerate() {
            let expected = (round - 1) * gateways.len() + place + 1;
            assert_eq!(deposit(gateway, "alice"), (200, json!(expected)));
        }
    }

    // A graceful stop under load fails no call.
    let load = std::thread::spawn({
        let gateway = gateways[0].clone();
        let until = Instant::now() + Duration::from_secs(3);
        move || {
            let mut answers: BTreeMap<u16, usize> = BTreeMap::new();
            let mut calls = 0;
            while Instant::now() < until {
                let (status, _) = deposit(&gateway, &format!("key-{}", calls % 200));
                *answers.entry(status).or_default() += 1;
                calls += 1;
            }
            answers
        }
    });
    third.signal("-TERM");
    let (succeeded, log) = third.ended();
    assert!(succeeded, "a graceful stop succeeds: {log}");
    wait_for(&store, "two nodes share", spread_over(2)).await;
    let answers = load.join().unwrap();
    assert_eq!(
        answers.keys().collect::<Vec<_>>(),
        [&200],
        "a planned stop failed calls: {answers:?}"
    );

    // A killed process: the other takes over.
    second.signal("-KILL");
    let (succeeded, _) = second.ended();
    assert!(!succeeded);
    let records = wait_for(&store, "one node owns all", spread_over(1)).await;
    assert_eq!(records.owned()["node-1"], SHARDS);
    for key in ["alice", "bob", "carol"] {
        assert_eq!(deposit(&gateways[0], key).0, 200);
    }
    drop(first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_another_shard_count_is_refused_with_both_numbers() {
    let etcd = EtcdServer::start();
    let store = EtcdStore::connect(EtcdOptions::new([etcd.endpoint()])).await.unwrap();
    let _first = Process::start("node-1", &etcd, &[]);
    wait_for(&store, "the first node owns all", spread_over(1)).await;
    let (succeeded, log) = Process::start("node-2", &etcd, &[("GREENROOM_SHARDS", "4096")]).ended();
    assert!(!succeeded, "{log}");
    assert!(log.contains("8192 shards") && log.contains("4096 shards"), "{log}");
}

#[test]
fn a_wrong_variable_is_named_and_the_process_fails() {
    let output = Command::new(env!("CARGO_BIN_EXE_node"))
        .env_clear()
        .env("GREENROOM_SHARDS", "0")
        .env("GREENROOM_CALL_TIMEOUT", "soon")
        .output()
        .expect("the node binary starts");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{log}");
    assert!(log.contains("GREENROOM_CALL_TIMEOUT must be a time span"), "{log}");
}
