//! Faults of etcd itself.

use std::time::Duration;

use tokio::task::block_in_place;
use tokio::time::{Instant, sleep, sleep_until};

use super::{AT_ONCE, Scenario, scenario};
use crate::Result;
use crate::clock::{machine_ns, nanos};
use crate::expect::{Allowed, Expect, about, later};
use crate::stage::{HEARTBEAT, MARGIN, Setup, Stage, WINDOW};

/// From one kill of etcd's leader to the next.
const KILL_EVERY: Duration = Duration::from_secs(15);
/// How long a killed member stays away.
const MEMBER_AWAY: Duration = Duration::from_secs(6);
/// How long all of etcd may be away without any harm.
const SHORT_OUTAGE: Duration = Duration::from_secs(4);
const LONG_OUTAGE: Duration = Duration::from_secs(60);
/// Calls of a hundred that may be in doubt although they can't have run.
const IN_DOUBT_PERCENT_MAX: usize = 2;
/// How long half of the calls may wait that nobody may run. A call that waits for its deadline takes seconds.
const DARK_MEDIAN_MAX: Duration = Duration::from_millis(500);
/// By how much a call may overrun its deadline, on a busy machine.
const OVERRUN: Duration = Duration::from_millis(500);

fn three_members() -> Setup {
    Setup::nodes(3).etcd_members(3)
}

pub(super) fn scenarios(long: bool) -> Vec<Scenario> {
    let kills = if long { 40 } else { 4 };
    vec![
        // Proves: C8, C10
        scenario(
            "etcd: leader paused for D + 2 s",
            "the leader of three members is stopped (SIGSTOP) and goes on as a follower",
            three_members,
            |stage| Box::pin(pause_leader(stage)),
        ),
        // Proves: C8
        scenario(
            "etcd: leader killed every 15 s",
            "each leader of three members is killed and comes back six seconds later",
            three_members,
            move |stage| Box::pin(kill_leaders(stage, kills)),
        )
        .taking(15 + KILL_EVERY.as_secs() * kills as u64),
        // Proves: C9
        scenario(
            "etcd: leader killed with a node",
            "a node and the leader of three members are killed at the same time",
            three_members,
            |stage| Box::pin(kill_leader_and_node(stage)),
        ),
        scenario(
            "etcd: single member restarted",
            "the only member is killed and starts again",
            || Setup::nodes(3),
            |stage| Box::pin(restart(stage)),
        ),
        // Proves: C22
        scenario(
            "etcd: all stopped for 4 s",
            "all three members are stopped (SIGSTOP) and go on",
            three_members,
            |stage| Box::pin(short_outage(stage)),
        ),
        // Proves: C22, P4
        scenario(
            "etcd: all killed for 60 s",
            "all three members are killed and start again a minute later",
            three_members,
            |stage| Box::pin(long_outage(stage)),
        )
        .taking(LONG_OUTAGE.as_secs() + 25),
    ]
}

async fn pause_leader(stage: &mut Stage) -> Result<Expect> {
    let paused = stage.etcd_leader()?;
    let fault = stage.fault();
    stage.etcd().stop_process(paused);
    sleep(WINDOW + Duration::from_secs(2)).await;
    let successor = block_in_place(|| stage.etcd().leader());
    stage.require(successor.is_some_and(|next| next != paused), "no other member took the lead");
    stage.etcd().continue_process(paused);
    let took = stage.recovered(&fault, &[], machine_ns()).await?;
    stage.more_calls(300).await?;
    Ok(Expect::nothing_after(&fault).recovered(took, AT_ONCE))
}

async fn kill_leaders(stage: &mut Stage, kills: usize) -> Result<Expect> {
    let fault = stage.fault();
    for _ in 0..kills {
        let next = Instant::now() + KILL_EVERY;
        let killed = stage.etcd_leader()?;
        block_in_place(|| stage.etcd().kill(killed));
        sleep(MEMBER_AWAY).await;
        block_in_place(|| stage.etcd().restart(killed));
        sleep_until(next).await;
    }
    let took = stage.recovered(&fault, &[], machine_ns()).await?;
    stage.more_calls(300).await?;
    stage.note(format!("{kills} leaders of etcd killed"));
    Ok(Expect::nothing_after(&fault).recovered(took, AT_ONCE))
}

