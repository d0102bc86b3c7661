use super::*;

#[test]
fn the_readme_lists_every_variable_as_the_table_has_it() {
    let page = include_str!("../../README.md");
    let told: Vec<&str> = page.lines().filter(|line| line.starts_with("| `GREENROOM_")).collect();
    let rows = markdown();
    let rows = rows.join("\n");
    assert!(told.join("\n") == rows, "README.md should have these rows:\n{rows}\n");
}

#[test]
fn every_variable_has_the_prefix_a_meaning_and_a_name_of_its_own() {
    for setting in ALL {
        let Setting { name, meaning, .. } = setting;
        assert!(name.starts_with(PREFIX) && find(name).is_some(), "{name}");
        assert_eq!(ALL.iter().filter(|other| other.name == *name).count(), 1, "{name}");
        let row = format!("{meaning}{}{}", setting.default, setting.allowed);
        assert!(!meaning.is_empty() && !row.contains(['|', '\n']), "{name}: {row}");
    }
}

#[test]
fn a_secret_can_come_from_a_file() {
    let token = find("GREENROOM_OPERATOR_TOKEN_FILE").expect("the token's");
    assert_eq!(token.name, "GREENROOM_OPERATOR_TOKEN");
    assert_eq!(
        find("GREENROOM_ETCD_PASSWORD_FILE").map(|s| s.name),
        Some("GREENROOM_ETCD_PASSWORD")
    );
    assert!(find("GREENROOM_SHARDS_FILE").is_none(), "no secret");
}

#[test]
fn a_misspelt_name_is_told_from_one_that_is_somebody_elses() {
    let meant = |name| nearest(name).unwrap_or_default();
    assert_eq!(meant("GREENROOM_SHARD"), "GREENROOM_SHARDS");
    assert_eq!(meant("GREENROOM_LIVENES_WINDOW"), "GREENROOM_LIVENESS_WINDOW");
    assert_eq!(meant("GREENROOM_ETCD_ENDPIONTS"), "GREENROOM_ETCD_ENDPOINTS");
    assert_eq!(meant("GREENROOM_OPERATOR_TOKENFILE"), "GREENROOM_OPERATOR_TOKEN_FILE");
    assert_eq!(meant("GREENROOM_COLOUR"), "", "like none of them");
}

#[test]
fn what_kubernetes_sets_for_a_service_is_known() {
    for name in [
        "GREENROOM_SERVICE_HOST",
        "GREENROOM_SERVICE_PORT",
        "GREENROOM_SERVICE_PORT_HTTP",
        "GREENROOM_PORT",
        "GREENROOM_PORT_7400_TCP",
        "GREENROOM_PORT_7400_TCP_ADDR",
        "GREENROOM_HTTP_PORT_7480_TCP_PROTO",
    ] {
        assert!(is_of_kubernetes(name), "{name}");
    }
    for setting in ALL {
        assert!(!is_of_kubernetes(setting.name), "{}", setting.name);
    }
    assert!(!is_of_kubernetes("GREENROOM_SHARD"));
}

#[test]
fn a_value_out_of_range_is_named_with_what_is_allowed() {
    let check = |name, value| find(name).expect("a setting").check(value);
    let refused = |name, value| check(name, value).expect_err("out of range");
    assert_eq!(check("GREENROOM_SHARDS", Value::Number(65_536)), Ok(()));
    let shards = refused("GREENROOM_SHARDS", Value::Number(0));
    assert_eq!(shards, "GREENROOM_SHARDS must be 1 to 65536, got 0");
    let window = refused("GREENROOM_LIVENESS_WINDOW", Value::Span(Duration::from_millis(5)));
    assert_eq!(window, "GREENROOM_LIVENESS_WINDOW must be 100ms to 1h, got 5ms");
    let memory = refused("GREENROOM_MEMORY_SHED_BYTES", Value::Size(1000));
    assert_eq!(memory, "GREENROOM_MEMORY_SHED_BYTES must be 16MiB to 1PiB, or off, got 1000");
}
