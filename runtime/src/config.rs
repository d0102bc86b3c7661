//! The configuration of a node: one typed struct, readable from `GREENROOM_*` variables.

mod token;
mod variables;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use greenroom_cluster::StoreConfig;
use greenroom_core::planner::{Policy, Strategy};
use greenroom_core::{CLOCK_DRIFT_PPM_DEFAULT, Labels, NodeId, Retry, SHARD_COUNT_DEFAULT, Timing};
use greenroom_settings::Value;

use crate::gateway::GatewayLimits;
use crate::logging::{self, LogOptions};
use crate::router::CallLimits;
pub use token::Token;

/// The configuration of a node.
#[derive(Clone, Debug)]
pub struct Config {
    /// `GREENROOM_CLUSTER`: name of the cluster; `default` unless set.
    pub cluster: String,
    /// `GREENROOM_NODE_ID`: name of the node, unique in its cluster; the host's name and the port of
    /// `GREENROOM_LISTEN` unless set.
    pub node: NodeId,
    /// `GREENROOM_LISTEN`: where peers reach the node; `127.0.0.1:7400` unless set. Port 0 takes a
    /// free one.
    pub listen: String,
    /// `GREENROOM_ADVERTISE`: the `host:port` that peers are told; that of `listen` unless set.
    pub advertise: Option<String>,
    /// `GREENROOM_HTTP_LISTEN`: where the HTTP gateway listens; `127.0.0.1:7480` unless set,
    /// `off` for none.
    pub http_listen: Option<String>,
    /// `GREENROOM_HTTP_ADVERTISE`: the `host:port` of the gateway that operators are told.
    pub http_advertise: Option<String>,
    /// `GREENROOM_ETCD_ENDPOINTS`, separated by commas, with `GREENROOM_ETCD_USER` and
    /// `GREENROOM_ETCD_PASSWORD`, and over TLS `GREENROOM_ETCD_CA_FILE`, `GREENROOM_ETCD_CERT_FILE` and
    /// `GREENROOM_ETCD_KEY_FILE`; an embedded store for this process alone unless set.
    pub store: StoreConfig,
    /// `GREENROOM_SHARDS`: number of shards, `1..=65536`; fixed at the cluster's birth; 8192.
    pub shards: u32,
    /// `GREENROOM_NODE_WEIGHT`: share of the shards relative to other nodes, `1..=1000`; 100.
    pub weight: u32,
    /// `GREENROOM_ZONE`: where the node stands; empty unless set.
    pub zone: String,
    /// `GREENROOM_LABELS`: free labels that placement rules ask for, `disk=ssd,make=h1`.
    pub labels: Labels,
    /// `GREENROOM_LIVENESS_WINDOW`: how long a node must be silent before it may be declared dead,
    /// the same on all nodes; 6 s.
    pub liveness_window: Duration,
    /// `GREENROOM_HEARTBEAT_INTERVAL`: 1 s.
    pub heartbeat_interval: Duration,
    /// `GREENROOM_LIVENESS_MARGIN`: how much earlier than that a silent node stops itself; 500 ms.
    pub liveness_margin: Duration,
    /// `GREENROOM_CLOCK_DRIFT_PPM`: by how many millionths any node's clock may run fast or slow,
    /// which the margin must cover, `1..=200000`; 5000 (0.5 %).
    pub clock_drift_ppm: u32,
    /// `GREENROOM_CRASH_DETECTION`: whether a node whose heartbeat is overdue and whose port refuses
    /// connections is declared dead at once, `on` or `off`; `on`. To be switched off where something
    /// else answers at that port, such as a proxy that refuses while the node lives.
    pub crash_detection: bool,
    /// `GREENROOM_STORE_RETRY_FIRST` and `GREENROOM_STORE_RETRY_MAX`: the pause after a failure of
    /// etcd, doubled each time, with jitter; 10 ms to 1 s.
    pub store_retry_first: Duration,
    /// See [`Config::store_retry_first`].
    pub store_retry_max: Duration,
    /// `GREENROOM_REBALANCE_STRATEGY`: what is evened out, `count` (shards) or `load` (what runs in
    /// them); `count`.
    pub rebalance_strategy: Strategy,
    /// `GREENROOM_SPREAD_ZONES`: whether each zone gets an equal part of the shards, `on` or `off`;
    /// `off`.
    pub spread_zones: bool,
    /// `GREENROOM_MOVE_GAIN_PERMILLE`: with `load`, by how much a move must even things out to be
    /// worth it, in thousandths of a node's share, `0..=1000`; 10.
    pub move_gain_permille: u32,
    /// `GREENROOM_REBALANCE_STABILITY`: how long the members must have been the same before shards
    /// are rebalanced; 5 s.
    pub rebalance_stability: Duration,
    /// `GREENROOM_REBALANCE_BATCH`: most shards that are rebalanced at a time, `1..=65536`; 512.
    pub rebalance_batch: usize,
    /// `GREENROOM_REBALANCE_NODE_BATCH`: most of them to or from one node, `1..=65536`; 256.
    pub rebalance_node_batch: usize,
    /// `GREENROOM_IMBALANCE_THRESHOLD_PERMILLE`: how far a node may be off its share before
    /// rebalancing starts, in thousandths of it, `0..=1000`; 50.
    pub imbalance_threshold_permille: u32,
    /// `GREENROOM_MIGRATION_TIMEOUT`: how long a shard may wait in one phase of a move before that is
    /// an error, and another node is asked to take it; longer than the drain deadline; 30 s.
    pub migration_timeout: Duration,
    /// `GREENROOM_LOAD_REPORT_INTERVAL`: how often the leader is told what runs here; 5 s.
    pub load_report_interval: Duration,
    /// `GREENROOM_OPERATOR_TOKEN`, or `GREENROOM_OPERATOR_TOKEN_FILE` that holds it: what operators'
    /// orders must carry; none are taken without one.
    pub operator_token: Option<Token>,
    /// `GREENROOM_RESTORE_FROM`: a file that `greenroom topology export` wrote; if the cluster does
    /// not exist yet, it begins with the epochs, pins and groups in it.
    pub restore_from: Option<PathBuf>,
    /// `GREENROOM_DRAIN_DEADLINE`: how long running turns may take to end when their shard moves;
    /// 10 s.
    pub drain_deadline: Duration,
    /// `GREENROOM_GATE_HOLD_MAX`: how long the gate of a shard may be held for a handoff before it is
    /// taken away from its holder; longer than the drain deadline; three times that unless set.
    pub gate_hold_max: Option<Duration>,
    /// `GREENROOM_GATE_WAIT_WARNING`: after how long a wait at a gate is worth a warning in the log;
    /// 1 s.
    pub gate_wait_warning: Duration,
    /// `GREENROOM_SHUTDOWN_TIMEOUT`: how long a stopping node may take to hand its shards over;
    /// 30 s.
    pub shutdown_timeout: Duration,
    /// `GREENROOM_ACTIVATIONS_MAX`: most actors in the node's memory, `1..=1000000000`; 10000000.
    /// From 95 % on, idle ones are deactivated for those to come.
    pub activations_max: usize,
    /// `GREENROOM_MEMORY_SHED_BYTES`: memory of the process above which idle actors are deactivated,
    /// and, if that does not help, none comes to life, `16MiB` to `1PiB`; `off` unless set.
    pub memory_shed_bytes: Option<u64>,
    /// `GREENROOM_CALL_TIMEOUT`, `GREENROOM_CALLS_IN_FLIGHT_MAX`, `GREENROOM_CALLS_PER_PEER_MAX`
    /// and `GREENROOM_PAYLOAD_BYTES_MAX`: 10 s, 65536, 65536 and 4194304. `GREENROOM_RETRY_PERCENT` and
    /// `GREENROOM_RETRIES_PER_SECOND_MIN`: 20 and 10.
    pub limits: CallLimits,
    /// `GREENROOM_PEER_STREAMS`: how many streams, each with a connection of its own, go to each peer;
    /// the calls of a shard always take the same one, `1..=64`; 1.
    pub peer_streams: u32,
    /// `GREENROOM_GATEWAY_CALLS_MAX`, `..._RATE`, `..._BURST`, `..._CLIENT_RATE`, `..._CLIENT_BURST` and
    /// `..._CLIENT_HEADER`: what the HTTP gateway takes at a time and in a span of time; 4096, and no
    /// rate.
    pub gateway: GatewayLimits,
    /// `GREENROOM_LOG`, `GREENROOM_LOG_FORMAT` and `GREENROOM_LOG_KEYS`: how the node is logged. It makes
    /// no log by itself: [`logging::init`](crate::logging::init) does.
    pub log: LogOptions,
}

