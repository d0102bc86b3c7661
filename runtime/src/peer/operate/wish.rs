//! What a request orders: checked, and in words for the audit log.

use std::fmt::Write;

use greenroom_core::{Labels, NodeId, Order, PlacementRule, ShardId};
use greenroom_proto::v1::{
    DrainRequest, HoldRequest, MoveRequest, PinRequest, RuleRequest, SetLogRequest, UnpinRequest,
};
use tonic::Status;

use crate::logging;

/// Most shards that one request may name.
const SHARDS_MAX: usize = 65_536;
/// Most labels that a rule may require, and may prefer.
const LABELS_MAX: usize = 32;
/// Longest name or value of a label, in bytes.
const LABEL_LEN_MAX: usize = 128;
/// Most spans of shards that the audit log spells out.
const SPANS_TOLD_MAX: usize = 32;

/// A checked request.
#[derive(Debug)]
pub(super) struct Wish {
    /// For people.
    pub(super) words: String,
    pub(super) wanted: Wanted,
}

/// Who is to do what.
#[derive(Debug)]
pub(super) enum Wanted {
    /// Whichever node was asked.
    Here(Order),
    /// The leader; with the request, to be passed on.
    ByLeader { order: Order, request: MoveRequest },
    /// The node that is to drain.
    AtNode { node: NodeId, request: DrainRequest },
    /// The process of the node that was asked.
    Log(String),
}

pub(super) fn pin(request: PinRequest) -> Result<Wish, Status> {
    let PinRequest { shards, node } = request;
    let shards = checked(shards)?;
    let node = (!node.is_empty()).then(|| name(node)).transpose()?;
    let at = node.as_ref().map_or_else(|| "where each is".to_owned(), |node| format!("to {node}"));
    let words = format!("pin {} {at}", spans(&shards));
    Ok(Wish { words, wanted: Wanted::Here(Order::Pin { shards: ids(&shards), node }) })
}

pub(super) fn unpin(request: UnpinRequest) -> Result<Wish, Status> {
    let shards = checked(request.shards)?;
    let words = format!("unpin {}", spans(&shards));
    Ok(Wish { words, wanted: Wanted::Here(Order::Unpin { shards: ids(&shards) }) })
}

pub(super) fn r#move(request: MoveRequest) -> Result<Wish, Status> {
    let MoveRequest { shards, to } = request;
    let shards = checked(shards)?;
    let node = name(to.clone())?;
    let words = format!("move {} to {node}", spans(&shards));
    let order = Order::Move { shards: ids(&shards), to: node };
    Ok(Wish { words, wanted: Wanted::ByLeader { order, request: MoveRequest { shards, to } } })
}

pub(super) fn drain(request: DrainRequest) -> Result<Wish, Status> {
    let node = name(request.node.clone())?;
    let undo = if request.undo { "end the drain of" } else { "drain" };
    let words = format!("{undo} {node}");
    Ok(Wish { words, wanted: Wanted::AtNode { node, request } })
}

pub(super) fn hold(request: HoldRequest) -> Result<Wish, Status> {
    let words = if request.resume { "resume rebalancing" } else { "hold rebalancing" };
    Ok(Wish { words: words.to_owned(), wanted: Wanted::Here(Order::Hold(!request.resume)) })
}

pub(super) fn rule(request: RuleRequest) -> Result<Wish, Status> {
    let RuleRequest { group, require, prefer, force } = request;
    check_labels("require", &require)?;
    check_labels("prefer", &prefer)?;
    let words = format!("rule of group {group:?}: require {require:?}, prefer {prefer:?}");
    let words = if force { words + ", forced" } else { words };
    let rule = PlacementRule { require, prefer };
    Ok(Wish { words, wanted: Wanted::Here(Order::Rule { group, rule, force }) })
}

pub(super) fn set_log(request: SetLogRequest) -> Result<Wish, Status> {
    let SetLogRequest { directive } = request;
    // Before it is told as taken, and to whoever has another log as well.
    logging::parse(&directive).map_err(|error| Status::invalid_argument(error.to_string()))?;
    Ok(Wish { words: format!("log {directive}"), wanted: Wanted::Log(directive) })
}

