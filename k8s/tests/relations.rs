//! The numbers in the manifests follow from each other, as the README of this folder says.

mod support;

use std::time::Duration;

use greenroom_k8s::kustomize::identity;
use greenroom_k8s::workload::{Workload, items};
use serde_json::{Value, json};
use support::{OVERLAYS, objects, of_kind, span, variable};

/// What a stopping node takes at most after its shutdown time-out, to say goodbye to its peers.
const GOODBYE: Duration = Duration::from_secs(2);

fn for_nodes(check: impl Fn(&str, Workload<'_>)) {
    for name in OVERLAYS {
        let objects = objects(name);
        check(name, Workload::find(&objects, "greenroom").expect("there are nodes"));
    }
}

#[test]
fn a_node_has_ended_by_itself_before_it_would_be_killed() {
    for_nodes(|name, nodes| {
        let needed = nodes.pre_stop() + span(nodes, "GREENROOM_SHUTDOWN_TIMEOUT") + GOODBYE;
        let grace = nodes.grace();
        assert!(grace >= needed + Duration::from_secs(5), "{name}: {grace:?}, needs {needed:?}");
    });
}

#[test]
fn a_stopping_node_has_time_for_turns_and_calls_that_are_under_way() {
    for_nodes(|name, nodes| {
        let shutdown = span(nodes, "GREENROOM_SHUTDOWN_TIMEOUT");
        let needed =
            span(nodes, "GREENROOM_DRAIN_DEADLINE") + span(nodes, "GREENROOM_CALL_TIMEOUT");
        assert!(shutdown >= needed, "{name}: {shutdown:?}, needs {needed:?}");
    });
}

#[test]
fn a_silent_node_is_out_of_the_service_when_others_take_its_shards() {
    for_nodes(|name, nodes| {
        let window = span(nodes, "GREENROOM_LIVENESS_WINDOW");
        let probe = nodes.probe("readinessProbe").unwrap();
        assert_eq!(probe.path, "/ready", "{name}");
        assert!(probe.patience() <= window, "{name}: {:?} of {window:?}", probe.patience());
        // One lost probe is no reason.
        assert!(probe.failures >= 2, "{name}");
    });
}

#[test]
fn a_pod_is_restarted_only_long_after_the_cluster_has_healed_without_it() {
    for_nodes(|name, nodes| {
        let window = span(nodes, "GREENROOM_LIVENESS_WINDOW");
        let probe = nodes.probe("livenessProbe").unwrap();
        assert_eq!(probe.path, "/live", "{name}");
        assert!(probe.period * probe.failures >= window * 3, "{name}: {:?}", probe.patience());
        let startup = nodes.probe("startupProbe").unwrap();
        assert!(startup.patience() >= window * 3, "{name}: {:?}", startup.patience());
    });
}

#[test]
fn the_pause_before_the_end_outlasts_old_lists_of_endpoints() {
    for_nodes(|name, nodes| {
        // Kubernetes tells its machines within a second or two; nothing bounds it.
        assert!(nodes.pre_stop() >= Duration::from_secs(5), "{name}: {:?}", nodes.pre_stop());
    });
}

#[test]
fn the_next_node_is_rolled_after_shards_were_rebalanced() {
    for_nodes(|name, nodes| {
        let stability = span(nodes, "GREENROOM_REBALANCE_STABILITY");
        let pause = nodes.min_ready();
        assert!(pause >= stability + Duration::from_secs(3), "{name}: {pause:?}");
    });
}

#[test]
fn idle_actors_go_before_the_kernel_ends_the_process() {
    for_nodes(|name, nodes| {
        let shed = bytes(&variable(nodes, "GREENROOM_MEMORY_SHED_BYTES"));
        let limit = bytes(nodes.container()["resources"]["limits"]["memory"].as_str().unwrap());
        assert!(shed * 10 <= limit * 8, "{name}: sheds at {shed} of {limit}");
        let request = nodes.container()["resources"]["requests"]["memory"].as_str().unwrap();
        assert_eq!(bytes(request), limit, "{name}: memory is asked for in full");
        let cpu = &nodes.container()["resources"]["limits"]["cpu"];
        assert!(cpu.is_null(), "{name}: a throttled node misses heartbeats");
    });
}

fn bytes(text: &str) -> u64 {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().expect("a number");
    let unit = match &text[digits.len()..] {
        "Mi" | "MiB" => 20,
        "Gi" | "GiB" => 30,
        other => panic!("{other:?} is no unit here"),
    };
    number << unit
}

#[test]
fn a_budget_leaves_a_majority_of_etcd_and_most_nodes() {
    for name in OVERLAYS {
        let objects = objects(name);
        for set in of_kind(&objects, "StatefulSet") {
            let replicas = set["spec"]["replicas"].as_u64().unwrap();
            let budget = of_kind(&objects, "PodDisruptionBudget")
                .find(|budget| identity(budget).1 == identity(set).1);
            let Some(budget) = budget else {
                assert_eq!(*name, "dev", "{:?} has no budget", identity(set));
                continue;
            };
            let gone = budget["spec"]["maxUnavailable"].as_u64().unwrap();
            // None would keep machines from being drained for ever.
            assert!(gone >= 1, "{name}: {:?}", identity(set));
            assert!(replicas - gone > replicas / 2, "{name}: {:?}", identity(set));
        }
    }
}

#[test]
fn nodes_and_members_are_told_of_every_member_of_etcd() {
    for name in OVERLAYS {
        let objects = objects(name);
        let etcd = Workload::find(&objects, "etcd").unwrap();
        let nodes = Workload::find(&objects, "greenroom").unwrap();
        let service = etcd.object()["spec"]["serviceName"].as_str().unwrap();
        let client = etcd.port(&json!("client")).unwrap();
        let peers = etcd.port(&json!("peers")).unwrap();
        let members = 0..etcd.replicas();
        let host = |member: usize| format!("etcd-{member}.{service}");
        let endpoints: Vec<String> =
            members.clone().map(|member| format!("http://{}:{client}", host(member))).collect();
        assert_eq!(variable(nodes, "GREENROOM_ETCD_ENDPOINTS"), endpoints.join(","), "{name}");
        let cluster: Vec<String> = members
            .map(|member| format!("etcd-{member}=http://{}:{peers}", host(member)))
            .collect();
        assert_eq!(variable(etcd, "ETCD_INITIAL_CLUSTER"), cluster.join(","), "{name}");
        assert_eq!(etcd.replicas() % 2, 1, "{name}: an even number of members adds only risk");
        assert_eq!(etcd.object()["spec"]["podManagementPolicy"], "Parallel", "{name}");
    }
}

#[test]
fn pods_meet_the_restricted_standard_and_write_to_volumes_alone() {
    for name in OVERLAYS {
        let objects = objects(name);
        let namespace = of_kind(&objects, "Namespace").next().unwrap();
        let enforced = &namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"];
        assert_eq!(*enforced, "restricted", "{name}");
        for set in of_kind(&objects, "StatefulSet") {
            let spec = &set["spec"]["template"]["spec"];
            let pod = &spec["securityContext"];
            assert_eq!(pod["runAsNonRoot"], true, "{name}");
            assert_ne!(pod["runAsUser"].as_u64().unwrap_or(0), 0, "{name}");
            assert_eq!(pod["seccompProfile"]["type"], "RuntimeDefault", "{name}");
            assert_eq!(spec["automountServiceAccountToken"], false, "{name}");
            assert_eq!(spec["enableServiceLinks"], false, "{name}");
            for field in ["hostNetwork", "hostPID", "hostIPC"] {
                assert!(spec[field].is_null(), "{name}: {field}");
            }
            for container in items(&spec["containers"]) {
                let security = &container["securityContext"];
                assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
                assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
                assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}), "{name}");
            }
            for volume in items(&spec["volumes"]) {
                assert!(volume["hostPath"].is_null(), "{name}: {volume}");
            }
        }
    }
}

