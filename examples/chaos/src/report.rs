//! The table that is printed, and the file beside it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::Result;

/// What the judges came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every promise held.
    Held,
    /// At least one was broken, or the run proves nothing.
    Violated,
    /// The scenario did not come to its end.
    NotPlayed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Held => "held",
            Self::Violated => "VIOLATED",
            Self::NotPlayed => "NOT PLAYED",
        })
    }
}

/// One scenario, one round.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub scenario: String,
    /// Which round, from 1.
    pub round: usize,
    /// What the judges came to.
    pub verdict: Verdict,
    /// Milliseconds until all was served again; from which moment is the scenario's to say.
    pub recovery_ms: Option<f64>,
    /// What the median of that over three or more rounds must stay below.
    pub recovery_goal_ms: Option<f64>,
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
            round: 0,
            verdict: Verdict::NotPlayed,
            recovery_ms: None,
            recovery_goal_ms: None,
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

    /// Prints the row, with what is wrong below it.
    pub fn print(&self) {
        let recovery = self.recovery_ms.map_or("-".to_owned(), |ms| format!("{:.2} s", ms / 1e3));
        let failed: Vec<String> =
            self.failed.iter().map(|(class, count)| format!("{count} {class}")).collect();
        let failed = if failed.is_empty() { "none".to_owned() } else { failed.join(", ") };
        println!(
            "{:<46} {:<10} {:>9} {:>6} {:>8} {:>6} {:>7} {:>7}   {}",
            self.scenario,
            self.verdict,
            recovery,
            self.moves,
            self.answered,
            self.fences,
            self.leader_changes,
            format!("{:.0} s", self.duration_ms / 1e3),
            failed
        );
        for violation in &self.violations {
            println!("    ! {violation}");
        }
    }
}

/// Prints the names of the columns.
pub fn print_header() {
    println!(
        "{:<46} {:<10} {:>9} {:>6} {:>8} {:>6} {:>7} {:>7}   failed calls",
        "scenario", "verdict", "recovery", "moves", "answered", "fences", "leaders", "took"
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

/// Writes all rows as JSON.
///
/// # Errors
/// When the file can't be written.
pub fn write(path: &Path, rows: &[Row]) -> Result<()> {
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
