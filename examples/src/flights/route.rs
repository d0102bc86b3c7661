//! A route between two airports: flies, and tells both ends.

use std::collections::BTreeSet;

use greenroom::prelude::*;
use serde::{Deserialize, Serialize};

use super::{AirportRef, Flight};

/// What anyone may ask of a route.
#[greenroom::interface(kind = "flight.route")]
pub trait Route {
    /// Flies: tells origin and destination, then counts. Can be repeated.
    async fn fly(&mut self, ctx: &mut Context, flight: Flight) -> Result<(), FlyError>;
    /// Sums over all flights.
    async fn totals(&self) -> RouteTotals;
}

/// Sums over a route's flights.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTotals {
    /// Flights.
    pub flights: u64,
    /// Minutes of delay.
    pub delay: i64,
}

/// Why a flight is not known to be booked at both ends. Flying again is safe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlyError {
    /// The airport that did not confirm.
    pub airport: String,
    /// Why.
    pub reason: String,
}

impl std::fmt::Display for FlyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} did not confirm: {}", self.airport, self.reason)
    }
}

/// A route in memory.
#[derive(Debug, Default)]
pub struct RouteActor {
    totals: RouteTotals,
    flights: BTreeSet<u32>,
}

impl Actor for RouteActor {
    async fn activate(_: &mut Activating<'_>) -> Result<Self, ActivateError> {
        Ok(Self::default())
    }
}

impl Route for RouteActor {
    async fn fly(&mut self, ctx: &mut Context, flight: Flight) -> Result<(), FlyError> {
        let unconfirmed =
            |airport: &str, reason: String| FlyError { airport: airport.to_owned(), reason };
        let airport = |code: &str| {
            ctx.actor::<AirportRef>(code).map_err(|failure| unconfirmed(code, failure.to_string()))
        };
        let (origin, destination) = (airport(&flight.origin)?, airport(&flight.destination)?);
        origin
            .departed(flight.number, flight.distance)
            .await
            .map_err(|error| unconfirmed(&flight.origin, error.to_string()))?;
        destination
            .arrived(flight.number, flight.delay)
            .await
            .map_err(|error| unconfirmed(&flight.destination, error.to_string()))?;
        if self.flights.insert(flight.number) {
            self.totals.flights += 1;
            self.totals.delay += i64::from(flight.delay);
        }
        Ok(())
    }

    async fn totals(&self) -> RouteTotals {
        self.totals.clone()
    }
}
