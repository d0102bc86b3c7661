//! The dashboard and the alerts of `k8s/monitoring` in a real Prometheus that scrapes real node
//! processes: in a healthy cluster every panel shows something and no alert is true, and a node that
//! is killed makes true those that are meant for it.

#[path = "../support/calls.rs"]
mod calls;
mod cluster;
mod manifests;
mod prometheus;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;

use calls::Calls;
use cluster::Cluster;
use manifests::{Manifests, Query, is_told, named};
use prometheus::{NAMESPACE, Prometheus};

const PATIENCE: Duration = Duration::from_secs(60);

/// Metrics without a series while all is well, and why. Only panels of these may be empty.
const SILENT_IN_HEALTH: &[(&str, &str)] = &[
    ("greenroom_peer_breaker", "peers with which all is well are left out"),
    ("greenroom_gate_wait_seconds_bucket", "a call waits only if its shard moves at that moment"),
];

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "waited for {what} in vain");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Asks until a list is empty.
async fn until_none<T: std::fmt::Debug>(what: &str, mut ask: impl FnMut() -> Vec<T>) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = ask();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {left:#?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[test]
fn queries_name_only_metrics_that_nodes_tell() {
    let manifests = Manifests::read();
    assert!(manifests.queries.len() > 40 && manifests.alerts.len() > 20);
    let queries = manifests.queries.iter().map(|query| &query.text);
    let alerts = manifests.alerts.iter().map(|alert| &alert.expression);
    for query in queries.chain(alerts) {
        for metric in named(query) {
            assert!(is_told(metric), "no node tells {metric}: {query}");
        }
    }
    for (metric, _) in SILENT_IN_HEALTH {
        assert!(is_told(metric), "no node tells {metric}");
    }
    assert!(!is_told("greenroom_shard") && !is_told("greenroom_call_duration_seconds"));
}

/// Everything that is asked of Prometheus.
struct Watch {
    manifests: Manifests,
    prometheus: Prometheus,
}

impl Watch {
    async fn start() -> Self {
        let manifests = Manifests::read();
        let prometheus = Prometheus::start(&manifests.groups, &manifests.monitors).await;
        Self { manifests, prometheus }
    }

    async fn scrapes(&self, cluster: &Cluster) {
        let gateways = cluster.gateways().await;
        self.prometheus.scrape("greenroom", &gateways);
        self.prometheus.scrape("greenroom-etcd", &[("etcd-0", cluster.etcd())]);
        until("scrapes of all", async || {
            self.prometheus.query("up == 1").expect("a query").len() == gateways.len() + 1
        })
        .await;
    }

    /// Whether a query of the dashboard shows something.
    fn shows(&self, query: &Query) -> bool {
        let series = self.prometheus.query(&query.text);
        let series = series.unwrap_or_else(|error| panic!("{}: {error}", query.panel));
        series.iter().any(|series| series.value.is_finite())
    }

    /// The alerts whose expressions are true.
    fn alarms(&self) -> BTreeSet<&str> {
        let is_true =
            |expression: &str| !self.prometheus.query(expression).expect("a query").is_empty();
        let alerts = self.manifests.alerts.iter();
        alerts.filter(|alert| is_true(&alert.expression)).map(|alert| &*alert.name).collect()
    }

    /// Rules that Prometheus itself could not evaluate, or has not yet.
    fn sick_rules(&self) -> Vec<String> {
        let rules = self.prometheus.rules();
        assert_eq!(rules.len(), self.manifests.alerts.len());
        let sick = rules.iter().filter(|rule| rule["health"] != "ok");
        sick.map(|rule| format!("{}: {} {}", rule["name"], rule["health"], rule["lastError"]))
            .collect()
    }
}

fn may_be_empty(query: &Query) -> bool {
    let silent = |metric: &str| SILENT_IN_HEALTH.iter().any(|(name, _)| *name == metric);
    let named = named(&query.text);
    !named.is_empty() && named.into_iter().all(silent)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_a_cluster_and_the_alerts_tell_a_healthy_one_from_a_sick_one() {
    let mut cluster = Cluster::start().await;
    for name in ["greenroom-0", "greenroom-1", "greenroom-2"] {
        cluster.add(name);
    }
    let watch = Watch::start().await;
    cluster.is_spread().await;
    watch.scrapes(&cluster).await;
    let mut accounts = (0..100).cycle();
    let _calls = Calls::start(cluster.gateway("greenroom-0").await, move || {
        // So few that the machine has time for all else.
        std::thread::sleep(Duration::from_millis(10));
        accounts.next().unwrap_or_default()
    });
    // Shards move while somebody looks, since a panel that shows how long moves take shows nothing later;
    // nor does it of a node's first moves, before which the node had nothing to tell.
    cluster.stop("greenroom-2");
    cluster.is_spread().await;
    cluster.add("greenroom-2");
    let mut empty: Vec<&Query> = watch.manifests.queries.iter().collect();
    until_none("panels without data", || {
        empty.retain(|query| !watch.shows(query));
        empty.iter().filter(|query| !may_be_empty(query)).copied().collect()
    })
    .await;
    cluster.is_spread().await;
    watch.scrapes(&cluster).await;

    assert_eq!(watch.manifests.namespaces, "label_values(greenroom_is_leader, namespace)");
    let namespaces = watch.prometheus.label_values("namespace", "greenroom_is_leader");
    assert_eq!(namespaces, Ok(json!([NAMESPACE])));
    until_none("rules that were not evaluated", || watch.sick_rules()).await;
    // What counts deaths and losses looks minutes back, so a wait would not hide one.
    until_none("alerts of a healthy cluster", || watch.alarms().into_iter().collect()).await;

    let leader = cluster.leader().await;
    let victim = ["greenroom-1", "greenroom-2"].into_iter().find(|node| *node != leader);
    let victim = victim.expect("one leads");
    cluster.kill(victim);
    let expected = ["GreenroomNodeDown", "GreenroomDeathsDeclared", "GreenroomMembersMissing"];
    until_none("alerts that a killed node should have raised", || {
        let alarms = watch.alarms();
        expected.iter().filter(|alert| !alarms.contains(**alert)).collect()
    })
    .await;
    let down = watch.prometheus.query(r#"up{job="greenroom"} == 0"#).expect("a query");
    assert_eq!(down.len(), 1, "{down:?}");
    assert_eq!(down[0].labels["pod"], victim, "{down:?}");
    until("an alert that fires", async || {
        let rules = watch.prometheus.rules();
        let declared = rules.iter().find(|rule| rule["name"] == "GreenroomDeathsDeclared");
        declared.is_some_and(|rule| rule["state"] == "firing")
    })
    .await;
}
