//! Many calls at once: to a set of actors, or to every active actor of a kind, all over the cluster.
//!
//! The principal type is [`Scatter`]: whom to call, how many at a time, for how long.
//! [`Scatter::call`] says what to call and gives [`Replies`], a stream of the answers as they come,
//! which can also be gathered, merged in order, or cut short by the first answer that is wanted.
//!
//! ```
//! use std::time::Duration;
//!
//! use greenroom::prelude::*;
//! use greenroom::scatter::Scatter;
//!
//! # #[greenroom::interface(kind = "counter")]
//! # pub trait Counter {
//! #     /// Adds and returns the new count.
//! #     async fn add(&mut self, amount: u64) -> u64;
//! # }
//! # struct CounterActor(u64);
//! # impl Actor for CounterActor {
//! #     async fn activate(_: &mut Activating<'_>) -> Result<Self, ActivateError> {
//! #         Ok(Self(0))
//! #     }
//! # }
//! # impl Counter for CounterActor {
//! #     async fn add(&mut self, amount: u64) -> u64 {
//! #         self.0 += amount;
//! #         self.0
//! #     }
//! # }
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let node = Node::embedded().host(CounterRef::served_by::<CounterActor>()).start().await?;
//! # node.ready().await?;
//! let keys = ["left", "right"].into_iter();
//! let doors = keys.map(|key| node.actor(key)).collect::<Result<Vec<CounterRef>, _>>()?;
//! let counted = Scatter::over(doors)
//!     .at_most(16)
//!     .timeout(Duration::from_secs(5))
//!     .call(|door| door.add(1))
//!     .gather()
//!     .await;
//! assert!(counted.is_complete());
//!
//! // Every counter that is in some node's memory just now.
//! let all = Scatter::over_active(node.active::<CounterRef>()).call(|door| door.add(1));
//! assert_eq!(all.gather().await.require_all()?.len(), 2);
//! # node.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! No task is spawned: the calls are made, and go on, while the stream is polled. So calls made in a
//! turn inherit its deadline and its chain of actors like any other call, a consumer that is slow
//! slows the calls down, and dropping the stream drops the calls that are under way. A call that
//! still waits in a mailbox on this node is taken out then; a turn that runs, runs on.

mod active;
mod gathered;
mod listing;
mod merge;
mod merged;
mod replies;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use serde::Serialize;
use tokio::time::Instant;

use crate::call::{Address, Call};
use crate::failure::{CallError, Failure, FailureCode};

pub use active::{Active, Listed, Unlisted};
pub use gathered::{Gathered, TooFew};
pub use merged::Merged;
pub use replies::Replies;

/// Calls that are under way at a time, unless told otherwise.
pub const AT_MOST_DEFAULT: usize = 64;
/// Most calls that one scatter may have under way at a time.
pub const AT_MOST_MAX: usize = 4096;
/// Longest that a scatter may take, whatever its caller says.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

/// What came of one of many calls: whom it was for, and the answer or why there is none.
pub type Reply<R, T, E> = (R, Result<T, CallError<E>>);

/// Whom to call, how many at a time, and for how long: a scatter before [`Scatter::call`] says what.
#[must_use = "a scatter calls nobody until its replies are awaited"]
pub struct Scatter<'a, R> {
    targets: Targets<'a, R>,
    at_most: usize,
    timeout: Option<Duration>,
}

/// Whom to call.
enum Targets<'a, R> {
    Given(Box<dyn Iterator<Item = R> + Send + 'a>),
    Active(Active<R>),
}

impl<'a, R: Address> Scatter<'a, R> {
    /// Calls each of these actors. They are taken one by one, as calls can be made; an actor that is
    /// named twice is called twice.
    pub fn over<I>(targets: I) -> Self
    where
        I: IntoIterator<Item = R>,
        I::IntoIter: Send + 'a,
    {
        Self::new(Targets::Given(Box::new(targets.into_iter())))
    }

