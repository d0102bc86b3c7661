//! The overlays as a cluster would get them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use greenroom_k8s::kustomize::{identity, render};
use greenroom_k8s::workload::{Pod, Workload};
use serde_json::Value;

/// All overlays.
#[allow(dead_code)]
pub(crate) const OVERLAYS: &[&str] = &["dev", "production"];

/// The folder with the manifests.
pub(crate) fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where an overlay stands.
#[allow(dead_code)]
pub(crate) fn overlay(name: &str) -> PathBuf {
    folder().join("overlays").join(name)
}

/// Its objects.
pub(crate) fn objects(name: &str) -> Vec<Value> {
    render(&overlay(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// All objects of a kind.
#[allow(dead_code)]
pub(crate) fn of_kind<'a>(
    objects: &'a [Value],
    kind: &'a str,
) -> impl Iterator<Item = &'a Value> + 'a {
    objects.iter().filter(move |object| identity(object).0 == kind)
}

/// The variables of a node's first pod.
#[allow(dead_code)]
pub(crate) fn variable(nodes: Workload<'_>, name: &str) -> String {
    let pod = Pod { name: "greenroom-0".into(), ip: "10.0.0.1".into(), mounts: Vec::new() };
    let mut variables = nodes.environment(&pod).expect("the environment is whole");
    variables.remove(name).unwrap_or_else(|| panic!("{name} is not set"))
}

/// One of them that is a span of time.
#[allow(dead_code)]
pub(crate) fn span(nodes: Workload<'_>, name: &str) -> Duration {
    humantime::parse_duration(&variable(nodes, name)).expect("a span of time")
}
