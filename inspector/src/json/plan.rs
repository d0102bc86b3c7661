//! What the planner would do.

use serde::Serialize;

use crate::{Forecast, WhatIfReply};

/// What the planner would do as things are, and if they were as supposed.
#[derive(Debug, Serialize)]
pub struct Plan<'a> {
    answered_by: &'a str,
    leads: bool,
    rebalancing_held: bool,
    now: Vec<ForecastEntry<'a>>,
    what_if: Option<Vec<ForecastEntry<'a>>>,
}

impl<'a> Plan<'a> {
    /// What a node answered; whether anything was supposed.
    pub fn of(reply: &'a WhatIfReply, supposed: bool) -> Self {
        let entries = |forecasts: &'a [Forecast]| forecasts.iter().map(ForecastEntry::of).collect();
        Self {
            answered_by: &reply.node,
            leads: reply.leads,
            rebalancing_held: reply.held,
            now: entries(&reply.now),
            what_if: supposed.then(|| entries(&reply.then)),
        }
    }
}

#[derive(Debug, Serialize)]
struct ForecastEntry<'a> {
    group: &'a str,
    idle: Option<Reason<'a>>,
    rests: Option<Reason<'a>>,
    rounds: u32,
    shards_moved: u32,
    moves: Vec<MovesEntry<'a>>,
    nodes: Vec<NodeEntry<'a>>,
    pinned: u32,
    pins_unserved: u32,
    without_node: u32,
}

#[derive(Debug, Serialize)]
struct Reason<'a> {
    name: &'a str,
    text: &'a str,
}

#[derive(Debug, Serialize)]
struct MovesEntry<'a> {
    from: Option<&'a str>,
    to: &'a str,
    shards: u32,
    reason: &'a str,
}

#[derive(Debug, Serialize)]
struct NodeEntry<'a> {
    node: &'a str,
    before: u32,
    after: u32,
}

impl<'a> ForecastEntry<'a> {
    fn of(forecast: &'a Forecast) -> Self {
        let reason =
            |name: &'a str, text: &'a str| (!name.is_empty()).then_some(Reason { name, text });
        let moves = forecast.moves.iter().map(|step| MovesEntry {
            from: (!step.from.is_empty()).then_some(&step.from),
            to: &step.to,
            shards: step.shards,
            reason: &step.reason,
        });
        let nodes = forecast.nodes.iter().map(|node| NodeEntry {
            node: &node.node,
            before: node.before,
            after: node.after,
        });
        Self {
            group: &forecast.group,
            idle: reason(&forecast.idle, &forecast.idle_text),
            rests: reason(&forecast.rests, &forecast.rests_text),
            rounds: forecast.rounds,
            shards_moved: forecast.moves.iter().map(|step| step.shards).sum(),
            moves: moves.collect(),
            nodes: nodes.collect(),
            pinned: forecast.pinned,
            pins_unserved: forecast.pins_unserved,
            without_node: forecast.homeless,
        }
    }
}
