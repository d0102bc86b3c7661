//! Small clusters for the tests of this crate.

use std::collections::BTreeMap;

use crate::{ClusterView, Group, Life, Node, NodeState, Shard};

pub(crate) fn life(node: &str, incarnation: u64) -> Life {
    Life { node: node.to_owned(), incarnation }
}

/// A node under its name, as a view has it.
pub(crate) fn node(id: &str, incarnation: u64, state: NodeState) -> (String, Node) {
    let node = Node {
        life: life(id, incarnation),
        state,
        peer_address: format!("{id}:7400"),
        http_address: None,
        weight: 1,
        zone: None,
        labels: BTreeMap::new(),
        kinds: Vec::new(),
        version: "0.1.0".to_owned(),
    };
    (id.to_owned(), node)
}

/// A shard that nobody has or shall have.
pub(crate) fn shard(number: u32) -> Shard {
    Shard {
        number,
        target: None,
        owner: None,
        pin: None,
        epoch: 1,
        reason: String::new(),
        since_ms: None,
    }
}

/// What the node a sees, which leads if it is among the nodes.
pub(crate) fn view(nodes: impl Into<BTreeMap<String, Node>>, shards: Vec<Shard>) -> ClusterView {
    let nodes = nodes.into();
    ClusterView {
        cluster: "test".to_owned(),
        answered_by: "a".to_owned(),
        revision: 1,
        leader: nodes.get("a").map(|node| node.life.clone()),
        term: 1,
        nodes,
        groups: vec![Group { name: "default".to_owned(), ..Group::default() }],
        shard_count: u32::try_from(shards.len()).expect("few shards"),
        rebalancing_held: false,
        shards,
    }
}
