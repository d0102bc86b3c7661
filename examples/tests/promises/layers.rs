//! Where a proof is made, by where it stands, and the command that makes it.

use std::collections::BTreeSet;
use std::path::Path;

use super::marks::Mark;

/// Folders of the tests, their layer, and the command; the first that fits counts. `NAME` stands for the
/// name of a proof.
const TESTS: &[(&str, &str, &str)] = &[
    ("cluster/core/tests/models", "model", "cargo test -p greenroom-core --test models NAME"),
    ("cluster/core/tests/simulation", "simulation", "make sim"),
    ("cluster/core/tests/failures", "script", "cargo test -p greenroom-core --test failures NAME"),
    ("cluster/core/tests/agent", "agent", "cargo test -p greenroom-core --test agent NAME"),
    ("cluster/core/tests/planner", "planner", "cargo test -p greenroom-core --test planner NAME"),
    ("cluster/core/src", "unit", "cargo test -p greenroom-core --lib NAME"),
    ("cluster/tests", "store", "cargo test -p greenroom-cluster --tests NAME"),
    ("cluster/src", "unit", "cargo test -p greenroom-cluster --lib NAME"),
    ("shardlock/tests/loom", "loom", "cargo test -p greenroom-shardlock --test loom NAME"),
    ("shardlock/tests", "gate", "cargo test -p greenroom-shardlock --tests NAME"),
    ("runtime/tests", "nodes", "cargo test -p greenroom --tests NAME"),
    ("runtime/src", "unit", "cargo test -p greenroom --lib NAME"),
    (
        "examples/tests/dependency_directions.rs",
        "sources",
        "cargo test -p greenroom-examples --test dependency_directions NAME",
    ),
    ("examples/tests", "processes", "cargo test -p greenroom-examples --tests NAME"),
    ("examples/chaos", "chaos", "make chaos ARGS=\"'NAME'\""),
    ("examples/fuzz", "fuzz", "make fuzz TARGET=NAME"),
    ("examples/wire", "wire", "make wire"),
];

/// What each layer is, for people.
pub(crate) const MEANINGS: &[(&str, &str)] = &[
    ("agent", "one agent of the core, with odd answers from its store"),
    ("chaos", "node processes and etcd members, with faults put on them"),
    ("fuzz", "readers of outside bytes, with inputs guided by coverage"),
    ("gate", "the gate, with real threads"),
    ("loom", "the gate, in all orders in which its threads can run"),
    ("model", "a model of the protocol, in all its states"),
    ("nodes", "nodes of one process, with real sockets and the embedded store"),
    ("planner", "the planner, by hand and by properties"),
    ("processes", "node processes on a real etcd"),
    ("script", "a simulated cluster in which one thing goes wrong on purpose"),
    ("simulation", "simulated clusters with random faults; every invariant at every event"),
    ("sources", "what the sources must not name"),
    ("store", "both stores, one of them a real etcd"),
    ("unit", "a part alone"),
    ("wire", "real nodes on a simulated network, with an etcd that answers as badly as it may"),
];

/// The layer of a file. A crate in `examples` that is not listed is one of its own.
pub(crate) fn layer(file: &Path) -> String {
    if let Some((_, layer, _)) = row(file) {
        return (*layer).to_owned();
    }
    let mut parts = file.iter().map(|part| part.to_string_lossy());
    match (parts.next().as_deref(), parts.next()) {
        (Some("examples"), Some(name)) => name.into_owned(),
        (Some(name), _) => name.to_owned(),
        (None, _) => String::new(),
    }
}

/// The command for the proofs of a file.
pub(crate) fn command(file: &Path) -> String {
    let known = row(file).map(|(_, _, command)| (*command).to_owned());
    known.unwrap_or_else(|| format!("cargo test -p greenroom-{} NAME", layer(file)))
}

fn row(file: &Path) -> Option<&'static (&'static str, &'static str, &'static str)> {
    TESTS.iter().find(|(folder, ..)| file.starts_with(folder))
}

/// The layers in which a class or a promise is proved.
pub(crate) fn of(marks: &[Mark], id: &str) -> BTreeSet<String> {
    let proofs = marks.iter().filter(|mark| mark.proves.iter().any(|proved| proved == id));
    proofs.map(|mark| layer(&mark.file)).collect()
}
