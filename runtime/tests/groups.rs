//! Shard groups: nodes that host different kinds, or are of different make, in one cluster.

mod support;

use std::time::Duration;

use greenroom::prelude::*;
use greenroom::{Kind, MemoryStore, NodeError, ShardId};
use support::ledger::{TallyRef, tallies};
use support::{Pace, SHARDS, config, start, within};

/// Answers where it is.
#[greenroom::interface(kind = "test.model")]
trait Model {
    async fn parameters(&self) -> u64;
}

struct ModelActor;

impl Actor for ModelActor {
    async fn activate(_: &mut Activating<'_>) -> Result<Self, ActivateError> {
        Ok(Self)
    }
}

impl Model for ModelActor {
    async fn parameters(&self) -> u64 {
        7
    }
}

fn models() -> Kind {
    ModelRef::served_by::<ModelActor>().in_group("gpu")
}

/// The owners of the shards of the group with this index, by name.
async fn owners_in(node: &Node, group: usize) -> Vec<String> {
    let view = node.view().await.expect("the node has not left");
    let shards = (0..SHARDS).map(|number| ShardId(number).in_group(group, SHARDS));
    let in_view = shards.filter(|shard| (shard.0 as usize) < view.shards().len());
    in_view
        .map(|shard| view.live_owner(shard).map(|(life, _)| life.node.to_string()))
        .map(Option::unwrap_or_default)
        .collect()
}

async fn owned_by(node: &Node, group: usize, owner: &str) {
    let all = async {
        while owners_in(node, group).await != vec![owner; SHARDS as usize] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("the group's shards to be owned", all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_host_different_kinds_work_in_one_cluster() {
    let store = MemoryStore::new();
    let bank = start(config(&store.handle(), "bank", Pace::Calm), [tallies()]).await;
    // Made before anybody knows of the kind and its group.
    let early: ModelRef = bank.actor("early").expect("a good key");
    let gpu = start(config(&store.handle(), "gpu", Pace::Calm), [models()]).await;
    let client = start(config(&store.handle(), "client", Pace::Calm), []).await;
    for node in [&bank, &gpu, &client] {
        within("joining", node.ready()).await.expect("the node becomes ready");
    }
    owned_by(&client, 0, "bank").await;
    owned_by(&client, 1, "gpu").await;
    assert_eq!(within("a call", early.parameters()).await, Ok(7));
    for node in [&bank, &gpu, &client] {
        let tally: TallyRef = node.actor("tally").expect("a good key");
        let model: ModelRef = node.actor("tally").expect("a good key");
        assert!(within("a call", tally.add()).await.is_ok());
        assert_eq!(within("a call", model.parameters()).await, Ok(7));
    }
    assert_eq!((bank.active_actors(), gpu.active_actors()), (1, 2));
    within("the stop", gpu.stop()).await;
    // Nobody is left who may own the group's shards, and the leader says so.
    let model: ModelRef = bank.actor("tally").expect("a good key");
    let call = model.parameters().timeout(Duration::from_millis(50));
    let failed = within("a call", call).await.expect_err("nobody hosts it");
    assert!(failed.to_string().contains("no live node hosts kind `test.model`"), "{failed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_never_changes_its_group() {
    let store = MemoryStore::new();
    let first = start(config(&store.handle(), "first", Pace::Calm), [models()]).await;
    within("joining", first.ready()).await.expect("the node becomes ready");
    let other = ModelRef::served_by::<ModelActor>();
    let other = start(config(&store.handle(), "other", Pace::Calm), [other]).await;
    match within("the refusal", other.ready()).await {
        Err(NodeError::Refused(reason)) => {
            assert!(reason.contains("`test.model` belongs to the shard group `gpu`"), "{reason}");
        }
        other => panic!("{other:?} is no refusal"),
    }
}
