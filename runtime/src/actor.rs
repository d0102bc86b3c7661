//! What a developer implements: how an actor comes to life and how it ends.

use std::fmt;

use greenroom_core::ActorId;

use crate::call::Address;
use crate::failure::Failure;
use crate::router::Router;

/// A type of actors. Its methods are those of the interface that it also implements.
///
/// One value lives at a time for each key that is in use, on one node of the cluster. It comes to
/// life when it is called and goes when it has been idle, when others need its place, when its shard
/// moves, or when a turn panics.
pub trait Actor: Sized + Send + Sync + 'static {
    /// Brings the actor to life, before its first turn.
    ///
    /// # Errors
    /// The call that brought it to life fails with `activation_failed`: it surely did not run. The
    /// next call tries again.
    fn activate(
        ctx: &mut Activating<'_>,
    ) -> impl Future<Output = Result<Self, ActivateError>> + Send;

    /// Takes leave of the actor, after its last turn. It is not called when the node lost its
    /// right to run, or when a turn panicked and the kind does not
    /// [keep](crate::OnPanic::Keep) such actors: what they hold must not be saved.
    fn deactivate(self, reason: DeactivateReason) -> impl Future<Output = ()> + Send {
        let _ = reason;
        async {}
    }
}

/// What an actor may use while it comes to life.
#[derive(Debug)]
pub struct Activating<'a> {
    id: &'a ActorId,
    router: Option<&'a Router>,
}

impl<'a> Activating<'a> {
    pub(crate) fn new(id: &'a ActorId, router: Option<&'a Router>) -> Self {
        Self { id, router }
    }

    /// Who the actor is.
    pub fn id(&self) -> &ActorId {
        self.id
    }

    /// The actor's key.
    pub fn key(&self) -> &str {
        self.id.key()
    }

    /// The address of another actor, to be kept by this one.
    ///
    /// # Errors
    /// `bad_key` when the key breaks its rule; `stopping` in a unit test, which has no cluster.
    pub fn actor<R: Address>(&self, key: &str) -> Result<R, Failure> {
        Router::address(self.router, key)
    }
}

/// Why an actor could not be brought to life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivateError {
    reason: String,
}

impl ActivateError {
    /// Says why, in words that the caller may read.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl fmt::Display for ActivateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for ActivateError {}

impl From<Failure> for ActivateError {
    fn from(failure: Failure) -> Self {
        Self::new(failure.to_string())
    }
}

/// Why an actor is being deactivated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeactivateReason {
    /// Nobody called it for its kind's idle time-out.
    Idle,
    /// Its shard goes to another node.
    Handoff,
    /// Others need its place: the node or the kind has as many actors as it may have, or memory is
    /// short, and this one was among those that are missed least.
    Pressure,
}
