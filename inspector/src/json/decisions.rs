//! Decisions as JSON.

use serde::Serialize;

use super::LifeEntry;
use super::shards::ShardEntry;
use crate::{ClusterView, DecidedMove, Decision, Decisions, InspectError, Shard};

/// What a leader decided.
#[derive(Debug, Serialize)]
pub struct DecisionList<'a> {
    cluster: &'a str,
    decided_by: &'a str,
    decisions: Vec<DecisionEntry<'a>>,
}

impl<'a> DecisionList<'a> {
    /// With the names that a view has for the shards.
    pub fn of(view: &'a ClusterView, decided: &'a Decisions) -> Self {
        Self {
            cluster: &view.cluster,
            decided_by: &decided.answered_by,
            decisions: entries(view, decided),
        }
    }
}

/// One shard, and the decisions that concern it.
#[derive(Debug, Serialize)]
pub struct Why<'a> {
    cluster: &'a str,
    answered_by: &'a str,
    revision: u64,
    leader: Option<LifeEntry<'a>>,
    shard: ShardEntry<'a>,
    decided_by: Option<&'a str>,
    decisions: Option<Vec<DecisionEntry<'a>>>,
    /// Why the leader's decisions are unknown.
    decisions_error: Option<String>,
}

impl<'a> Why<'a> {
    /// A shard of a view, and what the leader told of it, or why it didn't.
    pub fn of(
        view: &'a ClusterView,
        shard: &'a Shard,
        decided: &'a Result<Decisions, InspectError>,
    ) -> Self {
        let told = decided.as_ref().ok();
        Self {
            cluster: &view.cluster,
            answered_by: &view.answered_by,
            revision: view.revision,
            leader: view.leader.as_ref().map(LifeEntry::of),
            shard: ShardEntry::of(view, shard),
            decided_by: told.map(|decided| decided.answered_by.as_str()),
            decisions: told.map(|decided| entries(view, decided)),
            decisions_error: decided.as_ref().err().map(ToString::to_string),
        }
    }
}

#[derive(Debug, Serialize)]
struct DecisionEntry<'a> {
    number: u64,
    term: u64,
    at_ms: u64,
    last_ms: u64,
    times: u64,
    kind: &'a str,
    text: &'a str,
    moves: Vec<MoveEntry<'a>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct MoveEntry<'a> {
    shard: u32,
    name: String,
    from: Option<&'a str>,
    to: &'a str,
    reason: &'a str,
}

impl<'a> MoveEntry<'a> {
    pub(crate) fn of(view: &ClusterView, step: &'a DecidedMove) -> Self {
        Self {
            shard: step.shard,
            name: view.name_of(step.shard),
            from: step.from.as_deref(),
            to: &step.to,
            reason: &step.reason,
        }
    }
}

fn entries<'a>(view: &ClusterView, decided: &'a Decisions) -> Vec<DecisionEntry<'a>> {
    let entry = |decision: &'a Decision| DecisionEntry {
        number: decision.number,
        term: decision.term,
        at_ms: decision.at_ms,
        last_ms: decision.last_ms,
        times: decision.times,
        kind: &decision.kind,
        text: &decision.text,
        moves: decision.moves.iter().map(|step| MoveEntry::of(view, step)).collect(),
    };
    decided.decisions.iter().map(entry).collect()
}
