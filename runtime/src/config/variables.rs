//! Reads the configuration from `GREENROOM_*` variables.

mod reader;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use greenroom_cluster::StoreConfig;
use greenroom_cluster::store::{EtcdOptions, EtcdTls, MemoryStore};
use greenroom_core::NodeId;
use serde::Deserialize;

use super::{Config, ConfigError};
use crate::gateway::GatewayLimits;
use crate::logging::LogOptions;
use crate::router::CallLimits;
use reader::Reader;

/// The variables as they are written. Some are secrets, so they are never printed.
#[derive(Default, Deserialize)]
struct Variables {
    cluster: Option<String>,
    node_id: Option<String>,
    listen: Option<String>,
    advertise: Option<String>,
    http_listen: Option<String>,
    http_advertise: Option<String>,
    etcd_endpoints: Option<String>,
    etcd_user: Option<String>,
    etcd_password: Option<String>,
    etcd_ca_file: Option<String>,
    etcd_cert_file: Option<String>,
    etcd_key_file: Option<String>,
    shards: Option<String>,
    node_weight: Option<String>,
    zone: Option<String>,
    labels: Option<String>,
    liveness_window: Option<String>,
    heartbeat_interval: Option<String>,
    liveness_margin: Option<String>,
    clock_drift_ppm: Option<String>,
    crash_detection: Option<String>,
    store_retry_first: Option<String>,
    store_retry_max: Option<String>,
    rebalance_strategy: Option<String>,
    spread_zones: Option<String>,
    move_gain_permille: Option<String>,
    rebalance_stability: Option<String>,
    rebalance_batch: Option<String>,
    rebalance_node_batch: Option<String>,
    imbalance_threshold_permille: Option<String>,
    migration_timeout: Option<String>,
    load_report_interval: Option<String>,
    operator_token: Option<String>,
    restore_from: Option<String>,
    drain_deadline: Option<String>,
    gate_hold_max: Option<String>,
    gate_wait_warning: Option<String>,
    shutdown_timeout: Option<String>,
    activations_max: Option<String>,
    memory_shed_bytes: Option<String>,
    call_timeout: Option<String>,
    calls_in_flight_max: Option<String>,
    calls_per_peer_max: Option<String>,
    payload_bytes_max: Option<String>,
    peer_streams: Option<String>,
    retry_percent: Option<String>,
    retries_per_second_min: Option<String>,
    gateway_calls_max: Option<String>,
    gateway_rate: Option<String>,
    gateway_burst: Option<String>,
    gateway_client_rate: Option<String>,
    gateway_client_burst: Option<String>,
    gateway_client_header: Option<String>,
    log: Option<String>,
    log_format: Option<String>,
    log_keys: Option<String>,
}

/// A misspelt variable changes nothing, and nobody would know. It is no error, because others use
/// the prefix too: Kubernetes does for a service of that name.
fn warn_of_unknown(ours: &[(String, String)]) {
    for (name, _) in ours {
        if greenroom_settings::find(name).is_some() || greenroom_settings::is_of_kubernetes(name) {
            continue;
        }
        match greenroom_settings::nearest(name) {
            Some(nearest) => {
                tracing::warn!(name, nearest, "no setting has this name; it is ignored");
            }
            None => tracing::warn!(name, "no setting has this name; it is ignored"),
        }
    }
}

/// Reads all variables whose names begin with the prefix.
pub(super) fn read(mut ours: Vec<(String, String)>, host: &str) -> Result<Config, ConfigError> {
    warn_of_unknown(&ours);
    // `envy` would take other spellings, too.
    ours.retain(|(name, _)| greenroom_settings::find(name).is_some());
    let mut reader = Reader::default();
    reader.once_each(&mut ours);
    reader.secrets_of_files(&mut ours);
    let variables: Variables = envy::prefixed(greenroom_settings::PREFIX)
        .from_iter(ours)
        .map_err(|error| ConfigError { complaints: vec![error.to_string()] })?;
    variables.read(host, reader)
}

