use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const HERE: fn(ShardId) -> bool = |_| true;

fn counts(counted: &[(u32, Counted)]) -> Counts {
    counted.iter().map(|(shard, counted)| (ShardId(*shard), *counted)).collect()
}

fn busy(calls: u64, busy_ns: u64, activations: usize) -> Counted {
    Counted { calls, busy_ns, activations }
}

fn ago(span: Duration) -> Instant {
    Instant::now() - span
}

/// The counted time, in whole milliseconds: the tests themselves take some.
fn took(counted: Counted) -> u64 {
    counted.busy_ns / 1_000_000
}

#[test]
fn a_few_turns_are_timed_one_by_one_and_many_by_one_in_sixteen() {
    let tally = Tally::default();
    for _ in 0..TIMED_FIRST {
        tally.ended(ago(SECOND), false);
    }
    let few = tally.take();
    assert_eq!((few.calls, took(few) / 1000), (TIMED_FIRST, TIMED_FIRST));
    for _ in 0..TIMED_FIRST + 10 * TIMED_ONE_IN {
        tally.ended(ago(SECOND), false);
    }
    let many = tally.take();
    let calls = TIMED_FIRST + 10 * TIMED_ONE_IN;
    assert_eq!((many.calls, took(many) / 1000), (calls, calls));
    assert_eq!(tally.take(), Counted::default());
}

#[test]
fn a_turn_that_waited_stands_for_no_other() {
    let tally = Tally::default();
    for _ in 0..TIMED_FIRST {
        tally.ended(Instant::now(), false);
    }
    tally.ended(ago(100 * SECOND), true);
    assert_eq!(took(tally.take()) / 100_000, 1);
}

#[test]
fn counts_become_rates_a_second() {
    let start = Instant::now();
    let mut teller = Teller::new(start);
    let counted = counts(&[(1, busy(1000, 3_000_000_000, 7))]);
    let loads = teller.loads(&counted, 2, HERE, start + 2 * SECOND);
    let load = ShardLoad { calls_per_s: 500, busy_us_per_s: 1_500_000, activations: 7 };
    assert_eq!(loads, [(ShardId(0), ShardLoad::default()), (ShardId(1), load)]);
    let huge = counts(&[(1, busy(u64::MAX, u64::MAX, usize::MAX))]);
    let loads = teller.loads(&huge, 2, HERE, start + 2 * SECOND);
    let most = ShardLoad { calls_per_s: u32::MAX, busy_us_per_s: u32::MAX, activations: u32::MAX };
    assert_eq!(loads[1].1, most);
}

#[test]
fn a_span_that_nobody_was_told_of_counts_for_no_rate() {
    let start = Instant::now();
    let mut teller = Teller::new(start);
    teller.skip(start + 9 * SECOND);
    let counted = counts(&[(0, busy(100, 0, 0))]);
    let loads = teller.loads(&counted, 1, HERE, start + 10 * SECOND);
    assert_eq!(loads[0].1.calls_per_s, 100);
}

/// How often a shard that rests is told until it no longer is.
fn zeros(teller: &mut Teller, are_owned: fn(ShardId) -> bool) -> usize {
    let told = || teller.loads(&Counts::new(), 1, are_owned, Instant::now());
    std::iter::repeat_with(told).take_while(|loads| !loads.is_empty()).count()
}

#[test]
fn a_shard_that_rests_is_told_until_no_leader_can_take_it_for_busy() {
    let mut teller = Teller::new(Instant::now());
    assert_eq!(zeros(&mut teller, HERE), usize::from(ZEROS));
    let counted = counts(&[(0, busy(5, 5, 0))]);
    assert_eq!(teller.loads(&counted, 1, HERE, Instant::now()).len(), 1);
    assert_eq!(zeros(&mut teller, HERE), usize::from(ZEROS));
    teller.begin_anew();
    assert_eq!(zeros(&mut teller, HERE), usize::from(ZEROS));
}

#[test]
fn a_shard_that_is_gone_is_not_told_and_one_that_came_is_told_at_rest() {
    let mut teller = Teller::new(Instant::now());
    assert_eq!(zeros(&mut teller, HERE), usize::from(ZEROS));
    let late = counts(&[(0, busy(5, 5, 5))]);
    assert_eq!(teller.loads(&late, 1, |_| false, Instant::now()), []);
    assert_eq!(zeros(&mut teller, HERE), usize::from(ZEROS));
}
