//! A call after the first look for its actor.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context as TaskContext, Poll, ready};

use super::Router;
use super::attempt::{Attempt, Tried};
use super::failures::failed;
use super::request::Request;
use super::trail::Trail;
use crate::activation::Answer;
use crate::ambient::Chain;
use crate::failure::Failure;

/// A call at the first look.
pub(crate) enum Begun {
    Answered(Answer),
    UnderWay(UnderWay),
}

impl Begun {
    pub(super) fn failed(failure: Failure) -> Self {
        Self::Answered(failed(failure))
    }
}

/// A call that was not answered at the first look.
pub(crate) struct UnderWay {
    pub(super) chain: Option<Arc<Chain>>,
    pub(super) tried: Tried,
    pub(super) trail: Trail,
    pub(super) _counted: InFlight,
}

impl UnderWay {
    /// Whether another node has the call, which then needs no clock and little memory here.
    pub(crate) fn is_there(&self) -> bool {
        matches!(self.tried, Tried::There(_))
    }

    /// The answer of the other node; `None` if the call must be tried again.
    pub(crate) fn poll_there(
        &mut self,
        router: &Router,
        request: &Request<'_>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Answer>> {
        let Tried::There(reply) = &mut self.tried else { return Poll::Ready(None) };
        let answer = ready!(Pin::new(reply).poll(cx));
        match router.outcome_there(answer, request.shard, &mut self.trail) {
            Attempt::Final(answer) => Poll::Ready(Some(answer)),
            again => {
                self.tried = Tried::Over(again);
                Poll::Ready(None)
            }
        }
    }
}

/// Counts a call as under way until it is dropped.
pub(super) struct InFlight(Router);

impl InFlight {
    pub(super) fn count(router: &Router) -> Self {
        router.0.in_flight.fetch_add(1, Ordering::SeqCst);
        Self(router.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.0.in_flight.fetch_sub(1, Ordering::Release);
    }
}
