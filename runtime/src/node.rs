//! A node: the place where all parts are put together.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use greenroom_cluster::store::MemoryStore;
use greenroom_cluster::{
    Activations, Cluster, ClusterError, ClusterOptions, Status, StatusPhase, StoreConfig,
};
use greenroom_core::planner::Policy;
use greenroom_core::{NodeId, ShardId, Timing, View};
use greenroom_proto::v1::inspect_server::InspectServer;
use greenroom_proto::v1::peer_server::PeerServer;
use greenroom_shardlock::Gates;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tonic::transport::server::TcpIncoming;

use crate::activation::Hosted;
use crate::call::{ActorRef, Address};
use crate::config::{Config, ConfigError};
use crate::failure::Failure;
use crate::gateway;
use crate::interface::InterfaceSpec;
use crate::kind::{Host, Kind};
use crate::peer::{Identity, InspectService, PeerService, Peers, Serving};
use crate::router::{Peeked, Router, WeakRouter};

/// How long links may take to say goodbye after all shards are handed over.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(2);
/// What a frame may exceed the largest payload by.
const FRAME_SLACK_BYTES: usize = 4 << 20;

/// A node before it starts: what it hosts, and how it is configured.
#[derive(Debug)]
pub struct NodeBuilder {
    config: Config,
    kinds: Vec<Kind>,
}

impl NodeBuilder {
    /// Hosts actors of a kind here. A node that hosts none takes no shards: it only calls.
    #[must_use]
    pub fn host(mut self, kind: Kind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Changes the configuration.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Starts the node: opens its ports and begins to join. [`Node::ready`] waits for its shards.
    ///
    /// # Errors
    /// When a port can't be opened, a kind is hosted twice, or the cluster refuses the options.
    pub async fn start(self) -> Result<Node, NodeError> {
        Node::start(self.config, self.kinds).await
    }

    /// Starts the node and runs it until SIGTERM or Ctrl-C, then hands its shards over and leaves.
    ///
    /// # Errors
    /// As [`NodeBuilder::start`]; and when the cluster refuses the node later on.
    pub async fn run(self) -> Result<(), NodeError> {
        let node = self.start().await?;
        let stopped = node.parts.cluster.clone();
        tokio::select! {
            () = termination() => {}
            status = stopped.wait_for(has_stopped) => {
                if let StatusPhase::Stopped(Some(reason)) = status.phase {
                    return Err(NodeError::Refused(reason));
                }
            }
        }
        node.stop().await;
        Ok(())
    }
}

fn has_stopped(status: &Status) -> bool {
    matches!(status.phase, StatusPhase::Stopped(_))
}

async fn termination() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: handing shards over"),
            _ = tokio::signal::ctrl_c() => tracing::info!("Ctrl-C: handing shards over"),
        },
        Err(error) => {
            tracing::warn!(%error, "can't listen for SIGTERM");
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

/// Why a node can't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A port can't be opened.
    #[error("can't listen on {address}: {error}")]
    Listen {
        /// Which address.
        address: String,
        /// Why.
        error: std::io::Error,
    },
    /// Two actor types for one kind.
    #[error("the kind `{0}` is hosted twice")]
    KindTwice(&'static str),
    /// The cluster can't be joined.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The cluster refuses this node.
    #[error("{0}")]
    Refused(String),
}

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
    /// Taken by whoever stops the node.
    servers: Mutex<Option<Servers>>,
    passivation: Mutex<JoinSet<()>>,
}

