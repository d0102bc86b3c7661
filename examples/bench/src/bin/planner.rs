//! Figures of the planner: how long a plan takes, how many shards it moves, and how even it leaves
//! a cluster, beside naive ways to do the same.
//!
//! Run it with `cargo run --release -p greenroom-bench --bin planner`. It needs nothing else.

#[path = "../row.rs"]
mod row;

use std::hint::black_box;
use std::time::{Duration, Instant};

use clap::Parser;
use greenroom_core::NodeId;
use greenroom_core::planner::{
    Member, Placement, Policy, Problem, Standing, Strategy, plan, settle, shares,
};
use row::Row;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Shards, members, and how long a plan may take in milliseconds.
const SIZES: [(usize, usize, f64); 2] = [(8192, 100, 5.0), (65_536, 1000, 250.0)];
const WEIGHTS: [u32; 3] = [50, 100, 200];
const ZONES: usize = 5;

/// Measures the planner.
#[derive(Debug, Parser)]
struct Options {
    /// Runs of each case; medians are told.
    #[arg(long, default_value_t = 7)]
    runs: usize,
    /// Only cases whose names contain this.
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mut rows = Vec::new();
    for (shards, members, time_max_ms) in SIZES {
        for scenario in scenarios(shards, members)? {
            let case = format!("{}, {shards} shards, {members} nodes", scenario.name);
            if options.only.as_deref().is_none_or(|only| case.contains(only)) {
                let measured = scenario.measure(&case, options.runs, time_max_ms);
                measured.iter().for_each(Row::print);
                rows.extend(measured);
            }
        }
    }
    row::write("planner", &rows)
}

/// Something that happens to a cluster.
struct Scenario {
    name: &'static str,
    members: Vec<Member>,
    shards: Vec<Placement>,
    policy: Policy,
    /// How many shards must move at least.
    moves_min: usize,
    /// How many shards move if shard `s` is at member `s` modulo their number.
    naive_moves: Option<usize>,
}

impl Scenario {
    fn problem(&self) -> Problem<'_> {
        let (members, shards) = (&self.members, &self.shards);
        Problem { members, shards, stable_for: Duration::MAX }
    }

    fn measure(&self, case: &str, runs: usize, time_max_ms: f64) -> Vec<Row> {
        let time = |run: &dyn Fn()| {
            let times = (0..runs.max(1)).map(|_| {
                let start = Instant::now();
                run();
                start.elapsed().as_secs_f64() * 1000.0
            });
            Row::new(case, "ms", times.collect())
        };
        let mut took = time(&|| drop(black_box(plan(&self.problem(), &self.policy))));
        let naive = time(&|| drop(black_box(scan(&self.members, &self.shards)))).value;
        took.baseline = Some(naive);
        took.ratio = Some(naive / took.value);
        took.goal = Some(format!("below {time_max_ms} ms"));
        took.met = Some(took.value < time_max_ms);
        took.notes.push("baseline: every shard placed anew by a scan of all nodes".to_owned());
        vec![took, self.moves(case), self.evenness(case)]
    }

    fn moves(&self, case: &str) -> Row {
        let settled = settle(&self.problem(), &self.policy);
        let moves = settled.moves.iter().filter(|step| step.from != Some(step.to)).count();
        let mut row = Row::new(case, "moves", vec![moves as f64]);
        row.baseline = self.naive_moves.map(|naive| naive as f64);
        row.ratio = row.baseline.map(|naive| naive / row.value);
        let above = (moves as f64 / self.moves_min as f64 - 1.0) * 100.0;
        row.notes.push(format!("{above:.1} % above a minimum of {}", self.moves_min));
        row.notes.push(format!("{} plans", settled.rounds));
        if self.policy.strategy == Strategy::Count {
            row.goal = Some("within 5 % of the minimum".to_owned());
            row.met = Some(above <= 5.0);
        }
        row
    }

    fn evenness(&self, case: &str) -> Row {
        let settled = settle(&self.problem(), &self.policy);
        let loads = &settled.loads_after;
        let total: u64 = loads.iter().sum();
        let mut largest = vec![0; self.members.len()];
        let mut owners: Vec<_> = self.shards.iter().map(|shard| shard.owner).collect();
        for step in &settled.moves {
            owners[step.shard.0 as usize] = Some(step.to);
        }
        for (shard, owner) in self.shards.iter().zip(owners) {
            owner.into_iter().for_each(|o| largest[o] = u64::from(shard.load).max(largest[o]));
        }
        match self.policy.strategy {
            Strategy::Count => {
                let exact = exact_shares(&self.members, self.policy.spread_zones, total);
                let off = loads.iter().zip(exact).map(|(load, exact)| (*load as f64 - exact).abs());
                let mut row = Row::new(case, "shards off", vec![off.fold(0.0, f64::max)]);
                // Shards are whole, and with zones a zone's part is rounded before its members'.
                let most = if self.policy.spread_zones { 2.0 } else { 1.0 };
                row.goal = Some(format!("at most {most} off the exact share"));
                row.met = Some(row.value <= most);
                row
            }
            Strategy::Load => {
                let (shares, fixed) = shares_besides(&self.members, &largest, total);
                let off = loads.iter().zip(shares).zip(&fixed);
                let off = off.filter(|(_, fixed)| !**fixed);
                let off = off.map(|((load, share), _)| (*load as f64 / share - 1.0).abs() * 100.0);
                let mut row = Row::new(case, "% off", vec![off.fold(0.0, f64::max)]);
                let fixed = fixed.iter().filter(|fixed| **fixed).count();
                row.notes.push(format!("{fixed} nodes have one shard above their share"));
                row.goal = Some("at most 5 % off the share".to_owned());
                row.met = Some(row.value <= 5.0);
                row
            }
        }
    }
}

