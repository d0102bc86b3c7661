//! The dependency directions of the workspace, and who may name which library.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// What each crate of ours may depend on, of ours. Tests may use what they like.
const ALLOWED: &[(&str, &[&str])] = &[
    ("greenroom-core", &[]),
    ("greenroom-proto", &[]),
    ("greenroom-settings", &[]),
    ("greenroom-macros", &[]),
    ("greenroom-shardlock", &[]),
    ("greenroom-cluster", &["greenroom-core", "greenroom-proto", "greenroom-shardlock"]),
    (
        "greenroom",
        &[
            "greenroom-cluster",
            "greenroom-core",
            "greenroom-macros",
            "greenroom-proto",
            "greenroom-settings",
            "greenroom-shardlock",
        ],
    ),
    ("greenroom-inspector", &["greenroom-proto", "greenroom-settings"]),
    ("greenroom-examples", &["greenroom", "greenroom-inspector"]),
    // Measures the gate alone, and the store and the nodes from outside, and needs a real etcd to do it.
    (
        "greenroom-bench",
        &[
            "greenroom",
            "greenroom-cluster",
            "greenroom-core",
            "greenroom-examples",
            "greenroom-shardlock",
        ],
    ),
    // Breaks nodes and etcd from outside, and judges by what stands in etcd.
    ("greenroom-chaos", &["greenroom", "greenroom-cluster"]),
    // Runs memberships on a simulated network, and judges them as real clusters are.
    (
        "greenroom-wire",
        &["greenroom-chaos", "greenroom-cluster", "greenroom-core", "greenroom-shardlock"],
    ),
    // Calls every reader of outside bytes, wherever it is.
    (
        "greenroom-fuzz",
        &[
            "greenroom",
            "greenroom-cluster",
            "greenroom-core",
            "greenroom-inspector",
            "greenroom-proto",
            "greenroom-settings",
        ],
    ),
    // Breaks the sources of the others, in a copy, and runs their tests.
    ("greenroom-mutants", &[]),
    // Knows nodes from outside: by their variables, ports and signals.
    ("greenroom-k8s", &[]),
];

/// What the core may depend on at all: it decides, and does nothing else.
const ALLOWED_IN_CORE: &[&str] = &["fnv"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("examples stand in the root").to_owned()
}

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap()
}

fn dependencies(metadata: &Metadata, crate_name: &str) -> BTreeSet<String> {
    let package = metadata.packages.iter().find(|package| package.name == crate_name);
    let package = package.unwrap_or_else(|| panic!("there is no crate {crate_name}"));
    let normal = package.dependencies.iter().filter(|dep| dep.kind != DependencyKind::Development);
    normal.map(|dependency| dependency.name.clone()).collect()
}

#[test]
fn crates_depend_only_in_the_allowed_directions() {
    let metadata = metadata();
    let ours: BTreeSet<String> =
        metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let listed: BTreeSet<String> = ALLOWED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(ours, listed, "a new crate needs a line in the table of directions");
    for (name, allowed) in ALLOWED {
        for dependency in dependencies(&metadata, name).intersection(&ours) {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{name} must not depend on {dependency}; allowed: {allowed:?}"
            );
        }
    }
}

#[test]
fn the_core_depends_on_nothing_that_could_act() {
    let allowed: BTreeSet<String> = ALLOWED_IN_CORE.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(dependencies(&metadata(), "greenroom-core"), allowed);
}

/// Proves: C4
#[test]
fn the_core_reads_no_clock_and_draws_no_numbers() {
    for file in sources(&root().join("cluster/core/src")) {
        let text = fs::read_to_string(&file).unwrap();
        for forbidden in ["Instant::now", "SystemTime", "std::thread", "std::net", "std::fs"] {
            assert!(!text.contains(forbidden), "{} names {forbidden}", file.display());
        }
    }
}

#[test]
fn only_the_store_and_its_double_name_etcd_client() {
    let mut naming = Vec::new();
    for folder in ["cluster", "shardlock", "runtime", "inspector", "examples", "proto"] {
        for file in sources(&root().join(folder)) {
            if file.ends_with(file!().rsplit('/').next().unwrap_or_default()) {
                continue;
            }
            if fs::read_to_string(&file).unwrap().contains("etcd_client") {
                naming.push(file.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    let expected = ["cluster/src/store/etcd.rs", "examples/wire/src/api.rs"].map(Path::new);
    assert_eq!(naming, expected);
}

/// The end of a lease decides nothing, early or late, because nothing has a lease.
///
/// Proves: C9, C10
#[test]
fn the_store_asks_etcd_for_no_lease() {
    let text = fs::read_to_string(root().join("cluster/src/store/etcd.rs")).unwrap();
    assert!(text.contains("etcd_client"), "it is the one file that could");
    for forbidden in ["lease_", "with_lease", "LeaseClient", "LeaseGrant", "PutOptions"] {
        assert!(!text.contains(forbidden), "it names {forbidden}");
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
