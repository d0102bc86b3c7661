//! coerce: two nodes of its cluster; the parent calls the child's actors by id and node.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use coerce::actor::scheduler::ActorType;
use coerce::actor::system::ActorSystem;
use coerce::actor::{ActorRef, IntoActorId};
use coerce::remote::RemoteActorRef;
use coerce::remote::net::server::RemoteServer;
use coerce::remote::system::{NodeId, RemoteActorSystem};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::{ACTORS, Callable, Host, Line, child};
use crate::case::Role;
use crate::contestants::coerce::{Add, Tally};
use crate::system::{Counter, Result};

pub(super) const NAME: &str = "coerce";

const HOST: NodeId = 1;
const CALLER: NodeId = 2;

#[derive(Clone)]
struct RemoteTally(ActorRef<Tally>);

impl Counter for RemoteTally {
    async fn add(&self, amount: u64) -> Result<u64> {
        Ok(self.0.send(Add(amount)).await.map_err(|error| error.to_string())?)
    }
}

/// Starts a node, which may join the cluster of another one.
async fn node(
    id: NodeId,
    address: &str,
    seed: Option<&str>,
) -> Result<(RemoteActorSystem, RemoteServer)> {
    let runtime = Handle::current();
    // The future that builds a system can't change threads.
    let building = spawn_blocking(move || runtime.block_on(system(id)));
    let system = building.await?;
    let worker = system.clone().cluster_worker().listen_addr(address);
    let worker = match seed {
        Some(seed) => worker.with_seed_addr(seed),
        None => worker,
    };
    let server = worker.start().await;
    Ok((system, server))
}

async fn system(id: NodeId) -> RemoteActorSystem {
    RemoteActorSystem::builder()
        .with_actor_system(ActorSystem::new())
        .with_tag(format!("node-{id}"))
        .with_id(id)
        .with_handlers(|handlers| handlers.with_handler::<Tally, Add>("Tally.Add"))
        .build()
        .await
}

/// coerce does not tell which port it got, so it is told one that was free a moment ago.
fn free_address() -> Result<String> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.to_string())
}

fn id(actor: usize) -> String {
    format!("counter-{actor}")
}

pub(super) async fn host() -> Result<Host> {
    let address = free_address()?;
    let (system, server) = node(HOST, &address, None).await?;
    for actor in 0..ACTORS {
        // Only tracked actors are found by their ids.
        let started = system.actor_system().new_actor(id(actor), Tally(0), ActorType::Tracked);
        started.await.map_err(|error| error.to_string())?;
    }
    Ok(Host::new(&address, (system, server)))
}

pub(super) async fn connect() -> Result<Arc<dyn Callable>> {
    let child = child(NAME, "").await?;
    // The counters keep the node that calls.
    let (system, _) = node(CALLER, &free_address()?, Some(&child.said)).await?;
    let counter = |actor| {
        let remote = RemoteActorRef::new(id(actor).into_actor_id(), HOST, system.clone());
        RemoteTally(ActorRef::from(remote))
    };
    Line::open(NAME, Role::Rival, (0..ACTORS).map(counter).collect(), child).await
}
