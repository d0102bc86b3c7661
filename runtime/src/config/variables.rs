//! Reads the configuration from `GREENROOM_*` variables.

use std::path::PathBuf;
use std::time::Duration;

use greenroom_cluster::StoreConfig;
use greenroom_cluster::store::{EtcdOptions, MemoryStore};
use greenroom_core::planner::Strategy;
use greenroom_core::{Labels, NodeId};
use serde::Deserialize;

use super::{Config, ConfigError, Token};
use crate::router::CallLimits;

/// The variables as they are written. Some are secrets, so they are never printed.
#[derive(Default, Deserialize)]
pub(super) struct Variables {
    cluster: Option<String>,
    node_id: Option<String>,
    listen: Option<String>,
    advertise: Option<String>,
    http_listen: Option<String>,
    http_advertise: Option<String>,
    etcd_endpoints: Option<String>,
    etcd_user: Option<String>,
    etcd_password: Option<String>,
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
    operator_token_file: Option<String>,
    restore_from: Option<String>,
    drain_deadline: Option<String>,
    shutdown_timeout: Option<String>,
    call_timeout: Option<String>,
    calls_in_flight_max: Option<String>,
    calls_per_peer_max: Option<String>,
    payload_bytes_max: Option<String>,
}

/// The names of all settings, without prefix.
const KNOWN: &[&str] = &[
    "cluster",
    "node_id",
    "listen",
    "advertise",
    "http_listen",
    "http_advertise",
    "etcd_endpoints",
    "etcd_user",
    "etcd_password",
    "shards",
    "node_weight",
    "zone",
    "labels",
    "liveness_window",
    "heartbeat_interval",
    "liveness_margin",
    "clock_drift_ppm",
    "crash_detection",
    "store_retry_first",
    "store_retry_max",
    "rebalance_strategy",
    "spread_zones",
    "move_gain_permille",
    "rebalance_stability",
    "rebalance_batch",
    "rebalance_node_batch",
    "imbalance_threshold_permille",
    "migration_timeout",
    "load_report_interval",
    "operator_token",
    "operator_token_file",
    "restore_from",
    "drain_deadline",
    "shutdown_timeout",
    "call_timeout",
    "calls_in_flight_max",
    "calls_per_peer_max",
    "payload_bytes_max",
    // Read by the command, which may share an environment with a node.
    "node",
];

/// A misspelt variable changes nothing, and nobody would know. It is no error, because others use
/// the prefix too: Kubernetes does for a service of that name.
pub(super) fn warn_of_unknown(ours: &[(String, String)]) {
    for (name, _) in ours {
        let field = name.trim_start_matches("GREENROOM_").to_ascii_lowercase();
        if !KNOWN.contains(&field.as_str()) {
            tracing::warn!(name, "no setting of a node has this name; it is ignored");
        }
    }
}

impl Variables {
    pub(super) fn read(self, host: &str) -> Result<Config, ConfigError> {
        let store = self.store();
        let listen = self.listen.unwrap_or_else(|| "127.0.0.1:7400".to_owned());
        let defaults = Config::embedded(StoreConfig::Memory(MemoryStore::new()));
        let mut reader = Reader::default();
        let port = listen.rsplit_once(':').map_or("", |(_, port)| port);
        let name = self.node_id.unwrap_or_else(|| format!("{host}-{port}"));
        let node = NodeId::new(name.as_str()).unwrap_or_else(|error| {
            reader.complain(format!("GREENROOM_NODE_ID: {error}, got {name:?}"));
            defaults.node.clone()
        });
        let http_listen = self.http_listen.unwrap_or_else(|| "127.0.0.1:7480".to_owned());
        for endpoint in self.etcd_endpoints.iter().flat_map(|endpoints| endpoints.split(',')) {
            let endpoint = endpoint.trim();
            if !endpoint.is_empty() && !endpoint.starts_with("http://") {
                reader.complain(format!(
                    "GREENROOM_ETCD_ENDPOINTS must be http://host:port, several separated by \
                     commas (TLS to etcd is not supported), got {endpoint:?}"
                ));
            }
        }
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
            payload_bytes_max: reader.number(
                "PAYLOAD_BYTES_MAX",
                self.payload_bytes_max,
                defaults.limits.payload_bytes_max,
            ),
        };
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
            operator_token: reader.token(self.operator_token, self.operator_token_file),
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
            shutdown_timeout: reader.span(
                "SHUTDOWN_TIMEOUT",
                self.shutdown_timeout,
                defaults.shutdown_timeout,
            ),
            limits,
        };
        reader.finish()?;
        config.checked()
    }

    fn store(&self) -> StoreConfig {
        let endpoints = self.etcd_endpoints.as_deref().unwrap_or_default();
        let endpoints: Vec<&str> =
            endpoints.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        if endpoints.is_empty() {
            return StoreConfig::Memory(MemoryStore::new());
        }
        let mut options = EtcdOptions::new(endpoints);
        options.user = self
            .etcd_user
            .clone()
            .map(|user| (user, self.etcd_password.clone().unwrap_or_default()));
        StoreConfig::Etcd(options)
    }
}

