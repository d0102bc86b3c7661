//! Two owners, by what the nodes answered. All times are of one clock, so they compare exactly.

use std::collections::{BTreeMap, HashSet};

use super::{Violations, by_key};
use crate::calls::Call;
use crate::witness::Testimony;

/// Judges all calls of a run:
/// - acknowledged turns of a key never overlap, but for readings beside each other;
/// - once a later activation of a key has an acknowledged turn, no earlier one has another;
/// - an activation counts its turns without gaps, but for turns whose calls are in doubt;
/// - a turn lies between the call and its answer.
#[must_use]
pub fn judge(calls: &[Call]) -> Vec<String> {
    let mut violations = Violations::default();
    for (key, calls) in by_key(calls) {
        judge_times(key, &calls, &mut violations);
        let mut turns: Vec<&Testimony> = calls.iter().filter_map(|call| call.testimony()).collect();
        turns.sort_by_key(|turn| turn.began_ns);
        judge_overlaps(key, &turns, &mut violations);
        judge_activations(key, &turns, &mut violations);
        judge_counts(key, &turns, &calls, &mut violations);
    }
    violations.into_lines()
}

fn judge_times(key: &str, calls: &[&Call], violations: &mut Violations) {
    for call in calls {
        let Some(turn) = call.testimony() else { continue };
        let inside = call.sent_ns <= turn.began_ns
            && turn.began_ns <= turn.ended_ns
            && turn.ended_ns <= call.answered_ns;
        if !inside {
            violations.push(format!(
                "{key}: a turn lies outside its call ({}..{}): {turn:?}",
                call.sent_ns, call.answered_ns
            ));
        }
    }
}

fn judge_overlaps(key: &str, turns: &[&Testimony], violations: &mut Violations) {
    // Of the turns that count and of the readings, the one that ended last.
    let mut last: [Option<&Testimony>; 2] = [None, None];
    for turn in turns {
        let [counted, read] = last;
        let forbidden = counted.into_iter().chain(read.filter(|_| !turn.is_read));
        for before in forbidden.filter(|before| turn.began_ns < before.ended_ns) {
            violations.push(format!("{key}: two turns at once: {before:?} and {turn:?}"));
        }
        let place = &mut last[usize::from(turn.is_read)];
        if place.is_none_or(|last| turn.ended_ns > last.ended_ns) {
            *place = Some(turn);
        }
    }
}

fn judge_activations(key: &str, turns: &[&Testimony], violations: &mut Violations) {
    let mut over = HashSet::new();
    let mut present: Option<&Testimony> = None;
    for turn in turns {
        if let Some(before) = present
            && before.activation != turn.activation
        {
            over.insert(before.activation);
            if over.contains(&turn.activation) {
                violations.push(format!(
                    "{key}: an activation answers after a later one did: {turn:?} after {before:?}"
                ));
            }
        }
        present = Some(turn);
    }
}

/// A gap in the count of an activation: turns that ran and whose calls were not answered.
struct Gap<'a> {
    missing: u64,
    before: &'a Testimony,
}

