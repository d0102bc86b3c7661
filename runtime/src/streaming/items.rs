//! What a caller reads a streamed reply from.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{Stream, StreamExt};
use serde::de::DeserializeOwned;

use super::{Body, EncodedItems, Flow, Guarded, Streamed, bad_item};
use crate::failure::Failure;
use crate::payload::{Encoding, decode};
use crate::router::poll_budget;

/// The items of a streamed reply, in the order in which the actor's stream gave them.
///
/// A stream that came to its end ends with `None`. One that was cut short ends with a failure and then
/// `None`: with the code `interrupted` when the actor's shard moved, its activation ended or the
/// connection broke. Items that were delivered before are good; who wants the rest calls again, and says
/// in the arguments from where. Every failure of a stream says that the call may have run, because it
/// has.
///
/// The deadline of the call counts until the stream begins, and not for its items. Reading slowly slows
/// the actor's stream down; dropping this drops it.
#[must_use = "a streamed reply is read by polling it"]
pub struct Items<T>(Inner<T>);

enum Inner<T> {
    /// From an actor of this node.
    Here(Guarded<Streamed<T>>),
    /// As bytes.
    Written(Guarded<EncodedItems>, Encoding),
}

impl<T: DeserializeOwned + Send + 'static> Items<T> {
    pub(crate) fn of(flow: Flow, encoding: Encoding) -> Result<Self, Failure> {
        Ok(Self(match flow.body {
            Body::Typed(typed) => {
                let streamed: Box<Streamed<T>> = typed.downcast().map_err(|_| {
                    let item = std::any::type_name::<T>();
                    bad_item(format!("the answer is not a stream of `{item}`"))
                })?;
                Inner::Here(Guarded::new(*streamed, flow.tenure))
            }
            Body::Encoded(items) => Inner::Written(Guarded::new(items, flow.tenure), encoding),
        }))
    }

    /// The next item, or the failure that cut the stream short; `None` at the end. It loses nothing
    /// when it is dropped before it resolves.
    pub async fn next(&mut self) -> Option<Result<T, Failure>> {
        poll_fn(|cx| self.poll_next_unpin(cx)).await
    }
}

/// Nothing in it is pinned where it stands.
impl<T> Unpin for Items<T> {}

impl<T: DeserializeOwned + Send + 'static> Stream for Items<T> {
    type Item = Result<T, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // A stream that always has an item would keep its reader's thread from everyone else.
        ready!(poll_budget(cx));
        match &mut self.0 {
            Inner::Here(items) => items.poll_item(cx),
            Inner::Written(items, encoding) => {
                let encoding = *encoding;
                let polled = items
                    .poll_next_unpin(cx)
                    .map(|item| item.map(|bytes| decode(encoding, &bytes?).map_err(bad_item)));
                if matches!(polled, Poll::Ready(Some(Err(_)))) {
                    items.end();
                }
                polled
            }
        }
    }
}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").finish_non_exhaustive()
    }
}
