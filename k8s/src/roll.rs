//! A rolling update with local processes: as many nodes and etcd members as an overlay asks for, with
//! the variables, probes, pauses and grace periods that stand in it, on loopback addresses of their
//! own, so that even the ports are those of the manifests.
//!
//! What is not Kubernetes': images, scheduling, DNS (names of etcd's members are replaced by their
//! addresses) and the network between machines.

mod etcd;
mod http;
mod load;
mod pod;
mod report;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

pub use report::{PodReport, Report};

use crate::Result;
use crate::kustomize::render;
use crate::workload::Workload;
use etcd::Etcd;
use load::Load;
use pod::{PodProcess, Service};

/// How a run is done.
#[derive(Clone, Debug)]
pub struct Roll {
    /// The overlay's folder.
    pub overlay: PathBuf,
    /// The program that is in the image.
    pub node: PathBuf,
    /// Variables that are set besides, or instead of, those in the overlay.
    pub variables: Vec<(String, String)>,
    /// How many nodes to start instead of what the overlay asks for; 2 at least.
    pub replicas: Option<usize>,
    /// How many clients call.
    pub clients: usize,
    /// How many calls each makes in a second.
    pub calls_per_s: f64,
    /// How many actors there are.
    pub actors: u32,
    /// How long it takes until everybody knows that a pod has come or gone.
    pub endpoints_lag: Duration,
    /// For how long calls are made before the first pod is rolled, and after the last.
    pub quiet: Duration,
}

/// How long a pod may take to be ready, after which a rolling update is stuck.
const READY_PATIENCE: Duration = Duration::from_secs(120);

impl Roll {
    /// Starts everything, rolls every node once, and ends everything.
    ///
    /// # Errors
    /// When the overlay can't be rendered, something doesn't start, or a pod is never ready. Failed
    /// calls and killed pods are no errors but stand in the report.
    pub async fn run(&self) -> Result<Report> {
        let objects = render(&self.overlay)?;
        let scratch = tempfile::tempdir()?;
        let mut addresses = Addresses::new();
        let etcd = Etcd::start(&objects, &mut addresses, scratch.path()).await?;
        let nodes = Workload::find(&objects, "greenroom")?;
        let replicas = self.replicas.unwrap_or_else(|| nodes.replicas());
        if replicas < 2 {
            return Err("one node alone has nobody to hand its shards to".into());
        }
        let service = Service::new(self.endpoints_lag);
        let mut pods = Vec::new();
        for ordinal in 0..replicas {
            let start = self.pod(&objects, &etcd, ordinal, scratch.path().into());
            pods.push(start.start(addresses.next(), &service)?);
        }
        for pod in &mut pods {
            pod.ready(READY_PATIENCE).await?;
        }
        sleep(nodes.min_ready()).await;
        let load = Load::start(&service, self.clients, self.calls_per_s, self.actors);
        sleep(self.quiet).await;
        let began = Instant::now();
        let mut reports = Vec::new();
        for pod in pods.iter_mut().rev() {
            let ending = pod.end().await?;
            pod.start_anew(addresses.next(), &service)?;
            pod.ready(READY_PATIENCE).await?;
            sleep(nodes.min_ready()).await;
            reports.push(pod.report(ending));
        }
        let took = began.elapsed();
        sleep(self.quiet).await;
        let calls = load.stop().await?;
        let flaps = pods.iter_mut().map(PodProcess::flaps).collect();
        for pod in &mut pods {
            pod.signal_end();
        }
        Ok(Report { pods: reports, took, calls, flaps })
    }

    fn pod<'a>(
        &'a self,
        objects: &'a [Value],
        etcd: &'a Etcd,
        ordinal: usize,
        scratch: PathBuf,
    ) -> pod::Template<'a> {
        pod::Template { roll: self, objects, etcd, ordinal, scratch }
    }
}

/// Addresses of loopback that nobody else uses: Linux answers for all of 127.0.0.0/8.
struct Addresses {
    network: [u8; 2],
    last: u8,
}

impl Addresses {
    fn new() -> Self {
        Self { network: [fastrand::u8(64..), fastrand::u8(..)], last: 0 }
    }

    fn next(&mut self) -> Ipv4Addr {
        self.last += 1;
        Ipv4Addr::new(127, self.network[0], self.network[1], self.last)
    }
}
