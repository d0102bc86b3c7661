//! An airport: what left it and what reached it.

use std::collections::BTreeSet;

use greenroom::prelude::*;
use serde::{Deserialize, Serialize};

/// What anyone may tell or ask an airport. A flight that is told twice counts once, so a report
/// whose answer was lost can simply be repeated.
#[greenroom::interface(kind = "flight.airport")]
pub trait Airport {
    /// A flight of so many miles left.
    async fn departed(&mut self, flight: u32, distance: u32);
    /// A flight arrived, so many minutes late.
    async fn arrived(&mut self, flight: u32, delay: i32);
    /// Sums over all flights.
    async fn totals(&self) -> AirportTotals;
    /// Which flights those are.
    async fn log(&self) -> AirportLog;
}

/// Sums over an airport's flights.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AirportTotals {
    /// Flights that left.
    pub departures: u64,
    /// Flights that arrived.
    pub arrivals: u64,
    /// Miles of the flights that left.
    pub miles: u64,
    /// Minutes of delay of the flights that arrived.
    pub delay: i64,
}

/// The numbers of an airport's flights, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AirportLog {
    /// Those that left.
    pub departures: Vec<u32>,
    /// Those that arrived.
    pub arrivals: Vec<u32>,
}

/// An airport in memory.
#[derive(Debug, Default)]
pub struct AirportActor {
    totals: AirportTotals,
    departures: BTreeSet<u32>,
    arrivals: BTreeSet<u32>,
}

impl Actor for AirportActor {
    async fn activate(_: &mut Activating<'_>) -> Result<Self, ActivateError> {
        Ok(Self::default())
    }
}

impl Airport for AirportActor {
    async fn departed(&mut self, flight: u32, distance: u32) {
        if self.departures.insert(flight) {
            self.totals.departures += 1;
            self.totals.miles += u64::from(distance);
        }
    }

    async fn arrived(&mut self, flight: u32, delay: i32) {
        if self.arrivals.insert(flight) {
            self.totals.arrivals += 1;
            self.totals.delay += i64::from(delay);
        }
    }

    async fn totals(&self) -> AirportTotals {
        self.totals.clone()
    }

    async fn log(&self) -> AirportLog {
        AirportLog {
            departures: self.departures.iter().copied().collect(),
            arrivals: self.arrivals.iter().copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flight_that_is_told_twice_counts_once() {
        let mut airport = AirportActor::default();
        for _ in 0..2 {
            airport.departed(7, 300).await;
            airport.arrived(8, -5).await;
        }
        let expected = AirportTotals { departures: 1, arrivals: 1, miles: 300, delay: -5 };
        assert_eq!(airport.totals().await, expected);
    }
}
