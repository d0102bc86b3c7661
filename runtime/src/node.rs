//! A node: the place where all parts are put together.

mod assembly;
mod builder;
mod kinds;
mod portless;
mod servers;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use greenroom_cluster::store::MemoryStore;
use greenroom_cluster::{Activations, Cluster, Status, StatusPhase, StoreConfig};
use greenroom_core::{GroupIndex, NodeId, ShardId, ShardLoad, View};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

pub use builder::{NodeBuilder, NodeError};

use crate::call::{ActorRef, Address};
use crate::config::{Config, ConfigError};
use crate::failure::Failure;
use crate::gateway::Visitors;
use crate::intercept::Interceptors;
use crate::peer::Serving;
use crate::router::{Peeked, Router};
use crate::scatter::Active;
use builder::has_stopped;
use kinds::Kinds;
use servers::Servers;

/// How long links may take to say goodbye after all shards are handed over.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(2);
/// How long clients of the gateway have, from the beginning of a stop, to call once more on each of their
/// connections and so learn that it is closed.
const FAREWELL: Duration = Duration::from_secs(1);

/// A running node. Clones are handles to the same one; it ends with [`Node::stop`].
#[derive(Clone)]
pub struct Node {
    parts: Arc<Parts>,
}

struct Parts {
    config: Config,
    router: Router,
    cluster: Cluster,
    kinds: Kinds,
    peer_address: SocketAddr,
    http_address: Option<SocketAddr>,
    serving: watch::Sender<Serving>,
    http_serving: watch::Sender<bool>,
    visitors: Visitors,
    /// Taken by whoever stops the node.
    servers: Mutex<Option<Servers>>,
    /// Passivation, and the reports of loads.
    background: Mutex<JoinSet<()>>,
}

impl Node {
    /// A node configured by the `GREENROOM_*` variables of the process; see [`Config`].
    ///
    /// # Errors
    /// When a variable is wrong; the message names it, what it got and what is allowed.
    pub fn from_env() -> Result<NodeBuilder, ConfigError> {
        Ok(Self::with(Config::from_env()?))
    }

    /// A node in this process alone, with an embedded store and free ports on loopback.
    pub fn embedded() -> NodeBuilder {
        Self::embedded_in(&MemoryStore::new())
    }

    /// A node that shares an embedded store with others of this process, on free ports.
    pub fn embedded_in(store: &MemoryStore) -> NodeBuilder {
        Self::with(Config::embedded(StoreConfig::Memory(store.handle())))
    }

    /// A node with a configuration made by hand.
    pub fn with(config: Config) -> NodeBuilder {
        NodeBuilder { config, kinds: Vec::new(), interceptors: Interceptors::default() }
    }

    /// The node's name.
    pub fn id(&self) -> &NodeId {
        &self.parts.config.node
    }

    /// Where other nodes reach it.
    pub fn peer_address(&self) -> SocketAddr {
        self.parts.peer_address
    }

