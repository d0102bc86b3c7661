//! Decisions as JSON.

use greenroom_inspector::{ClusterView, DecidedMove, Decision, Decisions};
use serde::Serialize;

use super::LifeEntry;
use super::shards::ShardEntry;
use crate::report;

#[derive(Serialize)]
pub(crate) struct DecisionList<'a> {
    cluster: &'a str,
    decided_by: &'a str,
    decisions: Vec<DecisionEntry<'a>>,
}

impl<'a> DecisionList<'a> {
    pub(crate) fn of(view: &'a ClusterView, decided: &'a Decisions) -> Self {
        Self {
            cluster: &view.cluster,
            decided_by: &decided.answered_by,
            decisions: entries(view, decided),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Why<'a> {
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
    pub(crate) fn of(why: &'a report::Why<'_>) -> Self {
        let report::Why { view, shard, decided } = why;
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

#[derive(Serialize)]
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

#[derive(Serialize)]
struct MoveEntry<'a> {
    shard: u32,
    name: String,
    from: Option<&'a str>,
    to: &'a str,
    reason: &'a str,
}

fn entries<'a>(view: &ClusterView, decided: &'a Decisions) -> Vec<DecisionEntry<'a>> {
    let moved = |step: &'a DecidedMove| MoveEntry {
        shard: step.shard,
        name: view.name_of(step.shard),
        from: step.from.as_deref(),
        to: &step.to,
        reason: &step.reason,
    };
    let entry = |decision: &'a Decision| DecisionEntry {
        number: decision.number,
        term: decision.term,
        at_ms: decision.at_ms,
        last_ms: decision.last_ms,
        times: decision.times,
        kind: &decision.kind,
        text: &decision.text,
        moves: decision.moves.iter().map(moved).collect(),
    };
    decided.decisions.iter().map(entry).collect()
}
