//! Asks what the planner would do.

use greenroom_inspector::json::Plan;
use greenroom_inspector::{
    ClusterView, NodeState, SupposedNode, SupposedPin, SupposedWeight, WhatIfRequest, what_if,
};

use crate::args::{Args, Output, Plan as PlanArgs};
use crate::{Failure, json, table};

/// Names that are less alike than this, of 1, are not taken for misspellings.
const LIKENESS_MIN: f64 = 0.6;

/// What the leader's planner would do, ready to print.
pub(crate) async fn forecast(args: &Args, plan: &PlanArgs) -> Result<String, Failure> {
    let view = ClusterView::fetch(&args.node).await?;
    let reply = what_if(view.deciding_address(&args.node), supposed(&view, plan)?).await?;
    match args.output {
        Output::Table => Ok(table::plan(&reply, plan.what_if)),
        Output::Json => json::text(&Plan::of(&reply, plan.what_if)),
    }
}

fn supposed(view: &ClusterView, plan: &PlanArgs) -> Result<WhatIfRequest, Failure> {
    let PlanArgs { add, remove, drain, weight, pin, unpin, .. } = plan;
    let named = drain.iter().chain(remove).chain(weight.iter().map(|(node, _)| node));
    for node in named {
        check(view, &[], node)?;
    }
    let added: Vec<&str> = add.iter().map(|added| added.node.as_str()).collect();
    if let Some(there) = added.iter().find(|node| is_live(view, node)) {
        return Err(Failure::NodeThere((*there).to_owned()));
    }
    let mut pins = Vec::new();
    for (span, node) in pin {
        check(view, &added, node)?;
        let shards = view.numbers_of(std::slice::from_ref(span))?;
        pins.extend(shards.into_iter().map(|shard| SupposedPin { shard, node: node.clone() }));
    }
    let supposed = |added: &crate::args::Added| SupposedNode {
        node: added.node.clone(),
        weight: added.weight,
        zone: added.zone.clone(),
        labels: added.labels.iter().cloned().collect(),
    };
    let weighed =
        |(node, weight): &(String, u32)| SupposedWeight { node: node.clone(), weight: *weight };
    Ok(WhatIfRequest {
        added: add.iter().map(supposed).collect(),
        removed: remove.clone(),
        drained: drain.clone(),
        weights: weight.iter().map(weighed).collect(),
        pins,
        unpinned: view.numbers_of(unpin)?,
        batch: plan.batch,
        node_batch: plan.node_batch,
        threshold_permille: plan.threshold,
    })
}

fn is_live(view: &ClusterView, node: &str) -> bool {
    view.nodes.get(node).is_some_and(|node| node.state != NodeState::Dead)
}

/// Whether a live node, or one that is supposed to come, has this name; if not, which may be meant.
fn check(view: &ClusterView, added: &[&str], node: &str) -> Result<(), Failure> {
    if is_live(view, node) || added.contains(&node) {
        return Ok(());
    }
    let live = view.nodes.keys().map(String::as_str).filter(|node| is_live(view, node));
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(node, known);
    let alike = live.chain(added.iter().copied()).map(|known| (likeness(known), known));
    let nearest = alike.max_by(|(one, _), (other, _)| one.total_cmp(other));
    let nearest = nearest.filter(|(likeness, _)| *likeness >= LIKENESS_MIN);
    Err(Failure::NoNode {
        node: node.to_owned(),
        hint: nearest.map(|(_, known)| format!("; did you mean {known}?")).unwrap_or_default(),
    })
}
