//! Where a scenario plays: a real etcd, node processes, callers, and the faults put on them.

mod blind;
mod fault;
mod faults;
mod finish;
mod members;
mod places;
mod setup;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use greenroom::{Config, EtcdOptions, Node, NodeId, StoreConfig};
use greenroom_cluster::testing::EtcdCluster;
use tempfile::TempDir;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{Instant, sleep};

pub use self::blind::Blind;
pub use self::fault::Fault;
use self::places::Place;
pub use self::setup::Setup;
use self::setup::{REBALANCE_BATCH, REBALANCE_STABILITY};
use crate::Result;
use crate::calls::Caller;
use crate::clock::{machine_ns, nanos};
use crate::judge::Violations;
use crate::load::Load;
use crate::mirror::Mirror;
use crate::proxy::Proxy;
use crate::records::{CLUSTER, State};
use crate::shard::SHARDS;

/// *D*, the liveness window that all scenarios run with: the default.
pub const WINDOW: Duration = Duration::from_secs(6);
/// *m*, the margin: the default.
pub const MARGIN: Duration = Duration::from_millis(500);
/// *h*, the heartbeat interval: the default.
pub const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long anything may take that no scenario measures.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Answered calls before a fault begins.
const WARM_UP_CALLS: usize = 400;
/// Without a write to any shard for so long, no rebalancing goes on: it begins, and goes on, half a
/// second after the last change.
const QUIET: Duration = Duration::from_millis(1500);
/// The name of the node through which the callers call.
const CALLER: &str = "caller";
/// The name of the node that owns nothing, where there is one.
pub const IDLE: &str = "idle";

/// A cluster under load.
#[derive(Debug)]
pub struct Stage {
    setup: Setup,
    load: Option<Load>,
    /// Calls that hold their turns for long; they end by themselves.
    holds: JoinSet<()>,
    caller: Option<Caller>,
    places: BTreeMap<String, Place>,
    mirror: Mirror,
    etcd: EtcdCluster,
    /// Those between the members of etcd, by the member that is reached through it.
    members: Vec<Proxy>,
    logs: PathBuf,
    /// Where the files stand that nodes read the rates of their clocks from.
    clocks: TempDir,
    began: Instant,
    /// Faults that did not take effect, and other reasons why the run proves nothing.
    complaints: Violations,
    notes: Vec<String>,
}

impl Stage {
    /// Starts etcd, nodes and load, and waits until all shards are spread and calls are answered.
    /// Logs go into the directory `logs`.
    ///
    /// # Errors
    /// When that doesn't come about.
    pub async fn start(setup: Setup, logs: PathBuf) -> Result<Self> {
        let began = Instant::now();
        std::fs::create_dir_all(&logs)?;
        let (etcd, members) = block_in_place(|| members::start(&setup));
        let mirror = Mirror::start(&etcd.endpoints()).await?;
        let nodes = setup.nodes;
        let mut stage = Self {
            setup,
            load: None,
            holds: JoinSet::new(),
            caller: None,
            places: BTreeMap::new(),
            mirror,
            etcd,
            members,
            logs,
            clocks: tempfile::tempdir()?,
            began,
            complaints: Violations::default(),
            notes: Vec::new(),
        };
        for number in 1..=nodes {
            stage.join(&format!("node-{number}")).await?;
        }
        // One of the nodes leads, not the callers' node.
        let led = |state: &State| state.live_leader().is_some() && state.owned().len() == nodes;
        stage.mirror.wait("all nodes own shards", PATIENCE, led).await?;
        if stage.setup.idle {
            stage.join(IDLE).await?;
            stage
                .mirror
                .wait("the idle node joins", PATIENCE, |state| state.life(IDLE).is_some())
                .await?;
        }
        let node = stage.calling_node(CALLER, stage.etcd.endpoints()).await?;
        // After the last member has come: each one that comes lets the planner wait anew.
        stage.even(nodes).await?;
        let caller = Caller::new(node);
        stage.load = Some(Load::start(&caller));
        stage.caller = Some(caller);
        stage.more_calls(WARM_UP_CALLS).await?;
        Ok(stage)
    }

