//! What a node answers to an operator's questions: a snapshot, and decisions after it.
//!
//! Proves: C24

use std::collections::BTreeSet;

use greenroom_inspector::json::{DecisionList, Shards, Status};
use greenroom_inspector::{ClusterView, Shard, ShardSpan};
use greenroom_proto::v1;
use prost::Message;

use crate::chunks;

pub(super) fn check(input: &[u8]) {
    let mut parts = chunks::split(input);
    let Ok(snapshot) = v1::ClusterSnapshot::decode(parts.next().unwrap_or_default()) else {
        return;
    };
    let Ok(view) = greenroom_inspector::fuzzing::view(snapshot) else { return };
    let all: Vec<&Shard> = view.shards.iter().collect();
    assert_eq!(view.shards.len() % view.shard_count as usize, 0, "groups of the same size");
    assert_json(&Status::of(&view));
    assert_json(&Shards::of(&view, &all));
    let totals = view.totals();
    assert_eq!(totals.owned + totals.without_owner, totals.shards);
    assert!(totals.orphans <= totals.without_owner && totals.in_motion <= totals.shards);
    let owned: usize = view.shares().values().map(|share| share.owned).sum();
    assert_eq!(owned, totals.owned);
    if has_good_names(&view) {
        for shard in &view.shards {
            let name = view.name_of(shard.number);
            let span: ShardSpan = name.parse().expect("a shard's name can be read");
            assert_eq!(view.numbers_of(&[span]), Ok(vec![shard.number]), "{name}");
        }
    }
    if let Ok(reply) = v1::DecisionsReply::decode(parts.next().unwrap_or_default()) {
        assert_json(&DecisionList::of(&view, &greenroom_inspector::fuzzing::decisions(reply)));
    }
}

/// Whether the groups are named as a cluster names them, and the shards numbered as one numbers them.
fn has_good_names(view: &ClusterView) -> bool {
    let names: BTreeSet<&str> = view.groups.iter().map(|group| group.name.as_str()).collect();
    let good = |name: &&str| !name.is_empty() && !name.contains(['/', '-']);
    let in_order = view.shards.iter().zip(0..).all(|(shard, number)| shard.number == number);
    names.len() == view.groups.len() && names.iter().all(good) && in_order
}

fn assert_json(answer: &impl serde::Serialize) {
    let text = serde_json::to_string(answer).expect("an answer can be written");
    assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let snapshot = snapshot().encode_to_vec();
    let moved = v1::DecidedMove {
        shard: 1,
        from: "a".into(),
        to: "b".into(),
        reason: "it had no live node".into(),
    };
    let decision = v1::Decision {
        number: 4,
        term: 2,
        at_ms: 1_700_000_000_000,
        last_ms: 1_700_000_001_000,
        times: 3,
        kind: "rebalance".into(),
        text: "moved one shard".into(),
        moves: vec![moved],
        stuck: vec![3],
    };
    let decisions = v1::DecisionsReply { node: "a".into(), decisions: vec![decision] };
    vec![
        chunks::join([&snapshot]),
        chunks::join([&snapshot, &decisions.encode_to_vec()]),
        chunks::join([v1::ClusterSnapshot::default().encode_to_vec()]),
    ]
}

fn snapshot() -> v1::ClusterSnapshot {
    let node = |node: &str, state: &str| v1::Node {
        node: node.into(),
        incarnation: 7,
        state: state.into(),
        peer_address: "127.0.0.1:7400".into(),
        weight: 100,
        zone: "north".into(),
        ..v1::Node::default()
    };
    let shard = |shard: u32| v1::Shard {
        shard,
        target: if shard == 1 { "b" } else { "a" }.into(),
        owner: if shard == 2 { "" } else { "a" }.into(),
        owner_incarnation: 7,
        epoch: 3,
        ..v1::Shard::default()
    };
    let group = |name: &str| v1::Group { name: name.into(), ..v1::Group::default() };
    v1::ClusterSnapshot {
        cluster: "default".into(),
        node: "a".into(),
        revision: 99,
        leader: Some(v1::Leader { node: "a".into(), incarnation: 7, term: 2 }),
        nodes: vec![node("a", "active"), node("b", "draining"), node("c", "dead")],
        shards: (0..4).map(shard).collect(),
        groups: vec![group("default"), group("gpu")],
        shard_count: 2,
        rebalancing_held: true,
    }
}
