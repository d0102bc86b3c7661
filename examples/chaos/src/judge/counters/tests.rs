use std::time::Duration;

use super::*;
use crate::calls::Outcome;

/// A call and its answer; when the turn ran is left wrong, because nobody must look.
fn answered(asks: Asks, activation: u64, count: u64, called_ns: u64, answered_ns: u64) -> Call {
    let is_read = asks == Asks::Read;
    let node = "node-1".to_owned();
    let turn = Testimony { node, process: 1, activation, count, is_read, began_ns: 0, ended_ns: 0 };
    Call {
        key: "k".into(),
        asks,
        sent_ns: called_ns,
        answered_ns,
        timeout: Duration::from_secs(1),
        is_probe: false,
        outcome: Outcome::Testified(turn),
    }
}

fn add(activation: u64, count: u64, called_ns: u64, answered_ns: u64) -> Call {
    answered(Asks::Turn, activation, count, called_ns, answered_ns)
}

fn read(activation: u64, count: u64, called_ns: u64, answered_ns: u64) -> Call {
    answered(Asks::Read, activation, count, called_ns, answered_ns)
}

fn failed(asks: Asks, called_ns: u64, may_have_run: bool) -> Call {
    let outcome = Outcome::Failed { code: "deadline".into(), may_have_run, message: String::new() };
    Call { outcome, ..answered(asks, 0, 0, called_ns, called_ns + 1) }
}

fn holds(calls: &[Call]) {
    assert_eq!(judge(calls), [""; 0]);
}

fn broken(calls: &[Call]) {
    let violations = judge(calls);
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert!(violations[0].contains("no order"), "{violations:?}");
}

#[test]
fn calls_under_way_together_may_have_run_in_any_order() {
    holds(&[add(1, 2, 0, 100), add(1, 1, 10, 90), read(1, 1, 20, 80), read(1, 2, 30, 40)]);
    holds(&[read(1, 0, 0, 100), add(1, 1, 10, 20), read(1, 1, 30, 40)]);
    holds(&[add(1, 1, 0, 10), read(1, 1, 20, 30), add(1, 2, 40, 50), add(2, 1, 60, 70)]);
}

#[test]
fn a_stale_read_is_found() {
    broken(&[add(1, 1, 0, 10), read(1, 0, 20, 30)]);
    // Also while other calls are under way, when another reading has seen the addition.
    broken(&[read(1, 1, 0, 10), add(1, 1, 1, 50), read(1, 0, 20, 30)]);
}

#[test]
fn a_lost_addition_is_found() {
    broken(&[add(1, 1, 0, 10), add(1, 1, 20, 30)]);
    broken(&[add(1, 1, 0, 10), add(1, 2, 20, 30), read(1, 1, 40, 50)]);
}

#[test]
fn an_addition_that_counts_twice_is_found() {
    broken(&[add(1, 1, 0, 10), add(1, 3, 20, 30)]);
    broken(&[add(1, 2, 0, 10)]);
    // A call that surely did not run, and one that only reads, are no excuse.
    broken(&[add(1, 1, 0, 10), failed(Asks::Turn, 12, false), add(1, 3, 20, 30)]);
    broken(&[add(1, 1, 0, 10), failed(Asks::Read, 12, true), add(1, 3, 20, 30)]);
}

#[test]
fn a_read_of_what_is_yet_to_be_added_is_found() {
    broken(&[read(1, 1, 0, 10), add(1, 1, 20, 30)]);
}

#[test]
fn two_activations_side_by_side_are_found() {
    broken(&[add(1, 1, 0, 10), add(2, 1, 20, 30), add(1, 2, 40, 50)]);
    broken(&[add(1, 1, 0, 10), add(2, 1, 20, 30), read(1, 1, 40, 50)]);
    // Interleaved so that no moment parts them.
    broken(&[add(1, 1, 0, 30), add(2, 1, 10, 40), add(1, 2, 50, 80), add(2, 2, 60, 90)]);
}

#[test]
fn a_call_in_doubt_explains_one_addition_after_it_was_made() {
    let doubt = failed(Asks::Turn, 12, true);
    // In time, late, in a later life, or never.
    holds(&[add(1, 1, 0, 10), doubt.clone(), add(1, 3, 20, 30)]);
    holds(&[add(1, 1, 0, 10), doubt.clone(), read(1, 1, 20, 30), add(1, 3, 40, 50)]);
    holds(&[add(1, 1, 0, 10), doubt.clone(), add(2, 2, 20, 30)]);
    holds(&[add(1, 1, 0, 10), doubt.clone(), add(1, 2, 20, 30)]);
    // Not twice, and not before.
    broken(&[add(1, 1, 0, 10), doubt.clone(), add(1, 3, 20, 30), add(2, 2, 40, 50)]);
    broken(&[add(1, 1, 0, 10), add(1, 3, 20, 30), failed(Asks::Turn, 31, true)]);
}

#[test]
fn keys_are_judged_by_themselves_and_each_is_told() {
    let mut other = add(2, 5, 0, 10);
    other.key = "other".into();
    let violations = judge(&[add(1, 1, 0, 10), other]);
    assert_eq!(violations.len(), 1);
    assert!(violations[0].starts_with("other: "), "{violations:?}");
}

#[test]
fn what_is_too_much_to_search_is_no_pass() {
    let calls: Vec<Call> = (1..=65).map(|count| add(1, count, count, 1000 + count)).collect();
    let violations = judge(&calls);
    assert!(violations[0].contains("can't be judged"), "{violations:?}");
}

/// Whatever order a counter really took, it is accepted; with one answer changed it is not. Calls
/// overlap up to three, as those of the load do.
#[test]
fn histories_of_a_real_counter_hold_and_any_wrong_count_among_them_is_found() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut calls, mut count) = (Vec::new(), 0);
        for step in 0..60_u64 {
            let asks = if rng.bool() { Asks::Turn } else { Asks::Read };
            count += u64::from(asks == Asks::Turn);
            let moment = 1000 + step * 10;
            calls.push(answered(asks, 1, count, moment - rng.u64(..15), moment + rng.u64(..15)));
        }
        holds(&calls);
        // The last one is after all others by far, so no order excuses it.
        let end = calls.iter().map(|call| call.answered_ns).max().unwrap();
        let last = read(1, count, end + 1, end + 2);
        holds(&[calls.clone(), vec![last.clone()]].concat());
        let mut wrong = last;
        if let Outcome::Testified(turn) = &mut wrong.outcome {
            turn.count = if rng.bool() { count + 1 } else { count.saturating_sub(1) };
        }
        broken(&[calls, vec![wrong]].concat());
    }
}
