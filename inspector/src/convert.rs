//! All conversions between the wire's messages and this crate's own types.

use std::collections::BTreeMap;

use greenroom_proto::v1;

use crate::{
    ClusterView, DecidedMove, Decision, Decisions, Group, Life, Loads, LogLevel, Node, NodeState,
    Placement, Shard, ShardLoad,
};

/// Name of the group of those who don't speak of groups.
const GROUP_DEFAULT: &str = "default";

/// How an answer contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A node has an empty id.
    #[error("it contains a node without an id")]
    NodeWithoutId,
    /// Two nodes have the same id.
    #[error("it contains node `{0}` twice")]
    NodeTwice(String),
    /// Shards do not come in the order of their numbers, or one comes twice.
    #[error("shard {number} comes after shard {previous}")]
    ShardsOutOfOrder {
        /// Number of the shard that comes first.
        previous: u32,
        /// Number of the next.
        number: u32,
    },
    /// The number of shards doesn't fit that of the groups.
    #[error("{shards} shards are not {count} for each of {groups} groups")]
    ShardCount {
        /// How many there are.
        shards: usize,
        /// How many each group is said to have.
        count: u32,
        /// How many groups there are.
        groups: usize,
    },
}

/// The question where an actor lives.
pub(crate) fn peek_request(kind: &str, key: &str) -> v1::PeekRequest {
    v1::PeekRequest { kind: kind.to_owned(), key: key.to_owned() }
}

/// The answer to [`peek_request`].
pub(crate) fn placement(reply: v1::PeekReply) -> Placement {
    Placement {
        shard: reply.shard,
        owner: some(reply.owner),
        epoch: reply.epoch,
        owner_address: some(reply.owner_address),
    }
}

/// A whole picture.
pub(crate) fn view(snapshot: v1::ClusterSnapshot) -> Result<ClusterView, Malformed> {
    let v1::Leader { node, incarnation, term } = snapshot.leader.unwrap_or_default();
    let mut nodes = BTreeMap::new();
    for message in snapshot.nodes {
        let node = self::node(message)?;
        let id = node.life.node.clone();
        if let Some(earlier) = nodes.insert(id, node) {
            return Err(Malformed::NodeTwice(earlier.life.node));
        }
    }
    let shards: Vec<Shard> = snapshot.shards.into_iter().map(shard).collect();
    check_order(&shards)?;
    let mut groups: Vec<Group> = snapshot.groups.into_iter().map(group).collect();
    if groups.is_empty() {
        // A node of an earlier version has one group and doesn't speak of it.
        groups.push(Group { name: GROUP_DEFAULT.to_owned(), ..Group::default() });
    }
    let shard_count = match snapshot.shard_count {
        0 => u32::try_from(shards.len()).unwrap_or(u32::MAX).max(1),
        count if u64::from(count) * groups.len() as u64 == shards.len() as u64 => count,
        count => {
            let (shards, groups) = (shards.len(), groups.len());
            return Err(Malformed::ShardCount { shards, count, groups });
        }
    };
    Ok(ClusterView {
        cluster: snapshot.cluster,
        answered_by: snapshot.node,
        revision: snapshot.revision,
        leader: life(node, incarnation),
        term,
        nodes,
        groups,
        shard_count,
        rebalancing_held: snapshot.rebalancing_held,
        shards,
    })
}

fn group(message: v1::Group) -> Group {
    let v1::Group { name, kinds, require, prefer } = message;
    Group { name, kinds, require, prefer }
}

/// What a leader decided.
pub(crate) fn decisions(reply: v1::DecisionsReply) -> Decisions {
    let moved = |step: v1::DecidedMove| DecidedMove {
        shard: step.shard,
        from: some(step.from),
        to: step.to,
        reason: step.reason,
    };
    let decision = |decision: v1::Decision| Decision {
        number: decision.number,
        term: decision.term,
        at_ms: decision.at_ms,
        last_ms: decision.last_ms,
        times: decision.times,
        kind: decision.kind,
        text: decision.text,
        moves: decision.moves.into_iter().map(moved).collect(),
        stuck: decision.stuck,
    };
    let decisions = reply.decisions.into_iter().map(decision).collect();
    Decisions { answered_by: reply.node, decisions }
}

/// What runs in the shards.
pub(crate) fn loads(reply: v1::LoadsReply) -> Loads {
    let load = |load: v1::ShardLoad| {
        let v1::ShardLoad { shard, calls_per_s, busy_us_per_s, activations } = load;
        (shard, ShardLoad { calls_per_s, busy_us_per_s, activations })
    };
    Loads {
        answered_by: reply.node,
        leads: reply.leads,
        shards: reply.loads.into_iter().map(load).collect(),
    }
}

