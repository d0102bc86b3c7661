//! Cuts and other harm between nodes, their peers and etcd.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{AT_ONCE, SILENCE, Scenario, scenario};
use crate::Result;
use crate::clock::machine_ns;
use crate::expect::{Allowed, Expect, about, later};
use crate::proxy::Mode;
use crate::records::State;
use crate::stage::{Blind, PATIENCE, Setup, Stage, WINDOW};

/// How long a disturbance lasts that must do no harm.
const DISTURBED: Duration = Duration::from_secs(10);
const RESET_EVERY: Duration = Duration::from_millis(300);
/// How long a node that has lost its shards is still called.
const BLIND: Duration = Duration::from_secs(2);
const REFUSED_MIN: usize = 20;
const LATE: Duration = Duration::from_millis(250);

fn etcd_proxies() -> Setup {
    Setup::nodes(3).etcd_proxies()
}

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        // Proves: C5, P1
        scenario(
            "cut off etcd, not off peers",
            "no byte passes between a node and etcd until its shards are served elsewhere",
            etcd_proxies,
            |stage| Box::pin(cut_follower_off_etcd(stage, Mode::BlackHole)),
        ),
        // Proves: C7
        scenario(
            "cut off etcd one way",
            "what a node sends to etcd is held; what etcd sends arrives",
            etcd_proxies,
            |stage| Box::pin(cut_follower_off_etcd(stage, Mode::HoldRequests)),
        ),
        // Proves: C13
        scenario(
            "etcd's replies swallowed",
            "what a node sends to etcd arrives; every reply is lost, for 3 D",
            etcd_proxies,
            |stage| Box::pin(swallowed_replies(stage)),
        ),
        // Proves: C7
        scenario(
            "etcd connections reset over and over",
            "all connections of a node to etcd are reset every 300 ms",
            etcd_proxies,
            |stage| Box::pin(resets(stage)),
        ),
        scenario(
            "etcd late by 250 ms each way",
            "whatever a node and etcd tell each other arrives a quarter of a second later",
            etcd_proxies,
            |stage| Box::pin(late(stage)),
        ),
        // Proves: C6
        scenario(
            "cut off peers, not off etcd",
            "no byte passes between a node and its callers for D + 2 s",
            || Setup::nodes(3).peer_proxies(),
            |stage| Box::pin(cut_off_peers(stage)),
        ),
    ]
}

async fn cut_follower_off_etcd(stage: &mut Stage, cut: Mode) -> Result<Expect> {
    let victim = stage.follower()?;
    cut_off_etcd(stage, &victim, cut).await
}

pub(super) async fn cut_off_etcd(stage: &mut Stage, victim: &str, cut: Mode) -> Result<Expect> {
    let life = stage.life(victim)?;
    let mut blind = Blind::join(stage).await?;
    let fault = stage.fault();
    stage.set_etcd(victim, cut)?;
    blind.cut_and_call(&fault, victim);
    let took = stage.recovered(&fault, std::slice::from_ref(&life), fault.began_ns).await?;
    stage.require_disturbed(victim)?;
    // The node has lost its shards, and the blind caller goes on calling it.
    sleep(BLIND).await;
    blind.end().await;
    require_refused(stage, later(fault.began_ns, took));
    stage.set_etcd(victim, Mode::Pass)?;
    let is_back = |state: &State| state.life(victim).is_some_and(|present| present != life);
    stage.mirror().wait("the node joins again", PATIENCE, is_back).await?;
    stage.even(3).await?;
    stage.more_calls(300).await?;
    let allowed = Allowed::in_flight(fault.began_ns, later(fault.began_ns, SILENCE));
    let expect = Expect::nothing_after(&fault).recovered(took, SILENCE).failures(allowed);
    let shards = fault.owned_by(victim);
    let moves = *about(shards).start()..=2 * shards + shards / 10;
    // The blind caller's life may have ended too.
    Ok(expect.moves(moves).lives_over(1..=2).fences(1..=1))
}

