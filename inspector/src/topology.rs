//! A cluster as a document: nodes, shards and pins as they stood at one revision.

mod diff;
mod difference;
mod import;

use greenroom_proto::v1::Topology;

pub use diff::diff;
pub use difference::{Difference, Severity, ShardField, ShardList};
pub use import::{BadImport, import};

/// Version of the document that this crate reads.
const FORMAT: u32 = 1;

/// A text that is no topology.
#[derive(Debug, thiserror::Error)]
pub enum BadTopology {
    /// It is not the JSON of one.
    #[error("it is no topology: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version of the document, or another document.
    #[error("its format must be {FORMAT}, got {0}")]
    Format(u32),
}

/// Reads the JSON of a topology.
///
/// # Errors
/// When it is none, or one of another format.
pub fn read_topology(json: &str) -> Result<Topology, BadTopology> {
    let topology: Topology = serde_json::from_str(json)?;
    match topology.format {
        FORMAT => Ok(topology),
        other => Err(BadTopology::Format(other)),
    }
}

/// Writes a topology as JSON, the same for the same topology, with a line end.
///
/// # Errors
/// When the JSON writer fails, which a topology gives it no reason to.
pub fn write_topology(topology: &Topology) -> Result<String, serde_json::Error> {
    let mut json = serde_json::to_string_pretty(topology)?;
    json.push('\n');
    Ok(json)
}
