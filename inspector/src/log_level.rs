//! What a node's process logs.

use serde::Serialize;

/// What a node's process logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogLevel {
    /// Id of the node that was asked.
    pub node: String,
    /// A level, or levels of targets; `None` if the node's program has a log of its own, of which the
    /// node knows nothing.
    pub directive: Option<String>,
}
