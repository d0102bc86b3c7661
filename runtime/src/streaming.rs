//! Streamed replies: a method that returns [`Streamed`] answers with as many items as it likes, one
//! after the other, and its caller reads them from [`Items`].
//!
//! Nothing runs ahead of the reader: an item is asked of the author's stream when the caller asks for
//! one, or, between nodes, when the window that the caller has opened has room for it. The stream is no
//! part of the turn that made it, so the actor goes on with other calls meanwhile; but it belongs to the
//! activation, and no item of it leaves without the same checks as the answer of a turn
//! ([`Tenure`]).

mod items;
mod streamed;

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use serde::Serialize;

use crate::activation::Tenure;
use crate::failure::{Failure, FailureCode};
use crate::payload::{Encoding, ReplyForm, encode};
pub use items::Items;
pub use streamed::Streamed;

/// Items as bytes; the last one may be a failure.
pub(crate) type EncodedItems = BoxStream<'static, Result<Bytes, Failure>>;

/// A method's stream on its way to the caller.
pub struct Flow {
    body: Body,
    tenure: Option<Tenure>,
}

enum Body {
    /// A [`Streamed`] of the method's own item type, for a caller on the same node.
    Typed(Box<dyn Any + Send>),
    Encoded(EncodedItems),
}

impl Flow {
    /// What a method returned, in the form that its caller wants.
    pub(crate) fn of<T: Serialize + Send + 'static>(
        form: ReplyForm,
        streamed: Streamed<T>,
    ) -> Self {
        let body = match form {
            ReplyForm::Typed => Body::Typed(Box::new(streamed)),
            ReplyForm::Encoded(encoding) => {
                let encoded = streamed.map(move |item| encode_item(encoding, &item));
                Body::Encoded(encoded.boxed())
            }
        };
        Self { body, tenure: None }
    }

    /// What another node sends, which has made all the checks.
    pub(crate) fn from_peer(items: EncodedItems) -> Self {
        Self { body: Body::Encoded(items), tenure: None }
    }

    /// Binds the stream to the activation that it comes from.
    pub(crate) fn bind(&mut self, tenure: Tenure) {
        self.tenure = Some(tenure);
    }

    /// The items for somebody who wants bytes.
    pub(crate) fn into_encoded(self) -> Result<Guarded<EncodedItems>, Failure> {
        match self.body {
            Body::Encoded(items) => Ok(Guarded::new(items, self.tenure)),
            // Arguments that came as bytes are answered in bytes; only a defect leads here.
            Body::Typed(_) => Err(bad_item("the stream was not written down")),
        }
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow").finish_non_exhaustive()
    }
}

fn encode_item<T: Serialize>(encoding: Encoding, item: &T) -> Result<Bytes, Failure> {
    encode(encoding, item).map_err(|failure| bad_item(failure.message))
}

fn bad_item(message: impl Into<String>) -> Failure {
    Failure::new(FailureCode::BadReply, message).that_may_have_run()
}

/// A stream cut short by the world, not by its author.
pub(crate) fn interrupted(message: impl Into<String>) -> Failure {
    Failure::new(FailureCode::Interrupted, message).that_may_have_run()
}

/// A stream that ends for good with its first failure, and is polled only while it may be.
pub(crate) struct Guarded<S> {
    /// `None` at the end.
    stream: Option<S>,
    tenure: Option<Tenure>,
}

impl<S: Stream + Unpin> Guarded<S> {
    fn new(stream: S, tenure: Option<Tenure>) -> Self {
        Self { stream: Some(stream), tenure }
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<S::Item, Failure>>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        let polled = match &mut self.tenure {
            Some(tenure) => tenure.poll(cx, |cx| stream.poll_next_unpin(cx)),
            None => stream.poll_next_unpin(cx).map(|item| item.map(Ok)),
        };
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.end();
        }
        polled
    }

    /// Resolves when the stream is cut short, without asking for an item.
    pub(crate) fn poll_interrupted(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        match &mut self.tenure {
            Some(tenure) => tenure.poll_ended(cx),
            None => Poll::Pending,
        }
    }
}

impl Stream for Guarded<EncodedItems> {
    type Item = Result<Bytes, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.poll_item(cx).map(|item| item.map(Result::flatten));
        if matches!(polled, Poll::Ready(Some(Err(_)))) {
            self.end();
        }
        polled
    }
}

impl<S> Guarded<S> {
    /// Lets the stream go. What an author's type does when it is dropped is no reason to fail who reads.
    fn end(&mut self) {
        let stream = self.stream.take();
        if catch_unwind(AssertUnwindSafe(|| drop(stream))).is_err() {
            tracing::error!("a streamed reply panicked while it was dropped");
        }
        self.tenure = None;
    }
}

impl<S> Drop for Guarded<S> {
    fn drop(&mut self) {
        self.end();
    }
}
