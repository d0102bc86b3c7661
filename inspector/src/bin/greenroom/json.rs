//! How answers are printed as JSON, and what is said of topologies.

mod config;

use std::path::Path;

use greenroom_inspector::call::CallError;
use greenroom_inspector::{Difference, Topology};
use serde::Serialize;
use serde_json::Value;

use crate::Failure;
pub(crate) use config::Config;

/// One object, indented, with a line end.
pub(crate) fn text(answer: &impl Serialize) -> Result<String, Failure> {
    let mut text = serde_json::to_string_pretty(answer)?;
    text.push('\n');
    Ok(text)
}

/// What a method answered with.
#[derive(Serialize)]
pub(crate) struct Answered<'a> {
    pub(crate) answer: &'a Value,
}

/// Why a call was not answered with a value.
#[derive(Serialize)]
pub(crate) struct NotAnswered<'a> {
    error: CallFailure<'a>,
}

#[derive(Serialize)]
struct CallFailure<'a> {
    code: &'a str,
    message: String,
    may_have_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a Value>,
}

impl<'a> NotAnswered<'a> {
    pub(crate) fn of(error: &'a CallError) -> Self {
        let actor = match error {
            CallError::Actor(error) => Some(error),
            _ => None,
        };
        let (code, may_have_run) = (error.code(), error.may_have_run());
        Self { error: CallFailure { code, message: error.to_string(), may_have_run, actor } }
    }
}

#[derive(Serialize)]
pub(crate) struct Imported<'a> {
    pub(crate) ordered: &'a [String],
    pub(crate) dry_run: bool,
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
