use super::*;
use crate::Severity;

fn node(name: &str) -> TopologyNode {
    TopologyNode {
        node: name.to_owned(),
        state: "active".to_owned(),
        weight: 100,
        ..TopologyNode::default()
    }
}

fn shard(group: &str, shard: u32, owner: &str, epoch: u64) -> TopologyShard {
    TopologyShard {
        group: group.to_owned(),
        shard,
        target: owner.to_owned(),
        owner: owner.to_owned(),
        epoch,
        pin: String::new(),
    }
}

fn shop() -> Topology {
    let group = |name: &str| Group { name: name.to_owned(), ..Group::default() };
    let ours = (0..8).map(|number| shard("default", number, "a", 3));
    Topology {
        format: 1,
        cluster: "shop".to_owned(),
        revision: 10,
        taken_ms: 1,
        shard_count: 8,
        groups: vec![group("default"), group("gpu")],
        nodes: vec![node("a"), node("b")],
        shards: ours.chain([shard("gpu", 7, "b", 1)]).collect(),
    }
}

fn told(old: &Topology, new: &Topology) -> Vec<String> {
    diff(old, new).iter().map(ToString::to_string).collect()
}

#[test]
fn the_same_at_another_time_differs_in_nothing() {
    let later = Topology { revision: 99, taken_ms: 2, ..shop() };
    assert_eq!(diff(&shop(), &later), []);
}

#[test]
fn shards_that_changed_alike_are_one_difference_with_the_first_few() {
    let mut new = shop();
    for number in 1..8 {
        new.shards[number] = shard("default", number as u32, "b", 4);
    }
    new.shards[8].pin = "b".to_owned();
    new.shards[0].owner.clear();
    assert_eq!(
        told(&shop(), &new),
        [
            "owner a became nobody of 1 shard (0)",
            "owner a became b of 7 shards (1, 2, 3, 4, 5, ...)",
            "target a became b of 7 shards (1, 2, 3, 4, 5, ...)",
            "pin nobody became b of 1 shard (gpu/7)",
        ]
    );
    assert!(diff(&shop(), &new).iter().all(|difference| difference.severity() == Severity::Info));
}

#[test]
fn epochs_that_went_back_are_an_error_and_come_first() {
    let mut new = shop();
    new.cluster = "other".to_owned();
    new.shards[2].epoch = 1;
    // Gone: as if it had never been owned.
    new.shards.remove(8);
    let differences = diff(&shop(), &new);
    assert_eq!(differences[0].severity(), Severity::Error);
    let text = differences[0].to_string();
    assert!(
        text.starts_with("the epochs of 2 shards (2, gpu/7) went back, that of 2 from 3 to 1"),
        "{text}"
    );
    assert_eq!(differences[1].to_string(), "cluster shop became other");
    assert!(differences[1..].iter().all(|difference| difference.severity() == Severity::Info));
}

#[test]
fn nodes_and_groups_that_came_went_or_changed_are_told() {
    let mut new = shop();
    new.shard_count = 16;
    new.nodes = vec![node("b"), node("c")];
    new.nodes[0].state = "draining".to_owned();
    new.nodes[0].labels.insert("disk".to_owned(), "ssd".to_owned());
    new.groups[1].name = "ml".to_owned();
    new.groups[0].require.insert("disk".to_owned(), "ssd".to_owned());
    new.shards.clear();
    let mut old = shop();
    old.shards.clear();
    assert_eq!(
        told(&old, &new),
        [
            "8 shards a group became 16",
            "group default: require - became disk=ssd",
            "group gpu is gone",
            "group ml is new",
            "node a is gone",
            "node b: state active became draining",
            "node b: labels - became disk=ssd",
            "node c is new",
        ]
    );
}
