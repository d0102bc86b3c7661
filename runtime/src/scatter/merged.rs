//! One sorted stream from many actors.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio::time::Instant;

use super::merge::{Merge, Popped};
use super::{Replies, Unlisted, make, unless_it_panics};
use crate::call::{Address, Call};
use crate::failure::{CallError, Failure, FailureCode};
use crate::router::poll_budget;

/// Asks an actor for the page after an item.
type AskFor<'a, R, I, E> =
    Box<dyn Fn(R, I, Option<Instant>) -> BoxFuture<'a, Page<R, I, E>> + Send + Sync + 'a>;

/// What follows an item of an actor.
struct Page<R, I, E> {
    target: R,
    item: I,
    next: Result<Vec<I>, CallError<E>>,
}

/// A page that is asked for.
struct Awaited<'a, R, I, K, E> {
    /// The place of its actor among the targets.
    list: usize,
    /// It must not begin before this.
    last: K,
    page: BoxFuture<'a, Page<R, I, E>>,
}

/// The items of many actors as one sorted stream; [`Replies::merge_by_key`] makes one.
///
/// It ends when all items of the actors that answered have come. [`Merged::failed`] and
/// [`Merged::unlisted`] tell whose are missing: of an actor whose first call failed, all are; of one
/// that failed later, those after the items that have come. Before the first item has come, they
/// don't tell everything.
#[must_use = "calls are made when their replies are awaited"]
pub struct Merged<'a, R, I, K, E> {
    key: Box<dyn Fn(&I) -> K + Send + 'a>,
    /// The first answers, until all have come.
    replies: Option<Replies<'a, R, Vec<I>, E>>,
    merge: Merge<K, I>,
    ask_for: Option<AskFor<'a, R, I, E>>,
    /// Who may have more, by place among the targets; empty without pages.
    targets: HashMap<usize, R>,
    awaited: Option<Awaited<'a, R, I, K, E>>,
    deadline: Option<Instant>,
    failed: Vec<(R, CallError<E>)>,
    unlisted: Vec<Unlisted>,
}

impl<'a, R: Address, I, K: Ord + Send, E> Merged<'a, R, I, K, E>
where
    I: Send + 'static,
    E: Send + 'static,
{
    pub(super) fn new(
        replies: Replies<'a, R, Vec<I>, E>,
        key: impl Fn(&I) -> K + Send + 'a,
    ) -> Self {
        Self {
            key: Box::new(key),
            replies: Some(replies),
            merge: Merge::new(),
            ask_for: None,
            targets: HashMap::new(),
            awaited: None,
            deadline: None,
            failed: Vec::new(),
            unlisted: Vec::new(),
        }
    }

    /// Lets actors answer in pages: with the last item of an actor's page, makes this call for those
    /// that follow it, until a page is empty. So no more than a page an actor is in memory.
    ///
    /// A page that begins before the last one ends is a failure of its actor, which is asked no more.
    pub fn pages<F, Args>(mut self, next: F) -> Self
    where
        F: for<'c> Fn(&'c R, &I) -> Call<'c, Args, Vec<I>, E> + Send + Sync + 'a,
        Args: Serialize + Send + 'static,
        I: Sync,
    {
        let next = std::sync::Arc::new(next);
        self.ask_for = Some(Box::new(move |target, item, deadline| {
            let next = std::sync::Arc::clone(&next);
            Box::pin(async move {
                let made = async {
                    let call = |target| next(target, &item);
                    Ok(make(&call, &target, deadline)?.await)
                };
                let page = unless_it_panics(made).await.and_then(|answer| answer);
                Page { target, item, next: page }
            })
        }));
        self
    }

    /// The next item; `None` after the last one.
    pub async fn next(&mut self) -> Option<I> {
        poll_fn(|cx| self.poll_item(cx)).await
    }

    /// Whose items are missing, or missing from some item on, and why.
    pub fn failed(&self) -> &[(R, CallError<E>)] {
        &self.failed
    }

    /// Shards that could not be asked for their active actors; empty for targets that were given.
    pub fn unlisted(&self) -> &[Unlisted] {
        match &self.replies {
            Some(replies) => replies.unlisted(),
            None => &self.unlisted,
        }
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<I>> {
        while let Some(replies) = &mut self.replies {
            match ready!(replies.poll_placed(cx)) {
                Some((place, (target, Ok(items)))) => {
                    self.merge.add(place, items, &self.key);
                    if self.ask_for.is_some() {
                        self.targets.insert(place, target);
                    }
                }
                Some((_, (target, Err(error)))) => self.failed.push((target, error)),
                None => {
                    self.deadline = replies.deadline();
                    self.unlisted = replies.take_unlisted();
                    self.replies = None;
                }
            }
        }
        // Items that are in memory never make their reader wait.
        ready!(poll_budget(cx));
        if self.awaited.is_none() {
            let Some(Popped { item, list, last }) = self.merge.pop(&self.key) else {
                return Poll::Ready(None);
            };
            let target = last.and_then(|last| Some((last, self.targets.remove(&list)?)));
            let (Some(ask_for), Some((last, target))) = (&self.ask_for, target) else {
                return Poll::Ready(Some(item));
            };
            let page = ask_for(target, item, self.deadline);
            self.awaited = Some(Awaited { list, last, page });
        }
        let Some(Awaited { list, last, page }) = &mut self.awaited else {
            return Poll::Ready(None);
        };
        let Page { target, item, next } = ready!(page.as_mut().poll(cx));
        match next {
            Ok(page) if page.iter().any(|next| (self.key)(next) < *last) => {
                let message = "a page begins before the one before it ends";
                let failure = Failure::new(FailureCode::BadReply, message).that_may_have_run();
                self.failed.push((target, failure.into()));
            }
            Ok(page) if page.is_empty() => {}
            Ok(page) => {
                self.merge.add(*list, page, &self.key);
                self.targets.insert(*list, target);
            }
            Err(error) => self.failed.push((target, error)),
        }
        self.awaited = None;
        Poll::Ready(Some(item))
    }
}

impl<R: Address, I, K: Ord + Send, E> Stream for Merged<'_, R, I, K, E>
where
    I: Send + 'static,
    E: Send + 'static,
{
    type Item = I;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<I>> {
        self.poll_item(cx)
    }
}

/// Nothing in it is pinned where it stands.
impl<R, I, K, E> Unpin for Merged<'_, R, I, K, E> {}

impl<R, I, K, E> fmt::Debug for Merged<'_, R, I, K, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merged").field("failed", &self.failed.len()).finish_non_exhaustive()
    }
}
