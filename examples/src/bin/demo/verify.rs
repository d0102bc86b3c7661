//! Compares what the actors hold with what the file says, flight by flight.
//!
//! State is in memory only: what the killed node held is gone. So the missing entries are told
//! again first, which is harmless for those that are there, and then every total must be equal.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;
use futures_util::stream;
use greenroom::Node;
use greenroom_examples::flights::{
    AirportLog, AirportRef, AirportTotals, Flight, RouteRef, RouteTotals,
};

use crate::nodes::Nodes;
use crate::thousands;

/// Questions under way at a time.
const QUESTIONS: usize = 64;
/// Differences that are printed.
const DIFFERENCES_SHOWN_MAX: usize = 20;

type Problem = Box<dyn std::error::Error + Send + Sync>;

/// What the file says.
struct Expected<'a> {
    flights: &'a [Flight],
    airports: BTreeMap<&'a str, (AirportTotals, AirportLog)>,
    routes: BTreeMap<String, (RouteTotals, Vec<u32>)>,
}

impl<'a> Expected<'a> {
    fn of(flights: &'a [Flight]) -> Self {
        let mut airports: BTreeMap<&str, (AirportTotals, AirportLog)> = BTreeMap::new();
        let mut routes: BTreeMap<String, (RouteTotals, Vec<u32>)> = BTreeMap::new();
        for flight in flights {
            let (totals, log) = airports.entry(&flight.origin).or_default();
            totals.departures += 1;
            totals.miles += u64::from(flight.distance);
            log.departures.push(flight.number);
            let (totals, log) = airports.entry(&flight.destination).or_default();
            totals.arrivals += 1;
            totals.delay += i64::from(flight.delay);
            log.arrivals.push(flight.number);
            let (totals, numbers) = routes.entry(flight.route()).or_default();
            totals.flights += 1;
            totals.delay += i64::from(flight.delay);
            numbers.push(flight.number);
        }
        Self { flights, airports, routes }
    }
}

/// Repairs and compares; prints the verdict.
pub(crate) async fn verify(nodes: &Nodes, flights: &[Flight]) -> bool {
    let expected = Expected::of(flights);
    let node = nodes.caller();
    let lost = match repair(node, &expected).await {
        Ok(lost) => lost,
        Err(problem) => {
            println!("FAILED: what was lost could not be told again: {problem}");
            return false;
        }
    };
    if lost > 0 {
        println!(
            "state is in memory only: {} entries were lost with the killed node and told again",
            thousands(lost as u64)
        );
    }
    let differences = compare(node, &expected).await;
    for difference in differences.iter().take(DIFFERENCES_SHOWN_MAX) {
        println!("  {difference}");
    }
    if differences.is_empty() {
        println!(
            "EQUAL: the totals of {} airports and {} routes are those of the file, flight by flight",
            thousands(expected.airports.len() as u64),
            thousands(expected.routes.len() as u64)
        );
        return true;
    }
    println!("DIFFERENT: {} totals are not those of the file", differences.len());
    false
}

/// Tells again what is missing; answers with how much that was.
async fn repair(node: &Node, expected: &Expected<'_>) -> Result<usize, Problem> {
    let airports = expected.airports.iter().map(|(code, (_, log))| async move {
        let airport: AirportRef = node.actor(code)?;
        let held = airport.log().await?;
        let mut lost = 0;
        for number in missing(&log.departures, &held.departures) {
            let flight = &expected.flights[number as usize];
            airport.departed(number, flight.distance).await?;
            lost += 1;
        }
        for number in missing(&log.arrivals, &held.arrivals) {
            let flight = &expected.flights[number as usize];
            airport.arrived(number, flight.delay).await?;
            lost += 1;
        }
        Ok::<usize, Problem>(lost)
    });
    let routes = expected.routes.iter().map(|(key, (totals, numbers))| async move {
        let route: RouteRef = node.actor(key)?;
        if route.totals().await? == *totals {
            return Ok(0);
        }
        let before = route.totals().await?.flights;
        for number in numbers {
            route.fly(expected.flights[*number as usize].clone()).await?;
        }
        let after = route.totals().await?.flights;
        Ok::<usize, Problem>(usize::try_from(after.saturating_sub(before))?)
    });
    let mut lost = 0;
    let mut told = stream::iter(airports).buffer_unordered(QUESTIONS);
    while let Some(again) = told.next().await {
        lost += again?;
    }
    let mut told = stream::iter(routes).buffer_unordered(QUESTIONS);
    while let Some(again) = told.next().await {
        lost += again?;
    }
    Ok(lost)
}

fn missing(expected: &[u32], held: &[u32]) -> Vec<u32> {
    let held: BTreeSet<u32> = held.iter().copied().collect();
    expected.iter().copied().filter(|number| !held.contains(number)).collect()
}

async fn compare(node: &Node, expected: &Expected<'_>) -> Vec<String> {
    let airports = expected.airports.iter().map(|(code, (totals, log))| async move {
        let airport: AirportRef = node.actor(code).map_err(|error| error.to_string())?;
        let held = airport.totals().await.map_err(|error| format!("{code}: {error}"))?;
        let flights = airport.log().await.map_err(|error| format!("{code}: {error}"))?;
        if held != *totals {
            return Err(format!("airport {code} holds {held:?}, the file says {totals:?}"));
        }
        if flights != *log {
            return Err(format!("airport {code} holds other flights than the file says"));
        }
        Ok(())
    });
    let routes = expected.routes.iter().map(|(key, (totals, _))| async move {
        let route: RouteRef = node.actor(key).map_err(|error| error.to_string())?;
        let held = route.totals().await.map_err(|error| format!("{key}: {error}"))?;
        if held != *totals {
            return Err(format!("route {key} holds {held:?}, the file says {totals:?}"));
        }
        Ok(())
    });
    let mut differences: Vec<String> =
        stream::iter(airports).buffered(QUESTIONS).filter_map(difference).collect().await;
    let of_routes: Vec<String> =
        stream::iter(routes).buffered(QUESTIONS).filter_map(difference).collect().await;
    differences.extend(of_routes);
    differences
}

async fn difference(compared: Result<(), String>) -> Option<String> {
    compared.err()
}
