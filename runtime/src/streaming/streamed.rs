//! What a method returns that answers with a stream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;

/// The answer of a method that has many items to give, or gives them over time.
///
/// A method returns it as it is, or as `Result<Streamed<T>, E>` when it may refuse before the first
/// item. The caller gets [`Items`](crate::Items).
///
/// ```
/// use futures_util::stream;
/// use greenroom::prelude::*;
///
/// #[greenroom::interface(kind = "dice")]
/// pub trait Dice {
///     /// Throws so many times.
///     async fn throws(&self, count: u32) -> Streamed<u32>;
/// }
///
/// struct DiceActor;
///
/// # impl Actor for DiceActor {
/// #     async fn activate(_: &mut Activating<'_>) -> Result<Self, ActivateError> {
/// #         Ok(Self)
/// #     }
/// # }
/// impl Dice for DiceActor {
///     async fn throws(&self, count: u32) -> Streamed<u32> {
///         Streamed::new(stream::iter((0..count).map(|throw| throw % 6 + 1)))
///     }
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = Node::embedded().host(DiceRef::served_by::<DiceActor>()).start().await?;
/// let dice: DiceRef = node.actor("red")?;
/// let mut throws = dice.throws(3).await?;
/// while let Some(throw) = throws.next().await {
///     assert!((1..=6).contains(&throw?));
/// }
/// # node.stop().await;
/// # Ok(())
/// # }
/// ```
///
/// The turn ends when the method returns, and the actor goes on with other calls. The stream lives on
/// beside it, and can't borrow from it: what it needs of the actor it takes along, or gets over a
/// channel whose other end the actor keeps. It is polled for an item only when there is somebody who
/// has room for it, and dropped when the caller goes away. An actor with an open stream is not
/// passivated. When its shard moves, or the activation is lost, the caller gets a failure with the code
/// `interrupted`, and asks again from where it was.
pub struct Streamed<T>(BoxStream<'static, T>);

impl<T: Send + 'static> Streamed<T> {
    /// Answers with the items of a stream.
    pub fn new(items: impl Stream<Item = T> + Send + 'static) -> Self {
        Self(items.boxed())
    }

    /// Answers with what comes over a channel, until all of its senders are gone. The channel's
    /// capacity comes on top of what the caller has room for.
    pub fn from_channel(mut items: mpsc::Receiver<T>) -> Self {
        Self::new(stream::poll_fn(move |cx| items.poll_recv(cx)))
    }
}

impl<T> Stream for Streamed<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_next_unpin(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<T> fmt::Debug for Streamed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streamed").finish_non_exhaustive()
    }
}
