//! A caller that is cut off etcd: it goes on calling whom it knew as the owner.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Stage;
use crate::Result;
use crate::calls::Caller;
use crate::load;
use crate::proxy::{Mode, Proxy};
use crate::stage::Fault;

const NAME: &str = "blind";
/// How long each of its calls waits.
const TIMEOUT: Duration = Duration::from_secs(1);
/// From an answer to the next call on the same key.
const PAUSE: Duration = Duration::from_millis(50);
/// Keys that it calls at the same time.
const KEYS_MAX: usize = 40;

/// A second calling node with proxies of its own before etcd. Without it, nobody would call a node
/// that lost its shards, and whether that refuses would stay unknown.
#[derive(Debug)]
pub struct Blind {
    caller: Caller,
    etcd: Vec<Proxy>,
    calls: JoinSet<()>,
}

impl Blind {
    /// Joins the cluster; its calls stand in the same book as all others, as probes.
    ///
    /// # Errors
    /// When it can't join.
    pub async fn join(stage: &Stage) -> Result<Self> {
        let (etcd, endpoints) = stage.proxies_of_etcd().await?;
        let node = stage.calling_node(NAME, endpoints).await?;
        let caller = stage.caller().through(node);
        Ok(Self { caller, etcd, calls: JoinSet::new() })
    }

    /// Loses etcd, and calls keys of one node over and over from now on.
    pub fn cut_and_call(&mut self, fault: &Fault, node: &str) {
        self.etcd.iter().for_each(|proxy| proxy.set(Mode::BlackHole));
        for key in load::keys().filter(|key| fault.is_of(key, node)).take(KEYS_MAX) {
            let caller = self.caller.clone();
            self.calls.spawn(async move {
                loop {
                    caller.probe(&key, TIMEOUT).await;
                    sleep(PAUSE).await;
                }
            });
        }
    }

    /// Ends.
    pub async fn end(mut self) {
        self.calls.shutdown().await;
        self.caller.node().crash().await;
    }
}
