use std::time::Duration;

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
    assert!(error.contains("GREENROOM_SHARDS must be a whole number, got \"many\""), "{error}");
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
fn a_variable_counts_once_and_by_its_own_spelling_alone() {
    let error = read(&[("GREENROOM_SHARDS", "64"), ("GREENROOM_SHARDS", "65")]).unwrap_err();
    assert_eq!(error.complaints, ["GREENROOM_SHARDS is set twice"]);
    let config = read(&[("GREENROOM_SHARDS", "64"), ("GREENROOM_Shards", "65")]).unwrap();
    assert_eq!(config.shards, 64);
    assert_eq!(read(&[("GREENROOM_Shards", "65")]).unwrap().shards, 8192);
}

#[test]
fn rates_of_the_gateway_and_the_budget_of_retries_are_read_and_checked() {
    let config = read(&[
        ("GREENROOM_RETRY_PERCENT", "0"),
        ("GREENROOM_RETRIES_PER_SECOND_MIN", "0"),
        ("GREENROOM_GATEWAY_CALLS_MAX", "10"),
        ("GREENROOM_GATEWAY_RATE", "1000/s"),
        ("GREENROOM_GATEWAY_CLIENT_RATE", "30/m"),
        ("GREENROOM_GATEWAY_CLIENT_BURST", "5"),
        ("GREENROOM_GATEWAY_CLIENT_HEADER", "x-client"),
    ])
    .unwrap();
    assert_eq!((config.limits.retry_percent, config.limits.retries_per_s_min), (0, 0));
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    let expected = GatewayLimits {
        calls_max: 10,
        rate: Some(crate::Rate { calls: 1000, per: second, burst: 1000 }),
        client_rate: Some(crate::Rate { calls: 30, per: minute, burst: 5 }),
        client_header: Some("x-client".into()),
    };
    assert_eq!(config.gateway, expected);
    let defaults = read(&[("GREENROOM_GATEWAY_RATE", "off")]).unwrap();
    assert_eq!(defaults.gateway, GatewayLimits::default());
    assert_eq!((defaults.limits.retry_percent, defaults.limits.retries_per_s_min), (20, 10));

    let complaint = |name, value| read(&[(name, value)]).unwrap_err().to_string();
    let rate = complaint("GREENROOM_GATEWAY_RATE", "fast");
    assert!(rate.contains("GREENROOM_GATEWAY_RATE must be off or calls in a span"), "{rate}");
    let rate = complaint("GREENROOM_GATEWAY_CLIENT_RATE", "20000000/s");
    assert!(rate.contains("GREENROOM_GATEWAY_CLIENT_RATE must be 1 to 10000000"), "{rate}");
    let burst = complaint("GREENROOM_GATEWAY_CLIENT_BURST", "5");
    assert!(burst.contains("GREENROOM_GATEWAY_CLIENT_RATE is off"), "{burst}");
    let header = complaint("GREENROOM_GATEWAY_CLIENT_HEADER", "x client");
    assert!(header.contains("must be the name of a header, got \"x client\""), "{header}");
    let calls = complaint("GREENROOM_GATEWAY_CALLS_MAX", "0");
    assert_eq!(calls, "GREENROOM_GATEWAY_CALLS_MAX must be 1 to 1000000, got 0");
    let percent = complaint("GREENROOM_RETRY_PERCENT", "101");
    assert_eq!(percent, "GREENROOM_RETRY_PERCENT must be 0 to 100, got 101");
    let zero = [("GREENROOM_GATEWAY_RATE", "5/s"), ("GREENROOM_GATEWAY_BURST", "0")];
    let zero = read(&zero).unwrap_err().to_string();
    assert_eq!(zero, "GREENROOM_GATEWAY_BURST must be 1 to 10000000, got 0");
}

