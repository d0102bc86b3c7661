//! The table itself, in the order in which people read it.

use std::time::Duration;

use crate::Allowed::{self, OneOf, Rate, Words};
use crate::{Default, Reader, Setting};

const MILLI: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
const HOST_PORT: Allowed = Words("host:port");
const SWITCH: Allowed = OneOf(&["on", "off"]);

const fn set(
    name: &'static str,
    default: Default,
    allowed: Allowed,
    meaning: &'static str,
) -> Setting {
    Setting { name, default, allowed, meaning, secret: false, reader: Reader::Node }
}

/// With a default that is a value.
const fn with(
    name: &'static str,
    default: &'static str,
    allowed: Allowed,
    meaning: &'static str,
) -> Setting {
    set(name, Default::Value(default), allowed, meaning)
}

/// With a default that is none.
const fn or(
    name: &'static str,
    default: &'static str,
    allowed: Allowed,
    meaning: &'static str,
) -> Setting {
    set(name, Default::Words(default), allowed, meaning)
}

const fn number(
    name: &'static str,
    default: &'static str,
    (low, high): (u64, u64),
    meaning: &'static str,
) -> Setting {
    with(name, default, Allowed::Number(low, high), meaning)
}

/// A span of time of at most an hour.
const fn span(
    name: &'static str,
    default: &'static str,
    low: Duration,
    meaning: &'static str,
) -> Setting {
    with(name, default, Allowed::Span(low, HOUR), meaning)
}