fn scenarios(shards: usize, len: usize) -> Result<Vec<Scenario>> {
    let members = members(len)?;
    let empty = vec![Placement::default(); shards];
    let count = policy();
    let zones = Policy { spread_zones: true, ..count.clone() };
    let load = Policy { strategy: Strategy::Load, ..count.clone() };
    let by = |policy: &Policy, shards: &[Placement]| at_rest(&members, shards, policy);
    let zipf = zipf(&empty);
    let in_load = by(&load, &zipf);

    let mut newcomer = members.clone();
    newcomer.extend(self::members(len + 1)?.pop());
    let newcomers_share = |total| shares(&newcomer, total, false)[len] as usize;
    let tenth = |i: usize| i % 10 == 3;
    let zone = |i: usize| i % ZONES == 3;
    let mut lighter = members.clone();
    lighter.iter_mut().step_by(10).for_each(|member| member.weight /= 2);

    let mut scenarios = Vec::new();
    let mut add = |name, members: &[Member], (shards, moves_min), policy: &Policy, naive_moves| {
        let (members, policy) = (members.to_vec(), policy.clone());
        scenarios.push(Scenario { name, members, shards, policy, moves_min, naive_moves });
    };
    add("first assignment", &members, (empty.clone(), shards), &count, None);
    let joined = (by(&count, &empty), newcomers_share(shards as u64));
    add("a join", &newcomer, joined, &count, Some(modulo(shards, len, |_| true, len + 1)));
    let left = without(&members, &by(&count, &empty), tenth);
    let naive = Some(modulo(shards, len, |i| !tenth(i), len));
    add("a tenth leaves", &left.0, left.1, &count, naive);
    let left = without(&members, &by(&zones, &empty), zone);
    let naive = Some(modulo(shards, len, |i| !zone(i), len));
    add("a zone is lost", &left.0, left.1, &zones, naive);
    let reweighted = by(&count, &empty);
    let moves_min = surplus(&lighter, &reweighted);
    add("a tenth halves its weight", &lighter, (reweighted, moves_min), &count, None);

    add("first assignment by load", &members, (zipf.clone(), shards), &load, None);
    let counted = by(&count, &zipf);
    let moves_min = fewest(&members, &counted);
    add("from count to load", &members, (counted, moves_min), &load, None);
    let moves_min = fewest(&newcomer, &in_load);
    add("a join by load", &newcomer, (in_load.clone(), moves_min), &load, None);
    let left = without(&members, &in_load, tenth);
    add("a tenth leaves by load", &left.0, left.1, &load, None);
    let moves_min = fewest(&lighter, &in_load);
    add("a tenth halves its weight by load", &lighter, (in_load, moves_min), &load, None);
    Ok(scenarios)
}

