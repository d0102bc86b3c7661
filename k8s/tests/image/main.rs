//! The Dockerfile against what it is built from, and against the manifests that run it, without an engine.

mod build;
mod dockerfile;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;

use cargo_metadata::{Metadata, MetadataCommand};
use greenroom_k8s::workload::{Workload, items};
use serde_json::json;

use dockerfile::{Stage, is_sent, stages, top};
use support::{OVERLAYS, objects};

fn metadata() -> Metadata {
    let manifest = top().join("Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().expect("a workspace")
}

fn two_stages() -> [Stage; 2] {
    stages().try_into().expect("one stage that builds, and one that runs")
}

/// What cargo is told: the packages and the binaries.
fn cargo_line(builder: &Stage) -> (String, Vec<String>, Vec<String>) {
    let mut lines = builder.all("RUN").into_iter().filter(|line| line.starts_with("cargo build "));
    let line = lines.next().expect("a line with cargo").to_owned();
    assert_eq!(lines.next(), None, "one line with cargo");
    let words: Vec<&str> = line.split(' ').collect();
    let after = |option: &str| {
        let pairs = words.windows(2).filter(|pair| pair[0] == option);
        pairs.map(|pair| pair[1].to_owned()).collect()
    };
    (line.clone(), after("--package"), after("--bin"))
}

#[test]
fn the_image_runs_as_the_user_that_the_manifests_name_and_needs_no_shell() {
    let [_, image] = two_stages();
    for name in OVERLAYS {
        let objects = objects(name);
        let nodes = Workload::find(&objects, "greenroom").unwrap();
        let pod = &nodes.pod_spec()["securityContext"];
        let user = format!("{}:{}", pod["runAsUser"], pod["runAsGroup"]);
        assert_eq!(image.one("USER"), user, "{name}");
        for field in ["command", "args", "workingDir"] {
            assert!(nodes.container()[field].is_null(), "{name}: the image says what is run");
        }
    }
    assert!(image.base.ends_with(":nonroot"), "{}", image.base);
    assert_eq!(image.all("RUN"), [""; 0], "there is no shell to run it");
    assert_eq!(image.all("VOLUME"), [""; 0], "its root is read-only");
}

#[test]
fn the_image_tells_the_ports_that_the_manifests_use() {
    let [_, image] = two_stages();
    let told: BTreeSet<u64> =
        image.one("EXPOSE").split(' ').map(|port| port.parse().expect("a port")).collect();
    for name in OVERLAYS {
        let objects = objects(name);
        let nodes = Workload::find(&objects, "greenroom").unwrap();
        let ports = items(&nodes.container()["ports"]).map(|port| &port["containerPort"]);
        let used: BTreeSet<u64> = ports.map(|port| port.as_u64().expect("a port")).collect();
        assert_eq!(told, used, "{name}");
        assert!(nodes.port(&json!("http")).is_some(), "{name}");
    }
}

#[test]
fn the_image_has_the_binaries_that_were_built_and_runs_the_node() {
    let [builder, image] = two_stages();
    let (_, _, built) = cargo_line(&builder);
    let copy = image.one("COPY");
    let words: Vec<&str> = copy.split(' ').collect();
    let [from, sources @ .., folder] = &words[..] else { panic!("{copy}") };
    assert_eq!(from.strip_prefix("--from="), builder.name.as_deref());
    let workdir = builder.one("WORKDIR");
    let there: BTreeSet<String> =
        built.iter().map(|binary| format!("{workdir}/target/release/{binary}")).collect();
    let taken: BTreeSet<String> = sources.iter().map(|&source| source.to_owned()).collect();
    assert_eq!(taken, there);
    assert_eq!(image.words("ENTRYPOINT"), [format!("{folder}node")]);
    // What `kubectl exec` finds without a path.
    assert_eq!(*folder, "/usr/local/bin/");
}

#[test]
fn cargo_builds_packages_and_binaries_that_exist_from_the_locked_versions() {
    let [builder, _] = two_stages();
    let (line, packages, binaries) = cargo_line(&builder);
    assert!(line.contains(" --locked ") && line.contains(" --release "), "{line}");
    let metadata = metadata();
    let chosen: Vec<_> =
        metadata.packages.iter().filter(|it| packages.contains(&it.name.to_string())).collect();
    assert_eq!(chosen.len(), packages.len(), "{packages:?}");
    for binary in binaries {
        let has_it = chosen.iter().any(|package| {
            package.targets.iter().any(|target| target.is_bin() && target.name == binary)
        });
        assert!(has_it, "none of {packages:?} has the binary {binary}");
    }
}

#[test]
fn the_builder_gets_what_cargo_reads_and_nothing_big() {
    let [builder, _] = two_stages();
    assert_eq!(builder.one("COPY"), ". .");
    let top = top().canonicalize().unwrap();
    assert!(is_sent("Cargo.toml".as_ref()) && is_sent("Cargo.lock".as_ref()));
    for package in metadata().packages {
        // Cargo wants to see every target of a workspace, whichever it builds.
        let targets = package.targets.iter().map(|target| &target.src_path);
        for file in targets.chain([&package.manifest_path]) {
            let path = file.strip_prefix(&top).expect("a package in the workspace");
            assert!(is_sent(path.as_ref()), "{path} does not reach the builder");
        }
    }
    assert!(!is_sent("target/release/node".as_ref()) && !is_sent(".git/HEAD".as_ref()));
    for path in dockerfile::ignored() {
        let made = path.starts_with("target") || path.starts_with(".git");
        assert!(made || top.join(&path).exists(), "{} is ignored in vain", path.display());
    }
}

#[test]
fn the_builder_installs_what_setup_installs_for_a_build() {
    let setup = fs::read_to_string(top().join("scripts/setup")).unwrap();
    let (build, _) = setup.split_once("[[ $level != build ").expect("setup has the level build");
    let needs = build.lines().filter_map(|line| line.trim().strip_prefix("need "));
    // need "CHECK" "NAME" PACKAGE..., the first with or without quotes.
    let packages = needs.filter_map(|line| line.rsplit_once('"'));
    let known: BTreeSet<&str> =
        packages.flat_map(|(_, packages)| packages.split_whitespace()).collect();
    let [builder, _] = two_stages();
    let line = builder
        .all("RUN")
        .into_iter()
        .find(|line| line.contains("apt-get install"))
        .expect("apt-get");
    let (_, rest) = line.split_once("apt-get install").unwrap();
    let rest = rest.split("&&").next().unwrap_or_default();
    let installed: BTreeSet<&str> =
        rest.split_whitespace().filter(|word| !word.starts_with('-')).collect();
    assert_eq!(installed, known);
}

#[test]
fn both_stages_are_of_one_debian_and_the_compiler_is_the_oldest_that_will_do() {
    let [builder, image] = two_stages();
    let manifest = fs::read_to_string(top().join("Cargo.toml")).unwrap();
    let oldest = manifest.lines().find_map(|line| line.strip_prefix("rust-version = "));
    let oldest = oldest.expect("a rust-version").trim_matches('"');
    // A newer glibc in the builder than in the image, and nothing would start.
    assert_eq!(builder.base, format!("rust:{oldest}-slim-bookworm"));
    assert_eq!(image.base, "gcr.io/distroless/cc-debian12:nonroot");
}