/// Reads values and gathers all complaints, so that an operator mends them in one go.
#[derive(Default)]
struct Reader {
    complaints: Vec<String>,
}

impl Reader {
    fn complain(&mut self, complaint: String) {
        self.complaints.push(complaint);
    }

    fn number<N: std::str::FromStr>(&mut self, name: &str, text: Option<String>, default: N) -> N {
        let Some(text) = text else { return default };
        text.trim().parse().unwrap_or_else(|_| {
            self.complain(format!(
                "GREENROOM_{name} must be a whole number above zero, got {text:?}"
            ));
            default
        })
    }

    fn span(&mut self, name: &str, text: Option<String>, default: Duration) -> Duration {
        let Some(text) = text else { return default };
        humantime::parse_duration(text.trim()).unwrap_or_else(|_| {
            let allowed = "must be a time span such as 500ms, 5s or 2m";
            self.complain(format!("GREENROOM_{name} {allowed}, got {text:?}"));
            default
        })
    }

    fn switch(&mut self, name: &str, text: Option<&str>, default: bool) -> bool {
        match text.map(str::trim) {
            None => default,
            Some("on") => true,
            Some("off") => false,
            Some(other) => {
                self.complain(format!("GREENROOM_{name} must be on or off, got {other:?}"));
                default
            }
        }
    }

    fn strategy(&mut self, name: &str, text: Option<&str>) -> Strategy {
        match text.map(str::trim) {
            None | Some("count") => Strategy::Count,
            Some("load") => Strategy::Load,
            Some(other) => {
                self.complain(format!("GREENROOM_{name} must be count or load, got {other:?}"));
                Strategy::Count
            }
        }
    }

