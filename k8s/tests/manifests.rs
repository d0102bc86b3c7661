//! The manifests are what Kubernetes takes, and nothing in them contradicts something else.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use greenroom_k8s::kustomize::identity;
use greenroom_k8s::workload::{Workload, items};
use serde_json::{Value, json};
use support::{OVERLAYS, folder, objects, of_kind, overlay, variable};

/// The name of an object's schema, and in which file it stands.
fn schema(object: &Value, kubernetes: &str) -> (String, String) {
    let kind = identity(object).0;
    let group = match object["apiVersion"].as_str().unwrap_or_default() {
        "v1" => "io.k8s.api.core.v1",
        "apps/v1" => "io.k8s.api.apps.v1",
        "networking.k8s.io/v1" => "io.k8s.api.networking.v1",
        "policy/v1" => "io.k8s.api.policy.v1",
        "monitoring.coreos.com/v1" => {
            return ("prometheus-operator".into(), format!("monitoring.coreos.com.v1.{kind}"));
        }
        other => panic!("{other} has no schema here; schemas/collect.py makes them"),
    };
    (format!("kubernetes-{kubernetes}"), format!("{group}.{kind}"))
}

fn complaints(object: &Value, kubernetes: &str) -> Vec<String> {
    let (file, name) = schema(object, kubernetes);
    let text = fs::read_to_string(folder().join(format!("schemas/{file}.json"))).unwrap();
    let mut whole: Value = serde_json::from_str(&text).unwrap();
    assert!(whole["$defs"][&name].is_object(), "{file} has no {name}");
    whole["$ref"] = json!(format!("#/$defs/{name}"));
    let validator = jsonschema::validator_for(&whole).expect("a schema");
    let errors = validator.iter_errors(object);
    errors.map(|error| format!("{:?}{}: {error}", identity(object), error.instance_path)).collect()
}

#[test]
fn every_object_is_valid_in_the_oldest_and_the_newest_kubernetes() {
    for name in OVERLAYS {
        for kubernetes in ["1.30", "1.37"] {
            let found: Vec<String> =
                objects(name).iter().flat_map(|object| complaints(object, kubernetes)).collect();
            assert!(found.is_empty(), "{name}, Kubernetes {kubernetes}: {found:#?}");
        }
    }
}

#[test]
fn the_schemas_refuse_what_kubernetes_does_not_know() {
    let objects = objects("production");
    let nodes = Workload::find(&objects, "greenroom").unwrap().object();
    for (path, value) in [
        ("/spec/template/spec/containers/0/readinesProbe", json!({})),
        ("/spec/replicas", json!("five")),
        ("/spec/template/spec/containers/0/ports/0", json!({"name": "peers"})),
    ] {
        let mut broken = nodes.clone();
        let (parent, field) = path.rsplit_once('/').unwrap();
        match broken.pointer_mut(parent).unwrap() {
            Value::Array(items) => items[field.parse::<usize>().unwrap()] = value,
            parent => parent[field] = value,
        }
        assert!(!complaints(&broken, "1.30").is_empty(), "{path} is taken");
    }
    let mut alerts = of_kind(&objects, "PrometheusRule").next().unwrap().clone();
    alerts["spec"]["groups"][0]["rules"][0]["expresion"] = json!("1");
    assert!(!complaints(&alerts, "1.30").is_empty(), "an unknown field of a rule is taken");
}