/// Calls that reached a node after its shards were served elsewhere; the judge of answers sees to it
/// that none was answered.
pub(crate) fn require_refused(stage: &mut Stage, served_elsewhere_ns: u64) {
    let book = stage.caller().book();
    let refused = book.iter().filter(|call| {
        call.is_probe && call.sent_ns > served_elsewhere_ns && call.testimony().is_none()
    });
    let refused = refused.count();
    stage.note(format!("{refused} calls for shards that it had lost were refused"));
    stage.require(refused >= REFUSED_MIN, "nobody called the node that had lost its shards");
}

/// The node's heartbeats arrive, so etcd shows it alive; but it learns of none, and its right to run
/// ends. Somebody must serve its shards before long all the same.
async fn swallowed_replies(stage: &mut Stage) -> Result<Expect> {
    let victim = stage.follower()?;
    let fault = stage.fault();
    stage.set_etcd(&victim, Mode::SwallowReplies)?;
    // Its right to run ends first; who asks before that finds everything served.
    sleep(WINDOW).await;
    let asked: &Stage = stage;
    let heal = async {
        sleep(2 * WINDOW).await;
        asked.set_etcd(&victim, Mode::Pass)
    };
    let (took, healed) = tokio::join!(asked.recovered(&fault, &[], fault.began_ns), heal);
    healed?;
    let took = took?;
    stage.require_disturbed(&victim)?;
    stage.even(3).await?;
    stage.more_calls(300).await?;
    let allowed = Allowed::in_flight(fault.began_ns, later(fault.began_ns, 2 * WINDOW));
    let expect = Expect::nothing_after(&fault).recovered(took, 2 * WINDOW).failures(allowed);
    let shards = fault.owned_by(&victim);
    Ok(expect.moves(0..=2 * shards + shards / 10).lives_over(0..=1).fences(0..=1))
}

async fn resets(stage: &mut Stage) -> Result<Expect> {
    let victim = stage.follower()?;
    let fault = stage.fault();
    let began = Instant::now();
    while began.elapsed() < DISTURBED {
        stage.reset_etcd(&victim)?;
        sleep(RESET_EVERY).await;
    }
    stage.require_disturbed(&victim)?;
    let took = stage.recovered(&fault, &[], machine_ns()).await?;
    stage.more_calls(300).await?;
    Ok(Expect::nothing_after(&fault).recovered(took, AT_ONCE))
}

async fn late(stage: &mut Stage) -> Result<Expect> {
    let victim = stage.follower()?;
    let fault = stage.fault();
    stage.set_etcd(&victim, Mode::Delay(LATE))?;
    sleep(DISTURBED).await;
    stage.require_disturbed(&victim)?;
    let took = stage.recovered(&fault, &[], machine_ns()).await?;
    stage.set_etcd(&victim, Mode::Pass)?;
    stage.more_calls(300).await?;
    Ok(Expect::nothing_after(&fault).recovered(took, AT_ONCE))
}

/// A node that nobody can call stays the owner: that its peers miss it is hearsay.
async fn cut_off_peers(stage: &mut Stage) -> Result<Expect> {
    let victim = stage.follower()?;
    let fault = stage.fault();
    stage.set_peers(&victim, Mode::BlackHole)?;
    sleep(WINDOW + Duration::from_secs(2)).await;
    stage.require_disturbed(&victim)?;
    let healed_ns = machine_ns();
    stage.set_peers(&victim, Mode::Pass)?;
    let took = stage.recovered(&fault, &[], healed_ns).await?;
    stage.more_calls(300).await?;
    stage.require_waited(&fault, &victim, healed_ns);
    let to_it = Allowed::to_node(&fault, &victim, later(healed_ns, AT_ONCE));
    Ok(Expect::nothing_after(&fault).recovered(took, AT_ONCE).failures(to_it))
}
