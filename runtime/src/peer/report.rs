//! Tells the leader what runs in the shards of this node, for its planner.

use std::sync::Arc;
use std::time::Duration;

use greenroom_cluster::{Cluster, Leader};
use greenroom_core::{Life, ShardId, ShardLoad};
use greenroom_proto::v1;
use greenroom_proto::v1::peer_client::PeerClient;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::{Channel, Endpoint};

use super::Identity;
use crate::activation::Hosted;
use crate::load::{Counts, Teller};

/// How long the leader may take to answer a report.
const REPORT_TIMEOUT: Duration = Duration::from_secs(2);
/// Most loads in one report, each of at most 24 bytes: well within the smallest bound of a message.
const LOADS_PER_REPORT_MAX: usize = 65_536;

/// Reports the loads of a node. A report that fails is a report that is missing, and no more.
pub(crate) struct Reporter {
    identity: Identity,
    cluster: Cluster,
    kinds: Vec<Arc<dyn Hosted>>,
    /// Of each group.
    shards: u32,
    interval: Duration,
    teller: Teller,
    /// The way to the leader that last was another node.
    line: Option<Line>,
    /// Whom the last report reached.
    listener: Option<Life>,
}

/// A connection to a leader, opened when it is used and again when it broke.
struct Line {
    address: String,
    client: PeerClient<Channel>,
}

impl Reporter {
    pub(crate) fn new(
        identity: Identity,
        cluster: Cluster,
        kinds: Vec<Arc<dyn Hosted>>,
        shards: u32,
        interval: Duration,
    ) -> Self {
        let teller = Teller::new(Instant::now());
        let (line, listener) = (None, None);
        Self { identity, cluster, kinds, shards, interval, teller, line, listener }
    }

    /// Reports for as long as it is polled.
    pub(crate) async fn run(mut self) {
        loop {
            // Not all nodes at the same time.
            sleep(self.interval.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
            self.report().await;
        }
    }

    async fn report(&mut self) {
        let counts = self.count().await;
        let now = Instant::now();
        let status = self.cluster.status();
        let (Some(life), Some(leader)) = (&status.life, &status.leader) else {
            self.listener = None;
            return self.teller.skip(now);
        };
        if self.listener.as_ref() != Some(&leader.life) {
            self.teller.begin_anew();
        }
        let routes = self.cluster.routes();
        let is_owned = |shard| routes.route(shard).is_some_and(|route| route.owner.life == *life);
        let shards = self.shards * self.cluster.groups().len() as u32;
        let loads = self.teller.loads(&counts, shards, is_owned, now);
        let told = if leader.life == *life {
            self.cluster.report_loads(loads).await;
            Ok(())
        } else {
            self.send(leader, loads).await
        };
        if let Err(reason) = &told {
            tracing::debug!(node = %self.identity.node, peer = %leader.life, reason, "a report of loads was lost");
        }
        self.listener = told.is_ok().then(|| leader.life.clone());
    }

    /// Takes what was counted since the last time.
    async fn count(&self) -> Counts {
        let mut counts = Counts::new();
        for kind in &self.kinds {
            kind.take_counts(&mut counts);
            // There may be many kinds, each with many shards.
            tokio::task::yield_now().await;
        }
        counts
    }

    async fn send(
        &mut self,
        leader: &Leader,
        mut loads: Vec<(ShardId, ShardLoad)>,
    ) -> Result<(), String> {
        let mut line = match self.line.take() {
            Some(line) if line.address == leader.address => line,
            _ => Line::new(&leader.address)?,
        };
        let client = &mut line.client;
        let mut told = Ok(());
        while told.is_ok() && !loads.is_empty() {
            let rest = loads.split_off(loads.len().min(LOADS_PER_REPORT_MAX));
            let report = self.message(std::mem::replace(&mut loads, rest));
            told = match timeout(REPORT_TIMEOUT, client.report(report)).await {
                Ok(Ok(receipt)) if receipt.get_ref().leads => Ok(()),
                Ok(Ok(_)) => Err("it does not lead".to_owned()),
                Ok(Err(status)) => Err(status.message().to_owned()),
                Err(_) => Err(format!("no answer within {REPORT_TIMEOUT:?}")),
            };
        }
        self.line = Some(line);
        told
    }

    fn message(&self, loads: Vec<(ShardId, ShardLoad)>) -> v1::LoadReport {
        let loads = loads.into_iter().map(|(shard, load)| {
            let ShardLoad { calls_per_s, busy_us_per_s, activations } = load;
            v1::ShardLoad { shard: shard.0, calls_per_s, busy_us_per_s, activations }
        });
        let Identity { cluster, node } = self.identity.clone();
        v1::LoadReport { cluster, node, loads: loads.collect() }
    }
}

impl Line {
    fn new(address: &str) -> Result<Self, String> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| error.to_string())?
            .connect_timeout(REPORT_TIMEOUT)
            .tcp_nodelay(true);
        let client = PeerClient::new(endpoint.connect_lazy());
        Ok(Self { address: address.to_owned(), client })
    }
}
