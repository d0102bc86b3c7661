//! The answers to many calls, as they come.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::{Gathered, Merged, Reply, Scatter, Targets, TooFew, Unlisted};
use crate::ambient;
use crate::call::Address;
use crate::failure::{Failure, FailureCode};
use crate::router::poll_budget;

/// Makes one call, no later than at a deadline.
type Make<'a, R, T, E> =
    Box<dyn Fn(R, Option<Instant>) -> BoxFuture<'a, Reply<R, T, E>> + Send + Sync + 'a>;

/// A reply, and the place of its target among all targets.
pub(super) type Placed<R, T, E> = (usize, Reply<R, T, E>);

/// The answers to many calls: a stream of them as they come, in no order.
///
/// Each target has one reply, an answer or a failure. Calls are made as the stream is polled, no more
/// than [`Scatter::at_most`] at a time; dropping it drops those that are under way.
#[must_use = "calls are made when their replies are awaited"]
pub struct Replies<'a, R, T, E> {
    /// `None` when all have been taken.
    targets: Option<Targets<'a, R>>,
    make: Make<'a, R, T, E>,
    at_most: usize,
    span: Span,
    under_way: FuturesUnordered<BoxFuture<'a, Placed<R, T, E>>>,
    /// How many targets have been taken.
    taken: usize,
    unlisted: Vec<Unlisted>,
}

/// How long a scatter may take.
#[derive(Clone, Copy)]
enum Span {
    /// It has not begun.
    Within(Option<Duration>),
    Until(Option<Instant>),
}

impl Span {
    /// The deadline, which is set with the first look.
    fn deadline(&mut self) -> Option<Instant> {
        match *self {
            Self::Until(deadline) => deadline,
            Self::Within(span) => {
                let own = span.map(|span| Instant::now() + span);
                let turn = ambient::deadline();
                // Either, if the other is not there.
                let deadline = own.into_iter().chain(turn).min();
                *self = Self::Until(deadline);
                deadline
            }
        }
    }
}