/// A configuration that can't be used: the variable, what it got, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Each thing that is wrong, in one sentence.
    pub complaints: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.complaints.join("; "))
    }
}

impl std::error::Error for ConfigError {}

/// Most actors that may ever be allowed in a node's memory.
pub(crate) const ACTIVATIONS_MAX_MAX: usize = 1_000_000_000;

impl Config {
    /// Reads the `GREENROOM_*` variables of this process.
    ///
    /// # Errors
    /// When any is wrong; all that are wrong are named.
    pub fn from_env() -> Result<Self, ConfigError> {
        // Other variables of the process may hold what is no text at all.
        let texts = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            Some((name, value.to_string_lossy().into_owned()))
        });
        Self::from_variables(texts)
    }

    /// Reads variables that are given as pairs of name and value.
    ///
    /// # Errors
    /// As [`Config::from_env`].
    pub fn from_variables(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let variables: Vec<(String, String)> = variables.into_iter().collect();
        let host = variables.iter().find(|(name, _)| name == "HOSTNAME");
        let host = host.map_or_else(host_name, |(_, value)| value.clone());
        let ours = variables.into_iter().filter(|(name, _)| name.starts_with("GREENROOM_"));
        let ours: Vec<(String, String)> = ours.collect();
        variables::read(ours, &host)
    }

    /// A node with a store that is given, on free ports of loopback, with a name of its own.
    pub fn embedded(store: StoreConfig) -> Self {
        let policy = Policy::default();
        let name = format!("node-{:08x}", fastrand::u32(..));
        Self {
            cluster: "default".to_owned(),
            node: NodeId::new(name).expect("hexadecimal digits make a name"),
            listen: "127.0.0.1:0".to_owned(),
            advertise: None,
            http_listen: Some("127.0.0.1:0".to_owned()),
            http_advertise: None,
            store,
            shards: SHARD_COUNT_DEFAULT,
            weight: 100,
            zone: String::new(),
            labels: Labels::new(),
            liveness_window: Timing::default().window,
            heartbeat_interval: Timing::default().heartbeat,
            liveness_margin: Timing::default().margin,
            clock_drift_ppm: CLOCK_DRIFT_PPM_DEFAULT,
            crash_detection: true,
            store_retry_first: Retry::default().first,
            store_retry_max: Retry::default().max,
            rebalance_strategy: policy.strategy,
            spread_zones: policy.spread_zones,
            move_gain_permille: policy.move_gain_permille,
            rebalance_stability: policy.stability,
            rebalance_batch: policy.batch_len_max,
            rebalance_node_batch: policy.node_moves_max,
            imbalance_threshold_permille: policy.imbalance_threshold_permille,
            migration_timeout: Duration::from_secs(30),
            load_report_interval: Duration::from_secs(5),
            operator_token: None,
            restore_from: None,
            drain_deadline: Duration::from_secs(10),
            gate_hold_max: None,
            gate_wait_warning: Duration::from_secs(1),
            shutdown_timeout: Duration::from_secs(30),
            activations_max: 10_000_000,
            memory_shed_bytes: None,
            limits: CallLimits::default(),
            peer_streams: 1,
            gateway: GatewayLimits::default(),
            log: LogOptions::default(),
        }
    }

    /// Checks everything, whether the values came from variables or by hand.
    pub(crate) fn checked(self) -> Result<Self, ConfigError> {
        let mut complaints = Vec::new();
        self.check_ranges(&mut complaints);
        self.check_together(&mut complaints);
        if complaints.is_empty() { Ok(self) } else { Err(ConfigError { complaints }) }
    }

    /// Checks each value alone, by the table of settings.
    fn check_ranges(&self, complaints: &mut Vec<String>) {
        check_addresses(self, complaints);
        let mut check = |name: &str, value: Value| {
            let setting = greenroom_settings::find(name).expect("the table has every setting");
            complaints.extend(setting.check(value).err());
        };
        let CallLimits { calls_in_flight_max, calls_per_peer_max, .. } = self.limits;
        let gateway = &self.gateway;
        let rates = [
            ("GREENROOM_GATEWAY_BURST", gateway.rate),
            ("GREENROOM_GATEWAY_CLIENT_BURST", gateway.client_rate),
        ];
        let bursts = rates.map(|(name, rate)| (name, rate.map_or(1, |rate| rate.burst.into())));
        let numbers: [(&str, u64); _] = [
            ("GREENROOM_SHARDS", self.shards.into()),
            ("GREENROOM_CLOCK_DRIFT_PPM", self.clock_drift_ppm.into()),
            ("GREENROOM_PEER_STREAMS", self.peer_streams.into()),
            ("GREENROOM_NODE_WEIGHT", self.weight.into()),
            ("GREENROOM_REBALANCE_BATCH", self.rebalance_batch as u64),
            ("GREENROOM_REBALANCE_NODE_BATCH", self.rebalance_node_batch as u64),
            ("GREENROOM_MOVE_GAIN_PERMILLE", self.move_gain_permille.into()),
            ("GREENROOM_IMBALANCE_THRESHOLD_PERMILLE", self.imbalance_threshold_permille.into()),
            ("GREENROOM_CALLS_IN_FLIGHT_MAX", calls_in_flight_max as u64),
            ("GREENROOM_CALLS_PER_PEER_MAX", calls_per_peer_max as u64),
            ("GREENROOM_RETRY_PERCENT", self.limits.retry_percent.into()),
            ("GREENROOM_RETRIES_PER_SECOND_MIN", self.limits.retries_per_s_min.into()),
            ("GREENROOM_GATEWAY_CALLS_MAX", gateway.calls_max as u64),
            ("GREENROOM_ACTIVATIONS_MAX", self.activations_max as u64),
        ];
        for (name, number) in numbers.into_iter().chain(bursts) {
            check(name, Value::Number(number));
        }
        let payload_bytes_max = self.limits.payload_bytes_max as u64;
        check("GREENROOM_PAYLOAD_BYTES_MAX", Value::Size(payload_bytes_max));
        if let Some(bytes) = self.memory_shed_bytes {
            check("GREENROOM_MEMORY_SHED_BYTES", Value::Size(bytes));
        }
        let spans = [
            ("GREENROOM_LIVENESS_WINDOW", self.liveness_window),
            ("GREENROOM_HEARTBEAT_INTERVAL", self.heartbeat_interval),
            ("GREENROOM_LIVENESS_MARGIN", self.liveness_margin),
            ("GREENROOM_REBALANCE_STABILITY", self.rebalance_stability),
            ("GREENROOM_STORE_RETRY_FIRST", self.store_retry_first),
            ("GREENROOM_STORE_RETRY_MAX", self.store_retry_max),
            ("GREENROOM_MIGRATION_TIMEOUT", self.migration_timeout),
            ("GREENROOM_LOAD_REPORT_INTERVAL", self.load_report_interval),
            ("GREENROOM_DRAIN_DEADLINE", self.drain_deadline),
            ("GREENROOM_GATE_WAIT_WARNING", self.gate_wait_warning),
            ("GREENROOM_SHUTDOWN_TIMEOUT", self.shutdown_timeout),
            ("GREENROOM_CALL_TIMEOUT", self.limits.call_timeout),
        ];
        let hold = self.gate_hold_max.map(|hold| ("GREENROOM_GATE_HOLD_MAX", hold));
        for (name, span) in spans.into_iter().chain(hold) {
            check(name, Value::Span(span));
        }
        gateway.check(complaints);
        complaints.extend(logging::check(&self.log.directive).err());
    }

    /// Checks which values go together.
    fn check_together(&self, complaints: &mut Vec<String>) {
        check_reachable(self, complaints);
        let timing = Timing {
            window: self.liveness_window,
            heartbeat: self.heartbeat_interval,
            margin: self.liveness_margin,
        };
        if let Err(error) = timing.check(self.clock_drift_ppm) {
            complaints.push(format!(
                "GREENROOM_LIVENESS_WINDOW, GREENROOM_HEARTBEAT_INTERVAL, \
                 GREENROOM_LIVENESS_MARGIN and GREENROOM_CLOCK_DRIFT_PPM contradict each other: \
                 {error}"
            ));
        }
        if self.migration_timeout <= self.drain_deadline {
            complaints.push(format!(
                "GREENROOM_MIGRATION_TIMEOUT ({:?}) must be longer than GREENROOM_DRAIN_DEADLINE \
                 ({:?}), which every move may take",
                self.migration_timeout, self.drain_deadline
            ));
        }
        if let Some(gate_hold_max) = self.gate_hold_max
            && gate_hold_max <= self.drain_deadline
        {
            complaints.push(format!(
                "GREENROOM_GATE_HOLD_MAX ({gate_hold_max:?}) must be longer than \
                 GREENROOM_DRAIN_DEADLINE ({:?}), which the farewells of actors may take while the \
                 gate is held",
                self.drain_deadline
            ));
        }
        if self.store_retry_max < self.store_retry_first {
            complaints.push(format!(
                "GREENROOM_STORE_RETRY_MAX ({:?}) must not be shorter than \
                 GREENROOM_STORE_RETRY_FIRST ({:?})",
                self.store_retry_max, self.store_retry_first
            ));
        }
    }
}