    /// Calls each active actor of a kind, as [`Node::active`](crate::Node::active) or
    /// [`Context::active`](crate::Context::active) lists them; what could not be listed is reported
    /// beside the answers. Actors are listed as calls can be made, so this needs memory for a few
    /// pages of keys, however many actors there are.
    ///
    /// An actor that has been passivated after it was listed comes to life again when it is called.
    pub fn over_active(active: Active<R>) -> Self {
        Self::new(Targets::Active(active))
    }

    fn new(targets: Targets<'a, R>) -> Self {
        Self { targets, at_most: AT_MOST_DEFAULT, timeout: None }
    }

    /// How many calls are under way at a time: 1 to [`AT_MOST_MAX`], and [`AT_MOST_DEFAULT`] unless
    /// told otherwise. A number beyond these bounds means the nearest within.
    pub fn at_most(mut self, calls: usize) -> Self {
        self.at_most = calls.clamp(1, AT_MOST_MAX);
        self
    }

    /// Gives the whole scatter this long, counted from the first look at its replies; at most 24
    /// hours. Calls that are not answered by then fail as `timeout`, and say whether they may have
    /// run; those that were not made surely did not.
    ///
    /// Without it only each call by itself has a deadline, as any call has.
    pub fn timeout(mut self, span: Duration) -> Self {
        self.timeout = Some(span.min(TIMEOUT_MAX));
        self
    }

    /// Makes this call on each actor: `.call(|account| account.balance())`. Nothing happens until
    /// the replies are awaited.
    ///
    /// A closure that panics fails its own call alone, as `panicked`.
    pub fn call<F, Args, T, E>(self, call: F) -> Replies<'a, R, T, E>
    where
        F: for<'c> Fn(&'c R) -> Call<'c, Args, T, E> + Send + Sync + 'a,
        Args: Serialize + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let call = Arc::new(call);
        Replies::new(self, move |target, deadline| {
            let call = Arc::clone(&call);
            Box::pin(async move {
                let made = async { Ok(make(&*call, &target, deadline)?.await) };
                let answer = unless_it_panics(made).await;
                (target, answer.and_then(|answer| answer))
            })
        })
    }

    /// Makes this call one-way on each actor, without waiting for the turns: each reply comes as
    /// soon as the call stands in the actor's mailbox, or could not be put there until its deadline.
    pub fn send<F, Args, T, E>(self, call: F) -> Replies<'a, R, (), std::convert::Infallible>
    where
        F: for<'c> Fn(&'c R) -> Call<'c, Args, T, E> + Send + Sync + 'a,
        Args: Serialize + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let call = Arc::new(call);
        Replies::new(self, move |target, deadline| {
            let call = Arc::clone(&call);
            Box::pin(async move {
                let sent = async {
                    let sent = make(&*call, &target, deadline)?.send().await;
                    Ok(sent.map_err(CallError::Failed))
                };
                let accepted = unless_it_panics(sent).await;
                (target, accepted.and_then(|accepted| accepted))
            })
        })
    }
}

/// What the author's closure says to call, no later than the scatter ends.
fn make<'c, R, Args, T, E>(
    call: &impl Fn(&'c R) -> Call<'c, Args, T, E>,
    target: &'c R,
    deadline: Option<Instant>,
) -> Result<Call<'c, Args, T, E>, Failure>
where
    Args: Serialize + Send + 'static,
{
    let made = catch_unwind(AssertUnwindSafe(|| call(target)));
    let message = "the closure that says what to call panicked";
    let made = made.map_err(|_| Failure::new(FailureCode::Panicked, message))?;
    Ok(match deadline {
        Some(deadline) => made.no_later_than(deadline),
        None => made,
    })
}

/// One call's panic is not the others' end: what an author wrote is also run to write arguments down
/// and to read an answer.
async fn unless_it_panics<T, E>(
    call: impl Future<Output = Result<T, Failure>>,
) -> Result<T, CallError<E>> {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(answer) => answer.map_err(CallError::Failed),
        Err(_) => {
            let message = "making the call, or reading its answer, panicked on the caller's side";
            Err(Failure::new(FailureCode::Panicked, message).that_may_have_run().into())
        }
    }
}

impl<R> std::fmt::Debug for Scatter<'_, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scatter")
            .field("at_most", &self.at_most)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
