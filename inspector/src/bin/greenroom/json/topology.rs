//! What is said of topologies, as JSON.

use std::path::Path;

use greenroom_inspector::{Difference, Topology};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Exported<'a> {
    file: String,
    cluster: &'a str,
    revision: u64,
    shards: usize,
}

impl<'a> Exported<'a> {
    pub(crate) fn of(topology: &'a Topology, file: &Path) -> Self {
        Self {
            file: file.display().to_string(),
            cluster: &topology.cluster,
            revision: topology.revision,
            shards: topology.shards.len(),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Differences {
    differences: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    severity: &'static str,
    kind: &'static str,
    text: String,
}

impl Differences {
    pub(crate) fn of(differences: &[Difference]) -> Self {
        let entry = |difference: &Difference| Entry {
            severity: difference.severity().as_str(),
            kind: difference.name(),
            text: difference.to_string(),
        };
        Self { differences: differences.iter().map(entry).collect() }
    }
}
