//! A thousand agents of the ownership protocol in virtual time: how long a cluster of that size
//! takes to settle after what happens to it, and how many shards move, beside the least possible.
//!
//! Run it with `cargo run --release -p greenroom-bench --bin thousand`. It needs nothing else; the
//! agents are the real ones, the store and the time are simulated, and nothing fails but what a
//! phase says.

#[path = "../row.rs"]
mod row;
#[path = "thousand/store.rs"]
mod store;
#[path = "thousand/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use clap::Parser;
use greenroom_core::planner::{Member, Standing, shares};
use greenroom_core::{NodeId, ShardId};
use row::Row;
use store::Figures;
use world::{ROUND, World};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const ZONES: usize = 5;
const WEIGHT: u32 = 100;
const WEIGHT_CHANGED: u32 = 200;
/// Without a write to a shard for so long, longer than the stability, a cluster has settled.
const QUIET: Duration = Duration::from_secs(8);
/// By then it must have.
const PATIENCE: Duration = Duration::from_secs(900);

/// Measures a cluster of many agents.
#[derive(Debug, Parser)]
struct Options {
    /// How many nodes.
    #[arg(long, default_value_t = 1000)]
    nodes: usize,
    /// How many shards.
    #[arg(long, default_value_t = 8192)]
    shards: u32,
    /// How many nodes start a second.
    #[arg(long, default_value_t = 100)]
    starts_per_s: usize,
}

/// A phase that has settled.
struct Settled {
    /// From its begin to the last write to a shard.
    took: Duration,
    figures: Figures,
    wall: Duration,
    /// What each node had before, and has now.
    before: BTreeMap<NodeId, u64>,
    after: BTreeMap<NodeId, u64>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let tenth = options.nodes / 10;
    let mut world = World::new(options.shards);
    let mut rows = Vec::new();
    let name = |number: usize| format!("node-{number:04}");
    let zone = |number: usize| format!("zone-{}", number % ZONES);

    let all: Vec<usize> = (0..options.nodes).collect();
    let settled = phase(&mut world, |world| {
        start_all(world, &all, WEIGHT, options.starts_per_s, name, zone)
    })?;
    let first = settled.after.len().min(options.starts_per_s);
    let least = settled.after.values().skip(first).sum();
    report(&mut rows, &world, "join: all nodes", &settled, least);

    let leavers: Vec<NodeId> = (0..tenth)
        .map(|number| NodeId::new(name(number * 10)))
        .collect::<std::result::Result<_, _>>()?;
    let settled = phase(&mut world, |world| {
        leavers.iter().for_each(|node| world.leave(node));
        Ok(())
    })?;
    let least = leavers.iter().filter_map(|node| settled.before.get(node)).sum();
    report(&mut rows, &world, "leave: a tenth", &settled, least);

    let joiners: Vec<usize> = (options.nodes..options.nodes + tenth).collect();
    let settled = phase(&mut world, |world| {
        start_all(world, &joiners, WEIGHT, options.starts_per_s, name, zone)
    })?;
    report(&mut rows, &world, "join: a tenth", &settled, gains(&settled));

    let changed: Vec<usize> = (0..2 * tenth).map(|place| place / 2 * 10 + 1 + place % 2).collect();
    let names = changed.iter().map(|number| NodeId::new(name(*number)));
    let names: BTreeSet<NodeId> = names.collect::<std::result::Result<_, _>>()?;
    let settled = phase(&mut world, |world| {
        names.iter().for_each(|node| world.leave(node));
        let until = world.now() + PATIENCE;
        while names.iter().any(|node| world.processes.contains_key(node)) {
            if world.now() > until {
                return Err("nodes that leave don't come to an end".into());
            }
            world.run_round();
        }
        start_all(world, &changed, WEIGHT_CHANGED, options.starts_per_s, name, zone)
    })?;
    let of_them = |shares: &BTreeMap<NodeId, u64>| -> u64 {
        names.iter().filter_map(|node| shares.get(node)).sum()
    };
    let least = of_them(&settled.before) + of_them(&settled.after);
    report(&mut rows, &world, "weight: a fifth restarts with twice as much", &settled, least);

