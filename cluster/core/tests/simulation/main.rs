//! A seeded simulation of the ownership protocol: crashes, pauses beyond the right to run, cuts
//! from the store, lost and late transactions, lost watches, leaves, and clocks that run at rates
//! up to 2 % off. At every event at most one node passes the ownership check of a shard; when the
//! faults stop, the cluster must be whole and even.
//!
//! `GREENROOM_SIM_SEED=7 cargo test -p greenroom-core --test simulation` runs one seed;
//! `GREENROOM_SIM_RUNS=1000` runs that many.

mod node;
mod store;
mod world;

use greenroom_core::ShardId;
use greenroom_core::record::{Key, Record};
use node::SHARDS;
use world::World;

const SECOND: u64 = 1_000_000;
const NODES: usize = 4;

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn run(seed: u64) -> World {
    let mut world = World::new(seed, NODES);
    world.run_until(90 * SECOND);
    world.faults = false;
    world.run_until(130 * SECOND);
    check_whole(&world);
    world
}

/// After the faults: every shard is owned by a running node whose gate is open with the record's
/// epoch, and the shards are spread evenly.
fn check_whole(world: &World) {
    let seed = world.seed;
    let mut counts = vec![0_usize; world.nodes.len()];
    for shard in (0..SHARDS).map(ShardId) {
        let held = world.store.held.get(&Key::Shard(shard));
        let Some(Record::Shard(record)) = held.map(|held| &held.record) else {
            panic!("seed {seed}: shard {shard} has no record");
        };
        let owner = record.owner.as_ref().map(|life| life.node.clone());
        let open = |node: &node::Node| node.passes_check(shard, world.now_us);
        let Some(serving) = world.nodes.iter().position(open) else {
            panic!("seed {seed}: nobody serves shard {shard}: {record:?}");
        };
        assert_eq!(owner.as_ref(), Some(&world.nodes[serving].id), "seed {seed}: shard {shard}");
        assert_eq!(
            world.nodes[serving].gates.get(&shard),
            Some(&record.epoch),
            "seed {seed}: shard {shard}"
        );
        counts[serving] += 1;
    }
    let fair = SHARDS as usize / NODES;
    for count in &counts {
        assert!(count.abs_diff(fair) <= 1, "seed {seed}: uneven after the faults: {counts:?}");
    }
}

#[test]
fn one_activation_through_all_faults_and_whole_afterwards() {
    let (first, runs) = match number_from("GREENROOM_SIM_SEED") {
        Some(seed) => (seed, 1),
        None => (1, number_from("GREENROOM_SIM_RUNS").unwrap_or(60)),
    };
    let mut total = world::Counts::default();
    for seed in first..first + runs {
        println!("seed {seed}: replay with GREENROOM_SIM_SEED={seed}");
        let world = run(seed);
        total.crashes += world.counts.crashes;
        total.pauses += world.counts.pauses;
        total.cuts += world.counts.cuts;
        total.leaves += world.counts.leaves;
        total.lost_replies += world.counts.lost_replies;
        total.fences += world.counts.fences;
        total.opened += world.counts.opened;
    }
    println!("{total:?}");
    // A run counts only if its faults took effect.
    if runs >= 20 {
        let least = [
            total.crashes,
            total.pauses,
            total.cuts,
            total.leaves,
            total.lost_replies,
            total.fences,
        ];
        assert!(least.iter().all(|&count| u64::from(count) >= runs), "too few faults: {total:?}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let history = |seed| {
        let world = run(seed);
        (world.store.revision, format!("{:?}", world.store.log))
    };
    assert!(history(11) == history(11), "two runs of seed 11 differ");
}