/// Every variable, each once.
#[rustfmt::skip]
pub const ALL: &[Setting] = &[
    with("GREENROOM_CLUSTER", "default", Words("a name"), "name of the cluster"),
    or("GREENROOM_NODE_ID", "the host's name and the port", Words("a name"),
        "name of the node, unique in its cluster"),
    with("GREENROOM_LISTEN", "127.0.0.1:7400", HOST_PORT,
        "where peers reach the node; port 0 takes a free one"),
    or("GREENROOM_ADVERTISE", "the listen address", HOST_PORT,
        "the `host:port` that peers are told; needed when that is `0.0.0.0`"),
    with("GREENROOM_HTTP_LISTEN", "127.0.0.1:7480", Words("host:port, or off"),
        "where the HTTP gateway listens"),
    or("GREENROOM_HTTP_ADVERTISE", "the listen address", HOST_PORT,
        "the `host:port` of the gateway that operators are told"),
    or("GREENROOM_ETCD_ENDPOINTS", "none: embedded store",
        Words("`http://host:port` or `https://host:port`, several separated by commas"),
        "the members of etcd; all of them are used"),
    or("GREENROOM_ETCD_USER", "none", Words("a name, with the password"),
        "for an etcd with authentication"),
    Setting {
        secret: true,
        ..or("GREENROOM_ETCD_PASSWORD", "none", Words("a password, with the user"),
            "for an etcd with authentication")
    },
    or("GREENROOM_ETCD_CA_FILE", "the system's authorities", Words("a file in PEM"),
        "the authorities that may vouch for an etcd over TLS"),
    or("GREENROOM_ETCD_CERT_FILE", "none", Words("a file in PEM, with the key"),
        "the certificate that the node shows to etcd"),
    or("GREENROOM_ETCD_KEY_FILE", "none", Words("a file in PEM, with the certificate"),
        "the private key of that certificate"),
    number("GREENROOM_SHARDS", "8192", (1, 65_536), "number of shards, fixed at the cluster's birth"),
    number("GREENROOM_NODE_WEIGHT", "100", (1, 1000), "share of the shards relative to other nodes"),
    or("GREENROOM_ZONE", "none", Words("a name"), "where the node stands"),
    or("GREENROOM_LABELS", "none", Words("`disk=ssd,make=h1`"), "labels that placement rules ask for"),
    span("GREENROOM_LIVENESS_WINDOW", "6s", Duration::from_millis(100),
        "silence after which a node may be declared dead; can be changed node by node"),
    span("GREENROOM_HEARTBEAT_INTERVAL", "1s", Duration::from_millis(10),
        "from one heartbeat to the next"),
    span("GREENROOM_LIVENESS_MARGIN", "500ms", MILLI,
        "how much earlier than that a silent node stops itself"),
    number("GREENROOM_CLOCK_DRIFT_PPM", "5000", (1, 200_000),
        "by how many millionths any node's clock may run fast or slow, which the margin must cover"),
    with("GREENROOM_CRASH_DETECTION", "on", SWITCH,
        "whether an overdue node whose port refuses connections is dead at once; `off` where something \
         else may refuse for it"),
    span("GREENROOM_STORE_RETRY_FIRST", "10ms", MILLI,
        "pause after a failure of etcd, doubled each time, with jitter"),
    span("GREENROOM_STORE_RETRY_MAX", "1s", MILLI, "longest such pause"),
    with("GREENROOM_REBALANCE_STRATEGY", "count", OneOf(&["count", "load"]),
        "`count` evens out shards, `load` what runs in them"),
    with("GREENROOM_SPREAD_ZONES", "off", SWITCH, "`on` gives each zone an equal part of the shards"),
    span("GREENROOM_REBALANCE_STABILITY", "5s", Duration::ZERO,
        "how long the members must be the same before shards are rebalanced"),
    number("GREENROOM_REBALANCE_BATCH", "512", (1, 65_536), "shards that are rebalanced at a time"),
    number("GREENROOM_REBALANCE_NODE_BATCH", "256", (1, 65_536), "how many of them to or from one node"),
    number("GREENROOM_MOVE_GAIN_PERMILLE", "10", (0, 1000),
        "with `load`, how much a move must gain to be worth it"),
    number("GREENROOM_IMBALANCE_THRESHOLD_PERMILLE", "50", (0, 1000),
        "how far off its share a node may be"),
    span("GREENROOM_MIGRATION_TIMEOUT", "30s", MILLI,
        "longest wait in one phase of a move; longer than the drain deadline"),
    span("GREENROOM_LOAD_REPORT_INTERVAL", "5s", Duration::from_millis(100),
        "how often a node tells the leader what runs in its shards"),
    Setting {
        secret: true,
        reader: Reader::Both,
        ..or("GREENROOM_OPERATOR_TOKEN", "none: no orders",
            Words("at least 16 visible ASCII characters"), "what operators' orders must carry")
    },
    or("GREENROOM_RESTORE_FROM", "none", Words("a file"),
        "a file of `greenroom topology export` that an empty cluster begins with"),
    span("GREENROOM_DRAIN_DEADLINE", "10s", MILLI,
        "how long running turns may take to end when their shard moves"),
    set("GREENROOM_GATE_HOLD_MAX", Default::Words("three drain deadlines"), Allowed::Span(MILLI, HOUR),
        "how long a shard's gate may be held for a handoff before it is taken away; longer than the \
         drain deadline"),
    span("GREENROOM_GATE_WAIT_WARNING", "1s", MILLI,
        "after how long a wait at a gate is worth a warning in the log"),
    span("GREENROOM_SHUTDOWN_TIMEOUT", "30s", MILLI,
        "how long a stopping node may take to hand its shards over"),
    number("GREENROOM_ACTIVATIONS_MAX", "10000000", (1, 1_000_000_000),
        "most actors in a node's memory; from 95 % on, idle ones make room"),
    with("GREENROOM_MEMORY_SHED_BYTES", "off", Allowed::SizeOrOff(16 << 20, 1 << 50),
        "memory of the process above which idle actors go; Linux only"),
    span("GREENROOM_CALL_TIMEOUT", "10s", MILLI,
        "how long a call may take in all, unless it says otherwise"),
    number("GREENROOM_CALLS_IN_FLIGHT_MAX", "65536", (1, 10_000_000),
        "calls under way that were made on a node"),
    number("GREENROOM_CALLS_PER_PEER_MAX", "65536", (1, 10_000_000),
        "calls under way that one peer made to a node"),
    with("GREENROOM_PAYLOAD_BYTES_MAX", "4MiB", Allowed::Size(1 << 10, 1 << 30),
        "largest arguments or reply"),
    number("GREENROOM_PEER_STREAMS", "1", (1, 64),
        "connections to each peer, each with the calls of its part of the shards"),
    number("GREENROOM_RETRY_PERCENT", "20", (0, 100),
        "retries that may be sent for 100 first attempts"),
    number("GREENROOM_RETRIES_PER_SECOND_MIN", "10", (0, 10_000),
        "retries that may be sent in a second, however few first attempts there are"),
    number("GREENROOM_GATEWAY_CALLS_MAX", "4096", (1, 1_000_000),
        "HTTP calls that are served at a time"),
    with("GREENROOM_GATEWAY_RATE", "off", Rate, "HTTP calls of all clients in a span of time"),
    set("GREENROOM_GATEWAY_BURST", Default::Words("those of a second"), Allowed::Number(1, 10_000_000),
        "how many of them may come at the same moment"),
    with("GREENROOM_GATEWAY_CLIENT_RATE", "off", Rate,
        "the same for each client; the latest 65536 are remembered"),
    set("GREENROOM_GATEWAY_CLIENT_BURST", Default::Words("those of a second"),
        Allowed::Number(1, 10_000_000), "how many calls of a client may come at the same moment"),
    or("GREENROOM_GATEWAY_CLIENT_HEADER", "none: its address", Words("the name of a header"),
        "the header that tells clients apart; the proxy in front must set it, and let no client do so"),
    with("GREENROOM_LOG", "info",
        Words("off, error, warn, info, debug or trace, or `target=level`, several separated by commas"),
        "what is logged, such as `info,greenroom::turns=debug`; can be changed while the node runs"),
    with("GREENROOM_LOG_FORMAT", "text", OneOf(&["text", "json"]), "how a line of the log is written"),
    with("GREENROOM_LOG_KEYS", "off", SWITCH,
        "whether what is logged of an actor says its key, which is often about a person"),
    Setting {
        reader: Reader::Command,
        ..with("GREENROOM_NODE", "127.0.0.1:7400", HOST_PORT,
            "the node that the command `greenroom` asks")
    },
];
