//! What stands in etcd.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use greenroom_cluster::store::{EtcdStore, Store};

use crate::{CLUSTER, NODES, PATIENCE, Result, SHARDS};

/// How many shards each live incarnation owns, as it stands in etcd.
pub(crate) async fn owned(store: &EtcdStore) -> Result<BTreeMap<String, usize>> {
    let prefix = format!("/greenroom/{CLUSTER}/");
    let listing = store.list(&prefix).await?;
    let mut alive = BTreeSet::new();
    let mut owned = BTreeMap::new();
    for item in &listing.items {
        if let Some(node) = item.key.strip_prefix(&format!("{prefix}heartbeats/")) {
            alive.insert((node.to_owned(), item.create_revision));
        }
    }
    for item in listing.items.iter().filter(|item| item.key.contains("/shards/")) {
        let record: serde_json::Value = serde_json::from_slice(&item.value)?;
        let owner = &record["owner"];
        let life = (owner["node"].as_str(), owner["incarnation"].as_u64());
        if let (Some(node), Some(incarnation)) = life
            && alive.contains(&(node.to_owned(), incarnation))
        {
            *owned.entry(node.to_owned()).or_default() += 1;
        }
    }
    Ok(owned)
}

/// Waits until all shards are owned by live nodes, at least by so many.
pub(crate) async fn wait_until_owned(store: &EtcdStore, nodes: usize) -> Result<Duration> {
    let began = Instant::now();
    loop {
        let owned = owned(store).await?;
        if owned.len() >= nodes && owned.values().sum::<usize>() == SHARDS {
            return Ok(began.elapsed());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("the shards are not all owned: {owned:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn wait_until_even(store: &EtcdStore) -> Result<()> {
    let began = Instant::now();
    let fair = SHARDS / NODES.len();
    loop {
        let owned = owned(store).await?;
        let even = owned.values().all(|count| count.abs_diff(fair) <= fair / 10);
        if owned.len() == NODES.len() && even {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("the shards are not spread: {owned:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn wait_until_gone(store: &EtcdStore, node: &str) -> Result<()> {
    let began = Instant::now();
    loop {
        let owned = owned(store).await?;
        if !owned.contains_key(node) && owned.values().sum::<usize>() == SHARDS {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("{node} still owns shards: {owned:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
