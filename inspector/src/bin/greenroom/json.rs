//! How answers are printed as JSON, and what is said of topologies.

mod config;

use std::path::Path;

use greenroom_inspector::{Difference, Topology};
use serde::Serialize;

use crate::Failure;
pub(crate) use config::Config;

/// One object, indented, with a line end.
pub(crate) fn text(answer: &impl Serialize) -> Result<String, Failure> {
    let mut text = serde_json::to_string_pretty(answer)?;
    text.push('\n');
    Ok(text)
}

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