fn policy() -> Policy {
    Policy {
        stability: Duration::ZERO,
        batch_len_max: usize::MAX,
        node_moves_max: usize::MAX,
        imbalance_threshold_permille: 0,
        strategy: Strategy::Count,
        spread_zones: false,
        move_gain_permille: 1,
    }
}

fn members(len: usize) -> Result<Vec<Member>> {
    let member = |i: usize| {
        Ok(Member {
            node: NodeId::new(format!("node-{i:04}"))?,
            weight: WEIGHTS[i % WEIGHTS.len()],
            zone: (i % ZONES) as u32,
            standing: Standing::Taking,
        })
    };
    (0..len).map(member).collect()
}

/// The same shards with loads of which the `r`th largest is one `r`th of the largest, and a little
/// for each.
fn zipf(shards: &[Placement]) -> Vec<Placement> {
    let mut ranks: Vec<u32> = (1..=shards.len() as u32).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut ranks);
    let loaded = shards.iter().zip(ranks);
    loaded.map(|(shard, rank)| Placement { load: 100 + 10_000_000 / rank, ..*shard }).collect()
}

fn at_rest(members: &[Member], shards: &[Placement], policy: &Policy) -> Vec<Placement> {
    let settled = settle(&Problem { members, shards, stable_for: Duration::MAX }, policy);
    let mut shards = shards.to_vec();
    for step in settled.moves {
        let shard = &mut shards[step.shard.0 as usize];
        (shard.owner, shard.target) = (Some(step.to), Some(step.to));
    }
    shards
}

/// The cluster after these members have died, and how many shards they had.
fn without(
    members: &[Member],
    shards: &[Placement],
    dies: impl Fn(usize) -> bool,
) -> (Vec<Member>, (Vec<Placement>, usize)) {
    let places: Vec<Option<usize>> = (0..members.len())
        .scan(0, |next, i| {
            *next += usize::from(!dies(i));
            Some((!dies(i)).then(|| *next - 1))
        })
        .collect();
    let left = members.iter().enumerate().filter(|(i, _)| !dies(*i)).map(|(_, m)| m.clone());
    let place = |shard: &Placement| {
        let at = shard.owner.and_then(|owner| places[owner]);
        Placement { owner: at, target: at, ..*shard }
    };
    let shards: Vec<_> = shards.iter().map(place).collect();
    let orphans = shards.iter().filter(|shard| shard.owner.is_none()).count();
    (left.collect(), (shards, orphans))
}

/// The naive plan: each shard to whoever has the least for its weight, found by looking at all.
fn scan(members: &[Member], shards: &[Placement]) -> Vec<usize> {
    let mut loads = vec![0_u64; members.len()];
    let place = |shard: &Placement| {
        let fill = |i: &usize| loads[*i] as f64 / f64::from(members[*i].weight);
        let least = (0..members.len()).min_by(|a, b| fill(a).total_cmp(&fill(b)))?;
        loads[least] += u64::from(shard.load.max(1));
        Some(least)
    };
    shards.iter().filter_map(place).collect()
}

/// How many shards change their node if each is at the one whose place among the live is its number
/// modulo theirs: before among the first `len`, afterwards among those of `len_after` that stay.
fn modulo(shards: usize, len: usize, stays: impl Fn(usize) -> bool, len_after: usize) -> usize {
    let after: Vec<usize> = (0..len_after).filter(|i| stays(*i)).collect();
    (0..shards).filter(|shard| shard % len != after[shard % after.len()]).count()
}

fn loads_of(members: &[Member], shards: &[Placement]) -> Vec<Vec<u64>> {
    let mut loads = vec![Vec::new(); members.len()];
    for shard in shards {
        shard.owner.into_iter().for_each(|owner| loads[owner].push(u64::from(shard.load)));
    }
    loads
}

