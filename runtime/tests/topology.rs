//! A cluster as a document: exported, and restored into an empty cluster.

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use greenroom::{MemoryStore, Node, NodeError, NodeId, ShardId};
use greenroom_proto::v1::inspect_client::InspectClient;
use greenroom_proto::v1::{ExportRequest, PinRequest, RuleRequest, Topology};
use support::ledger::tallies;
use support::operator::{operate, operated, order, ready};
use support::{Pace, SHARDS, spread, within};

async fn pin(node: &Node, shards: &[u32], to: &str) {
    let mut operate = operate(node).await;
    let request = PinRequest { shards: shards.to_vec(), node: to.to_owned() };
    within("pinning", operate.pin(order(request))).await.expect("the shards can be pinned");
}

async fn export(node: &Node) -> Topology {
    let address = format!("http://{}", node.peer_address());
    let mut inspect = InspectClient::connect(address).await.expect("the node listens");
    let topology = within("the export", inspect.export(ExportRequest {})).await;
    topology.expect("the node answers").into_inner()
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("topology-{name}.json"));
    std::fs::write(&path, text).expect("the test's own folder");
    path
}

fn json(topology: &Topology) -> String {
    serde_json::to_string(topology).expect("it can be written")
}

/// The epoch of each shard of the only group.
fn epochs(topology: &Topology) -> Vec<u64> {
    let mut epochs = vec![0; SHARDS as usize];
    for shard in &topology.shards {
        epochs[shard.shard as usize] = shard.epoch;
    }
    epochs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_cluster_goes_on_from_the_epochs_pins_and_rules() {
    let store = MemoryStore::new();
    let a = ready(operated(&store, "a", Pace::Calm)).await;
    let b = ready(operated(&store, "b", Pace::Calm)).await;
    spread(&a, 2).await;
    pin(&a, &[3, 4], "b").await;
    let mut operate = operate(&a).await;
    let prefer = [("disk".to_owned(), "ssd".to_owned())].into_iter().collect();
    let rule = RuleRequest { group: "default".to_owned(), prefer, ..RuleRequest::default() };
    within("the rule", operate.rule(order(rule))).await.expect("it can be met");
    spread(&a, 2).await;
    let kept = export(&a).await;
    assert_eq!((kept.format, kept.shard_count, kept.shards.len()), (1, SHARDS, SHARDS as usize));
    assert_eq!(kept.nodes.len(), 2);
    assert!(epochs(&kept).iter().all(|epoch| *epoch > 0));
    assert!(epochs(&kept).iter().any(|epoch| *epoch > 1), "shards moved when b joined");
    // Shards move once more after the export: those epochs must not be used again either.
    within("the stop", b.stop()).await;
    let last = export(&a).await;
    within("the stop", a.stop()).await;

    let empty = MemoryStore::new();
    let mut restoring = operated(&empty, "a", Pace::Calm);
    restoring.restore_from = Some(file("restored", &json(&kept)));
    let a = ready(restoring).await;
    let restored = export(&a).await;
    let pairs = epochs(&last).into_iter().zip(epochs(&restored));
    for (shard, (before, after)) in pairs.enumerate() {
        assert!(after > before, "the epoch of shard {shard} was {before} and is {after}");
    }
    let pins = |topology: &Topology| -> Vec<(u32, String)> {
        let pinned = topology.shards.iter().filter(|shard| !shard.pin.is_empty());
        pinned.map(|shard| (shard.shard, shard.pin.clone())).collect()
    };
    assert_eq!(pins(&restored), [(3, "b".to_owned()), (4, "b".to_owned())]);
    assert_eq!(restored.groups, kept.groups);
    // The pins are no mere words.
    let _b = ready(operated(&empty, "b", Pace::Calm)).await;
    let at_b = async {
        loop {
            let view = a.view().await.expect("the node has not left");
            let there = |shard| {
                let owner = view.live_owner(ShardId(shard));
                owner.is_some_and(|(life, _)| life.node == NodeId::new("b").expect("a good name"))
            };
            if there(3) && there(4) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("the pinned shards", at_b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restoring_into_a_cluster_that_exists_changes_nothing() {
    let store = MemoryStore::new();
    let still = |name: &str| {
        let mut config = operated(&store, name, Pace::Calm);
        config.rebalance_stability = Duration::from_secs(3600);
        config
    };
    let a = ready(still("a")).await;
    let before = export(&a).await;
    let mut other = before.clone();
    for shard in &mut other.shards {
        shard.epoch += 7;
        shard.pin = "b".to_owned();
    }
    other.groups[0].prefer.insert("disk".to_owned(), "ssd".to_owned());
    let mut late = still("b");
    late.restore_from = Some(file("existing", &json(&other)));
    let b = ready(late).await;
    let after = export(&b).await;
    assert_eq!((&after.shards, &after.groups), (&before.shards, &before.groups));
    drop(a);
}

#[tokio::test]
async fn a_file_that_cannot_be_restored_stops_the_node_before_it_joins() {
    let store = MemoryStore::new();
    let shards = |shards: &str| {
        format!(
            r#"{{"format": 1, "shard_count": {SHARDS}, "groups": [{{"name": "default"}}],
                "shards": [{shards}]}}"#
        )
    };
    let bad = [
        ("nonsense", "no JSON".to_owned(), "no topology"),
        ("format", r#"{"format": 2}"#.to_owned(), "format must be 1, got 2"),
        ("count", r#"{"format": 1, "shard_count": 63}"#.to_owned(), "shard_count must be 64"),
        ("group", shards(r#"{"group": "gpu", "shard": 1}"#), "no group \"gpu\""),
        ("number", shards(r#"{"group": "default", "shard": 64}"#), "shard must be below 64"),
        (
            "twice",
            shards(r#"{"group": "default", "shard": 1}, {"group": "default", "shard": 1}"#),
            "shard 1 comes twice",
        ),
        ("pin", shards(r#"{"group": "default", "shard": 1, "pin": "a b"}"#), "pin"),
    ];
    let mut paths: Vec<(PathBuf, &str)> =
        bad.iter().map(|(name, text, reason)| (file(name, text), *reason)).collect();
    let missing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-such-topology.json");
    paths.push((missing, "can't be read"));
    for (path, reason) in paths {
        let mut config = operated(&store, "a", Pace::Calm);
        config.restore_from = Some(path.clone());
        let error = Node::with(config).host(tallies()).start().await.expect_err("a bad file");
        assert!(matches!(error, NodeError::Restore { .. }), "{error}");
        let text = error.to_string();
        let named = text.contains("GREENROOM_RESTORE_FROM") && text.contains("topology");
        assert!(named && text.contains(reason), "{text}");
    }
    let node = ready(operated(&store, "a", Pace::Calm)).await;
    assert!(node.view().await.is_some(), "nobody was in the way");
}
