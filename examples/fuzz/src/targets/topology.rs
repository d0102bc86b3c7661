//! Files that a cluster is restored from and compared with.
//!
//! Proves: C24

use greenroom_inspector::{Difference, Topology, diff, read_topology, write_topology};
use greenroom_proto::v1::{Group, TopologyNode, TopologyShard};

use super::node::SHARDS;

/// Greatest epoch that a record in the store may have.
const EPOCH_MAX: u64 = 1 << 47;

pub(super) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let restored = greenroom::fuzzing::restore(text, SHARDS);
    match &restored {
        Ok(restored) => {
            let count = restored.groups.len() as u32 * SHARDS;
            for (shard, record) in &restored.shards {
                assert!(shard.0 < count, "{shard} of {count}");
                assert!(record.owner.is_none() && record.epoch.0 < EPOCH_MAX, "{record:?}");
            }
        }
        Err(problem) => assert!(!problem.is_empty()),
    }
    let Ok(topology) = read_topology(text) else {
        assert!(restored.is_err(), "the command can't read what a node takes");
        return;
    };
    let written = write_topology(&topology).expect("a topology can be written");
    assert_eq!(read_topology(&written).ok().as_ref(), Some(&topology));
    assert_eq!(greenroom::fuzzing::restore(&written, SHARDS), restored);
    if restored.is_ok() && is_plain(&topology) {
        assert_eq!(diff(&topology, &topology), [], "it differs from itself");
    }
    told(diff(&sample(), &topology));
    told(diff(&topology, &sample()));
}

/// Whether nothing is in it twice.
fn is_plain(topology: &Topology) -> bool {
    let mut names: Vec<&str> = topology.nodes.iter().map(|node| node.node.as_str()).collect();
    names.sort_unstable();
    names.windows(2).all(|pair| pair[0] != pair[1])
}

fn told(differences: Vec<Difference>) {
    for difference in differences {
        assert!(!difference.to_string().is_empty());
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let written = write_topology(&sample()).expect("it can be written");
    let empty = write_topology(&Topology { format: 1, ..Topology::default() });
    let mut beyond = sample();
    beyond.shards[0].shard = SHARDS;
    let beyond = write_topology(&beyond).expect("it can be written");
    vec![written.into_bytes(), empty.expect("it can be written").into_bytes(), beyond.into_bytes()]
}

fn sample() -> Topology {
    let group = |name: &str, kind: &str| Group {
        name: name.into(),
        kinds: vec![kind.into()],
        require: [("disk".into(), "ssd".into())].into(),
        ..Group::default()
    };
    let shard = |group: &str, shard: u32, pin: &str| TopologyShard {
        group: group.into(),
        shard,
        target: "b".into(),
        owner: "a".into(),
        epoch: 3,
        pin: pin.into(),
    };
    let node = TopologyNode {
        node: "a".into(),
        state: "active".into(),
        weight: 100,
        zone: "north".into(),
        labels: [("disk".into(), "ssd".into())].into(),
        kinds: vec!["fuzz.echo".into()],
    };
    Topology {
        format: 1,
        cluster: "default".into(),
        revision: 99,
        taken_ms: 1_700_000_000_000,
        shard_count: SHARDS,
        groups: vec![group("default", "fuzz.echo"), group("gpu", "ml.model")],
        nodes: vec![node],
        shards: vec![shard("default", 0, ""), shard("default", 1, "a"), shard("gpu", 0, "")],
    }
}