/// How many shards members have above their exact share, rounded up: each of those must move.
fn surplus(members: &[Member], shards: &[Placement]) -> usize {
    let exact = exact_shares(members, false, shards.len() as u64);
    let loads = loads_of(members, shards);
    let surplus = loads.iter().zip(exact).map(|(l, exact)| l.len() as f64 - exact.ceil());
    surplus.map(|surplus| surplus.max(0.0) as usize).sum()
}

/// The fewest shards that must leave members until none has more than 5 % above its share, or that
/// must arrive at members until none has less than 5 % below it, without any giver ending there: a
/// bound from below, seldom within reach.
fn fewest(members: &[Member], shards: &[Placement]) -> usize {
    let mut loads = loads_of(members, shards);
    loads.iter_mut().for_each(|loads| loads.sort_unstable_by(|a, b| b.cmp(a)));
    let total = loads.iter().flatten().sum();
    let largest: Vec<u64> = loads.iter().map(|loads| loads.first().copied().unwrap_or(0)).collect();
    let (shares, _) = shares_besides(members, &largest, total);
    let leave = loads.iter().zip(&shares).map(|(loads, share)| {
        let mut above = loads.iter().sum::<u64>() as f64 - share * 1.05;
        // Whoever has one shard above its share keeps that.
        let kept = usize::from(loads.first().is_some_and(|first| *first as f64 >= *share));
        let leaves = |load: &&u64| {
            let more = above > 0.0;
            above -= **load as f64;
            more
        };
        loads.iter().skip(kept).take_while(leaves).count()
    });
    let have = |loads: &Vec<u64>| loads.iter().sum::<u64>() as f64;
    let lack: f64 =
        loads.iter().zip(&shares).map(|(l, share)| (share * 0.95 - have(l)).max(0.0)).sum();
    let spare = loads.iter().zip(&shares).flat_map(|(loads, share)| {
        let mut spare = (have(loads) - share * 0.95).max(0.0);
        let fitting = loads.iter().map(|load| *load as f64).filter(move |load| *load <= spare);
        fitting.take_while(move |load| {
            let some = spare > 0.0;
            spare -= load;
            some
        })
    });
    let mut spare: Vec<f64> = spare.collect();
    spare.sort_unstable_by(|a, b| b.total_cmp(a));
    let arrive = spare.iter().scan(0.0, |arrived, load| {
        let more = *arrived < lack;
        *arrived += load;
        more.then_some(())
    });
    leave.sum::<usize>().max(arrive.count())
}

fn exact_shares(members: &[Member], spread_zones: bool, total: u64) -> Vec<f64> {
    let sum = |zone: Option<u32>| -> f64 {
        let of_zone = members.iter().filter(|m| zone.is_none_or(|zone| m.zone == zone));
        of_zone.map(|m| f64::from(m.weight)).sum()
    };
    let zones: std::collections::BTreeSet<u32> = members.iter().map(|m| m.zone).collect();
    let exact = |m: &Member| match spread_zones {
        false => total as f64 * f64::from(m.weight) / sum(None),
        true => total as f64 / zones.len() as f64 * f64::from(m.weight) / sum(Some(m.zone)),
    };
    members.iter().map(exact).collect()
}

/// The share of each member if those with one shard above theirs have no more than that shard, and
/// who these are.
fn shares_besides(members: &[Member], largest: &[u64], total: u64) -> (Vec<f64>, Vec<bool>) {
    let mut fixed = vec![false; members.len()];
    loop {
        let open = members.iter().zip(&fixed).filter(|(_, fixed)| !**fixed);
        let weights: f64 = open.map(|(member, _)| f64::from(member.weight)).sum();
        let taken = largest.iter().zip(&fixed).filter(|(_, fixed)| **fixed);
        let rest = total as f64 - taken.map(|(largest, _)| *largest as f64).sum::<f64>();
        let share = |i: usize| rest * f64::from(members[i].weight) / weights;
        let more: Vec<usize> =
            (0..members.len()).filter(|i| !fixed[*i] && largest[*i] as f64 > share(*i)).collect();
        if more.is_empty() {
            let of = |i| if fixed[i] { largest[i] as f64 } else { share(i) };
            return ((0..members.len()).map(of).collect(), fixed);
        }
        more.into_iter().for_each(|i| fixed[i] = true);
    }
}
