//! The end of a scenario: the load stops, the judges look, a row of the report is written.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;

use super::{PATIENCE, Stage};
use crate::Result;
use crate::calls::Call;
use crate::expect::Expect;
use crate::judge::logs::LogTally;
use crate::judge::{Violations, answers, counters, history};
use crate::records::{Change, What};
use crate::report::{Row, Verdict};

impl Stage {
    /// Ends the load and all processes, and judges; `played` is what the scenario came to.
    pub async fn finish(mut self, played: Result<Expect>) -> Row {
        self.end_load().await;
        let caught_up = self.mirror.catch_up(PATIENCE / 2).await;
        let caller = self.caller().clone();
        caller.node().crash().await;
        self.places.clear();
        let calls = caller.book();
        let changes = self.mirror.history();

        let mut violations = answers::judge(&calls);
        violations.extend(counters::judge(&calls));
        violations.extend(history::judge(&changes));
        if let Err(error) = caught_up {
            violations.push(format!("etcd's history can't be judged whole: {error}"));
        }
        let logs = LogTally::of(&self.logs);
        violations.extend(logs.unread.iter().cloned());
        violations.extend(logs.panics.iter().map(|line| format!("a panic: {line}")));
        violations.extend(std::mem::take(&mut self.complaints).into_lines());

        let after = played.as_ref().map_or(0, |expect| expect.revision);
        let tally = history::tally(&changes, after);
        let mut row = Row {
            scenario: String::new(),
            cell: None,
            round: 0,
            verdict: Verdict::Held,
            recovery_ms: None,
            recovery_goal_ms: None,
            slowest_ms: None,
            moves: tally.moves,
            answered: calls.iter().filter(|call| call.testimony().is_some()).count(),
            failed: failures_by_class(&calls),
            probes_failed: calls.iter().filter(|call| failed(call) && call.is_probe).count(),
            fences: logs.fences,
            elections_logged: logs.elections,
            burials_logged: logs.burials,
            lives_over: tally.lives_over,
            leader_changes: tally.leader_changes,
            duration_ms: ms(self.began.elapsed()),
            errors_logged: logs.errors.len(),
            violations: Vec::new(),
            notes: std::mem::take(&mut self.notes),
        };
        row.notes.extend(logs.errors.into_iter().take(5));
        match played {
            Ok(expect) => {
                row.notes.extend(self.deaths(&expect, &changes));
                let recovery = expect.recovery.map(|(took, _)| took);
                row.recovery_ms = recovery.map(ms);
                row.recovery_goal_ms = expect.goal.map(ms);
                row.slowest_ms = slowest(&calls, expect.began_ns).map(ms);
                violations.extend(compare(&expect, &row, &calls));
                if !violations.is_empty() {
                    row.verdict = Verdict::Violated;
                }
            }
            Err(error) => {
                row.verdict = Verdict::NotPlayed;
                violations.push(format!("the scenario could not be played to its end: {error}"));
            }
        }
        row.violations = violations;
        row
    }

    async fn end_load(&mut self) {
        let ended = match self.load.take() {
            Some(load) => load.stop().await,
            None => true,
        };
        let holds = &mut self.holds;
        let holds_end = async { while holds.join_next().await.is_some() {} };
        if timeout(PATIENCE, holds_end).await.is_err() || !ended {
            self.complain("calls did not end although their deadlines have passed");
        }
    }

    /// Whose life ended when, seen from the fault.
    fn deaths(&self, expect: &Expect, changes: &[Change]) -> Vec<String> {
        let after = changes.iter().filter(|change| change.revision > expect.revision);
        let deaths = after.filter_map(|change| {
            let What::LifeOver { node } = &change.what else { return None };
            let heard_ns = self.mirror.heard_ns(change.revision)?;
            let took = Duration::from_nanos(heard_ns.saturating_sub(expect.began_ns));
            Some(format!("the life of {node} was over after {:.2} s", took.as_secs_f64()))
        });
        deaths.collect()
    }
}

/// What the scenario allows, beside what happened.
fn compare(expect: &Expect, row: &Row, calls: &[Call]) -> Vec<String> {
    let mut violations = Violations::default();
    for call in calls.iter().filter(|call| failed(call) && !call.is_probe) {
        if !expect.failures.covers(call) {
            violations.push(format!("{}, but {call}", expect.failures));
        }
    }
    if let Some((took, within)) = expect.recovery
        && took > within
    {
        violations.push(format!("recovery took {took:.1?}, more than {within:?}"));
    }
    let ranges = [
        ("shards that got a new owner", row.moves, &expect.moves),
        ("fences in the logs", row.fences, &expect.fences),
        ("lives that ended in etcd", row.lives_over, &expect.lives_over),
    ];
    for (what, count, allowed) in ranges {
        if !allowed.contains(&count) {
            violations.push(format!("{what}: {count}, allowed are {allowed:?}"));
        }
    }
    if row.answered < expect.answered_min {
        let (answered, min) = (row.answered, expect.answered_min);
        violations.push(format!("it proves nothing: {answered} calls answered, less than {min}"));
    }
    violations.into_lines()
}

/// What the slowest answered call of the load took that ended after a moment.
fn slowest(calls: &[Call], after_ns: u64) -> Option<Duration> {
    let calls = calls.iter().filter(|call| !failed(call) && !call.is_probe);
    let ended = calls.filter(|call| call.answered_ns > after_ns);
    ended.map(|call| Duration::from_nanos(call.answered_ns - call.sent_ns)).max()
}

fn failed(call: &Call) -> bool {
    call.testimony().is_none()
}

fn failures_by_class(calls: &[Call]) -> BTreeMap<String, usize> {
    let mut classes = BTreeMap::new();
    for class in calls.iter().filter(|call| !call.is_probe).filter_map(Call::failure_class) {
        *classes.entry(class).or_default() += 1;
    }
    classes
}

fn ms(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e4).round() / 10.0
}
