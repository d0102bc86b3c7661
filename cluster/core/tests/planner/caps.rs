//! How many moves may be under way.

use greenroom_core::planner::{MoveReason, Pin, Policy};

use crate::support::{Cluster, at_rest, by_load, loaded, placed, policy, step};

fn each_node(node_moves_max: usize) -> Policy {
    Policy { node_moves_max, ..policy() }
}

#[test]
fn a_node_takes_part_in_so_many_rebalancing_moves() {
    let cluster = Cluster::new(&[1, 1, 1, 1], at_rest(&[8, 8, 0, 0]));
    for node_moves_max in [1, 2, 3] {
        let moves = cluster.plan(&each_node(node_moves_max)).moves;
        assert_eq!(moves.len(), 2 * node_moves_max, "{moves:?}");
    }
    assert_eq!(cluster.plan(&each_node(0)).moves.len(), 2, "0 counts as 1");
}

#[test]
fn the_newcomer_is_the_bottleneck() {
    let mut cluster = Cluster::new(&[1, 1, 1], at_rest(&[6, 6, 0]));
    let plan = cluster.plan(&each_node(2));
    assert_eq!(plan.moves.len(), 2);
    assert_eq!(cluster.converge(&each_node(2)).moves, 4, "and in the end it has its share");
}

#[test]
fn draining_members_hand_over_side_by_side_within_the_cap() {
    let cluster = Cluster::new(&[-1, -1, 1, 1], at_rest(&[4, 4, 0, 0]));
    let moves = cluster.plan(&each_node(2)).moves;
    let from = |member| moves.iter().filter(|m| m.from == Some(member)).count();
    assert_eq!((from(0), from(1)), (2, 2));
}

#[test]
fn what_is_in_flight_counts_for_both_of_its_nodes() {
    let mut cluster = Cluster::new(&[1, 1, -1], at_rest(&[2, 2, 2]));
    cluster.shards[4].target = Some(0);
    assert_eq!(cluster.plan(&each_node(1)).moves, []);
    let plan = cluster.plan(&each_node(2));
    assert_eq!(plan.moves, [step(5, Some(2), 1, MoveReason::Drain)]);
}

#[test]
fn a_drain_waits_for_its_place_rather_than_overfill_another() {
    // Member 0 has the room but takes part in a move already.
    let mut cluster = Cluster::new(&[1, 1, -1], at_rest(&[0, 3, 3]));
    cluster.shards[3].target = Some(0);
    assert_eq!(cluster.plan(&each_node(1)).moves, []);
}

#[test]
fn pins_keep_within_the_cap() {
    let mut cluster = Cluster::new(&[1, 1, 1], at_rest(&[2, 2, 2]));
    for shard in 0..4 {
        cluster.shards[shard].pin = Some(Pin::To(2));
    }
    assert_eq!(cluster.plan(&each_node(3)).moves.len(), 3);
}

#[test]
fn recovery_knows_no_cap() {
    let cluster = Cluster::new(&[1, 1], vec![placed(None, None); 6]);
    assert_eq!(cluster.plan(&each_node(1)).moves.len(), 6);
}

#[test]
fn an_exchange_needs_two_places() {
    // 60 and 20 against 40 and 20: only 60 for 40 helps.
    let cluster = Cluster::new(&[1, 1], loaded(&[&[60, 60], &[40, 40]]));
    assert_eq!(cluster.plan(&by_load()).moves.len(), 2);
    assert_eq!(cluster.plan(&Policy { node_moves_max: 1, ..by_load() }).moves, []);
    assert_eq!(cluster.plan(&Policy { batch_len_max: 1, ..by_load() }).moves, []);
}
