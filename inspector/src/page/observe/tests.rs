use super::*;
use crate::samples::{self, life, node, shard};

fn view() -> ClusterView {
    let nodes = [node("a", 1, NodeState::Active), node("b", 2, NodeState::Active)];
    samples::view(nodes, (0..8).map(shard).collect())
}

fn told(change: impl FnOnce(&mut ClusterView)) -> Vec<String> {
    let (old, mut new) = (view(), view());
    change(&mut new);
    changes(&old, &new)
        .into_iter()
        .map(|change| format!("{}: {}", change.kind, change.text))
        .collect()
}

#[test]
fn two_equal_pictures_differ_in_nothing() {
    assert_eq!(told(|_| {}), [""; 0]);
}

#[test]
fn members_come_drain_and_go() {
    assert_eq!(
        told(|new| new.nodes.extend([node("c", 9, NodeState::Active)])),
        ["joined: c@9 joined"]
    );
    assert_eq!(told(|new| new.nodes.extend([node("c", 9, NodeState::Dead)])), [""; 0]);
    let drains = told(|new| new.nodes.extend([node("b", 2, NodeState::Draining)]));
    assert_eq!(drains, ["draining: b gives its shards away"]);
    let dies = told(|new| new.nodes.extend([node("b", 2, NodeState::Dead)]));
    assert_eq!(dies, ["left: b@2 is gone"]);
    let returns = told(|new| new.nodes.extend([node("b", 5, NodeState::Active)]));
    assert_eq!(returns, ["left: b@2 is gone", "joined: b@5 joined"]);
}

#[test]
fn leaders_pins_holds_and_rules_are_told() {
    let leads = told(|new| (new.leader, new.term) = (Some(life("b", 2)), 2));
    assert_eq!(leads, ["leader: b@2 leads in term 2"]);
    assert_eq!(told(|new| new.leader = None), ["leader: nobody leads"]);
    assert_eq!(
        told(|new| new.rebalancing_held = true),
        ["order: rebalancing is held by an operator"]
    );
    let ruled = told(|new| _ = new.groups[0].require.insert("gpu".to_owned(), "yes".to_owned()));
    assert_eq!(ruled, ["order: group default has a new rule"]);
    let pinned = told(|new| {
        for shard in &mut new.shards[1..7] {
            shard.pin = Some("b".to_owned());
        }
        new.shards[7].pin = Some("a".to_owned());
    });
    assert_eq!(
        pinned,
        ["pin: shard 7 is pinned to a", "pin: shards 1, 2, 3, 4 and 2 more are pinned to b",]
    );
}
