//! Calls between nodes: one long-lived stream to each peer, with many envelopes a frame.

pub(crate) mod active;
mod answers;
mod breaker;
pub(crate) mod fuzzing;
mod health;
mod incoming;
mod inspect;
mod link;
mod operate;
mod outbox;
mod parts;
mod pending;
mod report;
mod serve;
mod stream_in;
mod stream_out;
pub(crate) mod topology;
mod what_if;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fnv::FnvBuildHasher;
use greenroom_cluster::Owner;
use greenroom_core::{ActorId, Epoch, ShardId};
use greenroom_proto::v1::envelope::Body;
use greenroom_proto::v1::{Envelope, Hello};
use parking_lot::RwLock;
use tokio::runtime::Handle;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use crate::activation::Answer;
use crate::ambient::Chain;
use crate::failure::{Failure, FailureCode};
use crate::payload::Encoding;
use crate::request_context::RequestContext;
use crate::router::{Fare, Retries, failed};
use breaker::Verdict;
use health::{Common, Known, TIDY_EVERY, Witness};
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

impl Identity {
    /// The first envelope in each direction of a link.
    fn hello(&self) -> Envelope {
        let hello = Hello {
            protocol: greenroom_proto::PROTOCOL,
            cluster: self.cluster.clone(),
            node: self.node.clone(),
            incarnation: 0,
        };
        Envelope { body: Some(Body::Hello(hello)) }
    }
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
    pub(crate) context: Option<&'a RequestContext>,
    /// Whether the answer may be a stream.
    pub(crate) takes_stream: bool,
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
    /// By address.
    known: RwLock<HashMap<String, Known, FnvBuildHasher>>,
    retries: Arc<Retries>,
    common: Arc<Common>,
}

/// Why a call did not go to a link.
pub(crate) enum Unsent {
    Failed(Failure),
    /// The budget for retries is empty.
    Withheld,
}

impl Peers {
    pub(crate) fn new(
        identity: Identity,
        payload_bytes_max: usize,
        streams: u32,
        retries: Arc<Retries>,
    ) -> Self {
        let (runtime, known) = (Handle::current(), RwLock::default());
        let common = Common::of(&identity.node, retries.income);
        Self { identity, payload_bytes_max, streams, runtime, known, retries, common }
    }

    /// The cluster's name, as peers are told.
    pub(crate) fn cluster(&self) -> &str {
        &self.identity.cluster
    }

    /// Resolves when a peer that could not be reached can be reached again.
    pub(crate) fn back(&self) -> Notified<'_> {
        self.common.back.notified()
    }

    /// Forgets peers that are gone, for as long as it is polled.
    pub(crate) async fn tidy(&self) {
        loop {
            tokio::time::sleep(TIDY_EVERY).await;
            self.known.write().retain(|_, known| known.is_used());
        }
    }

    /// Makes a call on the node that owns its shard: it is as good as written when this returns.
    pub(crate) fn call(
        &self,
        owner: &Owner,
        call: &PeerCall<'_>,
        fare: Fare,
    ) -> Result<Reply, Unsent> {
        let number = (call.shard.0 % self.streams) as usize;
        let called = {
            let peers = self.known.read();
            let known = peers.get(&owner.address);
            match known.and_then(|known| Some((known, known.link(&owner.life, number)?))) {
                Some((known, link)) => link.call(call, || self.pay(known, fare)),
                None => Err(Refused::Ended),
            }
        };
        let called = match called {
            // None yet, idle for long, or its peer was gone.
            Err(Refused::Ended) => self.call_anew(owner, call, number, fare)?,
            called => called,
        };
        called.map_err(|refused| match refused {
            // Passes as soon as the link takes some of them.
            Refused::Full(message) => {
                Unsent::Failed(Failure::new(FailureCode::Unreachable, message))
            }
            Refused::Ended => Unsent::Failed(out_of_reach(owner, breaker::PAUSE_FIRST)),
            Refused::Withheld => Unsent::Withheld,
        })
    }

    /// The same over a link that is opened for it, if the peer is well enough.
    fn call_anew(
        &self,
        owner: &Owner,
        call: &PeerCall<'_>,
        number: usize,
        fare: Fare,
    ) -> Result<Result<Reply, Refused>, Unsent> {
        let mut peers = self.known.write();
        let known = match peers.get_mut(&owner.address) {
            Some(known) => known,
            None => {
                let known = Known::new(&owner.life, self.streams as usize, &self.common);
                peers.entry(owner.address.clone()).or_insert(known)
            }
        };
        known.is_wanted(&owner.life);
        match known.health.ask() {
            Verdict::Pass => {}
            Verdict::Probe => {
                // Without the call: it may find another way while this takes its time.
                self.open(&owner.address, known, number);
                return Err(Unsent::Failed(out_of_reach(owner, breaker::PAUSE_FIRST)));
            }
            Verdict::Refuse(pause) => return Err(Unsent::Failed(out_of_reach(owner, pause))),
        }
        let link = match &known.links[number] {
            Some(link) if !link.has_ended() => Arc::clone(link),
            _ => self.open(&owner.address, known, number),
        };
        Ok(link.call(call, || self.pay(known, fare)))
    }

    fn open(&self, address: &str, known: &mut Known, number: usize) -> Arc<Link> {
        let link = Link::new(address, &self.identity, self.payload_bytes_max);
        let witness = Witness::of(&known.health);
        self.runtime.spawn(Arc::clone(&link).run(witness));
        Arc::clone(known.links[number].insert(link))
    }

    /// Whether a call may be sent; then it is paid for and counted.
    fn pay(&self, known: &Known, fare: Fare) -> bool {
        let (node, peer) = (&self.retries.budget, &known.budget);
        match fare {
            Fare::First => {
                node.deposit();
                peer.deposit();
            }
            Fare::Free(reason) => self.retries.made(reason),
            Fare::Paid(reason) => {
                let now = Instant::now();
                if !peer.withdraw(now) {
                    return false;
                }
                if !node.withdraw(now) {
                    peer.refund();
                    return false;
                }
                self.retries.made(reason);
            }
            Fare::Settled => {}
        }
        true
    }

    /// Ends all links; calls on them fail.
    pub(crate) fn close(&self) {
        let known = std::mem::take(&mut *self.known.write());
        for link in known.into_values().flat_map(|known| known.links).flatten() {
            link.close();
        }
    }
}

fn out_of_reach(owner: &Owner, pause: Duration) -> Failure {
    let Owner { life, address } = owner;
    let message = format!("{} at {address} can't be reached, and is left alone for now", life.node);
    Failure::new(FailureCode::Unreachable, message).with_retry_after(pause)
}

fn broken(message: &str) -> Answer {
    failed(Failure::new(FailureCode::Unreachable, message).that_may_have_run())
}
