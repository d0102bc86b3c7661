//! What the production overlay says of monitoring.

use std::collections::BTreeSet;
use std::path::Path;

use greenroom_cluster::metrics::{ALL, MetricType};
use greenroom_k8s::kustomize::{identity, render};
use greenroom_k8s::workload::items;
use serde_json::{Value, json};

use crate::prometheus::NAMESPACE;

/// A `PodMonitor`.
pub(crate) struct Monitor {
    /// The label that the alerts and the dashboard know its pods by.
    pub(crate) job: String,
    pub(crate) path: String,
}

/// A query of a panel, as Grafana would send it.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) panel: String,
    pub(crate) text: String,
}

/// An alert.
#[derive(Debug)]
pub(crate) struct Alert {
    pub(crate) name: String,
    pub(crate) expression: String,
}

/// All of it.
pub(crate) struct Manifests {
    /// The groups of rules, as Prometheus reads them.
    pub(crate) groups: Value,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) monitors: Vec<Monitor>,
    pub(crate) queries: Vec<Query>,
    /// The query that gives the namespaces to choose from.
    pub(crate) namespaces: String,
}

impl Manifests {
    pub(crate) fn read() -> Self {
        let overlay = Path::new(env!("CARGO_MANIFEST_DIR")).join("../k8s/overlays/production");
        let objects = render(&overlay).expect("the overlay is whole");
        let of_kind =
            |kind: &'static str| objects.iter().filter(move |object| identity(object).0 == kind);
        let rules: Vec<&Value> = of_kind("PrometheusRule").collect();
        let groups: Vec<&Value> =
            rules.iter().flat_map(|object| items(&object["spec"]["groups"])).collect();
        let alerts = groups
            .iter()
            .flat_map(|group| items(&group["rules"]))
            .map(|rule| Alert { name: text(&rule["alert"]), expression: text(&rule["expr"]) });
        let dashboard = of_kind("ConfigMap")
            .find_map(|object| object["data"]["greenroom.json"].as_str())
            .expect("a dashboard");
        let dashboard: Value = serde_json::from_str(dashboard).expect("a dashboard is JSON");
        let variables = &dashboard["templating"]["list"];
        let namespace = items(variables).find(|variable| variable["name"] == "namespace");
        Self {
            alerts: alerts.collect(),
            groups: json!({ "groups": groups }),
            monitors: of_kind("PodMonitor").map(monitor).collect(),
            queries: items(&dashboard["panels"]).flat_map(queries).collect(),
            namespaces: text(&namespace.expect("a namespace to choose")["query"]["query"]),
        }
    }
}

fn monitor(object: &Value) -> Monitor {
    let endpoint = &object["spec"]["podMetricsEndpoints"][0];
    let job = items(&endpoint["relabelings"]).find(|rule| rule["targetLabel"] == "job");
    Monitor { job: text(&job.expect("a job")["replacement"]), path: text(&endpoint["path"]) }
}

/// A panel's, and those of the panels in it if it is a row.
fn queries(panel: &Value) -> Vec<Query> {
    let own = items(&panel["targets"]).map(|target| Query {
        panel: text(&panel["title"]),
        // Grafana's own choice would be four scrapes at least.
        text: text(&target["expr"])
            .replace("$namespace", NAMESPACE)
            .replace("$__rate_interval", "20s"),
    });
    own.chain(items(&panel["panels"]).flat_map(queries)).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// The metrics of nodes that a query names.
pub(crate) fn named(query: &str) -> BTreeSet<&str> {
    let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("greenroom_")).collect()
}

/// Whether a node tells a series of this name.
pub(crate) fn is_told(series: &str) -> bool {
    ALL.iter().any(|metric| match metric.kind {
        MetricType::Histogram => ["_bucket", "_sum", "_count"]
            .iter()
            .any(|end| series.strip_suffix(end) == Some(metric.name)),
        MetricType::Counter | MetricType::Gauge => metric.name == series,
    })
}
