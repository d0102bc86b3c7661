//! History that a node has not seen yet is compacted away.

use std::time::Duration;

use tokio::task::block_in_place;
use tokio::time::sleep;

use super::{PLANNED, Scenario, scenario};
use crate::Result;
use crate::clock::since;
use crate::expect::Expect;
use crate::proxy::Mode;
use crate::records::State;
use crate::shard::SHARDS;
use crate::stage::{PATIENCE, Setup, Stage};

pub(super) fn scenarios() -> Vec<Scenario> {
    // Proves: C11
    vec![scenario(
        "etcd compacted while a watch is cut",
        "a fourth node joins while a node is cut off etcd, and what that node missed is compacted",
        || Setup::nodes(3).etcd_proxies(),
        |stage| Box::pin(compaction(stage)),
    )]
}

async fn compaction(stage: &mut Stage) -> Result<Expect> {
    let cut = stage.follower()?;
    let fault = stage.fault();
    stage.set_etcd(&cut, Mode::BlackHole)?;
    stage.join("node-4").await?;
    let joined = |state: &State| state.owned().keys().any(|life| life.node == "node-4");
    stage.mirror().wait("node-4 owns shards", PATIENCE, joined).await?;
    // What is compacted must have been seen by the judge, and more must follow.
    let revision = stage.mirror().catch_up(PATIENCE).await?;
    block_in_place(|| stage.etcd().compact(revision));
    sleep(Duration::from_millis(200)).await;
    stage.require_disturbed(&cut)?;
    let missed = revision - fault.revision;
    stage.require(missed > 0, "nothing was compacted that the node had not seen");
    stage.note(format!("{missed} revisions compacted, cut for {:.1?}", since(fault.began_ns)));
    // Bytes that were held would bring the old watch up to date; it must ask anew.
    stage.reset_etcd(&cut)?;
    stage.set_etcd(&cut, Mode::Pass)?;
    let even_ns = stage.even(4).await?;
    stage.recovered(&fault, &[], fault.began_ns).await?;
    let took = Duration::from_nanos(even_ns - fault.began_ns);
    stage.more_calls(300).await?;
    let fourth = SHARDS as usize / 4;
    let expect = Expect::nothing_after(&fault).recovered(took, PLANNED);
    Ok(expect.moves(fourth - fourth / 20..=fourth + fourth / 10))
}
