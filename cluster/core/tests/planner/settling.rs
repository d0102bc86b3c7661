//! What-ifs.

use std::time::Duration;

use greenroom_core::ShardId;
use greenroom_core::planner::{MoveReason, Policy, Standing};

use crate::support::{Cluster, at_rest, batches_of, by_load, loaded, placed, policy, step};

#[test]
fn a_drain_is_foretold() {
    let mut cluster = Cluster::new(&[1, 1, 1], at_rest(&[2, 2, 2]));
    cluster.members[1].standing = Standing::Leaving;
    let settled = cluster.settled(&batches_of(1));
    let drain = |shard, to| step(shard, Some(1), to, MoveReason::Drain);
    assert_eq!(settled.moves, [drain(2, 0), drain(3, 2)]);
    assert_eq!(settled.loads_before, [2, 2, 2]);
    assert_eq!(settled.loads_after, [3, 0, 3]);
    assert_eq!(settled.rounds, 2);
}

#[test]
fn the_loss_of_a_node_is_foretold() {
    let mut cluster = Cluster::new(&[1, 1, 1], at_rest(&[2, 2, 2]));
    cluster.lose(1);
    let settled = cluster.settled(&policy());
    assert_eq!(settled.moves.len(), 2);
    assert_eq!((settled.loads_before, settled.loads_after), (vec![2, 2], vec![3, 3]));
}

#[test]
fn other_weights_are_foretold_as_if_time_had_passed() {
    let cluster = Cluster::new(&[1, 3], at_rest(&[4, 4]));
    let early = cluster.plan_at(Duration::ZERO, &policy());
    assert_eq!(early.moves, []);
    assert_eq!(cluster.settled(&policy()).loads_after, [2, 6]);
}

#[test]
fn a_rebalancing_once_begun_is_foretold_to_its_end() {
    let cluster = Cluster::new(&[1, 1], at_rest(&[120, 80]));
    let tenth = Policy { imbalance_threshold_permille: 100, ..batches_of(6) };
    assert_eq!(cluster.settled(&tenth).loads_after, [100, 100]);
    let near = Cluster::new(&[1, 1], at_rest(&[109, 91]));
    assert_eq!(near.settled(&tenth).loads_after, [109, 91], "but none begins within the threshold");
}

#[test]
fn what_is_under_way_arrives_first() {
    let mut cluster = Cluster::new(&[1, 1], at_rest(&[6, 0]));
    cluster.shards[0].target = Some(1);
    let settled = cluster.settled(&policy());
    assert_eq!((settled.moves.len(), settled.rounds), (2, 1));
    assert_eq!((settled.loads_before, settled.loads_after), (vec![6, 0], vec![3, 3]));
}

#[test]
fn a_shard_that_moves_twice_is_listed_once() {
    // It turns back to its owner first, whom it then leaves because that has too many.
    let mut cluster = Cluster::new(&[1, 1], at_rest(&[4, 0]));
    cluster.shards[0] = placed(Some(0), None);
    let settled = cluster.settled(&policy());
    assert_eq!(settled.rounds, 2);
    let shards: Vec<_> = settled.moves.iter().map(|step| step.shard).collect();
    assert_eq!(shards, [ShardId(0), ShardId(1)]);
    assert_eq!(settled.moves[0], step(0, Some(0), 1, MoveReason::Recall));
}

#[test]
fn loads_are_told_by_load_under_that_strategy() {
    let cluster = Cluster::new(&[1, 1], loaded(&[&[30, 30, 30], &[10, 10, 10]]));
    let settled = cluster.settled(&by_load());
    assert_eq!((settled.loads_before, settled.loads_after), (vec![90, 30], vec![60, 60]));
}
