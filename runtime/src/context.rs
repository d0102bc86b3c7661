//! What a turn may know and use.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use greenroom_core::ActorId;
use tokio::time::Instant;

use crate::ambient::Home;
use crate::call::Address;
use crate::failure::Failure;
use crate::router::{Router, no_cluster};
use crate::scatter::Active;

/// What a turn may know of itself, and its way to other actors. A method that wants it takes
/// `ctx: &mut Context`.
pub struct Context {
    home: Arc<dyn Home>,
    deadline: Instant,
}

impl Context {
    pub(crate) fn new(home: Arc<dyn Home>, deadline: Instant) -> Self {
        Self { home, deadline }
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
