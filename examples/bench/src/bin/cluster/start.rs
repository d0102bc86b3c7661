//! How fast shards get their first owners.

use std::time::{Duration, Instant};

use bytes::Bytes;
use greenroom::{Config, EtcdOptions, Node, NodeId, StatusPhase, StoreConfig};
use greenroom_cluster::store::{EtcdStore, Store, Txn, Write};
use greenroom_cluster::testing::EtcdServer;
use greenroom_examples::bank::{AccountActor, AccountRef};

use crate::process::{DEFAULT, Process};
use crate::records::wait_until_owned;
use crate::row::Row;
use crate::{CLUSTER, NODES, Result, SHARDS};

pub(crate) async fn cold_start(runs: usize) -> Result<Row> {
    let (mut owned_after, mut one_by_one) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let etcd = EtcdServer::start();
        let store = EtcdStore::connect(EtcdOptions::new([etcd.endpoint()])).await?;
        one_by_one.push(write_one_by_one(&store).await?);
        let mut processes = Vec::new();
        for name in NODES {
            processes.push(Process::start(name, &etcd, DEFAULT)?);
        }
        owned_after.push(wait_until_owned(&store, 1).await?.as_secs_f64() * 1e3);
    }
    let case = "cold start of 3 processes, last start to all shards owned";
    let mut row = Row::new(case, "ms", owned_after);
    let baseline = Row::new("one write a shard", "ms", one_by_one).value;
    row.baseline = Some(baseline);
    row.ratio = Some(baseline / row.value);
    row.goal = Some("< 1000 ms".to_owned());
    row.met = Some(row.value < 1000.0);
    row.notes.push("baseline: 8192 transactions of one write each, in sequence".to_owned());
    row.print();
    Ok(row)
}

/// The naive way: a transaction for each shard, one after the other. In milliseconds.
async fn write_one_by_one(store: &EtcdStore) -> Result<f64> {
    let began = Instant::now();
    for shard in 0..SHARDS {
        let key = format!("/naive/{shard:05}");
        let value = Bytes::from_static(br#"{"target":"node-1","owner":null,"epoch":0}"#);
        let writes = vec![Write::Put { key, value }];
        store.commit(Txn { guards: Vec::new(), writes }).await?;
    }
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

/// One node claims all shards, whose targets stand in etcd already.
pub(crate) async fn claims(runs: usize) -> Result<Row> {
    let (mut claimed_after, mut one_by_one) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let etcd = EtcdServer::start();
        let store = EtcdStore::connect(EtcdOptions::new([etcd.endpoint()])).await?;
        one_by_one.push(write_one_by_one(&store).await?);
        write_targets(&store).await?;
        let mut config = Config::embedded(StoreConfig::Etcd(EtcdOptions::new([etcd.endpoint()])));
        config.cluster = CLUSTER.to_owned();
        config.node = NodeId::new(NODES[0])?;
        config.http_listen = None;
        let node = Node::with(config).host(AccountRef::served_by::<AccountActor>()).start().await?;
        while node.status().phase != StatusPhase::Active {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        let began = Instant::now();
        while node.status().claimed < SHARDS {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        claimed_after.push(began.elapsed().as_secs_f64() * 1e3);
        node.stop().await;
    }
    let mut row = Row::new("one node claims 8192 shards", "ms", claimed_after);
    let baseline = Row::new("one transaction a shard", "ms", one_by_one).value;
    row.baseline = Some(baseline);
    row.ratio = Some(baseline / row.value);
    row.goal = Some("at least 20 times as fast".to_owned());
    row.met = Some(baseline >= 20.0 * row.value);
    row.notes.push("from being a member to all gates open".to_owned());
    row.notes.push("baseline: 8192 transactions of one write each, in sequence".to_owned());
    row.print();
    Ok(row)
}

async fn write_targets(store: &EtcdStore) -> Result<()> {
    let value = format!(
        r#"{{"target":"{}","owner":null,"epoch":0,"since_ms":0,"reason":"a benchmark"}}"#,
        NODES[0]
    );
    let keys: Vec<String> = (0..SHARDS)
        .map(|shard| format!("/greenroom/{CLUSTER}/shards/default/{shard:05}"))
        .collect();
    for keys in keys.chunks(100) {
        let writes = keys.iter().map(|key| Write::Put {
            key: key.clone(),
            value: Bytes::copy_from_slice(value.as_bytes()),
        });
        store.commit(Txn { guards: Vec::new(), writes: writes.collect() }).await?;
    }
    Ok(())
}