#[test]
fn the_cap_on_actors_and_the_limit_of_memory_are_read_and_checked() {
    let config = read(&[]).unwrap();
    assert_eq!((config.activations_max, config.memory_shed_bytes), (10_000_000, None));
    let memory = |text| read(&[("GREENROOM_MEMORY_SHED_BYTES", text)]);
    for (text, bytes) in [
        ("512MiB", Some(512 << 20)),
        (" 1.5 GiB ", Some(3 << 29)),
        ("4GB", Some(4_000_000_000)),
        ("16777216", Some(16 << 20)),
        ("off", None),
    ] {
        assert_eq!(memory(text).unwrap().memory_shed_bytes, bytes, "{text}");
    }
    for text in ["much", "-1", "", "12 apples"] {
        let complaint = memory(text).unwrap_err().to_string();
        let name = "GREENROOM_MEMORY_SHED_BYTES must be a number of bytes such as 512MiB";
        assert!(complaint.starts_with(name), "{complaint}");
    }
    let complaint = memory("1MiB").unwrap_err().to_string();
    let wanted = "GREENROOM_MEMORY_SHED_BYTES must be 16MiB to 1PiB, or off, got 1MiB";
    assert_eq!(complaint, wanted);
    let room = |text| read(&[("GREENROOM_ACTIVATIONS_MAX", text)]);
    assert_eq!(room("1000").unwrap().activations_max, 1000);
    let complaint = room("0").unwrap_err().to_string();
    assert_eq!(complaint, "GREENROOM_ACTIVATIONS_MAX must be 1 to 1000000000, got 0");
}

#[test]
fn how_the_log_is_written_is_read_and_checked() {
    let config = read(&[
        ("GREENROOM_LOG", " warn,greenroom::actors=debug "),
        ("GREENROOM_LOG_FORMAT", "json"),
        ("GREENROOM_LOG_KEYS", "on"),
    ])
    .unwrap();
    let directive = "warn,greenroom::actors=debug".to_owned();
    let format = crate::logging::LogFormat::Json;
    assert_eq!(config.log, crate::logging::LogOptions { directive, format, keys: true });
    let error = read(&[
        ("GREENROOM_LOG", "warm"),
        ("GREENROOM_LOG_FORMAT", "xml"),
        ("GREENROOM_LOG_KEYS", "some"),
    ])
    .unwrap_err();
    let [format, keys, level] = &error.complaints[..] else { panic!("{error}") };
    assert_eq!(format, "GREENROOM_LOG_FORMAT must be text or json, got \"xml\"");
    assert_eq!(keys, "GREENROOM_LOG_KEYS must be on or off, got \"some\"");
    assert!(level.starts_with("GREENROOM_LOG must be a level (off, error,"), "{level}");
    assert!(
        level.ends_with("got \"warm\": \"warm\" is no level, and a target needs one: warm=debug")
    );
}

#[test]
fn labels_switches_and_strategies_are_read() {
    let config = read(&[
        ("GREENROOM_LABELS", "disk=ssd, make=h1"),
        ("GREENROOM_CRASH_DETECTION", "off"),
        ("GREENROOM_REBALANCE_STRATEGY", "load"),
    ])
    .unwrap();
    let labels = [("disk", "ssd"), ("make", "h1")];
    assert_eq!(config.labels, labels.map(|(a, b)| (a.to_owned(), b.to_owned())).into());
    assert!(!config.crash_detection);
    assert_eq!(config.rebalance_strategy, greenroom_core::planner::Strategy::Load);
    let complaint = |name, value| read(&[(name, value)]).unwrap_err().to_string();
    let switch = complaint("GREENROOM_SPREAD_ZONES", "yes");
    assert_eq!(switch, "GREENROOM_SPREAD_ZONES must be on or off, got \"yes\"");
    let labels = complaint("GREENROOM_LABELS", "ssd");
    assert!(labels.contains("must be label=value"), "{labels}");
}

#[test]
fn time_outs_and_clocks_that_contradict_each_other_are_refused_together() {
    let error = read(&[
        ("GREENROOM_CLOCK_DRIFT_PPM", "100000"),
        ("GREENROOM_MIGRATION_TIMEOUT", "5s"),
        ("GREENROOM_STORE_RETRY_FIRST", "2s"),
    ])
    .unwrap_err();
    let [clocks, migration, retry] = &error.complaints[..] else { panic!("{error}") };
    assert!(clocks.contains("GREENROOM_CLOCK_DRIFT_PPM contradict"), "{clocks}");
    assert!(clocks.contains("at least 1.2s"), "two clocks, 10 % off each, in 6 s: {clocks}");
    assert!(migration.contains("GREENROOM_MIGRATION_TIMEOUT (5s) must be longer"), "{migration}");
    assert!(retry.contains("GREENROOM_STORE_RETRY_MAX (1s)"), "{retry}");
}