async fn kill_leader_and_node(stage: &mut Stage) -> Result<Expect> {
    let member = stage.etcd_leader()?;
    let victim = stage.follower()?;
    let fault = stage.fault();
    let life = stage.kill(&victim)?;
    block_in_place(|| stage.etcd().kill(member));
    let took = stage.recovered(&fault, &[life], fault.began_ns).await?;
    block_in_place(|| stage.etcd().restart(member));
    stage.more_calls(300).await?;
    let allowed =
        Allowed::in_flight(fault.began_ns, later(fault.began_ns, Duration::from_millis(500)));
    let expect = Expect::nothing_after(&fault).recovered(took, 2 * WINDOW).failures(allowed);
    Ok(expect.moves(about(fault.owned_by(&victim))).lives_over(1..=1))
}

async fn restart(stage: &mut Stage) -> Result<Expect> {
    let fault = stage.fault();
    block_in_place(|| stage.etcd().restart(0));
    let took = stage.recovered(&fault, &[], fault.began_ns).await?;
    // Longer than the right to run would last had the heartbeats not come back.
    sleep(WINDOW).await;
    stage.more_calls(300).await?;
    Ok(Expect::nothing_after(&fault).recovered(took, WINDOW))
}

async fn short_outage(stage: &mut Stage) -> Result<Expect> {
    let fault = stage.fault();
    for member in 0..3 {
        stage.etcd().stop_process(member);
    }
    sleep(SHORT_OUTAGE).await;
    let hung = stage.mirror().look(|state| state.revision);
    for member in 0..3 {
        stage.etcd().continue_process(member);
    }
    let returned_ns = machine_ns();
    stage.require(
        stage.mirror().heard_ns(hung).is_some_and(|heard| heard < later(fault.began_ns, HEARTBEAT)),
        "etcd went on although all members were stopped",
    );
    let took = stage.recovered(&fault, &[], returned_ns).await?;
    // Who was silent too long for somebody would be dead by then.
    sleep(WINDOW + HEARTBEAT).await;
    stage.more_calls(300).await?;
    Ok(Expect::nothing_after(&fault).recovered(took, WINDOW))
}

async fn long_outage(stage: &mut Stage) -> Result<Expect> {
    let fault = stage.fault();
    block_in_place(|| (0..3).for_each(|member| stage.etcd().kill(member)));
    sleep(LONG_OUTAGE).await;
    let returned_ns = machine_ns();
    block_in_place(|| stage.etcd().restart_all());
    let took = stage.recovered(&fault, &[], returned_ns).await?;
    let back_ns = machine_ns();
    stage.more_calls(300).await?;
    judge_outage(stage, fault.began_ns, returned_ns);
    let within = WINDOW + Duration::from_secs(3);
    // What began before the outage, and what the nodes served on the right that they still had.
    let harmless_ns = later(fault.began_ns, WINDOW - MARGIN - HEARTBEAT);
    let expect = Expect::nothing_after(&fault).recovered(took, within);
    let expect = expect.failures(Allowed::between(harmless_ns, back_ns));
    Ok(expect.moves(0..=2 * crate::shard::SHARDS as usize).fences(0..=3).lives_over(0..=3))
}

/// Calls made while nobody may run turns fail at once, and say that they did not run. A few may not know: the
/// deadline passed while their last try was on its way.
fn judge_outage(stage: &mut Stage, began_ns: u64, returned_ns: u64) {
    let book = stage.caller().book();
    let dark = later(began_ns, WINDOW);
    let made = book.iter().filter(|call| call.sent_ns > dark && call.answered_ns < returned_ns);
    let made: Vec<_> = made.collect();
    stage.require(!made.is_empty(), "no call was made and ended while etcd was away");
    let mut spans: Vec<u64> = made.iter().map(|call| call.answered_ns - call.sent_ns).collect();
    spans.sort_unstable();
    if let Some(median) = spans.get(spans.len() / 2) {
        let calls = spans.len();
        let after = Duration::from_nanos(*median);
        stage.note(format!("{calls} calls failed in the dark, after {} ms", after.as_millis()));
        if after > DARK_MEDIAN_MAX {
            stage.complain(format!("half of the calls waited in the dark for {after:.1?} or more"));
        }
    }
    let in_doubt = made.iter().filter(|call| call.in_doubt()).count();
    if in_doubt * 100 > made.len() * IN_DOUBT_PERCENT_MAX {
        let made = made.len();
        stage.complain(format!("{in_doubt} of {made} calls can't have run, but don't say so"));
    }
    for call in made {
        if call.testimony().is_some() {
            stage.complain(format!("answered although nobody may run turns: {call}"));
        }
        if call.answered_ns - call.sent_ns > nanos(call.timeout + OVERRUN) {
            stage.complain(format!("it overran its deadline: {call}"));
        }
    }
}
