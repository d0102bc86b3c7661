//! Callers that call without pause.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use greenroom::{Config, EtcdOptions, Failure, Node, NodeId, StoreConfig};
use greenroom_cluster::testing::EtcdServer;
use greenroom_examples::bank::AccountRef;
use parking_lot::Mutex;

use crate::{CALLERS, CLUSTER, KEYS, Result};

/// Callers in this process, through a node that hosts nothing.
pub(crate) struct Load {
    node: Node,
    answered: Arc<AtomicU64>,
    failed: Arc<Mutex<BTreeMap<String, u64>>>,
    running: Arc<AtomicBool>,
    callers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    pub(crate) async fn start(etcd: &EtcdServer) -> Result<Self> {
        let mut config = Config::embedded(StoreConfig::Etcd(EtcdOptions::new([etcd.endpoint()])));
        config.cluster = CLUSTER.to_owned();
        config.node = NodeId::new("caller")?;
        config.http_listen = None;
        let node = Node::with(config).start().await?;
        node.ready().await?;
        let mut load = Self {
            node,
            answered: Arc::default(),
            failed: Arc::default(),
            running: Arc::new(AtomicBool::new(true)),
            callers: Vec::new(),
        };
        for caller in 0..CALLERS {
            load.callers.push(tokio::spawn(load.caller(caller as u64)));
        }
        Ok(load)
    }

    fn caller(&self, seed: u64) -> impl Future<Output = ()> + Send + 'static {
        let (node, answered) = (self.node.clone(), Arc::clone(&self.answered));
        let (failed, running) = (Arc::clone(&self.failed), Arc::clone(&self.running));
        async move {
            let mut rng = fastrand::Rng::with_seed(seed);
            while running.load(Ordering::Relaxed) {
                match deposit(&node, rng.u64(..KEYS)).await {
                    Ok(()) => {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(failure) => {
                        let doubt = if failure.may_have_run { "may have run" } else { "not run" };
                        let class = format!("{} ({doubt})", failure.code);
                        *failed.lock().entry(class).or_default() += 1;
                    }
                }
            }
        }
    }

    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends the load; the failures by code.
    pub(crate) async fn stop(self) -> BTreeMap<String, u64> {
        self.running.store(false, Ordering::Relaxed);
        for caller in self.callers {
            let _ = caller.await;
        }
        self.node.stop().await;
        std::mem::take(&mut *self.failed.lock())
    }
}

async fn deposit(node: &Node, key: u64) -> std::result::Result<(), Failure> {
    let account: AccountRef = node.actor(&key.to_string())?;
    match account.deposit(1).await {
        Ok(_) => Ok(()),
        Err(error) => match error.into_actor() {
            Ok(_) => Ok(()),
            Err(failure) => Err(failure),
        },
    }
}
