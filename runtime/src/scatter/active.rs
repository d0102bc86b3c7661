//! The active actors of a kind, wherever they are.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::vec;

use futures_util::Stream;
use futures_util::future::BoxFuture;
use greenroom_core::{NodeId, ShardId};
use tokio::time::Instant;

use super::TIMEOUT_MAX;
use super::listing::Listing;
use crate::call::{ActorRef, Address};
use crate::failure::Failure;
use crate::router::Router;

/// The actors of a kind that are in some node's memory, as a stream of their addresses; made by
/// [`Node::active`](crate::Node::active) and [`Context::active`](crate::Context::active).
///
/// The owner of each shard is asked for its part, a page at a time, as the stream is polled. That
/// activates nobody, and keeps nobody from being passivated.
///
/// It is no picture of one instant: each actor is looked at once, at some time between the first poll
/// and the last. An actor that is active all that time is listed, and none is listed twice. One that
/// comes to life or goes meanwhile may be listed or not; that includes actors of a shard that moves,
/// because they are deactivated and come to life again only when they are called.
///
/// Shards whose owner can't be asked are reported, in [`Active::unlisted`].
#[must_use = "nobody is asked until the stream is polled"]
pub struct Active<R> {
    stage: Stage,
    page: vec::IntoIter<ActorRef>,
    unlisted: Vec<Unlisted>,
    kind: PhantomData<fn() -> R>,
}

enum Stage {
    /// Nobody is asked just now.
    Idle(Box<Listing>),
    Asking(BoxFuture<'static, (Box<Listing>, Option<Vec<ActorRef>>)>),
    Done,
}

/// Shards of which it is not known, or not wholly, which actors are active in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlisted {
    /// Which shards, in order. Actors may have been listed of one of them, before its owner failed.
    pub shards: Vec<ShardId>,
    /// Who was asked last; nobody if the shards had no owner.
    pub node: Option<NodeId>,
    /// What went wrong then. Nothing of an actor ran.
    pub failure: Failure,
}

/// All active actors of a kind, as far as they could be listed.
#[derive(Clone, Debug)]
#[must_use = "some shards may not have been asked"]
pub struct Listed<R> {
    /// The actors, each once, in no order.
    pub actors: Vec<R>,
    /// Shards that could not be asked.
    pub unlisted: Vec<Unlisted>,
}

impl<R: Address> Active<R> {
    pub(crate) fn new(router: Router, deadline: Option<Instant>) -> Self {
        let listing = Listing::new(router, R::KIND, deadline);
        Self {
            stage: Stage::Idle(Box::new(listing)),
            page: Vec::new().into_iter(),
            unlisted: Vec::new(),
            kind: PhantomData,
        }
    }

    /// How long to try, without any progress, to reach the owners of shards that are left; the node's
    /// time-out for calls unless told otherwise, and at most 24 hours. Then they are reported as
    /// [unlisted](Self::unlisted).
    pub fn patience(mut self, span: Duration) -> Self {
        if let Stage::Idle(listing) = &mut self.stage {
            listing.set_patience(span.min(TIMEOUT_MAX));
        }
        self
    }

    pub(super) fn no_later_than(&mut self, deadline: Option<Instant>) {
        if let (Stage::Idle(listing), Some(deadline)) = (&mut self.stage, deadline) {
            listing.no_later_than(deadline);
        }
    }

    /// The next actor; `None` after the last one.
    pub async fn next(&mut self) -> Option<R> {
        poll_fn(|cx| self.poll_actor(cx)).await
    }

    /// Lists all of them. This needs memory for each.
    pub async fn all(mut self) -> Listed<R> {
        let mut actors = Vec::new();
        while let Some(actor) = self.next().await {
            actors.push(actor);
        }
        Listed { actors, unlisted: self.unlisted }
    }

    /// Shards that could not be asked. Complete when the last actor has come.
    pub fn unlisted(&self) -> &[Unlisted] {
        &self.unlisted
    }

    pub(super) fn into_unlisted(self) -> Vec<Unlisted> {
        self.unlisted
    }

    pub(super) fn poll_actor(&mut self, cx: &mut Context<'_>) -> Poll<Option<R>> {
        loop {
            if let Some(actor) = self.page.next() {
                return Poll::Ready(Some(R::from_actor(actor)));
            }
            self.stage = match std::mem::replace(&mut self.stage, Stage::Done) {
                Stage::Done => return Poll::Ready(None),
                Stage::Idle(mut listing) => Stage::Asking(Box::pin(async move {
                    let page = listing.next().await;
                    (listing, page)
                })),
                Stage::Asking(mut asking) => match asking.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.stage = Stage::Asking(asking);
                        return Poll::Pending;
                    }
                    Poll::Ready((listing, Some(page))) => {
                        self.page = page.into_iter();
                        Stage::Idle(listing)
                    }
                    Poll::Ready((listing, None)) => {
                        self.unlisted = listing.into_unlisted();
                        Stage::Done
                    }
                },
            };
        }
    }
}

impl<R: Address> Stream for Active<R> {
    type Item = R;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<R>> {
        Poll::Ready(ready!(self.poll_actor(cx)))
    }
}

impl<R> fmt::Debug for Active<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Active").field("unlisted", &self.unlisted).finish_non_exhaustive()
    }
}