impl<'a, R: Address, T, E> Replies<'a, R, T, E>
where
    T: Send + 'static,
    E: Send + 'static,
{
    pub(super) fn new(
        scatter: Scatter<'a, R>,
        make: impl Fn(R, Option<Instant>) -> BoxFuture<'a, Reply<R, T, E>> + Send + Sync + 'a,
    ) -> Self {
        let Scatter { targets, at_most, timeout } = scatter;
        Self {
            targets: Some(targets),
            make: Box::new(make),
            at_most,
            span: Span::Within(timeout),
            under_way: FuturesUnordered::new(),
            taken: 0,
            unlisted: Vec::new(),
        }
    }

    /// The next reply; `None` after the last one.
    pub async fn next(&mut self) -> Option<Reply<R, T, E>> {
        poll_fn(|cx| self.poll_placed(cx)).await.map(|(_, reply)| reply)
    }

    /// Shards that could not be asked for their active actors, whose replies are therefore missing.
    /// Complete when the last reply has come; empty for targets that were given.
    pub fn unlisted(&self) -> &[Unlisted] {
        &self.unlisted
    }

    /// Awaits all replies.
    pub async fn gather(mut self) -> Gathered<R, T, E> {
        let mut gathered = Gathered::default();
        while let Some(reply) = self.next().await {
            gathered.add(reply);
        }
        gathered.unlisted = self.unlisted;
        gathered
    }

    /// The first reply, an answer or a failure; the other calls are dropped.
    ///
    /// # Errors
    /// When there was nobody to call.
    pub async fn first(mut self) -> Result<Reply<R, T, E>, TooFew<R, T, E>> {
        match self.next().await {
            Some(reply) => Ok(reply),
            None => {
                let gathered = Gathered { unlisted: self.unlisted, ..Gathered::default() };
                Err(TooFew { required: 1, reached: 0, gathered })
            }
        }
    }

    /// The first answer; the other calls are dropped.
    ///
    /// # Errors
    /// All failures, when no call was answered.
    pub async fn any(self) -> Result<(R, T), TooFew<R, T, E>> {
        self.any_that(|_, _| true).await
    }

    /// The first answer that is wanted; the other calls are dropped.
    ///
    /// # Errors
    /// Everything that came instead, when no answer was wanted.
    pub async fn any_that(
        self,
        wanted: impl FnMut(&R, &T) -> bool,
    ) -> Result<(R, T), TooFew<R, T, E>> {
        let mut wanted = self.wanted(1, wanted).await?;
        // As many as were asked for.
        Ok(wanted.remove(0))
    }

    /// The first so many answers, such as a majority's; the other calls are dropped as soon as there
    /// are enough.
    ///
    /// # Errors
    /// Everything that came, when there were too few.
    pub async fn quorum(self, answers: usize) -> Result<Vec<(R, T)>, TooFew<R, T, E>> {
        self.wanted(answers, |_, _| true).await
    }

    async fn wanted(
        mut self,
        required: usize,
        mut wanted: impl FnMut(&R, &T) -> bool,
    ) -> Result<Vec<(R, T)>, TooFew<R, T, E>> {
        let (mut found, mut others) = (Vec::new(), Gathered::default());
        while found.len() < required {
            match self.next().await {
                Some((target, Ok(answer))) if wanted(&target, &answer) => {
                    found.push((target, answer));
                }
                Some(other) => others.add(other),
                None => {
                    let reached = found.len();
                    found.append(&mut others.answered);
                    let gathered = Gathered { answered: found, unlisted: self.unlisted, ..others };
                    return Err(TooFew { required, reached, gathered });
                }
            }
        }
        Ok(found)
    }

    /// By when the calls must be answered, if there is such a time.
    pub(super) fn deadline(&mut self) -> Option<Instant> {
        self.span.deadline()
    }

    pub(super) fn take_unlisted(&mut self) -> Vec<Unlisted> {
        std::mem::take(&mut self.unlisted)
    }

    /// The next reply with the place of its target.
    pub(super) fn poll_placed(&mut self, cx: &mut Context<'_>) -> Poll<Option<Placed<R, T, E>>> {
        let deadline = self.span.deadline();
        while self.under_way.len() < self.at_most && self.targets.is_some() {
            let late = deadline.is_some_and(|deadline| deadline <= Instant::now());
            if late {
                // There may be many, and none of them waits.
                ready!(poll_budget(cx));
            }
            let Poll::Ready(Some(target)) = self.poll_target(deadline, cx) else { break };
            let place = self.taken;
            self.taken += 1;
            if late {
                let message = "the deadline of the scatter passed before the call was made";
                let failure = Failure::new(FailureCode::Timeout, message);
                return Poll::Ready(Some((place, (target, Err(failure.into())))));
            }
            let call = (self.make)(target, deadline);
            self.under_way.push(Box::pin(async move { (place, call.await) }));
        }
        match Pin::new(&mut self.under_way).poll_next(cx) {
            Poll::Ready(Some(placed)) => Poll::Ready(Some(placed)),
            Poll::Ready(None) if self.targets.is_none() => Poll::Ready(None),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn poll_target(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<Option<R>> {
        let target = match &mut self.targets {
            None => return Poll::Ready(None),
            Some(Targets::Given(targets)) => targets.next(),
            Some(Targets::Active(active)) => {
                if self.taken == 0 {
                    active.no_later_than(deadline);
                }
                ready!(active.poll_actor(cx))
            }
        };
        if target.is_none()
            && let Some(Targets::Active(active)) = self.targets.take()
        {
            self.unlisted = active.into_unlisted();
        }
        Poll::Ready(target)
    }
}

impl<'a, R: Address, I, E> Replies<'a, R, Vec<I>, E>
where
    I: Send + 'static,
    E: Send + 'static,
{
    /// Merges answers that are sorted by a key into one sorted stream, with a heap of one item an
    /// actor: for actors each of which has a part of something that has an order. Items with equal
    /// keys come in the order of their actors among the targets, and each actor's own in its order.
    ///
    /// The first item comes when all calls have been answered or have failed, so all first answers
    /// are in memory then; [`Merged::pages`] bounds them. An answer that is not sorted is sorted
    /// first. Actors that failed are reported beside the items, in [`Merged::failed`].
    pub fn merge_by_key<K: Ord + Send>(
        self,
        key: impl Fn(&I) -> K + Send + 'a,
    ) -> Merged<'a, R, I, K, E> {
        Merged::new(self, key)
    }
}

impl<R: Address, T, E> Stream for Replies<'_, R, T, E>
where
    T: Send + 'static,
    E: Send + 'static,
{
    type Item = Reply<R, T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_placed(cx).map(|placed| placed.map(|(_, reply)| reply))
    }
}

/// Nothing in it is pinned where it stands.
impl<R, T, E> Unpin for Replies<'_, R, T, E> {}

impl<R, T, E> fmt::Debug for Replies<'_, R, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies")
            .field("under_way", &self.under_way.len())
            .field("taken", &self.taken)
            .finish_non_exhaustive()
    }
}
