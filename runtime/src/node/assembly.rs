//! Puts a node together from its parts.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use greenroom_cluster::metrics::RESIDENT_MEMORY;
use greenroom_cluster::{Cluster, ClusterOptions, gates};
use greenroom_core::planner::Policy;
use greenroom_core::{Restore, Retry, Timing};
use greenroom_proto::v1::inspect_server::InspectServer;
use greenroom_proto::v1::operate_server::OperateServer;
use greenroom_proto::v1::peer_server::PeerServer;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic_health::pb::health_server::HealthServer;

use super::builder::NodeError;
use super::kinds::Kinds;
use super::servers::{Servers, serve_http, serve_peers};
use super::{Node, Parts};
use crate::activation::Hosted;
use crate::config::Config;
use crate::gateway;
use crate::health::{Health, HealthService};
use crate::intercept::Interceptors;
use crate::interface::InterfaceSpec;
use crate::kind::{Host, Kind};
use crate::metrics;
use crate::overload::Refusals;
use crate::peer::{
    FRAME_BYTES_MAX, Identity, InspectService, ORDER_BYTES_MAX, OperateService, PeerService, Peers,
    Reporter, Serving, topology,
};
use crate::pressure::{Clock, Memory, Room, keep, shed};
use crate::router::{Income, Retries, Router, RouterParts};

/// Puts a node together and starts it.
pub(super) async fn start(
    config: Config,
    kinds: Vec<Kind>,
    interceptors: Interceptors,
) -> Result<Node, NodeError> {
    let config = config.checked()?;
    let peer_listener = listen("GREENROOM_LISTEN", &config.listen).await?;
    let http_listener = match &config.http_listen {
        Some(address) => Some(listen("GREENROOM_HTTP_LISTEN", address).await?),
        None => None,
    };
    let peer_address = local_address("GREENROOM_LISTEN", &peer_listener, &config.listen)?;
    let http_address = match (&http_listener, &config.http_listen) {
        (Some(listener), Some(address)) => {
            Some(local_address("GREENROOM_HTTP_LISTEN", listener, address)?)
        }
        _ => None,
    };
    let http = http_address.map(|address| address.to_string()).unwrap_or_else(|| "off".to_owned());
    tracing::info!(node = %config.node, cluster = config.cluster, peers = %peer_address, http, "listening");
    let names = check_kinds(&kinds)?;
    let mut options = cluster_options(&config, names, peer_address, http_address);
    options.groups =
        kinds.iter().map(|kind| (kind.spec().kind.to_owned(), kind.group().to_owned())).collect();
    options.restore = restore(&config)?;
    // Before anything that has something to count.
    metrics::install();
    let interfaces: Vec<&'static InterfaceSpec> = kinds.iter().map(Kind::spec).collect();
    let interceptors = interceptors.start(&config.node, &interfaces);
    let gates = Arc::new(gates(&options));
    let late = Arc::new(OnceLock::new());
    let activations = Arc::new(Kinds::default());
    let cluster =
        Cluster::start(options, Arc::clone(&gates), activations.clone() as Arc<_>).await?;
    // The kinds need the node's right to run, which only the cluster gives. No gate is open
    // yet to let a call in: that takes a claim, and the claim a registration.
    let refusals = Arc::new(Refusals::of(&config.node));
    let (clock, room) = (Clock::new(), Arc::new(Room::of_node(config.activations_max)));
    let memory = Arc::new(Memory::new(config.memory_shed_bytes));
    let hosted = host(kinds, || Host {
        node: config.node.clone(),
        log_keys: config.log.keys,
        shards: config.shards,
        right: Arc::clone(cluster.right()),
        gates: Arc::clone(&gates),
        router: Arc::clone(&late),
        refusals: Arc::clone(&refusals),
        clock,
        room: Arc::clone(&room),
        memory: Arc::clone(&memory),
    });
    activations.fill(hosted.values().cloned().collect());
    let identity = Identity { cluster: config.cluster.clone(), node: config.node.to_string() };
    let income =
        Income { percent: config.limits.retry_percent, per_s_min: config.limits.retries_per_s_min };
    let retries = Arc::new(Retries::of(&config.node, income));
    let peers = Peers::new(
        identity.clone(),
        config.limits.payload_bytes_max,
        config.peer_streams,
        Arc::clone(&retries),
    );
    let router = Router::new(RouterParts {
        node: config.node.clone(),
        shards: config.shards,
        kinds: hosted.into_iter().collect(),
        gates: Arc::clone(&gates),
        cluster: cluster.clone(),
        peers,
        limits: config.limits,
        refusals: Arc::clone(&refusals),
        retries,
        interceptors,
    });
    let _ = late.set(router.downgrade());
    let (serving, is_serving) = watch::channel(Serving::Open);
    let (http_serving, _) = watch::channel(true);
    let visitors = gateway::Visitors::default();
    let peer_service = PeerService::new(router.clone(), identity.clone(), is_serving);
    let reporter = Reporter::new(
        identity.clone(),
        cluster.clone(),
        activations.all(),
        config.shards,
        config.load_report_interval,
    );
    let inspect_service = InspectService::new(identity, cluster.clone(), router.clone());
    let operate_service =
        OperateService::new(config.node.clone(), cluster.clone(), config.operator_token.clone());
    let health = Health::new(cluster.clone());
    let mut servers = Servers { peers: JoinSet::new(), http: JoinSet::new() };
    servers.peers.spawn(serve_peers(
        peer_listener,
        PeerServer::new(peer_service)
            .max_decoding_message_size(FRAME_BYTES_MAX)
            .max_encoding_message_size(FRAME_BYTES_MAX),
        InspectServer::new(inspect_service),
        OperateServer::new(operate_service).max_decoding_message_size(ORDER_BYTES_MAX),
        HealthServer::new(HealthService(health.clone())),
        serving.subscribe(),
    ));
    if let Some(listener) = http_listener {
        let routes = gateway::routes(
            router.clone(),
            health,
            &config.gateway,
            refusals,
            http_serving.subscribe(),
        );
        let door = gateway::Door::new(listener, Arc::clone(&visitors));
        servers.http.spawn(serve_http(door, routes, http_serving.subscribe()));
    }
    let mut background = JoinSet::new();
    for kind in activations.all() {
        if let Some(room) = kind.room() {
            let (room, kinds) = (Arc::clone(room), vec![Arc::clone(&kind)]);
            background.spawn(keep(room, kinds, config.shards, clock));
        }
        background.spawn(kind.passivate());
    }
    background.spawn(keep(room, activations.all(), config.shards, clock));
    let resident = RESIDENT_MEMORY.gauge(&config.node.as_str().to_owned().into(), &[]);
    background.spawn(shed(memory, activations.all(), config.shards, clock, resident));
    background.spawn(async move { match gates.watch_holds().await {} });
    background.spawn(metrics::follow(config.node.clone(), activations.all()));
    background.spawn(reporter.run());
    let tidied = router.clone();
    background.spawn(async move { tidied.tidy().await });
    let parts = Parts {
        config,
        router,
        cluster,
        kinds: Kinds::clone(&activations),
        peer_address,
        http_address,
        serving,
        http_serving,
        visitors,
        servers: Mutex::new(Some(servers)),
        background: Mutex::new(background),
    };
    Ok(Node { parts: Arc::new(parts) })
}

