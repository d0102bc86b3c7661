//! Real flights: the file, and the actors that they pass through.

mod airport;
mod route;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use airport::{Airport, AirportActor, AirportInterface, AirportLog, AirportRef, AirportTotals};
pub use route::{FlyError, Route, RouteActor, RouteInterface, RouteRef, RouteTotals};

/// The copy of the data set that comes with the examples; `data/README.md` tells its source.
pub const SAMPLE: &str = include_str!("../../data/flights.csv");

const HEADER: &str = "date,delay,distance,origin,destination";

/// One flight, as a line of the file tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flight {
    /// Its line in the file, from 0: the name by which a repeated report is recognised.
    pub number: u32,
    /// Local date and time of departure.
    pub date: String,
    /// Minutes late at arrival; negative when early.
    pub delay: i32,
    /// Miles.
    pub distance: u32,
    /// Airport code.
    pub origin: String,
    /// Airport code.
    pub destination: String,
}

impl Flight {
    /// The key of its route's actor.
    pub fn route(&self) -> String {
        format!("{}-{}", self.origin, self.destination)
    }
}

/// A line that is no flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    line: usize,
    reason: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for BadLine {}

/// Reads a file of flights with the columns `date,delay,distance,origin,destination`.
///
/// # Errors
/// At the first line that is no flight.
pub fn parse(text: &str) -> Result<Vec<Flight>, BadLine> {
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return Err(BadLine { line: 1, reason: format!("the header must be {HEADER:?}") });
    }
    let flights = (0..).zip(lines).map(|(number, line)| {
        let bad = |reason: String| BadLine { line: number as usize + 2, reason };
        let fields: Vec<&str> = line.split(',').collect();
        let [date, delay, distance, origin, destination] = fields[..] else {
            return Err(bad(format!("there must be 5 fields, got {}", fields.len())));
        };
        let number_in = |name: &str, text: &str| {
            bad(format!("the {name} must be a whole number, got {text:?}"))
        };
        let code = |name: &str, text: &str| match text {
            "" => Err(bad(format!("the {name} is empty"))),
            code => Ok(code.to_owned()),
        };
        Ok(Flight {
            number,
            date: date.to_owned(),
            delay: delay.parse().map_err(|_| number_in("delay", delay))?,
            distance: distance.parse().map_err(|_| number_in("distance", distance))?,
            origin: code("origin", origin)?,
            destination: code("destination", destination)?,
        })
    });
    flights.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_whole() {
        let flights = parse(SAMPLE).unwrap();
        assert_eq!(flights.len(), 20_000);
        assert_eq!(flights.iter().map(|flight| i64::from(flight.delay)).sum::<i64>(), 154_078);
    }

    #[test]
    fn bad_lines_are_named() {
        let message = |text: &str| parse(text).unwrap_err().to_string();
        assert!(message("a,b").starts_with("line 1: the header must be"));
        let line = |line: &str| message(&format!("{HEADER}\n2001-01-01T00:47,1,2,A,B\n{line}"));
        assert_eq!(line("x"), "line 3: there must be 5 fields, got 1");
        assert_eq!(line("d,late,2,A,B"), "line 3: the delay must be a whole number, got \"late\"");
        assert_eq!(line("d,1,-2,A,B"), "line 3: the distance must be a whole number, got \"-2\"");
        assert_eq!(line("d,1,2,,B"), "line 3: the origin is empty");
    }
}
