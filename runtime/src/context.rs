//! What a turn may know and use.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use greenroom_core::ActorId;
use tokio::time::{Instant, timeout_at};

use crate::activation::caller_is_gone;
use crate::ambient::{self, Home};
use crate::call::Address;
use crate::failure::Failure;
use crate::request_context::RequestContext;
use crate::router::{Router, no_cluster};
use crate::scatter::Active;

/// What a turn may know of itself, and its way to other actors. A method that wants it takes
/// `ctx: &mut Context`.
pub struct Context {
    home: Arc<dyn Home>,
    deadline: Instant,
    request: Option<Arc<RequestContext>>,
}

impl Context {
    pub(crate) fn new(
        home: Arc<dyn Home>,
        deadline: Instant,
        request: Option<Arc<RequestContext>>,
    ) -> Self {
        Self { home, deadline, request }
    }

    /// Who the actor is.
    pub fn id(&self) -> &ActorId {
        self.home.id()
    }

    /// The actor's key.
    pub fn key(&self) -> &str {
        self.id().key()
    }

    /// How long the caller still waits. Calls made in this turn get no longer.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// What travels with the call: what its caller gave it, and what that inherited. Calls made in
    /// this turn inherit it.
    pub fn request(&self) -> &RequestContext {
        RequestContext::of(self.request.as_ref())
    }

    /// Whether nobody waits for this turn any more: its caller went away or gave up, or the deadline
    /// has passed. A turn that computes for long may look now and then, and end early; nobody ends it
    /// from outside. Of a one-way call, only the deadline counts.
    pub fn caller_is_gone(&self) -> bool {
        caller_is_gone() || self.remaining().is_zero()
    }

    /// Waits until nobody waits for this turn any more, as [`Context::caller_is_gone`] has it; to be
    /// awaited beside the turn's work. It resolves as well when the turn ends.
    ///
    /// ```
    /// # use greenroom::Context;
    /// # async fn search(ctx: &mut Context, work: impl Future<Output = u64>) -> Option<u64> {
    /// tokio::select! {
    ///     found = work => Some(found),
    ///     () = ctx.caller_gone() => None,
    /// }
    /// # }
    /// ```
    pub fn caller_gone(&self) -> impl Future<Output = ()> + Send + 'static {
        let (told, deadline) = (ambient::ask_for_farewell(), self.deadline);
        let gone = async move {
            match told {
                // An error means that the turn has ended.
                Some(mut told) => drop(told.wait_for(|gone| *gone).await),
                // A unit test: there is no caller to go away.
                None => std::future::pending().await,
            }
        };
        async move {
            let _ = timeout_at(deadline, gone).await;
        }
    }

    /// The address of another actor.
    ///
    /// # Errors
    /// `bad_key` when the key breaks its rule; `stopping` in a unit test, which has no cluster.
    pub fn actor<R: Address>(&self, key: &str) -> Result<R, Failure> {
        Router::address(self.home.router().as_ref(), key)
    }

    /// The actors of a kind that are in some node's memory, as
    /// [`Node::active`](crate::Node::active) lists them, for no longer than the caller still waits.
    ///
    /// # Errors
    /// `stopping` in a unit test, which has no cluster.
    pub fn active<R: Address>(&self) -> Result<Active<R>, Failure> {
        let router = self.home.router().ok_or_else(no_cluster)?;
        Ok(Active::new(router, Some(self.deadline)))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("id", self.id()).finish_non_exhaustive()
    }
}