    /// Where its HTTP gateway listens, if it has one.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.parts.http_address
    }

    /// The address of an actor, wherever it is: `let alice: AccountRef = node.actor("alice")?;`
    ///
    /// # Errors
    /// `bad_key` when the key is empty, longer than 512 bytes, or has control characters.
    pub fn actor<R: Address>(&self, key: &str) -> Result<R, Failure> {
        Router::address(Some(&self.parts.router), key)
    }

    /// The actors of a kind that are in some node's memory: `node.active::<AccountRef>()`. What that
    /// means while actors come and go, see [`Active`].
    pub fn active<R: Address>(&self) -> Active<R> {
        Active::new(self.parts.router.clone(), None)
    }

    /// An untyped address, for tools.
    ///
    /// # Errors
    /// `bad_key` when kind or key break their rules.
    pub fn actor_of(&self, kind: &str, key: &str) -> Result<ActorRef, Failure> {
        self.parts.router.actor(kind, key)
    }

    /// Shard and owner of an actor, without activating it.
    pub fn peek(&self, actor: &ActorRef) -> Peeked {
        self.parts.router.peek(actor.id())
    }

    /// How the node stands in its cluster.
    pub fn status(&self) -> Status {
        self.parts.cluster.status()
    }

    /// What the node knows of its cluster; `None` when it has left.
    pub async fn view(&self) -> Option<View> {
        self.parts.cluster.view().await
    }

    /// What runs in the shards, as nodes reported it to this one while it led, without those in
    /// which nothing does; `None` when it has left.
    pub async fn loads(&self) -> Option<Vec<(ShardId, ShardLoad)>> {
        self.parts.cluster.loads().await
    }

    /// Actors in this node's memory.
    pub fn active_actors(&self) -> usize {
        self.parts.kinds.all().iter().map(|kind| kind.active_len()).sum()
    }

    /// Waits until the node has joined, has the right to run, and every shard of whatever live nodes
    /// host has a live owner, so that a first call need not wait.
    ///
    /// # Errors
    /// When the cluster refuses the node.
    pub async fn ready(&self) -> Result<(), NodeError> {
        let settled = |status: &Status| {
            let whole = status.synced && status.claimed == status.targeted;
            (status.phase == StatusPhase::Active && whole) || has_stopped(status)
        };
        loop {
            let status = self.parts.cluster.wait_for(settled).await;
            if let StatusPhase::Stopped(reason) = status.phase {
                let reason = reason.unwrap_or_else(|| "the node has left its cluster".to_owned());
                return Err(NodeError::Refused(reason));
            }
            if self.parts.cluster.right().holds() && self.is_whole() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Whether every shard of every group that live nodes may own has a live owner.
    fn is_whole(&self) -> bool {
        let (cluster, count) = (&self.parts.cluster, self.parts.config.shards);
        let hosted = cluster.status().hosted;
        let owned = |group: &GroupIndex| {
            let mut shards = (0..count).map(|number| ShardId(number).in_group(*group, count));
            shards.all(|shard| cluster.routes().route(shard).is_some())
        };
        // Without anybody who hosts anything, there is nobody to call.
        !hosted.groups.is_empty() && hosted.groups.iter().all(owned)
    }

    /// Hands all shards over while calls keep flowing, leaves the cluster, and closes the ports;
    /// bounded by the shutdown time-out.
    pub async fn stop(&self) {
        let Some(mut servers) = self.parts.servers.lock().take() else { return };
        let began = Instant::now();
        let deadline = began + self.parts.config.shutdown_timeout;
        let patience = || deadline.saturating_duration_since(Instant::now());
        self.parts.cluster.drain(patience()).await;
        // Still a member: calls that came in here, or are made here, find the new owners.
        self.end_calls(&mut servers, began + FAREWELL, deadline).await;
        let left = self.parts.cluster.leave(patience()).await;
        if left > 0 {
            tracing::error!(
                node = %self.id(),
                left,
                "the shutdown time-out passed before all shards were handed over"
            );
        }
        self.parts.serving.send_replace(Serving::Goodbye);
        let _ = timeout(GOODBYE_PATIENCE, servers.peers.join_next()).await;
        self.close(servers).await;
    }

    /// Takes no more calls over HTTP, once clients had time to go by themselves, and waits until those
    /// that are under way are answered.
    async fn end_calls(&self, servers: &mut Servers, farewell: Instant, deadline: Instant) {
        if !self.parts.cluster.status().others_take_shards {
            // Nobody is there to answer the calls that wait for an owner.
            self.parts.router.refuse();
        }
        let _ = timeout_at(farewell.min(deadline), self.parts.visitors.closed()).await;
        self.parts.http_serving.send_replace(false);
        let ended = async {
            servers.http.join_next().await;
            self.parts.router.refuse();
            self.parts.router.idle().await;
        };
        if timeout_at(deadline, ended).await.is_err() {
            let node = self.id();
            tracing::error!(%node, "the shutdown time-out passed before all calls were answered");
        }
    }

    /// Stops at once and tells nobody, as if the process had been killed. For tests and demos of
    /// failure.
    pub async fn crash(&self) {
        let Some(servers) = self.parts.servers.lock().take() else { return };
        self.parts.serving.send_replace(Serving::Cut);
        self.parts.cluster.abandon().await;
        self.close(servers).await;
    }

    async fn close(&self, mut servers: Servers) {
        self.parts.serving.send_replace(Serving::Cut);
        self.parts.router.close();
        servers.peers.shutdown().await;
        servers.http.shutdown().await;
        self.parts.background.lock().abort_all();
        self.parts.kinds.drop_all();
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("id", self.id())
            .field("peer_address", &self.parts.peer_address)
            .field("http_address", &self.parts.http_address)
            .finish_non_exhaustive()
    }
}