fn judge_counts(key: &str, turns: &[&Testimony], calls: &[&Call], violations: &mut Violations) {
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    let mut gaps = Vec::new();
    for turn in turns {
        let before = last.insert(turn.activation, turn.count).unwrap_or(0);
        match turn.count.checked_sub(before + u64::from(!turn.is_read)) {
            Some(0) => {}
            Some(missing) => gaps.push(Gap { missing, before: turn }),
            None => {
                violations.push(format!("{key}: the count went from {before} back: {turn:?}"));
            }
        }
    }
    // A call fills one place at most, and only in a gap that ended after it was sent. Gaps stand in
    // the order of their ends, so counting from the first on tells whether all can be filled.
    let mut in_doubt: Vec<u64> =
        calls.iter().filter(|call| call.may_have_counted()).map(|call| call.sent_ns).collect();
    in_doubt.sort_unstable();
    let mut missing = 0;
    for gap in gaps {
        missing += gap.missing;
        let could_have_run = in_doubt.partition_point(|sent| *sent < gap.before.began_ns) as u64;
        if missing > could_have_run {
            violations.push(format!(
                "{key}: {missing} turns ran that nobody was told of, but only {could_have_run} \
                 calls were in doubt until {:?}",
                gap.before
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::calls::{Asks, Outcome};

    fn call(activation: u64, count: u64, began_ns: u64, ended_ns: u64) -> Call {
        let turn = Testimony {
            node: "node-1".into(),
            process: 1,
            activation,
            count,
            is_read: false,
            began_ns,
            ended_ns,
        };
        Call {
            key: "k".into(),
            asks: Asks::Turn,
            sent_ns: began_ns.saturating_sub(5),
            answered_ns: ended_ns + 5,
            timeout: Duration::from_secs(1),
            is_probe: false,
            outcome: Outcome::Testified(turn),
        }
    }

    fn failed(sent_ns: u64, may_have_run: bool) -> Call {
        let code = "unreachable".to_owned();
        Call {
            sent_ns,
            outcome: Outcome::Failed { code, may_have_run, message: String::new() },
            ..call(0, 0, 0, 0)
        }
    }

    fn read(activation: u64, count: u64, began_ns: u64, ended_ns: u64) -> Call {
        let mut call = call(activation, count, began_ns, ended_ns);
        call.asks = Asks::Read;
        if let Outcome::Testified(turn) = &mut call.outcome {
            turn.is_read = true;
        }
        call
    }

    fn only(calls: &[Call], what: &str) {
        let violations = judge(calls);
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert!(violations[0].contains(what), "{violations:?}");
    }

    #[test]
    fn turns_one_after_the_other_are_right_whoever_took_them() {
        let calls =
            [call(1, 1, 10, 20), call(1, 2, 20, 30), call(2, 1, 40, 50), call(2, 2, 60, 61)];
        assert_eq!(judge(&calls), [""; 0]);
    }

    #[test]
    fn two_turns_at_once_are_found() {
        only(&[call(1, 1, 10, 20), call(2, 1, 19, 30)], "two turns at once");
        // Also when a short turn lies between the two.
        only(
            &[call(1, 1, 10, 50), call(1, 2, 50, 51), call(1, 3, 51, 90), call(2, 1, 80, 95)],
            "two turns at once",
        );
    }

    #[test]
    fn readings_may_run_beside_each_other_and_beside_nothing_else() {
        let beside = [call(1, 1, 10, 20), read(1, 1, 20, 40), read(1, 1, 25, 30)];
        assert_eq!(judge(&beside), [""; 0]);
        only(&[call(1, 1, 10, 20), read(1, 1, 19, 30)], "two turns at once");
        only(&[call(1, 1, 10, 20), read(1, 1, 20, 40), call(1, 2, 39, 50)], "two turns at once");
    }

    #[test]
    fn a_reading_counts_nothing() {
        let calls = [call(1, 1, 10, 20), read(1, 1, 20, 30), call(1, 2, 30, 40)];
        assert_eq!(judge(&calls), [""; 0]);
        only(&[call(1, 1, 10, 20), read(1, 2, 20, 30)], "1 turns ran");
        only(&[call(1, 1, 10, 20), read(1, 0, 20, 30), call(1, 1, 30, 40)], "back");
        // A reading in doubt explains nothing.
        let mut doubt = failed(12, true);
        doubt.asks = Asks::Read;
        only(&[doubt, call(1, 1, 10, 20), call(1, 3, 30, 40)], "1 turns ran");
    }

    #[test]
    fn an_earlier_activation_that_answers_again_is_found() {
        let calls = [call(1, 1, 10, 20), call(2, 1, 30, 40), call(1, 2, 50, 60)];
        only(&calls, "answers after a later one");
    }

    #[test]
    fn a_turn_that_nobody_asked_for_is_found() {
        only(&[call(1, 1, 10, 20), call(1, 3, 30, 40)], "1 turns ran");
        only(&[call(1, 2, 10, 20)], "1 turns ran");
        // A call that failed with the promise that it did not run is no excuse.
        only(&[failed(21, false), call(1, 1, 10, 20), call(1, 3, 30, 40)], "1 turns ran");
        // Nor is one that was made later.
        only(&[failed(35, true), call(1, 1, 10, 20), call(1, 3, 30, 40)], "1 turns ran");
    }

    #[test]
    fn a_call_in_doubt_explains_one_turn_and_no_more() {
        let doubt = failed(12, true);
        assert_eq!(judge(&[doubt.clone(), call(1, 1, 10, 20), call(1, 3, 30, 40)]), [""; 0]);
        let twice = [doubt, call(1, 1, 10, 20), call(1, 3, 30, 40), call(2, 2, 50, 60)];
        only(&twice, "2 turns ran");
    }

    #[test]
    fn a_count_that_falls_is_found() {
        only(&[call(1, 1, 10, 20), call(1, 1, 30, 40)], "back");
    }

    #[test]
    fn a_turn_outside_its_call_is_found() {
        let mut late = call(1, 1, 10, 20);
        late.answered_ns = 19;
        only(&[late], "outside its call");
    }
}