/// The shards in order, each once.
fn checked(mut shards: Vec<u32>) -> Result<Vec<u32>, Status> {
    if shards.is_empty() || shards.len() > SHARDS_MAX {
        let len = shards.len();
        let message = format!("shards must be 1 to {SHARDS_MAX} a request, got {len}");
        return Err(Status::invalid_argument(message));
    }
    shards.sort_unstable();
    shards.dedup();
    Ok(shards)
}

fn ids(shards: &[u32]) -> Vec<ShardId> {
    shards.iter().copied().map(ShardId).collect()
}

fn name(node: String) -> Result<NodeId, Status> {
    NodeId::new(node).map_err(|error| Status::invalid_argument(error.to_string()))
}

/// A rule is read by every node from one record, so it must stay small.
fn check_labels(field: &str, labels: &Labels) -> Result<(), Status> {
    if labels.len() > LABELS_MAX {
        let message =
            format!("{field} must have at most {LABELS_MAX} labels, got {}", labels.len());
        return Err(Status::invalid_argument(message));
    }
    let well = |text: &String| text.len() <= LABEL_LEN_MAX && !text.contains(char::is_control);
    if labels.iter().all(|(label, value)| !label.is_empty() && well(label) && well(value)) {
        return Ok(());
    }
    Err(Status::invalid_argument(format!(
        "{field}: labels and values must be at most {LABEL_LEN_MAX} bytes without control \
         characters, and labels not empty"
    )))
}

/// Shards in words: `shards 4, 10-20`. They are sorted.
fn spans(shards: &[u32]) -> String {
    let mut spans: Vec<(u32, u32)> = Vec::new();
    for shard in shards {
        match spans.last_mut() {
            Some((_, last)) if *last + 1 == *shard => *last = *shard,
            _ => spans.push((*shard, *shard)),
        }
    }
    let mut text = String::from("shards");
    for (place, (first, last)) in spans.iter().take(SPANS_TOLD_MAX).enumerate() {
        let comma = if place == 0 { "" } else { "," };
        // Writing to a String can't fail.
        let _ = match first == last {
            true => write!(text, "{comma} {first}"),
            false => write!(text, "{comma} {first}-{last}"),
        };
    }
    if spans.len() > SPANS_TOLD_MAX {
        let _ = write!(text, " and more, {} in all", shards.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_told_as_spans_and_not_without_end() {
        assert_eq!(spans(&[7]), "shards 7");
        assert_eq!(spans(&[1, 2, 3, 9, 11, 12]), "shards 1-3, 9, 11-12");
        let many: Vec<u32> = (0..100).map(|n| 2 * n).collect();
        assert!(spans(&many).ends_with("62 and more, 100 in all"), "{}", spans(&many));
        assert_eq!(spans(&[u32::MAX]), format!("shards {}", u32::MAX));
    }

    #[test]
    fn a_request_names_some_shards_and_not_too_many() {
        for shards in [Vec::new(), vec![0; SHARDS_MAX + 1]] {
            let refused = unpin(UnpinRequest { shards }).unwrap_err();
            assert!(refused.message().contains("1 to 65536"), "{refused}");
        }
        let wish = unpin(UnpinRequest { shards: vec![3, 1, 3] }).unwrap();
        let Wanted::Here(Order::Unpin { shards }) = wish.wanted else { panic!("{wish:?}") };
        assert_eq!(shards, [ShardId(1), ShardId(3)]);
    }

    #[test]
    fn a_rule_that_would_burden_every_node_is_refused() {
        let labels = |count: usize, value: &str| {
            (0..count).map(|n| (format!("l{n}"), value.to_owned())).collect::<Labels>()
        };
        let rule = |require| rule(RuleRequest { require, ..RuleRequest::default() });
        assert!(rule(labels(LABELS_MAX, "ssd")).is_ok());
        let long = "x".repeat(LABEL_LEN_MAX + 1);
        for bad in [labels(LABELS_MAX + 1, "ssd"), labels(1, &long), labels(1, "a\nb")] {
            assert!(rule(bad).is_err());
        }
    }
}
