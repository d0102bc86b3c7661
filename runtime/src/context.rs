//! What a turn may know and use.

use std::time::Duration;

use greenroom_core::ActorId;
use tokio::time::Instant;

use crate::call::Address;
use crate::failure::Failure;
use crate::router::Router;

/// What a turn may know of itself, and its way to other actors. A method that wants it takes
/// `ctx: &mut Context`.
#[derive(Debug)]
pub struct Context {
    id: ActorId,
    deadline: Instant,
    router: Option<Router>,
}

impl Context {
    pub(crate) fn new(id: ActorId, deadline: Instant, router: Option<Router>) -> Self {
        Self { id, deadline, router }
    }

    /// Who the actor is.
    pub fn id(&self) -> &ActorId {
        &self.id
    }

    /// The actor's key.
    pub fn key(&self) -> &str {
        self.id.key()
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
        Router::address(self.router.as_ref(), key)
    }
}