/// The servers of a node, one task each.
struct Servers {
    peers: JoinSet<()>,
    http: JoinSet<()>,
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
        NodeBuilder { config, kinds: Vec::new() }
    }

    async fn start(config: Config, kinds: Vec<Kind>) -> Result<Self, NodeError> {
        let config = config.checked()?;
        let peer_listener = listen(&config.listen).await?;
        let http_listener = match &config.http_listen {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let peer_address = local_address(&peer_listener, &config.listen)?;
        let http_address = match (&http_listener, &config.http_listen) {
            (Some(listener), Some(address)) => Some(local_address(listener, address)?),
            _ => None,
        };
        let gates = Arc::new(Gates::new(config.shards));
        let names = check_kinds(&kinds)?;
        let options = cluster_options(&config, names, peer_address, http_address);
        let late = Arc::new(OnceLock::new());
        let activations = Arc::new(Kinds::default());
        let cluster =
            Cluster::start(options, Arc::clone(&gates), activations.clone() as Arc<_>).await?;
        // The kinds need the node's right to run, which only the cluster gives. No gate is open
        // yet to let a call in: that takes a claim, and the claim a registration.
        let hosted = host(kinds, &config, &cluster, &late);
        activations.fill(hosted.values().cloned().collect());
        let identity = Identity { cluster: config.cluster.clone(), node: config.node.to_string() };
        let message_bytes_max = config.limits.payload_bytes_max + FRAME_SLACK_BYTES;
        let peers = Peers::new(identity.clone(), message_bytes_max);
        let router = Router::new(
            config.node.clone(),
            hosted,
            Arc::clone(&gates),
            cluster.clone(),
            peers,
            config.limits,
        );
        let _ = late.set(router.downgrade());
        let (serving, is_serving) = watch::channel(Serving::Open);
        let (http_serving, _) = watch::channel(true);
        let peer_service = PeerService::new(router.clone(), identity.clone(), is_serving);
        let inspect_service = InspectService::new(identity, cluster.clone(), router.clone());
        let mut servers = Servers { peers: JoinSet::new(), http: JoinSet::new() };
        servers.peers.spawn(serve_peers(
            peer_listener,
            PeerServer::new(peer_service)
                .max_decoding_message_size(message_bytes_max)
                .max_encoding_message_size(message_bytes_max),
            InspectServer::new(inspect_service),
            serving.subscribe(),
        ));
        if let Some(listener) = http_listener {
            let routes = gateway::routes(router.clone(), cluster.clone());
            servers.http.spawn(serve_http(listener, routes, http_serving.subscribe()));
        }
        let mut passivation = JoinSet::new();
        for kind in activations.all() {
            passivation.spawn(kind.passivate(Arc::clone(&gates)));
        }
        let parts = Parts {
            config,
            router,
            cluster,
            kinds: Kinds::clone(&activations),
            peer_address,
            http_address,
            serving,
            http_serving,
            servers: Mutex::new(Some(servers)),
            passivation: Mutex::new(passivation),
        };
        Ok(Self { parts: Arc::new(parts) })
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

    /// Actors in this node's memory.
    pub fn active_actors(&self) -> usize {
        self.parts.kinds.all().iter().map(|kind| kind.active_len()).sum()
    }

    /// Waits until the node has joined, has the right to run, and every shard of the cluster has a
    /// live owner, so that a first call need not wait.
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
            let routes = self.parts.cluster.routes();
            let mut shards = (0..self.parts.config.shards).map(ShardId);
            if self.parts.cluster.right().holds() && shards.all(|s| routes.route(s).is_some()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Hands all shards over while calls keep flowing, leaves the cluster, and closes the ports;
    /// bounded by the shutdown time-out.
    pub async fn stop(&self) {
        let Some(mut servers) = self.parts.servers.lock().take() else { return };
        let deadline = Instant::now() + self.parts.config.shutdown_timeout;
        let patience = || deadline.saturating_duration_since(Instant::now());
        self.parts.cluster.drain(patience()).await;
        // Still a member: calls that came in here, or are made here, find the new owners.
        self.end_calls(&mut servers, patience()).await;
        let left = self.parts.cluster.leave(patience()).await;
        if left > 0 {
            tracing::error!(
                left,
                "the shutdown time-out passed before all shards were handed over"
            );
        }
        self.parts.serving.send_replace(Serving::Goodbye);
        let _ = timeout(GOODBYE_PATIENCE, servers.peers.join_next()).await;
        self.close(servers).await;
    }

    /// Takes no more calls over HTTP, and waits until those that are under way are answered.
    async fn end_calls(&self, servers: &mut Servers, patience: Duration) {
        if !self.parts.cluster.status().others_take_shards {
            // Nobody is there to answer the calls that wait for an owner.
            self.parts.router.refuse();
        }
        self.parts.http_serving.send_replace(false);
        let ended = async {
            servers.http.join_next().await;
            self.parts.router.refuse();
            self.parts.router.idle().await;
        };
        if timeout(patience, ended).await.is_err() {
            tracing::error!("the shutdown time-out passed before all calls were answered");
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
        self.parts.router.close();
        servers.peers.shutdown().await;
        servers.http.shutdown().await;
        self.parts.passivation.lock().abort_all();
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

/// The kinds that a node hosts, as ownership sees them.
#[derive(Clone, Default)]
struct Kinds(Arc<OnceLock<Vec<Arc<dyn Hosted>>>>);

impl Kinds {
    fn fill(&self, kinds: Vec<Arc<dyn Hosted>>) {
        let _ = self.0.set(kinds);
    }

    fn all(&self) -> Vec<Arc<dyn Hosted>> {
        self.0.get().cloned().unwrap_or_default()
    }
}

impl Activations for Kinds {
    fn deactivate(&self, shard: ShardId) -> Option<BoxFuture<'static, ()>> {
        let kinds = self.0.get()?;
        let farewells: Vec<_> =
            kinds.iter().filter_map(|kind| kind.deactivate_shard(shard)).collect();
        if farewells.is_empty() {
            return None;
        }
        Some(Box::pin(async move {
            futures_util::future::join_all(farewells).await;
        }))
    }

    fn drop_all(&self) {
        for kind in self.0.get().into_iter().flatten() {
            kind.drop_all();
        }
    }
}

fn check_kinds(kinds: &[Kind]) -> Result<Vec<String>, NodeError> {
    let mut names: Vec<&'static str> = kinds.iter().map(|kind| kind.spec().kind).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(NodeError::KindTwice(pair[0])),
        None => Ok(names.into_iter().map(str::to_owned).collect()),
    }
}

fn host(
    kinds: Vec<Kind>,
    config: &Config,
    cluster: &Cluster,
    late: &Arc<OnceLock<WeakRouter>>,
) -> HashMap<&'static str, Arc<dyn Hosted>> {
    let hosted = kinds.into_iter().map(|kind| {
        let spec: &'static InterfaceSpec = kind.spec();
        let host = Host {
            shards: config.shards,
            right: Arc::clone(cluster.right()),
            router: Arc::clone(late),
        };
        (spec.kind, kind.into_hosted(host))
    });
    hosted.collect()
}

fn cluster_options(
    config: &Config,
    kinds: Vec<String>,
    peer_address: SocketAddr,
    http_address: Option<SocketAddr>,
) -> ClusterOptions {
    let mut options =
        ClusterOptions::new(&config.cluster, config.node.clone(), config.store.clone());
    // A node that hosts nothing takes no shards.
    options.profile.weight = if kinds.is_empty() { 0 } else { config.weight };
    options.profile.kinds = kinds;
    options.profile.zone.clone_from(&config.zone);
    options.profile.version = env!("CARGO_PKG_VERSION").to_owned();
    options.profile.peer_address =
        config.advertise.clone().unwrap_or_else(|| peer_address.to_string());
    let http_address = http_address.map(|address| address.to_string()).unwrap_or_default();
    options.profile.http_address = config.http_advertise.clone().unwrap_or(http_address);
    options.shards = config.shards;
    options.timing = Timing {
        window: config.liveness_window,
        heartbeat: config.heartbeat_interval,
        margin: config.liveness_margin,
    };
    options.policy = Policy {
        stability: config.rebalance_stability,
        batch_len_max: config.rebalance_batch,
        imbalance_threshold_permille: config.imbalance_threshold_permille,
    };
    options.drain_deadline = config.drain_deadline;
    options
}

async fn listen(address: &str) -> Result<TcpListener, NodeError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| NodeError::Listen { address: address.to_owned(), error })
}

fn local_address(listener: &TcpListener, address: &str) -> Result<SocketAddr, NodeError> {
    listener.local_addr().map_err(|error| NodeError::Listen { address: address.to_owned(), error })
}

async fn serve_peers(
    listener: TcpListener,
    peer: PeerServer<PeerService>,
    inspect: InspectServer<InspectService>,
    serving: watch::Receiver<Serving>,
) {
    // The builder's own setting does not reach connections that are accepted elsewhere.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let served = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .add_service(peer)
        .add_service(inspect)
        .serve_with_incoming_shutdown(incoming, until_stopped(serving))
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the server for peers ended");
    }
}

async fn serve_http(
    listener: TcpListener,
    routes: axum::Router,
    mut serving: watch::Receiver<bool>,
) {
    let until_stopped = async move {
        let _ = serving.wait_for(|serving| !serving).await;
    };
    let served = axum::serve(listener, routes).with_graceful_shutdown(until_stopped).await;
    if let Err(error) = served {
        tracing::error!(%error, "the HTTP gateway ended");
    }
}

async fn until_stopped(mut serving: watch::Receiver<Serving>) {
    let _ = serving.wait_for(|serving| *serving != Serving::Open).await;
}
