//! Clocks that run at different rates, as far apart as the nodes are told to expect.

use std::time::Duration;

use tokio::time::sleep;

use super::network::cut_off_etcd;
use super::{Scenario, scenario};
use crate::Result;
use crate::clock::machine_ns;
use crate::expect::Expect;
use crate::proxy::Mode;
use crate::rate;
use crate::stage::{Setup, Stage};

/// What the nodes are told: by how many millionths any clock may be off, which the margin covers.
const DRIFT_PPM: &str = "40000";
const SLOW: f64 = 0.96;
const FAST: f64 = 1.04;
/// How long heartbeats are watched until their rates are believed.
const WATCHED: Duration = Duration::from_millis(5500);

pub(super) fn scenarios() -> Vec<Scenario> {
    let setup =
        || Setup::nodes(3).etcd_proxies().clocks().with("GREENROOM_CLOCK_DRIFT_PPM", DRIFT_PPM);
    // Proves: C3, P1
    let scenario = scenario(
        "cut off etcd, clocks at their bound",
        "a node with a slow clock is cut off etcd; the clocks of those who bury it are fast",
        setup,
        |stage| Box::pin(slow_and_cut(stage)),
    );
    vec![scenario.needing(rate::possible)]
}

/// The slow node believes longest in its right to run, and the fast ones are the first to bury it:
/// nothing is left of the margin.
async fn slow_and_cut(stage: &mut Stage) -> Result<Expect> {
    let victim = stage.follower()?;
    let mut rates = vec![(victim.clone(), SLOW), (stage.leader()?, FAST)];
    let others = stage.followers()?.into_iter().filter(|node| *node != victim);
    rates.extend(others.map(|node| (node, FAST)));
    let began_ns = machine_ns();
    for (node, rate) in &rates {
        stage.set_clock(node, *rate)?;
    }
    sleep(WATCHED).await;
    for (node, rate) in &rates {
        stage.require_rate(node, *rate, began_ns)?;
    }
    cut_off_etcd(stage, &victim, Mode::BlackHole).await
}