#[test]
fn nothing_secret_stands_in_the_manifests() {
    for name in OVERLAYS {
        let objects = objects(name);
        assert_eq!(of_kind(&objects, "Secret").count(), 0, "{name}");
        for object in &objects {
            no_secret(object, "", name);
        }
    }
}

fn no_secret(node: &Value, field: &str, overlay: &str) {
    match node {
        Value::Object(fields) => {
            let named = fields.get("name").and_then(Value::as_str).unwrap_or_default();
            for (name, value) in fields {
                no_secret(value, if name == "value" { named } else { name }, overlay);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| no_secret(item, field, overlay)),
        Value::String(_) => {
            let secret = ["PASSWORD", "SECRET", "OPERATOR_TOKEN", "PRIVATE_KEY"]
                .iter()
                .any(|word| field.to_ascii_uppercase().contains(word));
            let file = field.ends_with("_FILE") || field == "secretName";
            assert!(!secret || file, "{overlay}: {field} stands in plain text");
        }
        _ => {}
    }
}

#[test]
fn pods_of_a_kind_are_kept_apart() {
    for name in OVERLAYS {
        let objects = objects(name);
        for set in of_kind(&objects, "StatefulSet") {
            let spec = &set["spec"]["template"]["spec"];
            let anti = &spec["affinity"]["podAntiAffinity"];
            let required = &anti["requiredDuringSchedulingIgnoredDuringExecution"][0];
            let preferred =
                &anti["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"];
            let term = if *name == "production" { required } else { preferred };
            assert_eq!(term["topologyKey"], "kubernetes.io/hostname", "{name}");
            let labels = &set["spec"]["selector"];
            assert_eq!(term["labelSelector"], *labels, "{name}");
            let spread = &spec["topologySpreadConstraints"][0];
            assert_eq!(spread["topologyKey"], "topology.kubernetes.io/zone", "{name}");
            assert_eq!(spread["labelSelector"], *labels, "{name}");
        }
    }
}
