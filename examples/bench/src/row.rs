//! One case as it is printed and as it stands in a file.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// A figure, with what it is compared with.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    /// The median.
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
    pub(crate) baseline: Option<f64>,
    pub(crate) ratio: Option<f64>,
    pub(crate) goal: Option<String>,
    pub(crate) met: Option<bool>,
    pub(crate) notes: Vec<String>,
}

impl Row {
    /// A row of what several runs measured; at least one.
    pub(crate) fn new(case: &str, unit: &'static str, mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            case: case.to_owned(),
            value: values[values.len() / 2],
            unit,
            lowest: values[0],
            highest: values[values.len() - 1],
            baseline: None,
            ratio: None,
            goal: None,
            met: None,
            notes: Vec::new(),
        }
    }

    pub(crate) fn print(&self) {
        let Self { case, unit, .. } = self;
        let [value, lowest, highest] = [self.value, self.lowest, self.highest].map(figure);
        println!("{case:<58} {value:>9} {unit}   [{lowest} .. {highest}]");
        if let (Some(baseline), Some(ratio)) = (self.baseline.map(figure), self.ratio) {
            println!("    baseline {baseline} {unit}: {ratio:.1} times as good");
        }
        if let (Some(goal), Some(met)) = (&self.goal, self.met) {
            println!("    goal {goal}: {}", if met { "met" } else { "not met" });
        }
        for note in &self.notes {
            println!("    {note}");
        }
    }
}

/// Writes all rows as one array to `target/bench/{name}.json`.
pub(crate) fn write(name: &str, rows: &[Row]) -> Result<(), Box<dyn std::error::Error>> {
    let path = Path::new("target/bench").join(format!("{name}.json"));
    fs::create_dir_all("target/bench")?;
    fs::write(&path, serde_json::to_string_pretty(rows)?)?;
    println!("\nwritten to {}", path.display());
    Ok(())
}

fn figure(value: f64) -> String {
    if value.abs() < 10.0 && value.fract() != 0.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.0}")
    }
}
