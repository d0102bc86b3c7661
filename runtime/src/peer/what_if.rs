//! What operators suppose, checked, and what would become of it, as the wire has it.

use greenroom_core::planner::WEIGHT_MAX;
use greenroom_core::{Forecast, NodeId, ShardId, SupposedNode, WhatIf};
use greenroom_proto::v1;
use greenroom_proto::v1::{ForecastMoves, ForecastNode, WhatIfRequest};
use tonic::Status;

/// Most nodes that one question may name in each way.
const NODES_MAX: usize = 1024;
/// Most shards that one question may pin or unpin.
const SHARDS_MAX: usize = 65_536;
/// Most shards in a batch, and most thousandths of a threshold, as the settings have it.
const BATCH_MAX: u32 = 65_536;
const PERMILLE_MAX: u32 = 1000;

/// What a question supposes.
pub(super) fn supposed(request: WhatIfRequest) -> Result<WhatIf, Status> {
    let WhatIfRequest { added, removed, drained, weights, pins, unpinned, .. } = request;
    for (what, len) in [
        ("added", added.len()),
        ("removed", removed.len()),
        ("drained", drained.len()),
        ("weights", weights.len()),
    ] {
        within(what, len, 0, NODES_MAX)?;
    }
    within("pins", pins.len() + unpinned.len(), 0, SHARDS_MAX)?;
    let added = added.into_iter().map(|node| {
        let v1::SupposedNode { node, weight, zone, labels } = node;
        Ok(SupposedNode {
            node: name(node)?,
            weight: checked_weight(weight)?,
            zone,
            labels: labels.into_iter().collect(),
        })
    });
    let weights = weights.into_iter().map(|set| Ok((name(set.node)?, checked_weight(set.weight)?)));
    let pins = pins.into_iter().map(|pin| Ok((ShardId(pin.shard), Some(name(pin.node)?))));
    let unpinned = unpinned.into_iter().map(|shard| Ok((ShardId(shard), None)));
    Ok(WhatIf {
        added: added.collect::<Result<_, Status>>()?,
        removed: names(removed)?,
        drained: names(drained)?,
        weights: weights.collect::<Result<_, Status>>()?,
        pins: pins.chain(unpinned).collect::<Result<_, Status>>()?,
        batch_len_max: batch("batch", request.batch)?,
        node_moves_max: batch("node_batch", request.node_batch)?,
        imbalance_threshold_permille: request
            .threshold_permille
            .map(|permille| within("threshold_permille", permille, 0, PERMILLE_MAX))
            .transpose()?,
    })
}

/// What would become of a group.
pub(super) fn forecast(forecast: Forecast) -> v1::Forecast {
    let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
    let idle = |idle: Option<greenroom_core::planner::Idle>| match idle {
        Some(idle) => (idle.name().to_owned(), idle.to_string()),
        None => (String::new(), String::new()),
    };
    let (idle_name, idle_text) = idle(forecast.idle);
    let (rests, rests_text) = idle(forecast.rests);
    let moves = forecast.moves.into_iter().map(|((from, to, reason), shards)| ForecastMoves {
        from: from.map(|node| node.to_string()).unwrap_or_default(),
        to: to.to_string(),
        reason: reason.to_owned(),
        shards: count(shards),
    });
    let nodes = forecast.nodes.into_iter().map(|(node, (before, after))| ForecastNode {
        node: node.to_string(),
        before: count(before),
        after: count(after),
    });
    v1::Forecast {
        group: forecast.group,
        idle: idle_name,
        idle_text,
        rests,
        rests_text,
        rounds: count(forecast.rounds),
        moves: moves.collect(),
        nodes: nodes.collect(),
        pinned: count(forecast.pinned),
        pins_unserved: count(forecast.pins_unserved),
        homeless: count(forecast.homeless),
    }
}

fn name(text: String) -> Result<NodeId, Status> {
    NodeId::new(text).map_err(|error| Status::invalid_argument(error.to_string()))
}

fn names(names: Vec<String>) -> Result<Vec<NodeId>, Status> {
    names.into_iter().map(name).collect()
}

fn checked_weight(weight: u32) -> Result<u32, Status> {
    within("weight", weight, 0, WEIGHT_MAX)
}

fn batch(what: &str, len: Option<u32>) -> Result<Option<usize>, Status> {
    let len = len.map(|len| within(what, len, 1, BATCH_MAX)).transpose()?;
    Ok(len.map(|len| len as usize))
}

fn within<N: PartialOrd + Copy + std::fmt::Display>(
    what: &str,
    number: N,
    low: N,
    high: N,
) -> Result<N, Status> {
    if (low..=high).contains(&number) {
        return Ok(number);
    }
    Err(Status::invalid_argument(format!("{what} must be {low} to {high}, got {number}")))
}
