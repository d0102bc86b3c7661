//! How a node fares that is full: so many actors are brought to life, in a process of its own, and
//! then called at random.

use std::sync::Arc;
use std::time::{Duration, Instant};

use greenroom::{Config, MemoryStore, Node, StoreConfig};
use serde::{Deserialize, Serialize};
use tokio::task::{JoinSet, coop};

use crate::case::{Better, Case, Effort, Finding, Role};
use crate::child::{Child, Task};
use crate::contestants::{CounterActor, CounterRef, Greenroom};
use crate::goal::Goal;
use crate::load::{Load, Sample, drive};
use crate::memory::{STATE_BYTES, resident_bytes};
use crate::report::Report;
use crate::system::{Counter, Result, System};

/// What `--only` is compared with; the names of the rows begin with it.
const NAME: &str = "10 million activations on one node";
const REACHED: Case = Case {
    name: "10 million activations on one node: active in the end",
    unit: "actors",
    better: Better::More,
    goals: &[Goal::AtLeast(GOAL as f64)],
};
const TIME: Case = Case {
    name: "10 million activations on one node: time to get there",
    unit: "seconds",
    better: Better::Less,
    goals: &[],
};
const RESIDENT: Case = Case {
    name: "10 million activations on one node: resident memory of the process",
    unit: "MiB",
    better: Better::Less,
    goals: &[],
};
const EACH: Case = Case {
    name: "10 million activations on one node: memory of each",
    unit: "bytes/actor",
    better: Better::Less,
    goals: &[Goal::AtMost(256.0 + STATE_BYTES)],
};
const CALLS: Case = Case {
    name: "10 million activations on one node: calls at random, 64 callers",
    unit: "calls/s",
    better: Better::More,
    goals: &[],
};
const GOAL: usize = 10_000_000;
const CALLERS: usize = 64;
/// Calls are measured for so many times as long as in other cases, since few of them hit a cache.
const SPANS: u32 = 4;

/// What the child saw.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Crowd {
    /// Actors in memory after everything else.
    active: usize,
    seconds: f64,
    resident_bytes: u64,
    /// By how much the actors made the process grow, for each of them.
    bytes_each: f64,
    calls_per_second: f64,
    p50: Option<Duration>,
    p99: Option<Duration>,
}

/// Whether the report wants this case.
pub(crate) fn is_wanted(report: &Report) -> bool {
    report.wants(NAME)
}

/// Measures a full node. One run: it takes long, and its figures are sums over all actors.
pub(crate) async fn measure(effort: &Effort, report: &mut Report) {
    if !effort.takes(Greenroom::NAME) {
        return;
    }
    match seen(effort).await {
        Ok(crowd) => tell(&crowd, effort.crowd, report),
        Err(error) => eprintln!("{NAME}: {} failed: {error}", Greenroom::NAME),
    }
}

async fn seen(effort: &Effort) -> Result<Crowd> {
    let millis = u64::try_from((effort.span * SPANS).as_millis())?;
    let child = Child::start(&Task::Crowd { actors: effort.crowd, millis }).await?;
    Ok(serde_json::from_str(&child.said)?)
}

fn tell(crowd: &Crowd, actors: usize, report: &mut Report) {
    let mut reached = REACHED;
    if actors < GOAL {
        println!("\nIn the next rows, 10 million stands for {actors}, since this run is quick.");
        reached.goals = &[];
    }
    let calls = Sample { value: crowd.calls_per_second, p50: crowd.p50, p99: crowd.p99 };
    let mebibytes = crowd.resident_bytes as f64 / f64::from(1 << 20);
    for (case, sample) in [
        (reached, Sample::plain(crowd.active as f64)),
        (TIME, Sample::plain(crowd.seconds)),
        (RESIDENT, Sample::plain(mebibytes)),
        (EACH, Sample::plain(crowd.bytes_each)),
        (CALLS, calls),
    ] {
        let (lowest, highest) = (sample.value, sample.value);
        let (contestant, role) = (Greenroom::NAME, Role::Ours);
        report.add(&case, &[Finding { contestant, role, sample, lowest, highest }]);
    }
}

/// In the child: fills a node with actors and calls them at random for a while.
///
/// # Errors
/// When any of them was not there any more in the end.
pub(crate) async fn fill(actors: usize, span: Duration) -> Result<Crowd> {
    let node = node(actors).await?;
    let before = resident_bytes()?;
    let seconds = populate(&node, actors).await?;
    let resident_bytes = resident_bytes()?;
    let counters: Arc<[_]> = vec![AnyCounter { node: node.clone(), actors }].into();
    let calls = drive(&counters, Load { callers: CALLERS, span }).await?;
    let active = node.active_actors();
    if active != actors {
        return Err(format!("{active} of {actors} actors are active").into());
    }
    Ok(Crowd {
        active,
        seconds,
        resident_bytes,
        bytes_each: resident_bytes.saturating_sub(before) as f64 / actors as f64,
        calls_per_second: calls.value,
        p50: calls.p50,
        p99: calls.p99,
    })
}

/// A node that deactivates nobody: room is made only when it is nearly full, and nobody is idle for
/// long enough.
async fn node(actors: usize) -> Result<Node> {
    let mut config = Config::embedded(StoreConfig::Memory(MemoryStore::new().handle()));
    config.http_listen = None;
    config.activations_max = actors * 2;
    let kind = CounterRef::served_by::<CounterActor>().idle_timeout(Duration::MAX);
    let node = Node::with(config).host(kind).start().await?;
    node.ready().await?;
    Ok(node)
}

/// Brings all actors to life, and returns how many seconds that took.
async fn populate(node: &Node, actors: usize) -> Result<f64> {
    let started = Instant::now();
    let mut callers: JoinSet<Result<()>> = JoinSet::new();
    for caller in 0..CALLERS {
        let node = node.clone();
        callers.spawn(async move {
            for actor in (caller..actors).step_by(CALLERS) {
                coop::consume_budget().await;
                let count = counter(&node, actor)?.add(1).await?;
                if count != 1 {
                    return Err(format!("actor {actor} was there before").into());
                }
            }
            Ok(())
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller??;
    }
    Ok(started.elapsed().as_secs_f64())
}

fn counter(node: &Node, actor: usize) -> Result<CounterRef> {
    Ok(node.actor(&format!("counter-{actor}"))?)
}

/// Any of the actors at each call, all with the same likelihood. Its address is made for the call.
#[derive(Clone)]
struct AnyCounter {
    node: Node,
    actors: usize,
}

impl Counter for AnyCounter {
    async fn add(&self, amount: u64) -> Result<u64> {
        let actor = fastrand::usize(..self.actors);
        let count = counter(&self.node, actor)?.add(amount).await?;
        // Who was deactivated in between begins again.
        if count <= amount {
            return Err(format!("actor {actor} has lost its count").into());
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn all_of_a_crowd_are_active_in_the_end() {
        let crowd = fill(1_000, Duration::from_millis(50)).await.unwrap();
        assert_eq!(crowd.active, 1_000);
        assert!(crowd.calls_per_second > 0.0 && crowd.seconds > 0.0, "{crowd:?}");
    }

    #[tokio::test]
    async fn an_actor_that_came_to_life_anew_is_noticed() {
        let node = node(2).await.unwrap();
        let any = AnyCounter { node: node.clone(), actors: 1 };
        let error = any.add(1).await.unwrap_err();
        assert_eq!(error.to_string(), "actor 0 has lost its count");
        assert_eq!(any.add(1).await.unwrap(), 2);
    }
}
