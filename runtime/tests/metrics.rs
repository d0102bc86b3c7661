//! `/metrics` of real nodes: what happened is counted, exactly once, and all of it has a meaning.

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use greenroom::prelude::*;
use greenroom::{Kind, MemoryStore};
use greenroom_cluster::metrics::{ALL, BUCKETS_S, MetricType};
use support::{Pace, SHARDS, config, spread, start, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Only there to be in memory.
#[greenroom::interface(kind = "test.sleeper")]
pub trait Sleeper {
    /// Does nothing.
    async fn wake(&mut self);
}

struct SleeperActor;

impl Actor for SleeperActor {
    async fn activate(_: &mut Activating<'_>) -> Result<Self, ActivateError> {
        Ok(Self)
    }
}

impl Sleeper for SleeperActor {
    async fn wake(&mut self) {}
}

fn sleepers() -> Kind {
    SleeperRef::served_by::<SleeperActor>()
}

/// A node with a gateway, ready.
async fn join(store: &MemoryStore, name: &str) -> Node {
    let mut config = config(&store.handle(), name, Pace::Calm);
    config.http_listen = Some("127.0.0.1:0".to_owned());
    config.load_report_interval = Duration::from_millis(100);
    let node = start(config, [sleepers()]).await;
    within("joining", node.ready()).await.expect("the node becomes ready");
    node
}

/// Head and body of `GET /metrics`.
async fn scrape(node: SocketAddr) -> (String, String) {
    let exchange = async {
        let mut stream = TcpStream::connect(node).await.expect("the gateway listens");
        let request = format!("GET /metrics HTTP/1.1\r\nhost: {node}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("the gateway reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("the gateway answers in UTF-8");
        answer
    };
    let answer = within("a scrape", exchange).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("HTTP");
    (head.to_ascii_lowercase(), body.to_owned())
}

/// The value of a series; 0 when it isn't there.
fn value(body: &str, series: &str) -> f64 {
    let line = body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().expect("a number"))
}

/// Scrapes until each of these series has its value, and answers with that scrape.
async fn until(node: &Node, wanted: &[(&str, f64)]) -> String {
    let http = node.http_address().expect("it has a gateway");
    let mut last = String::new();
    for _ in 0..400 {
        last = scrape(http).await.1;
        if wanted.iter().all(|(series, wanted)| value(&last, series) == *wanted) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for (series, wanted) in wanted {
        println!("{series}: {} instead of {wanted}", value(&last, series));
    }
    panic!("the values did not come:\n{last}");
}

/// Claims and migrations, by node.
fn count(stage: &str, node: &str) -> String {
    format!("greenroom_{stage}_duration_seconds_count{{node=\"{node}\"}}")
}

/// Proves: P6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_shard_that_moved_is_counted_exactly_once() {
    let store = MemoryStore::new();
    let first = join(&store, "count-a").await;
    let (all, half) = (f64::from(SHARDS), f64::from(SHARDS / 2));
    until(&first, &[(&count("claim", "count-a"), all), (&count("migration", "count-a"), all)])
        .await;
    let second = join(&store, "count-b").await;
    spread(&first, 2).await;
    until(
        &second,
        &[
            (&count("claim", "count-b"), half),
            (&count("release", "count-a"), half),
            (r#"greenroom_own_shards{node="count-b",state="claimed"}"#, half),
            (r#"greenroom_shards{node="count-a",group="default",state="owned"}"#, all),
            (r#"greenroom_node_shards_min{node="count-a"}"#, half),
            (r#"greenroom_imbalance_ratio{node="count-a",by="count"}"#, 1.0),
            (r#"greenroom_members{node="count-a",state="active"}"#, 2.0),
        ],
    )
    .await;
    within("stopping", second.stop()).await;
    let body = until(
        &first,
        &[
            (&count("claim", "count-a"), all + half),
            (&count("release", "count-b"), half),
            (r#"greenroom_members{node="count-a",state="dead"}"#, 1.0),
            (r#"greenroom_own_shards{node="count-b",state="claimed"}"#, 0.0),
        ],
    )
    .await;
    let counted = ["claim", "release", "migration"].map(|stage| {
        [value(&body, &count(stage, "count-a")), value(&body, &count(stage, "count-b"))]
    });
    assert_eq!(counted, [[all + half, half], [half, half], [all + half * 2.0, 0.0]], "{body}");
    let in_buckets = r#"greenroom_claim_duration_seconds_bucket{node="count-a",le="+Inf"}"#;
    assert_eq!(value(&body, in_buckets), all + half);
    let planned = |reason| {
        format!("greenroom_rebalance_planned_moves_total{{node=\"count-a\",reason=\"{reason}\"}}")
    };
    let planned = ["orphan", "rebalance", "drain"].map(|reason| value(&body, &planned(reason)));
    assert_eq!(planned, [all, half, half], "{body}");
    within("stopping", first.stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_scrape_tells_type_and_meaning_of_every_metric_in_it() {
    let node = join(&MemoryStore::new(), "meaning").await;
    let claimed = count("claim", "meaning");
    until(&node, &[(&claimed, f64::from(SHARDS))]).await;
    let (head, body) = scrape(node.http_address().expect("it has a gateway")).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    let types = body.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let types: Vec<(&str, &str)> = types.collect();
    for (name, kind) in &types {
        let metric = ALL.iter().find(|metric| metric.name == *name);
        let metric = metric.unwrap_or_else(|| panic!("{name} is not in the table"));
        assert_eq!(metric.kind.as_str(), *kind, "{name}");
        assert!(body.contains(&format!("# HELP {name} {}", metric.help)), "{name} has no help");
    }
    // What is there in any cluster from its first second.
    let silent = [
        "greenroom_release_duration_seconds",
        "greenroom_rebalance_skips_total",
        "greenroom_shard_activations",
        "greenroom_peer_breaker",
        "greenroom_calls_total",
        "greenroom_call_duration_seconds",
    ];
    for metric in ALL.iter().filter(|metric| !silent.contains(&metric.name)) {
        assert!(types.iter().any(|(name, _)| *name == metric.name), "{} is missing", metric.name);
    }
    let histogram = ALL.iter().find(|metric| metric.kind == MetricType::Histogram);
    let buckets = histogram.map(|metric| format!("{}_bucket", metric.name)).expect("there is one");
    let buckets = format!("{buckets}{{node=\"meaning\"");
    let buckets = body.lines().filter(|line| line.starts_with(&buckets));
    assert_eq!(buckets.count(), BUCKETS_S.len() + 1, "{body}");
    let mut series = body.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    assert!(series.all(|line| line.contains("{node=\"")), "a series without its node: {body}");
    within("stopping", node.stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_tells_its_lead_its_right_to_run_its_heartbeats_and_its_actors() {
    let node = join(&MemoryStore::new(), "vital").await;
    let mut shards = BTreeMap::new();
    for key in ["a", "b", "c"] {
        let sleeper: SleeperRef = node.actor(key).expect("a good key");
        sleeper.wake().await.expect("it answers");
        *shards.entry(node.peek(sleeper.actor()).shard).or_insert(0.0) += 1.0;
    }
    let actors = r#"greenroom_activations{node="vital",kind="test.sleeper"}"#;
    let body = until(
        &node,
        &[
            (actors, 3.0),
            (r#"greenroom_is_leader{node="vital"}"#, 1.0),
            (r#"greenroom_term{node="vital"}"#, 1.0),
            (
                r#"greenroom_store_writes_total{node="vital",purpose="elect",outcome="applied"}"#,
                1.0,
            ),
            (r#"greenroom_store_writes_total{node="vital",purpose="join",outcome="applied"}"#, 1.0),
        ],
    )
    .await;
    let right = value(&body, r#"greenroom_right_to_run_seconds{node="vital"}"#);
    assert!((1.0..=9.0).contains(&right), "{right} s of a window of 10 s less a margin of 1 s");
    let beats = value(&body, r#"greenroom_heartbeat_round_trip_seconds_count{node="vital"}"#);
    assert!(beats >= 1.0, "{body}");
    // Once the leader has had a report.
    let of = |shard| format!("greenroom_shard_activations{{node=\"vital\",shard=\"{shard}\"}}");
    let fullest: Vec<_> = shards.iter().map(|(shard, actors)| (of(shard), *actors)).collect();
    let fullest: Vec<_> =
        fullest.iter().map(|(series, actors)| (series.as_str(), *actors)).collect();
    let body = until(&node, &fullest).await;
    let told = body.matches("greenroom_shard_activations{node=\"vital\"").count();
    assert_eq!(told, shards.len(), "{body}");
    within("stopping", node.stop()).await;
}
