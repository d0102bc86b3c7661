//! Greenroom between processes: two nodes of a cluster with etcd as its store. The child's node
//! hosts all actors, the parent's hosts none and calls.

use std::sync::Arc;

use greenroom::{Config, EtcdOptions, Node, NodeBuilder, StoreConfig};

use super::{ACTORS, Callable, Host, Line, child};
use crate::case::Role;
use crate::contestants::{CounterActor, CounterRef};
use crate::system::Result;

pub(super) const NAME: &str = "greenroom";

fn node(store: &str) -> NodeBuilder {
    let store = StoreConfig::Etcd(EtcdOptions::new([store]));
    let mut config = Config::embedded(store);
    config.http_listen = None;
    Node::with(config)
}

pub(super) async fn host(store: &str) -> Result<Host> {
    let kind = CounterRef::served_by::<CounterActor>();
    let node = node(store).host(kind).start().await?;
    node.ready().await?;
    Ok(Host::new(&node.peer_address(), node))
}

/// Returns the node that calls, to be stopped in the end.
pub(super) async fn connect(store: &str) -> Result<(Node, Arc<dyn Callable>)> {
    let child = child(NAME, store).await?;
    let node = node(store).start().await?;
    node.ready().await?;
    let mut counters: Vec<CounterRef> = Vec::with_capacity(ACTORS);
    for actor in 0..ACTORS {
        counters.push(node.actor(&format!("counter-{actor}"))?);
    }
    let line = Line::open(NAME, Role::Ours, counters, child).await?;
    Ok((node, line))
}
