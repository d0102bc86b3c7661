//! What was found, for people and for programs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::case::{Better, Case, Finding, Goal, Role};
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
    goal: Option<String>,
    met: Option<bool>,
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
    pub(crate) fn wants(&self, case: &Case) -> bool {
        let only = self.only.as_deref();
        only.is_none_or(|only| case.name.contains(only))
    }

    /// Adds a case, and prints it at once, so that a long run shows that it is alive.
    pub(crate) fn add(&mut self, case: &Case, findings: Vec<Finding>) {
        let best = best_rival(case.better, &findings);
        println!("\n{} ({})", case.name, case.unit);
        for finding in findings {
            let row = row(case, &finding, best);
            println!("{}", line(&row));
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

fn best_rival(better: Better, findings: &[Finding]) -> Option<(&'static str, f64)> {
    findings
        .iter()
        .filter(|finding| finding.role == Role::Rival)
        .map(|finding| (finding.contestant, finding.sample.value))
        .max_by(|(_, a), (_, b)| match better {
            Better::More => a.total_cmp(b),
            Better::Less => b.total_cmp(a),
        })
}

fn row(case: &Case, finding: &Finding, best: Option<(&'static str, f64)>) -> Row {
    let ours = finding.role == Role::Ours;
    let value = finding.sample.value;
    let best = best.filter(|_| ours);
    let ratio = best.map(|(_, baseline)| match case.better {
        Better::More => value / baseline,
        Better::Less => baseline / value,
    });
    let goal = case.goal.filter(|_| ours);
    let microseconds = |span: Duration| span.as_secs_f64() * 1e6;
    Row {
        case: case.name,
        contestant: finding.contestant,
        value,
        unit: case.unit,
        lowest: finding.lowest,
        highest: finding.highest,
        p50_us: finding.sample.p50.map(microseconds),
        p99_us: finding.sample.p99.map(microseconds),
        baseline: best.map(|(_, baseline)| baseline),
        baseline_contestant: best.map(|(name, _)| name),
        ratio,
        goal: goal.map(|goal| match goal {
            Goal::Times(times) => format!(">= {times}x"),
            Goal::AtMost(most) => format!("<= {most} {}", case.unit),
        }),
        met: goal.and_then(|goal| match goal {
            Goal::Times(times) => ratio.map(|ratio| ratio >= times),
            Goal::AtMost(most) => Some(value <= most),
        }),
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
    if let (Some(goal), Some(met)) = (&row.goal, row.met) {
        let met = if met { "met" } else { "not met" };
        line.push_str(&format!(", goal {goal}: {met}"));
    }
    line.trim_end().to_owned()
}

/// Rounded, with a comma every three digits.
fn thousands(value: f64) -> String {
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
    use crate::load::Sample;

    fn finding(contestant: &'static str, role: Role, value: f64) -> Finding {
        Finding { contestant, role, sample: Sample::plain(value), lowest: value, highest: value }
    }

    fn ours(better: Better, goal: Goal, value: f64) -> Row {
        let case = Case { name: "a case", unit: "u", better, goal: Some(goal) };
        let findings = vec![
            finding("ours", Role::Ours, value),
            finding("slow", Role::Rival, 100.0),
            finding("fast", Role::Rival, 200.0),
            finding("bare", Role::Orientation, 9000.0),
        ];
        let mut report = Report::new(None);
        report.add(&case, findings);
        report.rows.remove(0)
    }

    #[test]
    fn the_ratio_is_to_the_best_rival() {
        let row = ours(Better::More, Goal::Times(4.0), 600.0);
        assert_eq!((row.baseline_contestant, row.ratio), (Some("fast"), Some(3.0)));
        assert_eq!((row.goal.as_deref(), row.met), (Some(">= 4x"), Some(false)));
    }

    #[test]
    fn of_memory_the_best_is_the_least() {
        let row = ours(Better::Less, Goal::AtMost(50.0), 50.0);
        assert_eq!((row.baseline_contestant, row.ratio), (Some("slow"), Some(2.0)));
        assert_eq!(row.met, Some(true));
    }

    #[test]
    fn without_a_rival_there_is_no_ratio_and_no_verdict() {
        let case =
            Case { name: "a case", unit: "u", better: Better::More, goal: Some(Goal::Times(2.0)) };
        let mut report = Report::new(Some("case".into()));
        assert!(report.wants(&case));
        report.add(&case, vec![finding("ours", Role::Ours, 1.0)]);
        assert_eq!((report.rows[0].ratio, report.rows[0].met), (None, None));
    }

    #[test]
    fn figures_are_written_in_thousands() {
        assert_eq!(thousands(1_234_567.4), "1,234,567");
        assert_eq!(thousands(999.0), "999");
    }
}