/// The host's name as far as it can stand in a node's id.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let well = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let name: String = name.chars().filter(|letter| well(*letter)).take(48).collect();
    if name.is_empty() { "node".to_owned() } else { name }
}

fn check_addresses(config: &Config, complaints: &mut Vec<String>) {
    let http_listen = config.http_listen.as_ref();
    let pairs = [
        ("GREENROOM_LISTEN", Some(&config.listen)),
        ("GREENROOM_HTTP_LISTEN", http_listen),
        ("GREENROOM_ADVERTISE", config.advertise.as_ref()),
        ("GREENROOM_HTTP_ADVERTISE", config.http_advertise.as_ref()),
    ];
    for (name, address) in pairs {
        let Some(address) = address else { continue };
        let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        if port.and_then(|(_, port)| port.parse::<u16>().ok()).is_none() {
            complaints.push(format!("{name} must be host:port, got {address:?}"));
        }
    }
}

/// Whether others can call the address that they are told.
fn check_reachable(config: &Config, complaints: &mut Vec<String>) {
    let everywhere = |address: &String| {
        let address: Option<SocketAddr> = address.parse().ok();
        address.is_some_and(|address| address.ip().is_unspecified())
    };
    if everywhere(&config.listen) && config.advertise.is_none() {
        let listen = &config.listen;
        complaints.push(format!(
            "GREENROOM_ADVERTISE must be the host:port that other nodes reach, because \
             GREENROOM_LISTEN is {listen}, which is no address to call"
        ));
    }
}
