//! Variables, one a line. Those that name files are left out: reading a file of an operator's choice is
//! what they are for.

use greenroom::Config;

const SECRETS: [&str; 2] = ["GREENROOM_ETCD_PASSWORD", "GREENROOM_OPERATOR_TOKEN"];

type Variables = Vec<(String, String)>;

pub(super) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let pairs = pairs.filter(|(name, value)| !name.ends_with("_FILE") && !value.contains('\0'));
    let variables: Variables =
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let told = told(variables.clone());
    for secret in SECRETS {
        assert_kept(secret, &variables, &told);
    }
    for (name, _) in &variables {
        if let Some(nearest) = greenroom_settings::nearest(name) {
            assert!(greenroom_settings::find(&nearest).is_some(), "{nearest} is no setting");
        }
    }
}

/// What is said about them: the configuration, or what is wrong with it.
fn told(variables: Variables) -> String {
    match Config::from_variables(variables) {
        Ok(config) => format!("{config:?}"),
        Err(error) => {
            assert!(!error.complaints.is_empty());
            for complaint in &error.complaints {
                assert!(complaint.contains("GREENROOM_"), "whose fault is it? {complaint}");
            }
            error.to_string()
        }
    }
}

/// A secret is said nowhere, unless the same words would be said without it.
fn assert_kept(name: &str, variables: &Variables, told_with: &str) {
    let Some((_, secret)) = variables.iter().find(|(other, _)| other == name) else { return };
    let secret = secret.trim();
    if secret.len() < 4 || !told_with.contains(secret) {
        return;
    }
    let hide = |(variable, value): &(String, String)| {
        let value = if variable == name { "*".repeat(secret.len()) } else { value.clone() };
        (variable.clone(), value)
    };
    let without = told(variables.iter().map(hide).collect());
    assert!(without.contains(secret), "{name} is told: {told_with}");
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let all = greenroom_settings::ALL.iter().map(|setting| {
        let value = match setting.default {
            greenroom_settings::Default::Value(value) => value,
            greenroom_settings::Default::Words(_) => "x",
        };
        format!("{}={value}", setting.name)
    });
    let all: Vec<String> = all.collect();
    let good = "GREENROOM_CLUSTER=blue\nGREENROOM_NODE_ID=n1\nGREENROOM_LISTEN=10.0.0.1:7400\n\
                GREENROOM_ETCD_ENDPOINTS=http://a:2379,https://b:2379\nGREENROOM_ETCD_USER=root\n\
                GREENROOM_ETCD_PASSWORD=secret-word\nGREENROOM_LABELS=disk=ssd, make=h1\n\
                GREENROOM_GATEWAY_RATE=100/s\nGREENROOM_GATEWAY_BURST=7\n\
                GREENROOM_GATEWAY_CLIENT_RATE=30/m\nGREENROOM_MEMORY_SHED_BYTES=512MiB\n\
                GREENROOM_OPERATOR_TOKEN=a-token-of-some-length\nGREENROOM_LIVENESS_WINDOW=1m 30s\n\
                GREENROOM_PAYLOAD_BYTES_MAX=4MB\nHOSTNAME=host";
    let endless = "GREENROOM_LIVENESS_WINDOW=18446744073709551615s\n\
                   GREENROOM_HEARTBEAT_INTERVAL=18446744073709551615s\n\
                   GREENROOM_GATEWAY_RATE=4294967295/h\nGREENROOM_PAYLOAD_BYTES_MAX=16EiB";
    let mut seeds: Vec<Vec<u8>> = all.iter().map(|line| line.clone().into_bytes()).collect();
    seeds.extend([all.join("\n").into_bytes(), good.as_bytes().to_vec(), endless.into()]);
    seeds
}