/// Where neither is installed, nothing is compared; the renderer is compared wherever one is.
#[test]
fn the_renderer_agrees_with_kustomize() {
    for name in OVERLAYS {
        let path = overlay(name);
        let built = [("kustomize", "build"), ("kubectl", "kustomize")]
            .into_iter()
            .find_map(|(tool, verb)| Command::new(tool).arg(verb).arg(&path).output().ok());
        let Some(built) = built else {
            eprintln!("neither kustomize nor kubectl is installed: not compared");
            return;
        };
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let file = std::env::temp_dir().join(format!("greenroom-{}-{name}", std::process::id()));
        fs::write(&file, &built.stdout).unwrap();
        let theirs = greenroom_k8s::kustomize::documents(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let by_name = |objects: &[Value]| -> BTreeMap<String, Value> {
            let named = |object: &Value| (format!("{:?}", identity(object)), object.clone());
            objects.iter().map(named).collect()
        };
        let (ours, theirs) = (by_name(&objects(name)), by_name(&theirs));
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{name}");
        for (object, value) in ours {
            assert_eq!(value, theirs[&object], "{name}: {object}");
        }
    }
}

#[test]
fn nodes_get_only_variables_that_the_runtime_knows() {
    let readme = fs::read_to_string(folder().join("../README.md")).unwrap();
    let known = |name: &str| readme.contains(&format!("`{name}`"));
    // The table writes a second one of a row by its end.
    let known = |name: &str| {
        known(name) || name.rsplit_once("_TOKEN").is_some_and(|(_, _)| known("..._TOKEN_FILE"))
    };
    assert!(!known("GREENROOM_LIVENES_WINDOW"), "the check knows everything");
    for name in OVERLAYS {
        let objects = objects(name);
        let nodes = Workload::find(&objects, "greenroom").unwrap();
        let pod = greenroom_k8s::workload::Pod {
            name: "greenroom-0".into(),
            ip: "10.0.0.1".into(),
            mounts: Vec::new(),
        };
        for variable in nodes.environment(&pod).unwrap().keys() {
            let ours = variable.starts_with("GREENROOM_");
            assert!(!ours || known(variable), "{name}: no node knows {variable}");
            assert!(ours || variable == "POD_IP", "{name}: who reads {variable}?");
        }
    }
}

#[test]
fn whatever_is_referred_to_is_there() {
    for name in OVERLAYS {
        let objects = objects(name);
        let there = |kind: &str, name: &Value| {
            let name = name.as_str().unwrap_or_default();
            objects.iter().any(|object| identity(object) == (kind, name))
        };
        let namespace = &of_kind(&objects, "Namespace").next().unwrap()["metadata"]["name"];
        for object in objects.iter().filter(|object| identity(object).0 != "Namespace") {
            assert_eq!(object["metadata"]["namespace"], *namespace, "{:?}", identity(object));
        }
        for set in of_kind(&objects, "StatefulSet") {
            let spec = &set["spec"]["template"]["spec"];
            assert!(there("Service", &set["spec"]["serviceName"]), "{name}: serviceName");
            let account = &spec["serviceAccountName"];
            assert!(account.is_null() || there("ServiceAccount", account), "{name}: {account}");
            for source in items(&spec["containers"][0]["envFrom"]) {
                assert!(there("ConfigMap", &source["configMapRef"]["name"]), "{name}: {source}");
            }
            for mount in items(&spec["containers"][0]["volumeMounts"]) {
                let mut volumes = items(&spec["volumes"]).map(|volume| &volume["name"]).chain(
                    items(&set["spec"]["volumeClaimTemplates"])
                        .map(|claim| &claim["metadata"]["name"]),
                );
                assert!(volumes.any(|volume| *volume == mount["name"]), "{name}: {mount}");
            }
        }
        let nodes = Workload::find(&objects, "greenroom").unwrap();
        let token = variable(nodes, "GREENROOM_OPERATOR_TOKEN_FILE");
        let mut mounts = items(&nodes.container()["volumeMounts"]);
        assert!(
            mounts.any(|mount| token.starts_with(mount["mountPath"].as_str().unwrap())),
            "{name}: {token} is in no volume"
        );
    }
}

#[test]
fn selectors_find_the_pods_that_they_mean() {
    for name in OVERLAYS {
        let objects = objects(name);
        let mut checked = 0;
        for object in &objects {
            let (selector, means): (&Value, &str) = match identity(object) {
                ("StatefulSet", set) => (&object["spec"]["selector"]["matchLabels"], set),
                ("Service", "greenroom" | "greenroom-nodes") => {
                    (&object["spec"]["selector"], "greenroom")
                }
                ("Service", service) => (&object["spec"]["selector"], service),
                ("PodDisruptionBudget" | "PodMonitor", set) => {
                    (&object["spec"]["selector"]["matchLabels"], set)
                }
                ("NetworkPolicy", set) => (&object["spec"]["podSelector"]["matchLabels"], set),
                _ => continue,
            };
            let selected: Vec<&str> = of_kind(&objects, "StatefulSet")
                .filter(|set| matches(selector, &set["spec"]["template"]["metadata"]["labels"]))
                .map(|set| identity(set).1)
                .collect();
            assert_eq!(selected, [means], "{name}: {:?}", identity(object));
            checked += 1;
        }
        assert!(checked >= 7, "{name}: only {checked} selectors");
        for policy in of_kind(&objects, "NetworkPolicy") {
            for rule in items(&policy["spec"]["ingress"]) {
                ports_are_open(&objects, identity(policy).1, rule);
            }
            for rule in items(&policy["spec"]["egress"]) {
                for peer in
                    items(&rule["to"]).filter(|peer| peer.get("namespaceSelector").is_none())
                {
                    let selector = &peer["podSelector"]["matchLabels"];
                    let set = of_kind(&objects, "StatefulSet")
                        .find(|set| {
                            matches(selector, &set["spec"]["template"]["metadata"]["labels"])
                        })
                        .unwrap_or_else(|| panic!("{name}: nobody is meant by {peer}"));
                    ports_are_open(&objects, identity(set).1, rule);
                }
            }
        }
    }
}

fn matches(selector: &Value, labels: &Value) -> bool {
    let mut pairs = selector.as_object().expect("a selector has labels").iter();
    pairs.all(|(label, value)| labels[label] == *value)
}

/// Whatever a policy lets through, somebody listens for.
fn ports_are_open(objects: &[Value], set: &str, rule: &Value) {
    let set = Workload::find(objects, set).unwrap();
    for port in items(&rule["ports"]) {
        assert!(set.port(&port["port"]).is_some(), "no container has the port of {rule}");
    }
}

#[test]
fn scrapers_find_ports_that_give_metrics() {
    let objects = objects("production");
    for monitor in of_kind(&objects, "PodMonitor") {
        let set = Workload::find(&objects, identity(monitor).1).unwrap();
        for endpoint in items(&monitor["spec"]["podMetricsEndpoints"]) {
            assert!(set.port(&endpoint["port"]).is_some(), "no port for {endpoint}");
        }
    }
    let nodes = Workload::find(&objects, "greenroom").unwrap();
    let annotations = &nodes.object()["spec"]["template"]["metadata"]["annotations"];
    let http = nodes.port(&json!("http")).unwrap().to_string();
    assert_eq!(annotations["prometheus.io/port"], json!(http));
    assert_eq!(annotations["prometheus.io/scrape"], "true");
}

#[test]
fn the_image_is_of_the_version_that_this_is() {
    let version = env!("CARGO_PKG_VERSION");
    for name in OVERLAYS {
        let objects = objects(name);
        for set in of_kind(&objects, "StatefulSet") {
            for container in items(&set["spec"]["template"]["spec"]["containers"]) {
                let image = container["image"].as_str().unwrap();
                let (_, tag) = image.rsplit_once(':').expect("an image has a tag");
                assert!(!tag.contains('/') && tag != "latest", "{name}: {image} is not pinned");
                assert_eq!(container["imagePullPolicy"], "IfNotPresent", "{name}: {image}");
                if identity(set).1 == "greenroom" {
                    assert_eq!(tag, version, "{name}: {image}");
                }
            }
        }
    }
}
