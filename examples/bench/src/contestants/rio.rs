//! rio-rs: a server, and clients that reach its objects over TCP. Members and placements are kept in
//! memory, which is the fastest store that it offers.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use rio_rs::client::Client;
use rio_rs::cluster::membership_protocol::local::LocalClusterProvider;
use rio_rs::cluster::storage::Member;
use rio_rs::cluster::storage::local::LocalStorage;
use rio_rs::object_placement::local::LocalObjectPlacement;
use rio_rs::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::system::{Counter, Result, System};

#[derive(Default, TypeName, WithId)]
struct Tally {
    id: String,
    count: u64,
}

#[derive(Deserialize, Message, Serialize, TypeName)]
struct Add(u64);

#[async_trait]
impl Handler<Add> for Tally {
    type Returns = u64;
    type Error = NoopError;

    async fn handle(&mut self, add: Add, _: Arc<AppData>) -> Result<u64, NoopError> {
        self.count += add.0;
        Ok(self.count)
    }
}

type CountingServer =
    Server<LocalStorage, LocalClusterProvider<LocalStorage>, LocalObjectPlacement>;

/// A server that runs as long as this value is held.
pub(crate) struct Serving {
    pub(crate) address: String,
    task: JoinHandle<()>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) async fn serve() -> Result<Serving> {
    let mut registry = Registry::new();
    registry.add_type::<Tally>();
    registry.add_handler::<Tally, Add>();
    let members_storage = LocalStorage::default();
    let mut server: CountingServer = Server::builder()
        .address("127.0.0.1:0".to_owned())
        .registry(registry)
        .cluster_provider(LocalClusterProvider { members_storage: members_storage.clone() })
        .object_placement_provider(LocalObjectPlacement::default())
        .build();
    let listener = server.bind().await?;
    // What the server calls itself, which need not be where it listens.
    let itself = CountingServer::try_local_addr(&listener)?.to_string();
    members_storage.push(member(&itself)?).await?;
    let address = listener.local_addr()?.to_string();
    let task = tokio::spawn(async move {
        if let Err(error) = server.run(listener).await {
            eprintln!("the server of rio-rs ended: {error}");
        }
    });
    Ok(Serving { address, task })
}

fn member(address: &str) -> Result<Member> {
    let (ip, port) = address.rsplit_once(':').ok_or("the server's address has no port")?;
    let mut member = Member::new(ip.to_owned(), port.to_owned());
    member.set_active(true);
    Ok(member)
}

/// Clients of one server. One of them makes one call at a time, so there come to be as many as there
/// are calls in flight.
#[derive(Clone)]
pub(crate) struct Clients {
    members: LocalStorage,
    idle: Arc<Mutex<Vec<Client<LocalStorage>>>>,
}

impl Clients {
    pub(crate) async fn of(address: &str) -> Result<Self> {
        let members = LocalStorage::default();
        members.push(member(address)?).await?;
        Ok(Self { members, idle: Arc::default() })
    }

    pub(crate) fn counter(&self, key: &str) -> RioCounter {
        RioCounter { clients: self.clone(), key: key.into() }
    }
}

#[derive(Clone)]
pub(crate) struct RioCounter {
    clients: Clients,
    key: Arc<str>,
}

impl Counter for RioCounter {
    async fn add(&self, amount: u64) -> Result<u64> {
        let idle = self.clients.idle.lock().pop();
        let mut client = match idle {
            Some(client) => client,
            None => ClientBuilder::new().members_storage(self.clients.members.clone()).build()?,
        };
        let sent = client.send::<u64, NoopError>("Tally", &self.key, &Add(amount)).await;
        self.clients.idle.lock().push(client);
        Ok(sent.map_err(|error| error.to_string())?)
    }
}

/// A server and its clients in one process.
pub(crate) struct Rio {
    clients: Clients,
    _serving: Serving,
}

impl System for Rio {
    const NAME: &'static str = "rio-rs";
    const HELD: bool = false;
    type Counter = RioCounter;

    async fn start() -> Result<Self> {
        let serving = serve().await?;
        Ok(Self { clients: Clients::of(&serving.address).await?, _serving: serving })
    }

    async fn counter(&self, key: &str) -> Result<RioCounter> {
        Ok(self.clients.counter(key))
    }

    /// All objects go with their server.
    async fn discard(_: RioCounter) {}

    async fn stop(self) {}
}