fn check_kinds(kinds: &[Kind]) -> Result<Vec<String>, NodeError> {
    let mut names: Vec<&'static str> = kinds.iter().map(|kind| kind.spec().kind).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(NodeError::KindTwice(pair[0])),
        None => Ok(names.into_iter().map(str::to_owned).collect()),
    }
}

fn host(kinds: Vec<Kind>, host: impl Fn() -> Host) -> HashMap<&'static str, Arc<dyn Hosted>> {
    let hosted = kinds.into_iter().map(|kind| {
        let spec: &'static InterfaceSpec = kind.spec();
        (spec.kind, kind.into_hosted(host()))
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
    options.profile.labels.clone_from(&config.labels);
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
    options.clock_drift_ppm = config.clock_drift_ppm;
    options.policy = Policy {
        stability: config.rebalance_stability,
        batch_len_max: config.rebalance_batch,
        node_moves_max: config.rebalance_node_batch,
        imbalance_threshold_permille: config.imbalance_threshold_permille,
        strategy: config.rebalance_strategy,
        spread_zones: config.spread_zones,
        move_gain_permille: config.move_gain_permille,
    };
    options.crash_detection = config.crash_detection;
    options.migration_timeout = config.migration_timeout;
    options.drain_deadline = config.drain_deadline;
    options.gate_hold_max = config.gate_hold_max;
    options.gate_wait_warning = config.gate_wait_warning;
    options.retry = Retry { first: config.store_retry_first, max: config.store_retry_max };
    options
}

/// What the cluster is to begin with, if it doesn't exist yet.
fn restore(config: &Config) -> Result<Option<Restore>, NodeError> {
    let Some(path) = &config.restore_from else { return Ok(None) };
    let wrong = |problem: String| NodeError::Restore { path: path.clone(), problem };
    let json = std::fs::read_to_string(path)
        .map_err(|error| wrong(format!("it can't be read: {error}")))?;
    topology::restore(&json, config.shards).map(Some).map_err(wrong)
}

async fn listen(setting: &'static str, address: &str) -> Result<TcpListener, NodeError> {
    TcpListener::bind(address).await.map_err(|error| NodeError::Listen {
        setting,
        address: address.to_owned(),
        error,
    })
}

fn local_address(
    setting: &'static str,
    listener: &TcpListener,
    address: &str,
) -> Result<SocketAddr, NodeError> {
    listener.local_addr().map_err(|error| NodeError::Listen {
        setting,
        address: address.to_owned(),
        error,
    })
}
