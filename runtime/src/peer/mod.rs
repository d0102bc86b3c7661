//! Calls between nodes: one long-lived stream to each peer, with many envelopes a frame.

mod frames;
mod inspect;
mod link;
mod operate;
mod report;
mod serve;
pub(crate) mod topology;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use greenroom_cluster::Owner;
use greenroom_core::{ActorId, Epoch};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::activation::Answer;
use crate::ambient::Chain;
use crate::failure::{Failure, FailureCode};
use crate::payload::Encoding;
use crate::router::failed;
pub(crate) use inspect::InspectService;
use link::Link;
pub(crate) use operate::{ORDER_BYTES_MAX, OperateService};
pub(crate) use report::Reporter;
pub(crate) use serve::{PeerService, Serving};

/// Most calls that wait to be written to one peer.
const CALLS_WAITING_MAX: usize = 4096;
/// A link that nobody used for so long, and whose peer may be gone, is closed.
const LINK_IDLE_MAX: Duration = Duration::from_secs(60);

/// Who this node is, as peers are told.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) cluster: String,
    pub(crate) node: String,
}

/// A call on its way to another node.
#[derive(Debug)]
pub(crate) struct PeerCall {
    pub(crate) id: ActorId,
    pub(crate) method: String,
    pub(crate) encoding: Encoding,
    pub(crate) arguments: Bytes,
    pub(crate) deadline: Instant,
    pub(crate) one_way: bool,
    pub(crate) epoch: Epoch,
    pub(crate) chain: Option<Arc<Chain>>,
}

/// A call with the way back to its caller.
#[derive(Debug)]
pub(crate) struct Outgoing {
    call: PeerCall,
    reply: oneshot::Sender<Answer>,
    fate: Arc<Fate>,
}

/// Whether a call was written to the peer, or given up before that: exactly one of the two.
#[derive(Debug, Default)]
struct Fate(AtomicU8);

const WAITING: u8 = 0;
const WRITTEN: u8 = 1;
const GIVEN_UP: u8 = 2;

impl Fate {
    /// The link is about to write the call; `false` if its caller has given up.
    fn write(&self) -> bool {
        self.settle(WRITTEN)
    }

    /// The caller gives up; `false` if the call may have been written.
    fn give_up(&self) -> bool {
        self.settle(GIVEN_UP)
    }

    fn settle(&self, fate: u8) -> bool {
        self.0.compare_exchange(WAITING, fate, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Outgoing {
    /// Tells the caller that the call surely did not run.
    fn not_sent(self, code: FailureCode, message: &str) {
        let _ = self.reply.send(failed(Failure::new(code, message)));
    }
}

/// The links to other nodes, opened when they are first needed.
#[derive(Debug)]
pub(crate) struct Peers {
    identity: Identity,
    message_bytes_max: usize,
    /// The node's: a link must not end with the runtime of its first caller.
    runtime: Handle,
    links: Mutex<HashMap<String, mpsc::Sender<Outgoing>>>,
}

impl Peers {
    pub(crate) fn new(identity: Identity, message_bytes_max: usize) -> Self {
        let runtime = Handle::current();
        Self { identity, message_bytes_max, runtime, links: Mutex::default() }
    }

    /// Makes a call on the node that owns its shard.
    pub(crate) async fn call(&self, owner: &Owner, call: PeerCall) -> Answer {
        let deadline = call.deadline;
        let (reply, answer) = oneshot::channel();
        let fate = Arc::new(Fate::default());
        let outgoing = Outgoing { call, reply, fate: Arc::clone(&fate) };
        if let Err(refused) = self.enqueue(owner, outgoing) {
            return failed(refused);
        }
        match timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) if fate.give_up() => {
                let message = "the link to the owner ended before the call was sent";
                failed(Failure::new(FailureCode::Unreachable, message))
            }
            Ok(Err(_)) => broken("the link to the owner ended"),
            Err(_) if fate.give_up() => {
                let message = "the deadline passed before the call was sent to the owner";
                failed(Failure::new(FailureCode::Timeout, message))
            }
            Err(_) => {
                let message = "the owner did not answer before the deadline";
                failed(Failure::new(FailureCode::Timeout, message).that_may_have_run())
            }
        }
    }

    fn enqueue(&self, owner: &Owner, mut outgoing: Outgoing) -> Result<(), Failure> {
        let mut links = self.links.lock();
        if let Some(link) = links.get(&owner.address) {
            match link.try_send(outgoing) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(_)) => {
                    // Passes as soon as the link takes some of them.
                    let message = format!("{CALLS_WAITING_MAX} calls wait for {}", owner.life.node);
                    return Err(Failure::new(FailureCode::Unreachable, message));
                }
                // Idle for long, or its peer was gone: a new one.
                Err(mpsc::error::TrySendError::Closed(same)) => outgoing = same,
            }
        }
        // Addresses of nodes that are gone leave no trace.
        links.retain(|_, link| !link.is_closed());
        let (link, calls) = mpsc::channel(CALLS_WAITING_MAX);
        // The channel is new and empty.
        let _ = link.try_send(outgoing);
        links.insert(owner.address.clone(), link);
        let identity = self.identity.clone();
        self.runtime.spawn(Link::new(&owner.address, identity, self.message_bytes_max).run(calls));
        Ok(())
    }

    /// Ends all links; calls on them fail.
    pub(crate) fn close(&self) {
        self.links.lock().clear();
    }
}

fn broken(message: &str) -> Answer {
    failed(Failure::new(FailureCode::Unreachable, message).that_may_have_run())
}