#[test]
fn a_token_comes_from_a_variable_or_a_file_and_is_never_printed() {
    let config = read(&[("GREENROOM_OPERATOR_TOKEN", "correct-horse-battery")]).unwrap();
    assert!(!format!("{config:?}").contains("horse"));
    let both = [
        ("GREENROOM_OPERATOR_TOKEN", "correct-horse-battery"),
        ("GREENROOM_OPERATOR_TOKEN_FILE", "/dev/null"),
    ];
    let error = read(&both).unwrap_err().to_string();
    assert!(error.contains("are both set") && !error.contains("horse"), "{error}");
    let missing = read(&[("GREENROOM_OPERATOR_TOKEN_FILE", "/no/such/file")]).unwrap_err();
    assert!(missing.to_string().contains("GREENROOM_OPERATOR_TOKEN_FILE: can't read"));
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

#[test]
fn every_default_of_the_table_is_the_one_that_holds() {
    let node = ("GREENROOM_NODE_ID", "node-1");
    let unset = format!("{:?}", read(&[node]).unwrap());
    for setting in greenroom_settings::ALL {
        if let greenroom_settings::Default::Value(value) = setting.default {
            let set = format!("{:?}", read(&[node, (setting.name, value)]).unwrap());
            assert_eq!(set, unset, "{}={value}", setting.name);
        }
    }
}

/// Takes the names of a struct's fields from what serde derived for it.
struct Fields<'a>(&'a mut &'static [&'static str]);

