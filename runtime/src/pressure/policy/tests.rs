//! The policy against traces of calls, beside exact LRU, FIFO, and the optimum that knows the calls
//! to come (Belady). `cargo test -p greenroom --lib pressure::policy -- --nocapture` prints the
//! ratios of calls that found their actor in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use fastrand::Rng;

use super::*;

const CALLS: usize = 200_000;
const KEYS: usize = 20_000;
/// Actors that have room.
const ROOM: usize = 2_000;

type Trace = Vec<u64>;

/// Draws keys whose frequency falls with their rank to the power of `skew`.
struct Zipf {
    sums: Vec<f64>,
    random: Rng,
}

impl Zipf {
    fn new(skew: f64, seed: u64) -> Self {
        let weights = (1..=KEYS).map(|rank| (rank as f64).powf(-skew));
        let sums = weights.scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Self { sums: sums.collect(), random: Rng::with_seed(seed) }
    }

    fn draw(&mut self) -> u64 {
        let point = self.random.f64() * self.sums[KEYS - 1];
        self.sums.partition_point(|sum| *sum < point) as u64
    }
}

fn zipf(skew: f64) -> Trace {
    let mut zipf = Zipf::new(skew, 1);
    (0..CALLS).map(|_| zipf.draw()).collect()
}

/// Zipf, and in every fifth period a scan through keys that are never called again, each `times`.
fn with_scans(times: usize) -> Trace {
    let mut zipf = Zipf::new(0.9, 2);
    let mut unseen = KEYS as u64;
    let mut trace = Vec::new();
    while trace.len() < CALLS {
        trace.extend((0..16_000).map(|_| zipf.draw()));
        for _ in 0..4_000 / times {
            unseen += 1;
            trace.extend(std::iter::repeat_n(unseen, times));
        }
    }
    trace
}

/// Every other call is one of a scan.
fn half_a_scan() -> Trace {
    let mut zipf = Zipf::new(0.9, 3);
    let scanned = |number| (KEYS + number) as u64;
    (0..CALLS).map(|n| if n % 2 == 0 { scanned(n) } else { zipf.draw() }).collect()
}

/// A set of actors that fits into the room is called evenly, and now and then replaced.
fn moving_set() -> Trace {
    let mut random = Rng::with_seed(4);
    let set = |number: usize| (number / 25_000 * ROOM) as u64;
    (0..CALLS).map(|number| set(number) + random.u64(..ROOM as u64 * 8 / 10)).collect()
}

/// Zipf, but now and then other keys are the favourites.
fn moving_zipf() -> Trace {
    let mut zipf = Zipf::new(0.9, 5);
    let shift = |number: usize| number as u64 / 50_000 * 7_919;
    (0..CALLS).map(|number| (zipf.draw() * 31 + shift(number)) % KEYS as u64).collect()
}

fn share(hits: usize, trace: &Trace) -> f64 {
    hits as f64 / trace.len() as f64
}

fn optimum(trace: &Trace) -> f64 {
    let mut next_call = vec![0; trace.len()];
    let mut later = HashMap::new();
    for (number, key) in trace.iter().enumerate().rev() {
        // Whatever is never called again differs, or it would be one entry of the set below.
        next_call[number] = later.insert(*key, number).unwrap_or(CALLS * 2 + number);
    }
    let (mut present, mut by_next) = (HashMap::new(), BTreeSet::new());
    let mut hits = 0;
    for (key, next) in trace.iter().zip(next_call) {
        if let Some(this) = present.insert(*key, next) {
            hits += 1;
            by_next.remove(&(this, *key));
        } else if by_next.len() == ROOM {
            let (_, farthest) = by_next.pop_last().expect("it is full");
            present.remove(&farthest);
        }
        by_next.insert((next, *key));
    }
    share(hits, trace)
}

fn lru(trace: &Trace) -> f64 {
    let (mut present, mut by_age) = (HashMap::new(), BTreeMap::new());
    let mut hits = 0;
    for (number, key) in trace.iter().enumerate() {
        if let Some(before) = present.insert(*key, number) {
            hits += 1;
            by_age.remove(&before);
        } else if by_age.len() == ROOM {
            let (_, oldest) = by_age.pop_first().expect("it is full");
            present.remove(&oldest);
        }
        by_age.insert(number, *key);
    }
    share(hits, trace)
}

fn fifo(trace: &Trace) -> f64 {
    let (mut present, mut queue) = (HashSet::new(), VecDeque::new());
    let mut hits = 0;
    for key in trace {
        if !present.insert(*key) {
            hits += 1;
            continue;
        }
        queue.push_back(*key);
        if queue.len() > ROOM {
            present.remove(&queue.pop_front().expect("it is full"));
        }
    }
    share(hits, trace)
}

