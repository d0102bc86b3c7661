//! What was found, for people and for programs.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::case::{Better, Case, Finding, Role};
use crate::goal::{Verdict, best_rival, microseconds};
use crate::system::Result;

/// One contestant in one case, as it stands in the file.
#[derive(Debug, Serialize)]
struct Row {
    case: &'static str,
    contestant: &'static str,
    /// Median over the runs.
    value: f64,
    unit: &'static str,
    /// The worst and the best run are one of these and the other.
    lowest: f64,
    highest: f64,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    /// Figure of the best rival in the same run, for Greenroom's rows.
    baseline: Option<f64>,
    baseline_contestant: Option<&'static str>,
    /// How many times as good as the baseline; for memory, how many times as small.
    ratio: Option<f64>,
    /// For Greenroom's rows, one of each goal of the case for which there was something to compare.
    goals: Vec<Verdict>,
}

/// Gathers the rows of all cases.
#[derive(Debug)]
pub(crate) struct Report {
    only: Option<String>,
    rows: Vec<Row>,
}

impl Report {
    /// A report of the cases whose names contain `only`, or of all.
    pub(crate) fn new(only: Option<String>) -> Self {
        Self { only, rows: Vec::new() }
    }

    /// Whether a case is to be measured.
    pub(crate) fn wants(&self, name: &str) -> bool {
        let only = self.only.as_deref();
        only.is_none_or(|only| name.contains(only))
    }

    /// Adds a case, and prints it at once, so that a long run shows that it is alive.
    pub(crate) fn add(&mut self, case: &Case, findings: &[Finding]) {
        println!("\n{} ({})", case.name, case.unit);
        for finding in findings {
            let row = row(case, finding, findings);
            println!("{}", line(&row));
            for verdict in &row.goals {
                println!("      {}", verdict_line(verdict));
            }
            self.rows.push(row);
        }
    }

    /// Whether no case was measured.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes all rows as one array.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        Ok(fs::write(path, serde_json::to_string_pretty(&self.rows)?)?)
    }
}

fn row(case: &Case, finding: &Finding, findings: &[Finding]) -> Row {
    let ours = finding.role == Role::Ours;
    let value = finding.sample.value;
    let best = best_rival(case.better, findings).filter(|_| ours);
    let ratio = best.map(|best| match case.better {
        Better::More => value / best.sample.value,
        Better::Less => best.sample.value / value,
    });
    let goals = case.goals.iter().filter(|_| ours);
    Row {
        case: case.name,
        contestant: finding.contestant,
        value,
        unit: case.unit,
        lowest: finding.lowest,
        highest: finding.highest,
        p50_us: finding.sample.p50.map(microseconds),
        p99_us: finding.sample.p99.map(microseconds),
        baseline: best.map(|best| best.sample.value),
        baseline_contestant: best.map(|best| best.contestant),
        ratio,
        goals: goals.filter_map(|goal| goal.judge(case, finding, findings)).collect(),
    }
}

fn line(row: &Row) -> String {
    let latency = match (row.p50_us, row.p99_us) {
        (Some(p50), Some(p99)) => format!("p50 {p50:>9.1} us   p99 {p99:>9.1} us"),
        _ => String::new(),
    };
    let mut line = format!(
        "  {:<18}{:>12}   [{:>10} .. {:>10}]   {latency:<36}",
        row.contestant,
        thousands(row.value),
        thousands(row.lowest),
        thousands(row.highest),
    );
    if let (Some(ratio), Some(name)) = (row.ratio, row.baseline_contestant) {
        line.push_str(&format!("{ratio:.2}x {name}"));
    }
    line.trim_end().to_owned()
}

fn verdict_line(verdict: &Verdict) -> String {
    let Verdict { goal, ratio, met, .. } = verdict;
    let whose = verdict.baseline_contestant.unwrap_or("of it");
    let met = if *met { "met" } else { "missed" };
    format!("goal: {goal}; {ratio:.2}x {whose}: {met}")
}

/// Rounded, with a comma every three digits; a small figure keeps two places.
fn thousands(value: f64) -> String {
    if value < 100.0 && value.fract() != 0.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goal::Goal;
    use crate::load::Sample;

    fn finding(contestant: &'static str, role: Role, value: f64) -> Finding {
        Finding { contestant, role, sample: Sample::plain(value), lowest: value, highest: value }
    }

    fn rows(better: Better, goals: &'static [Goal], value: f64) -> Vec<Row> {
        let case = Case { name: "a case", unit: "u", better, goals };
        let findings = [
            finding("ours", Role::Ours, value),
            finding("slow", Role::Rival, 100.0),
            finding("fast", Role::Rival, 200.0),
            finding("bare", Role::Orientation, 9000.0),
        ];
        let mut report = Report::new(None);
        report.add(&case, &findings);
        report.rows
    }

    #[test]
    fn the_ratio_is_to_the_best_rival() {
        let rows = rows(Better::More, &[], 600.0);
        assert_eq!((rows[0].baseline_contestant, rows[0].ratio), (Some("fast"), Some(3.0)));
    }

    #[test]
    fn of_memory_the_best_is_the_least() {
        let rows = rows(Better::Less, &[], 50.0);
        assert_eq!((rows[0].baseline_contestant, rows[0].ratio), (Some("slow"), Some(2.0)));
    }

    #[test]
    fn every_goal_is_judged_and_only_for_greenroom() {
        let goals = &[Goal::Times(4.0), Goal::TimesOf(0.05, "bare")];
        let rows = rows(Better::More, goals, 600.0);
        let met: Vec<bool> = rows[0].goals.iter().map(|verdict| verdict.met).collect();
        assert_eq!(met, [false, true]);
        assert!(rows[1..].iter().all(|row| row.goals.is_empty() && row.ratio.is_none()));
        let told = verdict_line(&rows[0].goals[0]);
        assert_eq!(told, "goal: at least 4x the best rival; 3.00x fast: missed");
    }

    #[test]
    fn without_a_rival_there_is_no_ratio_and_no_verdict() {
        let goals = &[Goal::Times(2.0)];
        let case = Case { name: "a case", unit: "u", better: Better::More, goals };
        let mut report = Report::new(Some("case".into()));
        assert!(report.wants(case.name));
        assert!(!report.wants("another"));
        report.add(&case, &[finding("ours", Role::Ours, 1.0)]);
        assert_eq!(report.rows[0].ratio, None);
        assert!(report.rows[0].goals.is_empty());
    }

    #[test]
    fn figures_are_written_in_thousands() {
        assert_eq!(thousands(1_234_567.4), "1,234,567");
        assert_eq!(thousands(999.0), "999");
        assert_eq!(thousands(14.926), "14.93");
        assert_eq!(thousands(14.0), "14");
    }
}
