//! The etcd clusters that scenarios break: each fault is one, and is over when it is said to be.

use std::time::{Duration, Instant};

use bytes::Bytes;
use greenroom_cluster::store::{Commit, EtcdOptions, EtcdStore, Store, StoreError, Txn, Write};
use greenroom_cluster::testing::EtcdCluster;

const PATIENCE: Duration = Duration::from_secs(30);

async fn store(etcd: &EtcdCluster) -> EtcdStore {
    let mut options = EtcdOptions::new(etcd.endpoints());
    options.request_timeout = Duration::from_millis(500);
    EtcdStore::connect(options).await.unwrap()
}

async fn write(store: &EtcdStore) -> Result<Commit, StoreError> {
    let put = Write::Put { key: "a".into(), value: Bytes::from_static(b"x") };
    store.commit(Txn { guards: vec![], writes: vec![put] }).await
}

async fn written(store: &EtcdStore) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match write(store).await {
            Ok(Commit::Applied { revision }) => return revision,
            other => assert!(Instant::now() < deadline, "{other:?}"),
        }
    }
}

fn leader(etcd: &EtcdCluster, other_than: Option<usize>) -> usize {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match etcd.leader() {
            Some(leader) if Some(leader) != other_than => return leader,
            seen => assert!(Instant::now() < deadline, "the leader is still {seen:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_members_survive_the_loss_of_one_and_not_of_two() {
    let mut etcd = EtcdCluster::start(3);
    let store = store(&etcd).await;
    written(&store).await;
    let first = leader(&etcd, None);
    etcd.kill(first);
    let second = leader(&etcd, Some(first));
    written(&store).await;

    etcd.kill(second);
    assert!(write(&store).await.is_err(), "one member of three wrote");
    assert_eq!(etcd.leader(), None);
    etcd.restart_all();
    written(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_leader_is_replaced_and_follows_when_it_goes_on() {
    let etcd = EtcdCluster::start(3);
    let store = store(&etcd).await;
    let first = leader(&etcd, None);
    etcd.stop_process(first);
    let second = leader(&etcd, Some(first));
    written(&store).await;
    etcd.continue_process(first);
    written(&store).await;
    assert_eq!(leader(&etcd, None), second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_member_keeps_its_data_over_a_restart_and_can_be_compacted() {
    let mut etcd = EtcdCluster::start(1);
    let store = store(&etcd).await;
    written(&store).await;
    let revision = written(&store).await;
    etcd.restart(0);
    etcd.compact(revision);
    assert_eq!(store.get("a").await.unwrap().1.unwrap().mod_revision, revision);
    let mut watch = store.watch("a", 1).await.unwrap();
    let lost = watch.next().await.unwrap_err();
    assert!(matches!(lost, StoreError::Compacted { .. }), "{lost:?}");
}
