//! What the cells of the matrix come to, for each target and for each fault.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Row, Verdict, by_class};

/// What all cells of one target, or of one fault, come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sum {
    /// The target or the fault.
    pub name: String,
    /// How often its cells were played.
    pub played: usize,
    /// How often all promises held.
    pub held: usize,
    /// How often this machine lacked what a cell needs.
    pub skipped: usize,
    /// The longest time until all was served again.
    pub recovery_max_ms: f64,
    /// What the slowest answered call took.
    pub slowest_ms: f64,
    /// Calls that were answered.
    pub answered: usize,
    /// Calls of the load that failed, by code and by whether they may have run.
    pub failed: BTreeMap<String, usize>,
    /// Nodes that found their life over.
    pub fences: usize,
}

impl Sum {
    fn add(&mut self, row: &Row) {
        match row.verdict {
            Verdict::Skipped => self.skipped += 1,
            verdict => {
                self.played += 1;
                self.held += usize::from(verdict == Verdict::Held);
            }
        }
        self.recovery_max_ms = self.recovery_max_ms.max(row.recovery_ms.unwrap_or(0.0));
        self.slowest_ms = self.slowest_ms.max(row.slowest_ms.unwrap_or(0.0));
        self.answered += row.answered;
        for (class, count) in &row.failed {
            *self.failed.entry(class.clone()).or_default() += count;
        }
        self.fences += row.fences;
    }
}

/// Sums of all cells.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// For each target.
    pub by_target: Vec<Sum>,
    /// For each fault.
    pub by_fault: Vec<Sum>,
}

impl Summary {
    /// Of all rows that have a place in the matrix, in the order in which they come.
    #[must_use]
    pub fn of(rows: &[Row]) -> Self {
        let mut summary = Self::default();
        for row in rows {
            let Some(place) = &row.cell else { continue };
            sum_named(&mut summary.by_target, &place.target).add(row);
            sum_named(&mut summary.by_fault, &place.fault).add(row);
        }
        summary
    }

    /// Prints it, if there is anything.
    pub fn print(&self) {
        for (title, sums) in [("target", &self.by_target), ("fault", &self.by_fault)] {
            if sums.is_empty() {
                return;
            }
            println!(
                "\n{title:<24} {:>6} {:>6} {:>7} {:>12} {:>9} {:>9} {:>7}   failed calls",
                "played", "held", "skipped", "recovery max", "slowest", "answered", "fences"
            );
            for sum in sums {
                println!(
                    "{:<24} {:>6} {:>6} {:>7} {:>10.2} s {:>7.2} s {:>9} {:>7}   {}",
                    sum.name,
                    sum.played,
                    sum.held,
                    sum.skipped,
                    sum.recovery_max_ms / 1e3,
                    sum.slowest_ms / 1e3,
                    sum.answered,
                    sum.fences,
                    by_class(&sum.failed)
                );
            }
        }
    }
}

fn sum_named<'a>(sums: &'a mut Vec<Sum>, name: &str) -> &'a mut Sum {
    let place = sums.iter().position(|sum| sum.name == name).unwrap_or_else(|| {
        sums.push(Sum { name: name.to_owned(), ..Sum::default() });
        sums.len() - 1
    });
    &mut sums[place]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Place;

    fn row(target: &str, fault: &str, verdict: Verdict, recovery_ms: f64) -> Row {
        let (target, fault) = (target.to_owned(), fault.to_owned());
        let failed = BTreeMap::from([("unreachable (may have run)".to_owned(), 2)]);
        Row {
            cell: Some(Place { target, fault, load: "steady".to_owned() }),
            verdict,
            recovery_ms: Some(recovery_ms),
            failed,
            ..Row::not_played(String::new())
        }
    }

    #[test]
    fn a_skip_is_neither_played_nor_held() {
        let rows = [
            row("owner", "kill", Verdict::Held, 10.0),
            row("owner", "clock x0.8", Verdict::Skipped, 0.0),
            row("leader", "kill", Verdict::Violated, 30.0),
            row("leader", "kill", Verdict::NotPlayed, 20.0),
        ];
        let summary = Summary::of(&rows);
        let counts = |sums: &[Sum]| -> Vec<(String, usize, usize, usize)> {
            sums.iter().map(|sum| (sum.name.clone(), sum.played, sum.held, sum.skipped)).collect()
        };
        let expected = [("owner".to_owned(), 1, 1, 1), ("leader".to_owned(), 2, 0, 0)];
        assert_eq!(counts(&summary.by_target), expected);
        let kill = &summary.by_fault[0];
        assert_eq!((kill.recovery_max_ms, kill.failed["unreachable (may have run)"]), (30.0, 6));
    }

    #[test]
    fn rows_without_a_place_are_no_part_of_it() {
        let row = Row { cell: None, ..row("owner", "kill", Verdict::Held, 1.0) };
        assert_eq!(Summary::of(&[row]), Summary::default());
    }
}