    fn labels(&mut self, name: &str, text: Option<String>) -> Labels {
        let mut labels = Labels::new();
        let text = text.unwrap_or_default();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some((label, value)) if !label.trim().is_empty() => {
                    labels.insert(label.trim().to_owned(), value.trim().to_owned());
                }
                _ => self.complain(format!(
                    "GREENROOM_{name} must be label=value, several separated by commas, got {pair:?}"
                )),
            }
        }
        labels
    }

    fn token(&mut self, secret: Option<String>, file: Option<String>) -> Option<Token> {
        let (name, secret) = match (secret, file) {
            (None, None) => return None,
            (Some(secret), None) => ("GREENROOM_OPERATOR_TOKEN", secret),
            (None, Some(file)) => {
                let name = "GREENROOM_OPERATOR_TOKEN_FILE";
                match std::fs::read_to_string(&file) {
                    Ok(secret) => (name, secret),
                    Err(error) => {
                        self.complain(format!("{name}: can't read {file:?}: {error}"));
                        return None;
                    }
                }
            }
            (Some(_), Some(_)) => {
                self.complain(
                    "GREENROOM_OPERATOR_TOKEN and GREENROOM_OPERATOR_TOKEN_FILE are both set: one \
                     must do"
                        .to_owned(),
                );
                return None;
            }
        };
        match Token::new(secret.trim()) {
            Ok(token) => Some(token),
            Err(error) => {
                self.complain(format!("{name} {error}"));
                None
            }
        }
    }

    fn finish(self) -> Result<(), ConfigError> {
        if self.complaints.is_empty() {
            return Ok(());
        }
        Err(ConfigError { complaints: self.complaints })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let pairs = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::from_variables(pairs)
    }

    #[test]
    fn nothing_set_gives_the_documented_defaults() {
        let config = read(&[("HOSTNAME", "box"), ("PATH", "/bin")]).unwrap();
        assert_eq!(config.cluster, "default");
        assert_eq!(config.node.as_str(), "box-7400");
        assert_eq!(config.listen, "127.0.0.1:7400");
        assert_eq!(config.http_listen.as_deref(), Some("127.0.0.1:7480"));
        assert!(matches!(config.store, StoreConfig::Memory(_)));
        assert_eq!(config.shards, 8192);
        assert_eq!(config.liveness_window, Duration::from_secs(6));
    }

    #[test]
    fn spans_and_lists_are_written_as_people_write_them() {
        let config = read(&[
            ("GREENROOM_LIVENESS_WINDOW", "2s"),
            ("GREENROOM_HEARTBEAT_INTERVAL", "250ms"),
            ("GREENROOM_ETCD_ENDPOINTS", "http://a:2379, http://b:2379"),
            ("GREENROOM_HTTP_LISTEN", "off"),
        ])
        .unwrap();
        assert_eq!(config.heartbeat_interval, Duration::from_millis(250));
        assert_eq!(config.http_listen, None);
        let StoreConfig::Etcd(options) = config.store else { panic!("etcd was asked for") };
        assert_eq!(options.endpoints, ["http://a:2379", "http://b:2379"]);
    }

    #[test]
    fn addresses_that_nobody_can_call_are_refused() {
        let complaint = |name, value| read(&[(name, value)]).unwrap_err().to_string();
        let listen = complaint("GREENROOM_LISTEN", "7501");
        assert!(listen.contains("GREENROOM_LISTEN must be host:port, got \"7501\""), "{listen}");
        let everywhere = complaint("GREENROOM_LISTEN", "0.0.0.0:7501");
        assert!(everywhere.contains("GREENROOM_ADVERTISE must be"), "{everywhere}");
        let tls = complaint("GREENROOM_ETCD_ENDPOINTS", "https://a:2379");
        assert!(tls.contains("TLS to etcd is not supported"), "{tls}");
        let both = [("GREENROOM_LISTEN", "0.0.0.0:7501"), ("GREENROOM_ADVERTISE", "box:7501")];
        assert!(read(&both).is_ok());
    }

    #[test]
    fn every_wrong_value_is_named_with_what_is_allowed() {
        let error = read(&[
            ("GREENROOM_SHARDS", "many"),
            ("GREENROOM_CALL_TIMEOUT", "soon"),
            ("GREENROOM_NODE_ID", "a node"),
        ])
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("GREENROOM_SHARDS must be a whole number above zero, got \"many\""),
            "{error}"
        );
        assert!(error.contains("GREENROOM_CALL_TIMEOUT must be a time span"), "{error}");
        assert!(error.contains("GREENROOM_NODE_ID"), "{error}");
    }

    #[test]
    fn ranges_and_contradictions_are_refused() {
        let complaint = |name, value| read(&[(name, value)]).unwrap_err().to_string();
        let shards = complaint("GREENROOM_SHARDS", "65537");
        assert_eq!(shards, "GREENROOM_SHARDS must be 1 to 65536, got 65537");
        let weight = complaint("GREENROOM_NODE_WEIGHT", "0");
        assert_eq!(weight, "GREENROOM_NODE_WEIGHT must be 1 to 1000, got 0");
        let heartbeat = complaint("GREENROOM_HEARTBEAT_INTERVAL", "5s");
        assert!(heartbeat.contains("contradict each other"), "{heartbeat}");
    }

    #[test]
    fn a_password_is_never_printed() {
        let config = read(&[
            ("GREENROOM_ETCD_ENDPOINTS", "http://a:2379"),
            ("GREENROOM_ETCD_USER", "operator"),
            ("GREENROOM_ETCD_PASSWORD", "hunter2"),
        ]);
        let printed = format!("{:?}", config.unwrap());
        assert!(printed.contains("operator") && !printed.contains("hunter2"), "{printed}");
    }
}