    let lost: Vec<NodeId> = world
        .processes
        .iter()
        .filter(|(_, process)| process.profile.zone == "zone-3")
        .map(|(node, _)| node.clone())
        .collect();
    let settled = phase(&mut world, |world| {
        lost.iter().for_each(|node| drop(world.processes.remove(node)));
        Ok(())
    })?;
    let least = lost.iter().filter_map(|node| settled.before.get(node)).sum();
    report(&mut rows, &world, "crash: a zone of five", &settled, least);
    row::write("thousand", &rows)
}

/// Starts nodes, so many a second.
fn start_all(
    world: &mut World,
    numbers: &[usize],
    weight: u32,
    per_s: usize,
    name: impl Fn(usize) -> String,
    zone: impl Fn(usize) -> String,
) -> Result<()> {
    for batch in numbers.chunks(per_s.max(1)) {
        for number in batch {
            world.start(&name(*number), weight, &zone(*number))?;
        }
        let until = world.now() + Duration::from_secs(1);
        while world.now() < until {
            world.run_round();
        }
    }
    Ok(())
}

/// Lets something happen, and waits until the cluster has settled.
fn phase(world: &mut World, happens: impl FnOnce(&mut World) -> Result<()>) -> Result<Settled> {
    let (wall, begin) = (Instant::now(), world.now());
    let before = held(world);
    world.store.figures = Figures::default();
    world.last_shard_write = world.round;
    happens(world)?;
    let happened = world.round;
    let quiet_rounds = (QUIET.as_millis() / ROUND.as_millis()) as u64;
    while world.round - world.last_shard_write.max(happened) < quiet_rounds || !is_whole(world) {
        if world.now() > begin + PATIENCE {
            return Err(format!("not settled after {PATIENCE:?}").into());
        }
        world.run_round();
    }
    let took = ROUND * u32::try_from(world.last_shard_write)? - begin;
    let figures = std::mem::take(&mut world.store.figures);
    Ok(Settled { took, figures, wall: wall.elapsed(), before, after: held(world) })
}

/// Whether each shard is owned by a node that is there and a member.
fn is_whole(world: &World) -> bool {
    let owners = world.store.owners();
    owners.len() == world.shards as usize
        && owners.values().all(|owner| world.processes.contains_key(owner))
        && world.processes.values().all(|process| process.agent.is_active())
        && world.processes.values().any(|process| {
            let view = process.agent.view();
            let at_home = |shard: ShardId| {
                let owner = view.live_owner(shard).map(|(owner, _)| &owner.node);
                owner.is_some() && owner == view.shard(shard).record.target.as_ref()
            };
            process.agent.leads() && (0..world.shards).map(ShardId).all(at_home)
        })
}

/// How many shards each node had last.
fn held(world: &World) -> BTreeMap<NodeId, u64> {
    let mut held: BTreeMap<NodeId, u64> =
        world.processes.keys().map(|node| (node.clone(), 0)).collect();
    for owner in world.store.owners().values() {
        *held.entry(owner.clone()).or_default() += 1;
    }
    held
}

/// How many shards came to nodes that have more of them than before.
fn gains(settled: &Settled) -> u64 {
    let had = |node| settled.before.get(node).copied().unwrap_or(0);
    settled.after.iter().map(|(node, has)| has.saturating_sub(had(node))).sum()
}

fn report(rows: &mut Vec<Row>, world: &World, case: &str, settled: &Settled, least: u64) {
    let members: Vec<Member> = world
        .processes
        .iter()
        .map(|(node, process)| Member {
            node: node.clone(),
            weight: process.profile.weight,
            zone: 0,
            standing: Standing::Taking,
        })
        .collect();
    let shares = shares(&members, u64::from(world.shards), false);
    let off = members.iter().zip(shares).map(|(member, share)| {
        settled.after.get(&member.node).map_or(share, |has| has.abs_diff(share))
    });
    let furthest = off.max().unwrap_or(0);
    let Figures { transactions, refused, first_claims, moves } = settled.figures;
    let mut row = Row::new(case, "s to settle", vec![settled.took.as_secs_f64()]);
    row.notes = vec![
        format!("{} nodes, {} declared dead so far", members.len(), world.deaths.len()),
        format!("{first_claims} first claims, {moves} moves, at least {least} needed"),
        format!("{transactions} transactions besides heartbeats, {refused} of them refused"),
        format!("the furthest node is {furthest} shards off its share"),
        format!("{:.1} s of real time", settled.wall.as_secs_f64()),
    ];
    row.print();
    rows.push(row);
}