/// A node in little: actors in shards, a keeper that goes round, and some room kept free, as in
/// [`super::super::room`]. One call a millisecond.
fn ours(trace: &Trace) -> f64 {
    const SHARDS: usize = 128;
    const FREE: usize = ROOM / 20;
    let mut shards: Vec<BTreeMap<u64, Usage>> = vec![BTreeMap::new(); SHARDS];
    let (mut actors, mut hand, mut hits) = (0, 0, 0);
    for (number, key) in trace.iter().enumerate() {
        let now = number as u32;
        let shard = &mut shards[(key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 57) as usize];
        if let Some(usage) = shard.get_mut(key) {
            usage.used(now);
            hits += 1;
            continue;
        }
        let mut usage = Usage::new(now);
        usage.used(now);
        shard.insert(*key, usage);
        actors += 1;
        if actors > ROOM - FREE {
            let mut coldest = Coldest::new(actors + FREE + ROOM / 100 - ROOM, now);
            for _ in 0..SHARDS {
                for (key, usage) in &shards[hand] {
                    coldest.look(*usage, || (hand, *key));
                }
                hand = (hand + 1) % SHARDS;
                if coldest.is_enough() {
                    break;
                }
            }
            for (shard, key) in coldest.into_victims() {
                shards[shard].remove(&key);
                actors -= 1;
            }
        }
    }
    share(hits, trace)
}

struct Ratios {
    lru: f64,
    ours: f64,
}

fn measure(name: &str, trace: &Trace) -> Ratios {
    let ratios = Ratios { lru: lru(trace), ours: ours(trace) };
    let (best, fifo) = (optimum(trace), fifo(trace));
    println!(
        "{name:28} optimum {best:.3}  LRU {:.3}  FIFO {fifo:.3}  ours {:.3}",
        ratios.lru, ratios.ours
    );
    assert!(ratios.lru <= best && ratios.ours <= best && fifo <= best, "the optimum is none");
    ratios
}

#[test]
fn on_skewed_calls_the_policy_is_no_worse_than_exact_lru() {
    for skew in [0.7, 0.9, 1.0] {
        let Ratios { lru, ours } = measure(&format!("Zipf {skew}"), &zipf(skew));
        assert!(ours >= lru, "{ours} of LRU's {lru}");
    }
}

#[test]
fn scans_push_out_fewer_of_those_that_are_called_again_than_with_lru() {
    for (name, trace) in [("Zipf and scans", with_scans(1)), ("half a scan", half_a_scan())] {
        let Ratios { lru, ours } = measure(name, &trace);
        assert!(ours >= lru + 0.02, "{name}: {ours} of LRU's {lru}");
    }
    // Several calls in a row are no sign of interest.
    let Ratios { lru, ours } = measure("Zipf and scans, 4 calls each", &with_scans(4));
    assert!(ours >= lru + 0.01, "{ours} of LRU's {lru}");
}

#[test]
fn when_interest_moves_on_the_policy_follows() {
    let Ratios { lru, ours } = measure("moving set", &moving_set());
    assert!(ours >= lru - 0.06, "{ours} of LRU's {lru}");
    let Ratios { lru, ours } = measure("moving Zipf", &moving_zipf());
    assert!(ours >= lru, "{ours} of LRU's {lru}");
}

#[test]
fn the_coldest_are_those_of_the_highest_age_and_once_called_ones_age_fourfold() {
    let at = |at_ms: u32, often| Usage { often, ..Usage::new(at_ms) };
    let mut coldest = Coldest::new(3, 1_000_000);
    let actors = [
        ("fresh", at(999_000, Often::Once)),
        ("old and loved", at(700_000, Often::Again)),
        ("once", at(900_000, Often::Once)),
        ("older and loved", at(500_000, Often::Again)),
        ("loved", at(650_000, Often::Again)),
        ("never", at(899_999, Often::Never)),
    ];
    for (name, usage) in actors {
        coldest.look(usage, || name);
    }
    assert!(!coldest.is_enough(), "6 of 3 x {LOOKS_PER_VICTIM}");
    let victims: Vec<_> = coldest.into_victims().collect();
    assert_eq!(victims, ["older and loved", "never", "once"]);
}

#[test]
fn calls_in_one_period_count_as_one_and_those_in_another_as_another() {
    let mut usage = Usage::new(1000);
    // An activation that took long is not a second call.
    for at in [5000, 5001, 5020] {
        usage.used(at);
        assert_eq!((usage.at_ms(), usage.often), (at, Often::Once));
    }
    usage.used(5020 + (1 << PERIOD_MS_LOG2));
    assert_eq!(usage.often, Often::Again);
    // A turn that began earlier ends later.
    usage.used(5000);
    assert_eq!(usage.age_ms(6000), 6000 - 5020 - (1 << PERIOD_MS_LOG2));
}

#[test]
fn ages_are_right_where_the_numbers_begin_anew() {
    let mut usage = Usage::new(u32::MAX - 9);
    usage.used(u32::MAX - 9);
    assert_eq!(usage.age_ms(90), 100);
    usage.used(90);
    assert_eq!((usage.age_ms(90), usage.age_ms(1090)), (0, 1000));
    // Called after the look at the clock.
    assert_eq!(usage.age_ms(80), 0);
    assert_eq!(usage.age_ms(90_u32.wrapping_add(Usage::AGE_MS_MAX)), Usage::AGE_MS_MAX);
}