    /// A node in this process that hosts nothing.
    async fn calling_node(&self, name: &str, etcd: Vec<String>) -> Result<Node> {
        let store = StoreConfig::Etcd(EtcdOptions::new(etcd));
        let mut config = Config::embedded(store);
        CLUSTER.clone_into(&mut config.cluster);
        config.node = NodeId::new(name)?;
        config.http_listen = None;
        // It may come to lead when a node that led is gone.
        config.rebalance_stability = REBALANCE_STABILITY;
        config.rebalance_batch = REBALANCE_BATCH;
        let node = Node::with(config).start().await?;
        node.ready().await?;
        Ok(node)
    }

    /// The etcd of this stage.
    pub fn etcd(&mut self) -> &mut EtcdCluster {
        &mut self.etcd
    }

    /// What stands in etcd.
    #[must_use]
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// The callers' book.
    ///
    /// # Panics
    /// Never: a stage that has started has callers.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        self.caller.as_ref().expect("a stage that has started has callers")
    }

    /// Waits until so many nodes share all shards evenly and the planner is done with it: between
    /// two of its batches too nothing moves. Answers when that began.
    ///
    /// # Errors
    /// When that doesn't come about.
    pub async fn even(&self, nodes: usize) -> Result<u64> {
        let what = format!("{nodes} nodes share the shards evenly");
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.mirror.wait(&what, PATIENCE, |state| is_even(state, nodes)).await?;
            let quiet = self.mirror.quiet_for();
            if quiet >= QUIET {
                return Ok(machine_ns().saturating_sub(nanos(quiet)));
            }
            if Instant::now() > deadline {
                return Err(format!("{what}, but go on moving them").into());
            }
            sleep(QUIET - quiet).await;
        }
    }

    /// Waits until so many more calls have been answered.
    ///
    /// # Errors
    /// When they aren't.
    pub async fn more_calls(&self, calls: usize) -> Result<()> {
        let (began_ns, began) = (machine_ns(), Instant::now());
        while self.caller().answered_since(began_ns) < calls {
            if began.elapsed() > PATIENCE {
                return Err(format!("{calls} calls are not answered within {PATIENCE:?}").into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The node that leads.
    ///
    /// # Errors
    /// When nobody does, or the callers' node.
    pub fn leader(&self) -> Result<String> {
        let leader = self.mirror.look(|state| state.live_leader().cloned());
        let leader = leader.filter(|leader| leader.node != CALLER && leader.node != IDLE);
        Ok(leader.ok_or("none of the nodes leads")?.node)
    }

    /// Nodes that run, own shards and don't lead, in order of their names.
    ///
    /// # Errors
    /// When there is none.
    pub fn followers(&self) -> Result<Vec<String>> {
        let leader = self.mirror.look(|state| state.live_leader().cloned());
        let running = self.places.iter().filter(|(_, place)| place.process.is_some());
        let names = running.map(|(name, _)| name.clone()).filter(|name| name != IDLE);
        Ok(names.filter(|name| leader.as_ref().is_none_or(|life| life.node != *name)).collect())
    }

    /// The last of the followers.
    ///
    /// # Errors
    /// When there is none.
    pub fn follower(&self) -> Result<String> {
        Ok(self.followers()?.pop().ok_or("all nodes lead")?)
    }

    /// Lets the callers rest: nobody calls from now on. Waits until all calls have ended.
    pub async fn rest(&mut self) {
        if let Some(load) = self.load.take()
            && !load.stop().await
        {
            self.complain("calls did not end although their deadlines have passed");
        }
    }

    /// Lets the callers go on, if they rest.
    pub fn resume(&mut self) {
        if self.load.is_none() {
            self.load = Some(Load::start(self.caller()));
        }
    }

    /// Notes a condition without which the run proves nothing.
    pub fn require(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            self.complaints.push(format!("it proves nothing: {}", what.into()));
        }
    }

    /// Notes a rule of this scenario that was broken.
    pub fn complain(&mut self, what: impl Into<String>) {
        self.complaints.push(what.into());
    }

    /// Notes something that a reader of the report may want to know.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

fn is_even(state: &State, nodes: usize) -> bool {
    let owned = state.owned();
    let fair = SHARDS as usize / nodes;
    owned.len() == nodes
        && owned.values().sum::<usize>() == SHARDS as usize
        && owned.values().all(|count| count.abs_diff(fair) <= fair / 10)
        && state.moving().next().is_none()
}