impl Variables {
    fn read(self, host: &str, mut reader: Reader) -> Result<Config, ConfigError> {
        let store = self.store(&mut reader);
        let listen = self.listen.unwrap_or_else(|| "127.0.0.1:7400".to_owned());
        let defaults = Config::embedded(StoreConfig::Memory(MemoryStore::new()));
        let port = listen.rsplit_once(':').map_or("", |(_, port)| port);
        let name = self.node_id.unwrap_or_else(|| format!("{host}-{port}"));
        let node = NodeId::new(name.as_str()).unwrap_or_else(|error| {
            reader.complain(format!("GREENROOM_NODE_ID: {error}, got {name:?}"));
            defaults.node.clone()
        });
        let http_listen = self.http_listen.unwrap_or_else(|| "127.0.0.1:7480".to_owned());
        let limits = CallLimits {
            call_timeout: reader.span(
                "CALL_TIMEOUT",
                self.call_timeout,
                defaults.limits.call_timeout,
            ),
            calls_in_flight_max: reader.number(
                "CALLS_IN_FLIGHT_MAX",
                self.calls_in_flight_max,
                defaults.limits.calls_in_flight_max,
            ),
            calls_per_peer_max: reader.number(
                "CALLS_PER_PEER_MAX",
                self.calls_per_peer_max,
                defaults.limits.calls_per_peer_max,
            ),
            payload_bytes_max: reader
                .size("PAYLOAD_BYTES_MAX", self.payload_bytes_max.as_deref())
                .and_then(|bytes| usize::try_from(bytes).ok())
                .unwrap_or(defaults.limits.payload_bytes_max),
            retry_percent: reader.number(
                "RETRY_PERCENT",
                self.retry_percent,
                defaults.limits.retry_percent,
            ),
            retries_per_s_min: reader.number(
                "RETRIES_PER_SECOND_MIN",
                self.retries_per_second_min,
                defaults.limits.retries_per_s_min,
            ),
        };
        let gateway = GatewayLimits {
            calls_max: reader.number(
                "GATEWAY_CALLS_MAX",
                self.gateway_calls_max,
                defaults.gateway.calls_max,
            ),
            rate: reader.rate("GATEWAY_RATE", self.gateway_rate, self.gateway_burst),
            client_rate: reader.rate(
                "GATEWAY_CLIENT_RATE",
                self.gateway_client_rate,
                self.gateway_client_burst,
            ),
            client_header: self.gateway_client_header,
        };
        let log = reader.log(self.log.as_deref(), self.log_format.as_deref());
        let keys = reader.switch("LOG_KEYS", self.log_keys.as_deref(), log.keys);
        let config = Config {
            cluster: self.cluster.unwrap_or(defaults.cluster),
            node,
            listen,
            advertise: self.advertise,
            http_listen: (!http_listen.eq_ignore_ascii_case("off")).then_some(http_listen),
            http_advertise: self.http_advertise,
            store,
            shards: reader.number("SHARDS", self.shards, defaults.shards),
            weight: reader.number("NODE_WEIGHT", self.node_weight, defaults.weight),
            zone: self.zone.unwrap_or_default(),
            labels: reader.labels("LABELS", self.labels),
            crash_detection: reader.switch(
                "CRASH_DETECTION",
                self.crash_detection.as_deref(),
                defaults.crash_detection,
            ),
            store_retry_first: reader.span(
                "STORE_RETRY_FIRST",
                self.store_retry_first,
                defaults.store_retry_first,
            ),
            store_retry_max: reader.span(
                "STORE_RETRY_MAX",
                self.store_retry_max,
                defaults.store_retry_max,
            ),
            rebalance_strategy: reader
                .strategy("REBALANCE_STRATEGY", self.rebalance_strategy.as_deref()),
            spread_zones: reader.switch(
                "SPREAD_ZONES",
                self.spread_zones.as_deref(),
                defaults.spread_zones,
            ),
            move_gain_permille: reader.number(
                "MOVE_GAIN_PERMILLE",
                self.move_gain_permille,
                defaults.move_gain_permille,
            ),
            rebalance_node_batch: reader.number(
                "REBALANCE_NODE_BATCH",
                self.rebalance_node_batch,
                defaults.rebalance_node_batch,
            ),
            migration_timeout: reader.span(
                "MIGRATION_TIMEOUT",
                self.migration_timeout,
                defaults.migration_timeout,
            ),
            load_report_interval: reader.span(
                "LOAD_REPORT_INTERVAL",
                self.load_report_interval,
                defaults.load_report_interval,
            ),
            operator_token: reader
                .token("GREENROOM_OPERATOR_TOKEN", self.operator_token.as_deref()),
            restore_from: self.restore_from.map(PathBuf::from),
            liveness_window: reader.span(
                "LIVENESS_WINDOW",
                self.liveness_window,
                defaults.liveness_window,
            ),
            heartbeat_interval: reader.span(
                "HEARTBEAT_INTERVAL",
                self.heartbeat_interval,
                defaults.heartbeat_interval,
            ),
            liveness_margin: reader.span(
                "LIVENESS_MARGIN",
                self.liveness_margin,
                defaults.liveness_margin,
            ),
            clock_drift_ppm: reader.number(
                "CLOCK_DRIFT_PPM",
                self.clock_drift_ppm,
                defaults.clock_drift_ppm,
            ),
            rebalance_stability: reader.span(
                "REBALANCE_STABILITY",
                self.rebalance_stability,
                defaults.rebalance_stability,
            ),
            rebalance_batch: reader.number(
                "REBALANCE_BATCH",
                self.rebalance_batch,
                defaults.rebalance_batch,
            ),
            imbalance_threshold_permille: reader.number(
                "IMBALANCE_THRESHOLD_PERMILLE",
                self.imbalance_threshold_permille,
                defaults.imbalance_threshold_permille,
            ),
            drain_deadline: reader.span(
                "DRAIN_DEADLINE",
                self.drain_deadline,
                defaults.drain_deadline,
            ),
            gate_hold_max: self
                .gate_hold_max
                .map(|text| reader.span("GATE_HOLD_MAX", Some(text), Duration::ZERO)),
            gate_wait_warning: reader.span(
                "GATE_WAIT_WARNING",
                self.gate_wait_warning,
                defaults.gate_wait_warning,
            ),
            shutdown_timeout: reader.span(
                "SHUTDOWN_TIMEOUT",
                self.shutdown_timeout,
                defaults.shutdown_timeout,
            ),
            activations_max: reader.number(
                "ACTIVATIONS_MAX",
                self.activations_max,
                defaults.activations_max,
            ),
            memory_shed_bytes: reader
                .size_or_off("MEMORY_SHED_BYTES", self.memory_shed_bytes.as_deref()),
            limits,
            peer_streams: reader.number("PEER_STREAMS", self.peer_streams, defaults.peer_streams),
            gateway,
            log: LogOptions { keys, ..log },
        };
        reader.finish(config)
    }

