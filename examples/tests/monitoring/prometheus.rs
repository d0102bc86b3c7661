//! A Prometheus of one's own.

use std::fs::{self, File};
use std::net::TcpListener;
use std::process::{Child, Command};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::manifests::Monitor;
use crate::until;

/// The namespace of all targets, as the Prometheus operator would say it.
pub(crate) const NAMESPACE: &str = "greenroom";

/// Scrapes once a second what it is told to; killed when dropped.
pub(crate) struct Prometheus {
    folder: TempDir,
    url: String,
    child: Child,
}

impl Prometheus {
    /// With groups of rules; it scrapes nothing yet.
    pub(crate) async fn start(groups: &Value, monitors: &[Monitor]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        let job = |monitor: &Monitor| {
            json!({
                "job_name": monitor.job,
                "metrics_path": monitor.path,
                "file_sd_configs": [{"files": [format!("{}.json", monitor.job)]}],
            })
        };
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": monitors.iter().map(job).collect::<Vec<_>>(),
        });
        // Whatever is JSON is YAML.
        fs::write(path.join("prometheus.yaml"), config.to_string()).unwrap();
        fs::write(path.join("rules.yaml"), groups.to_string()).unwrap();
        let address = free_address();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", path.join("prometheus.yaml").display()))
            .arg(format!("--storage.tsdb.path={}", path.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stderr(File::create(path.join("log")).unwrap())
            .spawn()
            .expect("prometheus is installed (`make setup`)");
        let mut prometheus = Self { folder, url: format!("http://{address}"), child };
        prometheus.is_ready().await;
        prometheus
    }

    async fn is_ready(&mut self) {
        let ready = format!("{}/-/ready", self.url);
        until("Prometheus", async || {
            let ended = self.child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "Prometheus ended: {}", self.log());
            curl(&ready, &[]).is_ok()
        })
        .await;
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Scrapes these pods, by name and `host:port`, for a job from now on, and no others.
    pub(crate) fn scrape<Name: AsRef<str>>(&self, job: &str, pods: &[(Name, String)]) {
        let targets: Vec<Value> = pods
            .iter()
            .map(|(pod, address)| {
                let labels = json!({"namespace": NAMESPACE, "pod": pod.as_ref()});
                json!({"targets": [address], "labels": labels})
            })
            .collect();
        // Moved there as a whole, so that it never reads a half.
        let (new, file) = (self.folder.path().join("new"), format!("{job}.json"));
        fs::write(&new, json!(targets).to_string()).unwrap();
        fs::rename(new, self.folder.path().join(file)).unwrap();
    }

    /// The series that a query has now.
    pub(crate) fn query(&self, query: &str) -> Result<Vec<Series>, String> {
        let data = self.get("query", &[("query", query)])?;
        match data["resultType"].as_str() {
            Some("vector") => {
                let series = data["result"].as_array().into_iter().flatten();
                Ok(series.map(Series::of).collect())
            }
            other => Err(format!("{query} is no vector but {other:?}")),
        }
    }

    /// The values of a label in the series that a selector finds.
    pub(crate) fn label_values(&self, label: &str, selector: &str) -> Result<Value, String> {
        self.get(&format!("label/{label}/values"), &[("match[]", selector)])
    }

    /// The rules as they were evaluated last.
    pub(crate) fn rules(&self) -> Vec<Value> {
        let data = self.get("rules", &[]).expect("Prometheus answers");
        let groups = data["groups"].as_array().expect("groups");
        groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
    }

    fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let text = curl(&format!("{}/api/v1/{path}", self.url), parameters)?;
        let mut answer: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"].take()),
            _ => Err(format!("{parameters:?}: {}", answer["error"])),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A series of an answer.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Value,
    pub(crate) value: f64,
}

impl Series {
    fn of(json: &Value) -> Self {
        let value = json["value"][1].as_str().and_then(|text| text.parse().ok());
        Self { labels: json["metric"].clone(), value: value.expect("a number") }
    }
}

fn curl(url: &str, parameters: &[(&str, &str)]) -> Result<String, String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "10", "--get", url]);
    for (name, value) in parameters {
        command.arg("--data-urlencode").arg(format!("{name}={value}"));
    }
    let output = command.output().expect("curl is installed (`make setup`)");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// One that was free a moment ago.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound address").to_string()
}