/// What a process logs.
pub(crate) fn log_level(reply: v1::LogReply) -> LogLevel {
    LogLevel { node: reply.node, directive: some(reply.directive) }
}

fn node(message: v1::Node) -> Result<Node, Malformed> {
    let life = life(message.node, message.incarnation).ok_or(Malformed::NodeWithoutId)?;
    Ok(Node {
        life,
        state: state(message.state),
        peer_address: message.peer_address,
        http_address: some(message.http_address),
        weight: message.weight,
        zone: some(message.zone),
        labels: message.labels,
        kinds: message.kinds,
        version: message.version,
    })
}

fn state(name: String) -> NodeState {
    match name.as_str() {
        "active" => NodeState::Active,
        "draining" => NodeState::Draining,
        "dead" => NodeState::Dead,
        _ => NodeState::Other(name),
    }
}

fn shard(message: v1::Shard) -> Shard {
    Shard {
        number: message.shard,
        target: some(message.target),
        owner: life(message.owner, message.owner_incarnation),
        pin: some(message.pin),
        epoch: message.epoch,
        reason: message.reason,
        since_ms: (message.since_ms != 0).then_some(message.since_ms),
    }
}

fn check_order(shards: &[Shard]) -> Result<(), Malformed> {
    for pair in shards.windows(2) {
        let (previous, number) = (pair[0].number, pair[1].number);
        if previous >= number {
            return Err(Malformed::ShardsOutOfOrder { previous, number });
        }
    }
    Ok(())
}

/// The wire writes nobody as an empty id.
fn life(node: String, incarnation: u64) -> Option<Life> {
    some(node).map(|node| Life { node, incarnation })
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node_named(node: &str, state: &str) -> v1::Node {
        v1::Node { node: node.to_owned(), state: state.to_owned(), ..v1::Node::default() }
    }

    fn shard_numbered(shard: u32) -> v1::Shard {
        v1::Shard { shard, ..v1::Shard::default() }
    }

    fn refusal(snapshot: v1::ClusterSnapshot) -> Malformed {
        view(snapshot).expect_err("a malformed snapshot")
    }

    #[test]
    fn empty_names_are_nobody() {
        let leader = v1::Leader { term: 7, ..v1::Leader::default() };
        let view = view(v1::ClusterSnapshot {
            leader: Some(leader),
            nodes: vec![node_named("a", "active")],
            shards: vec![shard_numbered(0)],
            ..v1::ClusterSnapshot::default()
        });
        let view = view.expect("a sound snapshot");
        assert_eq!((&view.leader, view.term), (&None, 7));
        let groups: Vec<_> = view.groups.iter().map(|group| group.name.as_str()).collect();
        assert_eq!((groups.as_slice(), view.shard_count), (&["default"][..], 1));
        let node = &view.nodes["a"];
        assert_eq!((&node.zone, &node.http_address), (&None, &None));
        let shard = &view.shards[0];
        assert_eq!((&shard.target, &shard.owner, &shard.pin), (&None, &None, &None));
        assert_eq!(shard.since_ms, None);
        let placement = placement(v1::PeekReply::default());
        assert_eq!((placement.owner, placement.owner_address), (None, None));
    }

    #[test]
    fn states_keep_their_names() {
        for name in ["active", "draining", "dead", "resting"] {
            let node = node(node_named("a", name)).expect("a sound node");
            assert_eq!(node.state.as_str(), name);
            assert_eq!(matches!(node.state, NodeState::Other(_)), name == "resting");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let nodes = |nodes| v1::ClusterSnapshot { nodes, ..v1::ClusterSnapshot::default() };
        let shards = |numbers: &[u32]| v1::ClusterSnapshot {
            shards: numbers.iter().copied().map(shard_numbered).collect(),
            ..v1::ClusterSnapshot::default()
        };
        let active = |id| node_named(id, "active");

        assert_eq!(refusal(nodes(vec![active("")])), Malformed::NodeWithoutId);
        let twice = nodes(vec![active("a"), active("b"), active("a")]);
        assert_eq!(refusal(twice), Malformed::NodeTwice("a".to_owned()));
        let out_of_order = |previous, number| Malformed::ShardsOutOfOrder { previous, number };
        assert_eq!(refusal(shards(&[0, 1, 1])), out_of_order(1, 1));
        assert_eq!(refusal(shards(&[0, 2, 1])), out_of_order(2, 1));
    }
}
