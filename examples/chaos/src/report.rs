//! The table that is printed, and the file beside it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::Result;
use crate::matrix::Cell;

pub mod summary;

/// What the judges came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every promise held.
    Held,
    /// At least one was broken, or the run proves nothing.
    Violated,
    /// This machine lacks what it needs; that is no pass.
    Skipped,
    /// The scenario did not come to its end.
    NotPlayed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Held => "held",
            Self::Violated => "VIOLATED",
            Self::Skipped => "SKIPPED",
            Self::NotPlayed => "NOT PLAYED",
        })
    }
}

/// Where a row stands in the matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// What was hit.
    pub target: String,
    /// By what.
    pub fault: String,
    /// What callers did meanwhile.
    pub load: String,
}

impl From<Cell> for Place {
    fn from(cell: Cell) -> Self {
        let Cell { target, fault, load } = cell;
        Self { target: target.to_string(), fault: fault.to_string(), load: load.to_string() }
    }
}

/// One scenario, one round.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub scenario: String,
    /// Its place in the matrix, if it has one.
    pub cell: Option<Place>,
    /// Which round, from 1.
    pub round: usize,
    /// What the judges came to.
    pub verdict: Verdict,
    /// Milliseconds until all was served again; from which moment is the scenario's to say.
    pub recovery_ms: Option<f64>,
    /// What the median of that over three or more rounds must stay below.
    pub recovery_goal_ms: Option<f64>,
    /// Milliseconds that the slowest answered call of the load took, from the fault on.
    pub slowest_ms: Option<f64>,
    /// Shards that got a new owner after the fault.
    pub moves: usize,
    /// Calls that were answered, in the whole run.
    pub answered: usize,
    /// Calls of the load that failed, by code and by whether they may have run.
    pub failed: BTreeMap<String, usize>,
    /// Probes that failed while a fault lasted.
    pub probes_failed: usize,
    /// Nodes that logged that their life was over.
    pub fences: usize,
    /// Nodes that logged that they lead.
    pub elections_logged: usize,
    /// Nodes that logged that they declare another dead.
    pub burials_logged: usize,
    /// Heartbeat keys that were deleted after the fault: deaths and departures.
    pub lives_over: usize,
    /// New leaders after the fault.
    pub leader_changes: usize,
    /// Milliseconds that the whole scenario took.
    pub duration_ms: f64,
    /// Lines of level ERROR in the logs.
    pub errors_logged: usize,
    /// What is wrong, in words.
    pub violations: Vec<String>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

impl Row {
    /// A row for a run of which nothing else is known.
    #[must_use]
    pub fn not_played(why: String) -> Self {
        Self {
            scenario: String::new(),
            cell: None,
            round: 0,
            verdict: Verdict::NotPlayed,
            recovery_ms: None,
            recovery_goal_ms: None,
            slowest_ms: None,
            moves: 0,
            answered: 0,
            failed: BTreeMap::new(),
            probes_failed: 0,
            fences: 0,
            elections_logged: 0,
            burials_logged: 0,
            lives_over: 0,
            leader_changes: 0,
            duration_ms: 0.0,
            errors_logged: 0,
            violations: vec![why],
            notes: Vec::new(),
        }
    }

    /// A row for what this machine can't play.
    #[must_use]
    pub fn skipped(why: &str) -> Self {
        let mut row = Self::not_played(format!("skipped: {why}"));
        row.verdict = Verdict::Skipped;
        row
    }

    /// Prints the row, with what is wrong below it.
    pub fn print(&self) {
        let seconds =
            |ms: Option<f64>| ms.map_or("-".to_owned(), |ms| format!("{:.2} s", ms / 1e3));
        println!(
            "{:<46} {:<10} {:>9} {:>8} {:>6} {:>8} {:>6} {:>7} {:>7}   {}",
            self.scenario,
            self.verdict,
            seconds(self.recovery_ms),
            seconds(self.slowest_ms),
            self.moves,
            self.answered,
            self.fences,
            self.leader_changes,
            format!("{:.0} s", self.duration_ms / 1e3),
            by_class(&self.failed)
        );
        for violation in &self.violations {
            println!("    ! {violation}");
        }
    }
}

/// Failed calls in words.
fn by_class(failed: &BTreeMap<String, usize>) -> String {
    let failed: Vec<String> =
        failed.iter().map(|(class, count)| format!("{count} {class}")).collect();
    if failed.is_empty() { "none".to_owned() } else { failed.join(", ") }
}

/// Prints the names of the columns.
pub fn print_header() {
    println!(
        "{:<46} {:<10} {:>9} {:>8} {:>6} {:>8} {:>6} {:>7} {:>7}   failed calls",
        "scenario",
        "verdict",
        "recovery",
        "slowest",
        "moves",
        "answered",
        "fences",
        "leaders",
        "took"
    );
}

/// Compares the median recovery of the rounds of one scenario with its goal, and prints both; whether
/// the goal was met. Fewer than three rounds say nothing.
#[must_use]
pub fn meets_goal(rounds: &[Row]) -> bool {
    let goal = rounds.iter().find_map(|row| row.recovery_goal_ms);
    let mut took: Vec<f64> = rounds.iter().filter_map(|row| row.recovery_ms).collect();
    let Some(goal) = goal.filter(|_| took.len() >= 3) else { return true };
    took.sort_by(f64::total_cmp);
    let median = took[took.len() / 2];
    let met = median < goal;
    let said = if met { "met" } else { "MISSED" };
    println!("    median of {} recoveries {median:.0} ms, goal < {goal:.0} ms: {said}", took.len());
    met
}

/// Writes rows, or what they come to, as JSON.
///
/// # Errors
/// When the file can't be written.
pub fn write(path: &Path, rows: &impl Serialize) -> Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(path, serde_json::to_string_pretty(rows)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(took_ms: &[f64]) -> Vec<Row> {
        let row = |took: &f64| Row {
            recovery_ms: Some(*took),
            recovery_goal_ms: Some(2000.0),
            ..Row::not_played(String::new())
        };
        took_ms.iter().map(row).collect()
    }

    #[test]
    fn the_median_of_three_rounds_decides() {
        assert!(meets_goal(&rounds(&[1900.0, 2500.0, 1000.0])));
        assert!(!meets_goal(&rounds(&[2100.0, 2500.0, 1000.0])));
        assert!(meets_goal(&rounds(&[2100.0, 2500.0])));
    }
}