impl<'de> serde::Deserializer<'de> for Fields<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("no struct"))
    }

    fn deserialize_struct<V: serde::de::Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(serde::de::Error::custom("only the names are wanted"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[test]
fn the_node_reads_exactly_what_the_table_says_it_reads() {
    let mut fields: &[&str] = &[];
    assert!(Variables::deserialize(Fields(&mut fields)).is_err());
    let mut fields: Vec<String> = fields.iter().map(|&field| field.to_owned()).collect();
    let settings = greenroom_settings::ALL.iter();
    let of_nodes = settings.filter(|setting| setting.reader != greenroom_settings::Reader::Command);
    let mut table: Vec<String> = of_nodes.map(greenroom_settings::Setting::field).collect();
    fields.sort();
    table.sort();
    assert_eq!(fields, table);
}

#[test]
fn ranges_of_the_table_are_those_that_the_core_counts_on() {
    let allowed = |name| greenroom_settings::find(name).expect("a setting").allowed;
    let shards = greenroom_settings::Allowed::Number(1, greenroom_core::SHARD_COUNT_MAX.into());
    assert_eq!(allowed("GREENROOM_SHARDS"), shards);
    let drift = greenroom_settings::Allowed::Number(1, greenroom_core::CLOCK_DRIFT_PPM_MAX.into());
    assert_eq!(allowed("GREENROOM_CLOCK_DRIFT_PPM"), drift);
    let room = crate::config::ACTIVATIONS_MAX_MAX as u64;
    let activations = greenroom_settings::Allowed::Number(1, room);
    assert_eq!(allowed("GREENROOM_ACTIVATIONS_MAX"), activations);
}

#[test]
fn every_secret_can_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (token, password) =
        (file("token", "correct-horse-battery\n"), file("password", "hunter2\n"));
    let endpoint = ("GREENROOM_ETCD_ENDPOINTS", "http://a:2379");
    let user = ("GREENROOM_ETCD_USER", "operator");
    let config = read(&[
        endpoint,
        user,
        ("GREENROOM_ETCD_PASSWORD_FILE", &password),
        ("GREENROOM_OPERATOR_TOKEN_FILE", &token),
    ])
    .unwrap();
    assert!(config.operator_token.unwrap().is("correct-horse-battery"));
    let StoreConfig::Etcd(options) = config.store else { panic!("etcd was asked for") };
    assert_eq!(options.user, Some(("operator".to_owned(), "hunter2".to_owned())));

    let poor = read(&[("GREENROOM_OPERATOR_TOKEN_FILE", &password)]).unwrap_err().to_string();
    assert!(poor.starts_with("GREENROOM_OPERATOR_TOKEN_FILE must be at least 16"), "{poor}");
    assert!(!poor.contains("hunter2"), "{poor}");
    let missing = [endpoint, user, ("GREENROOM_ETCD_PASSWORD_FILE", "/no/such/file")];
    let missing = read(&missing).unwrap_err().to_string();
    assert!(missing.starts_with("GREENROOM_ETCD_PASSWORD_FILE: can't read"), "{missing}");
}

#[test]
fn half_a_way_to_etcd_is_refused() {
    let plain = ("GREENROOM_ETCD_ENDPOINTS", "http://a:2379");
    let secure = ("GREENROOM_ETCD_ENDPOINTS", "https://a:2379");
    let file = |name| (name, "/dev/null");
    for (variables, complaint) in [
        (vec![plain, ("GREENROOM_ETCD_USER", "operator")], "must both be set, or neither"),
        (vec![plain, ("GREENROOM_ETCD_PASSWORD", "hunter2")], "must both be set, or neither"),
        (
            vec![plain, file("GREENROOM_ETCD_CA_FILE")],
            "say nothing unless GREENROOM_ETCD_ENDPOINTS",
        ),
        (vec![secure, file("GREENROOM_ETCD_CERT_FILE")], "must both be set, or neither"),
        (
            vec![secure, ("GREENROOM_ETCD_CA_FILE", "/no/such/file")],
            "GREENROOM_ETCD_CA_FILE: can't",
        ),
        (
            vec![("GREENROOM_ETCD_ENDPOINTS", "a:2379")],
            "must be http://host:port or https://host:port",
        ),
    ] {
        let error = read(&variables).unwrap_err();
        let [only] = &error.complaints[..] else { panic!("{variables:?}: {error}") };
        assert!(only.contains(complaint), "{variables:?}: {error}");
    }
    let all = [
        secure,
        file("GREENROOM_ETCD_CA_FILE"),
        file("GREENROOM_ETCD_CERT_FILE"),
        file("GREENROOM_ETCD_KEY_FILE"),
    ];
    let StoreConfig::Etcd(options) = read(&all).unwrap().store else {
        panic!("etcd was asked for")
    };
    assert!(options.tls.authorities.is_some() && options.tls.identity.is_some());
}

#[test]
fn values_that_cannot_be_read_and_values_out_of_range_are_named_together() {
    let error = read(&[
        ("GREENROOM_DRAIN_DEADLINE", "soon"),
        ("GREENROOM_SHARDS", "0"),
        // With the default of the drain deadline, which nobody set, this would be too short.
        ("GREENROOM_MIGRATION_TIMEOUT", "5s"),
    ])
    .unwrap_err();
    let [deadline, shards] = &error.complaints[..] else { panic!("{error}") };
    assert!(deadline.starts_with("GREENROOM_DRAIN_DEADLINE must be a time span"), "{deadline}");
    assert_eq!(shards, "GREENROOM_SHARDS must be 1 to 65536, got 0");
}

#[test]
fn a_payload_limit_is_a_size() {
    let limit = |text| read(&[("GREENROOM_PAYLOAD_BYTES_MAX", text)]);
    for (text, bytes) in [("4194304", 4 << 20), ("64KiB", 64 << 10), ("1MB", 1_000_000)] {
        assert_eq!(limit(text).unwrap().limits.payload_bytes_max, bytes, "{text}");
    }
    let complaint = limit("2GiB").unwrap_err().to_string();
    assert_eq!(complaint, "GREENROOM_PAYLOAD_BYTES_MAX must be 1KiB to 1GiB, got 2GiB");
    let complaint = limit("off").unwrap_err().to_string();
    assert!(complaint.contains("must be a number of bytes such as"), "{complaint}");
}
