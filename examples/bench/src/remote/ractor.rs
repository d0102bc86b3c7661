//! ractor_cluster: two of its nodes; the parent finds the child's actors in a process group, which
//! the nodes tell each other of.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::rpc::CallResult;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, pg};
use ractor_cluster::{NodeServer, NodeServerMessage, RactorClusterMessage};

use super::{ACTORS, Callable, Host, Line, child};
use crate::case::Role;
use crate::system::{Counter, Result};

pub(super) const NAME: &str = "ractor_cluster";

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const GROUP: &str = "counters";
/// How long the nodes may take to tell each other of the actors.
const FOUND_TIMEOUT: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

#[derive(RactorClusterMessage)]
enum Ask {
    #[rpc]
    Add(u64, RpcReplyPort<u64>),
}

struct Tally;

impl Actor for Tally {
    type Msg = Ask;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Ask>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _: ActorRef<Ask>,
        message: Ask,
        count: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        let Ask::Add(amount, reply) = message;
        *count += amount;
        // A caller that went away needs no answer.
        let _ = reply.send(*count);
        Ok(())
    }
}

#[derive(Clone)]
struct RemoteTally(ActorRef<Ask>);

impl Counter for RemoteTally {
    async fn add(&self, amount: u64) -> Result<u64> {
        match self.0.call(|reply| Ask::Add(amount, reply), None).await {
            Ok(CallResult::Success(count)) => Ok(count),
            Ok(_) => Err("the actor gave no answer".into()),
            Err(error) => Err(error.to_string().into()),
        }
    }
}

async fn node(name: &str, port: u16) -> Result<ActorRef<NodeServerMessage>> {
    let cookie = "greenroom-bench".to_owned();
    let server = NodeServer::new(port, cookie, name.to_owned(), "localhost".to_owned(), None, None)
        .with_listen_addr(LOOPBACK);
    Ok(Actor::spawn(None, server, ()).await?.0)
}

pub(super) async fn host() -> Result<Host> {
    let mut counters = Vec::with_capacity(ACTORS);
    for _ in 0..ACTORS {
        counters.push(Actor::spawn(None, Tally, ()).await?.0.get_cell());
    }
    pg::join(GROUP.to_owned(), counters);
    // The node does not tell which port it got, so it is told one that was free a moment ago.
    let port = TcpListener::bind((LOOPBACK, 0))?.local_addr()?.port();
    Ok(Host::new(&port, node("host", port).await?))
}

pub(super) async fn connect() -> Result<Arc<dyn Callable>> {
    let child = child(NAME, "").await?;
    let port: u16 = child.said.parse()?;
    let node = node("caller", 0).await?;
    ractor_cluster::client_connect(&node, (LOOPBACK, port))
        .await
        .map_err(|error| error.to_string())?;
    let until = Instant::now() + FOUND_TIMEOUT;
    let found = loop {
        let found = pg::get_members(&GROUP.to_owned());
        if found.len() == ACTORS {
            break found;
        }
        if Instant::now() > until {
            return Err(format!("only {} of {ACTORS} actors were found", found.len()).into());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    };
    let counters = found.into_iter().map(|cell| RemoteTally(cell.into()));
    Line::open(NAME, Role::Rival, counters.collect(), child).await
}
