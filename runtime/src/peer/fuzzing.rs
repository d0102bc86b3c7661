//! Both ends of a link without a connection; see [`crate::fuzzing`].

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use greenroom_core::{ActorId, Epoch, ShardId};
use greenroom_proto::Frame;
use greenroom_proto::v1::ActiveKeysReply;
use tokio::time::Instant;

use super::active::{PageRequest, page};
use super::answers::Answers;
use super::incoming::Incoming;
use super::link::Link;
use super::outbox::Writer;
use super::parts::Parts;
use super::pending::Reply;
use super::{Identity, PeerCall};
use crate::node::Node;
use crate::payload::Encoding;

/// What a node did with a frame.
pub struct Taken {
    /// Calls that wait, as long as they may not have been answered in the frames.
    pub waiting: usize,
    /// What it has to say to the peer by then.
    pub frames: Vec<Frame>,
}

/// The answering end of a link to a node.
pub struct Callee {
    incoming: Incoming,
    answers: Arc<Answers>,
}

impl Callee {
    /// Of a running node.
    pub fn of(node: &Node) -> Self {
        let router = node.router();
        let answers = Answers::new(router.limits().payload_bytes_max);
        Self { incoming: Incoming::new(router.clone(), Arc::clone(&answers)), answers }
    }

    /// Takes a frame, as if it came from a peer.
    ///
    /// # Errors
    /// With the reason, when the link ends by it.
    pub async fn take(&mut self, frame: &Frame) -> Result<Taken, String> {
        self.incoming.take(frame).await?;
        // In this order: a call that is answered meanwhile is in both.
        let waiting = self.answers.waiting();
        Ok(Taken { waiting, frames: written(&*self.answers) })
    }
}

impl Drop for Callee {
    fn drop(&mut self) {
        self.answers.cut();
        self.answers.forget_callers();
    }
}

/// The calling end of a link, with calls that were sent.
pub struct Caller {
    link: Arc<Link>,
    replies: Vec<Reply>,
    parts: Parts,
}

impl Caller {
    /// With so many calls, and the frames in which they stand.
    pub fn with_calls(count: usize, payload_bytes_max: usize) -> (Self, Vec<Frame>) {
        let identity = Identity { cluster: "default".to_owned(), node: "caller".to_owned() };
        let link = Link::new("owner:7400", &identity, payload_bytes_max);
        let id = ActorId::new("fuzz.echo", "a").expect("it is a name");
        let now = Instant::now();
        let call = PeerCall {
            id: &id,
            shard: ShardId(0),
            method: "echo",
            encoding: Encoding::MessagePack,
            arguments: b"\x80",
            now,
            deadline: now + Duration::from_secs(60),
            one_way: false,
            epoch: Epoch(1),
            chain: None,
            context: None,
            takes_stream: true,
        };
        let replies = (0..count).filter_map(|_| link.call(&call, || true).ok()).collect();
        let frames = written(&*link);
        (Self { link, replies, parts: Parts::new(payload_bytes_max) }, frames)
    }

    /// Takes a frame, as if it came from the owner; whether the link goes on.
    pub fn take(&mut self, frame: &Frame) -> bool {
        self.link.take(frame, &mut self.parts, &mut false).is_none()
    }

    /// Calls that the link has not forgotten.
    pub fn known(&self) -> usize {
        self.link.calls()
    }

    /// How many calls were answered since this was asked last.
    pub fn answered(&mut self) -> usize {
        let before = self.replies.len();
        self.replies.retain_mut(|reply| reply.now_or_never().is_none());
        before - self.replies.len()
    }
}

fn written(writer: &impl Writer) -> Vec<Frame> {
    let mut cx = Context::from_waker(Waker::noop());
    let next = || match writer.poll_frame(&mut cx) {
        Poll::Ready(frame) => frame,
        Poll::Pending => None,
    };
    std::iter::from_fn(next).collect()
}

/// Reads a page of active keys against the question that it answers: how many shards are done with.
///
/// # Errors
/// Why it can't be right.
pub fn page_of_keys(
    shards: Vec<ShardId>,
    after: Option<&str>,
    reply: ActiveKeysReply,
) -> Result<usize, &'static str> {
    let request = PageRequest { kind: "fuzz.echo", shards, after: after.map(Arc::from) };
    page(&request, reply).map(|page| page.done)
}