    fn store(&self, reader: &mut Reader) -> StoreConfig {
        let endpoints = self.etcd_endpoints.as_deref().unwrap_or_default();
        let endpoints: Vec<&str> =
            endpoints.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        for endpoint in &endpoints {
            if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
                reader.complain(format!(
                    "GREENROOM_ETCD_ENDPOINTS must be http://host:port or https://host:port, several \
                     separated by commas, got {endpoint:?}"
                ));
            }
        }
        let user = match (&self.etcd_user, &self.etcd_password) {
            (Some(user), Some(password)) => Some((user.clone(), password.clone())),
            (None, None) => None,
            _ => {
                reader.contradiction(
                    "GREENROOM_ETCD_USER and GREENROOM_ETCD_PASSWORD (or GREENROOM_ETCD_PASSWORD_FILE) \
                     must both be set, or neither",
                );
                None
            }
        };
        let tls = self.tls(&endpoints, reader);
        if endpoints.is_empty() {
            if user.is_some() {
                reader.contradiction(
                    "GREENROOM_ETCD_USER says nothing without GREENROOM_ETCD_ENDPOINTS",
                );
            }
            return StoreConfig::Memory(MemoryStore::new());
        }
        let mut options = EtcdOptions::new(endpoints);
        options.user = user;
        options.tls = tls;
        StoreConfig::Etcd(options)
    }

    fn tls(&self, endpoints: &[&str], reader: &mut Reader) -> EtcdTls {
        let mut path = |name: &str, file: &Option<String>| {
            let file = file.as_ref()?;
            if let Err(error) = std::fs::File::open(file) {
                reader.complain(format!("GREENROOM_{name}: can't read {file:?}: {error}"));
            }
            Some(PathBuf::from(file))
        };
        let authorities = path("ETCD_CA_FILE", &self.etcd_ca_file);
        let certificate = path("ETCD_CERT_FILE", &self.etcd_cert_file);
        let key = path("ETCD_KEY_FILE", &self.etcd_key_file);
        let any = authorities.is_some() || certificate.is_some() || key.is_some();
        if any && !endpoints.iter().any(|endpoint| endpoint.starts_with("https://")) {
            reader.contradiction(
                "GREENROOM_ETCD_CA_FILE, GREENROOM_ETCD_CERT_FILE and GREENROOM_ETCD_KEY_FILE say \
                 nothing unless GREENROOM_ETCD_ENDPOINTS has an https://host:port",
            );
        }
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                reader.contradiction(
                    "GREENROOM_ETCD_CERT_FILE and GREENROOM_ETCD_KEY_FILE must both be set, or neither",
                );
                None
            }
        };
        EtcdTls { authorities, identity }
    }
}
