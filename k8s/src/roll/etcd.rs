//! The members of etcd that an overlay asks for, as local processes with its own variables.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::{Addresses, http};
use crate::Result;
use crate::workload::{Pod, Workload};

const PATIENCE: Duration = Duration::from_secs(30);

/// Running members; killed when dropped.
pub(super) struct Etcd {
    /// Their names for peers and clients, as `etcd-0.etcd`, and their addresses.
    hosts: Vec<(String, Ipv4Addr)>,
    _members: Vec<Child>,
}

impl Etcd {
    /// Starts all members and waits until each is healthy.
    pub(super) async fn start(
        objects: &[Value],
        addresses: &mut Addresses,
        scratch: &Path,
    ) -> Result<Self> {
        let set = Workload::find(objects, "etcd")?;
        let service = set.object()["spec"]["serviceName"].as_str().unwrap_or_default();
        let names = (0..set.replicas()).map(|ordinal| format!("etcd-{ordinal}.{service}"));
        let mut etcd = Self {
            hosts: names.map(|name| (name, addresses.next())).collect(),
            _members: Vec::new(),
        };
        for (host, ip) in etcd.hosts.clone() {
            let name = host.trim_end_matches(&format!(".{service}")).to_owned();
            let data = scratch.join(&name);
            fs::create_dir(&data)?;
            let mounts = vec![("/var/lib/etcd".to_owned(), data)];
            let pod = Pod { name: name.clone(), ip: ip.to_string(), mounts };
            let variables = set.environment(&pod)?.into_iter().map(|(name, value)| {
                (name, etcd.resolved(&value.replace("0.0.0.0", &ip.to_string())))
            });
            let member = Command::new("etcd")
                .env_clear()
                .envs(variables)
                .stdout(File::create(scratch.join(format!("{name}.out")))?)
                .stderr(File::create(scratch.join(format!("{name}.log")))?)
                .kill_on_drop(true)
                .spawn()
                .map_err(|error| format!("etcd: {error}; `make setup` installs it"))?;
            etcd._members.push(member);
        }
        let port = set.port(&"metrics".into()).ok_or("etcd has no port for metrics")?;
        for (host, ip) in &etcd.hosts {
            let deadline = Instant::now() + PATIENCE;
            // Not /readyz as in the probes: the etcd of a distribution may be older than that.
            while !http::get((*ip, port).into(), "/health", Duration::from_secs(1)).await {
                if Instant::now() > deadline {
                    let log = fs::read_to_string(scratch.join("etcd-0.log")).unwrap_or_default();
                    return Err(format!("{host} is not healthy: {log}").into());
                }
                sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(etcd)
    }

    /// The text with the members' addresses instead of their names.
    pub(super) fn resolved(&self, text: &str) -> String {
        let replace = |text: String, (name, ip): &(String, Ipv4Addr)| {
            text.replace(&format!("//{name}:"), &format!("//{ip}:"))
        };
        self.hosts.iter().fold(text.to_owned(), replace)
    }
}
