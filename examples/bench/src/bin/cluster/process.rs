//! Node processes.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use greenroom_cluster::testing::EtcdServer;

use crate::{CLUSTER, Result};

pub(crate) type Timing = &'static [(&'static str, &'static str)];
pub(crate) const DEFAULT: Timing = &[];
pub(crate) const SHORT: Timing = &[
    ("GREENROOM_LIVENESS_WINDOW", "2s"),
    ("GREENROOM_HEARTBEAT_INTERVAL", "250ms"),
    ("GREENROOM_LIVENESS_MARGIN", "200ms"),
];

/// A node process; killed when dropped.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(name: &str, etcd: &EtcdServer, timing: Timing) -> Result<Self> {
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

impl Process {
    /// Sends a signal by its name, such as `-STOP`.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let sent = Command::new("kill").args([name, &self.0.id().to_string()]).status()?;
        if sent.success() { Ok(()) } else { Err(format!("kill {name} failed").into()) }
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
