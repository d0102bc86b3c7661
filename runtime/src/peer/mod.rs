//! Calls between nodes: one long-lived stream to each peer, with many envelopes a frame.

pub(crate) mod active;
mod answers;
mod incoming;
mod inspect;
mod link;
mod operate;
mod outbox;
mod parts;
mod pending;
mod report;
mod serve;
pub(crate) mod topology;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;

use fnv::FnvBuildHasher;
use greenroom_cluster::Owner;
use greenroom_core::{ActorId, Epoch, ShardId};
use parking_lot::RwLock;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::activation::Answer;
use crate::ambient::Chain;
use crate::failure::{Failure, FailureCode};
use crate::payload::Encoding;
use crate::router::failed;
pub(crate) use inspect::InspectService;
use link::{Link, Refused};
pub(crate) use operate::{ORDER_BYTES_MAX, OperateService};
pub(crate) use outbox::FRAME_BYTES_MAX;
pub(crate) use pending::Reply;
pub(crate) use report::Reporter;
pub(crate) use serve::{PeerService, Serving};
pub(crate) use wire::too_large;

/// Who this node is, as peers are told.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) cluster: String,
    pub(crate) node: String,
}

/// A call on its way to another node.
#[derive(Debug)]
pub(crate) struct PeerCall<'a> {
    pub(crate) id: &'a ActorId,
    pub(crate) shard: ShardId,
    pub(crate) method: &'a str,
    pub(crate) encoding: Encoding,
    pub(crate) arguments: &'a [u8],
    /// The time, as far as the caller knows it.
    pub(crate) now: Instant,
    pub(crate) deadline: Instant,
    pub(crate) one_way: bool,
    pub(crate) epoch: Epoch,
    pub(crate) chain: Option<&'a Chain>,
}

/// The links to other nodes, opened when they are first needed.
#[derive(Debug)]
pub(crate) struct Peers {
    identity: Identity,
    payload_bytes_max: usize,
    /// How many links go to each peer.
    streams: u32,
    /// The node's: a link must not end with the runtime of its first caller.
    runtime: Handle,
    links: RwLock<HashMap<String, Links, FnvBuildHasher>>,
}

/// Links to one peer; a shard's calls always take the same one.
type Links = Box<[Arc<Link>]>;

impl Peers {
    pub(crate) fn new(identity: Identity, payload_bytes_max: usize, streams: u32) -> Self {
        let (runtime, links) = (Handle::current(), RwLock::default());
        Self { identity, payload_bytes_max, streams, runtime, links }
    }

    /// The cluster's name, as peers are told.
    pub(crate) fn cluster(&self) -> &str {
        &self.identity.cluster
    }

    /// Makes a call on the node that owns its shard: it is as good as written when this returns.
    pub(crate) fn call(&self, owner: &Owner, call: &PeerCall<'_>) -> Result<Reply, Failure> {
        let number = (call.shard.0 % self.streams) as usize;
        let link = self.links.read().get(&owner.address).map(|links| Arc::clone(&links[number]));
        let called = match &link {
            Some(link) => link.call(call),
            None => Err(Refused::Ended),
        };
        let called = match called {
            // Idle for long, or its peer was gone: a new one.
            Err(Refused::Ended) => self.open(owner, number).call(call),
            called => called,
        };
        called.map_err(|refused| {
            let message = match refused {
                // Passes as soon as the link takes some of them.
                Refused::Full(message) => message,
                Refused::Ended => "the link to the owner ended at once".to_owned(),
            };
            Failure::new(FailureCode::Unreachable, message)
        })
    }

    /// A link that has not ended, unless it does in this very moment.
    fn open(&self, owner: &Owner, number: usize) -> Arc<Link> {
        let mut all = self.links.write();
        // Addresses of nodes that are gone leave no trace.
        all.retain(|address, links| {
            *address == owner.address || !links.iter().all(|link| link.has_ended())
        });
        let new = || Link::new(&owner.address, &self.identity, self.payload_bytes_max);
        let links = all.entry(owner.address.clone()).or_insert_with(|| {
            let links: Links = (0..self.streams).map(|_| new()).collect();
            for link in &links {
                self.runtime.spawn(Arc::clone(link).run());
            }
            links
        });
        let link = &mut links[number];
        if link.has_ended() {
            *link = new();
            self.runtime.spawn(Arc::clone(link).run());
        }
        Arc::clone(link)
    }

    /// Ends all links; calls on them fail.
    pub(crate) fn close(&self) {
        for link in self.links.write().drain().flat_map(|(_, links)| links) {
            link.close();
        }
    }
}

fn broken(message: &str) -> Answer {
    failed(Failure::new(FailureCode::Unreachable, message).that_may_have_run())
}
