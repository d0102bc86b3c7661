//! For unit tests of actors: no cluster, no node, no ports.
//!
//! An actor is an ordinary struct and its methods are ordinary async functions, so most tests make
//! one and call it. These helpers give what the runtime would: an activation and a [`Context`].

use std::sync::Arc;
use std::time::Duration;

use greenroom_core::ActorId;
use tokio::time::Instant;

use crate::activation::Origin;
use crate::actor::{ActivateError, Activating, Actor};
use crate::ambient::Home;
use crate::call::Address;
use crate::context::Context;
use crate::request_context::RequestContext;
use crate::router::Router;

/// Activates an actor as the runtime would, under a name.
///
/// # Errors
/// What the actor's activation refuses.
///
/// # Panics
/// When the key breaks its rule.
pub async fn activate<A: Actor, R: Address>(key: &str) -> Result<A, ActivateError> {
    let id = ActorId::new(R::KIND, key).expect("a test names its actor well");
    A::activate(&mut Activating::new(&id, None)).await
}

/// A context as a turn of that actor would have it. There is no cluster behind it: addresses of
/// other actors are refused with `stopping`.
///
/// # Panics
/// When the key breaks its rule.
pub fn context<R: Address>(key: &str) -> Context {
    context_of::<R>(key, None)
}

/// As [`context`], of a call with which this travels.
///
/// # Panics
/// When the key breaks its rule.
pub fn context_with<R: Address>(key: &str, request: RequestContext) -> Context {
    context_of::<R>(key, Some(Arc::new(request)))
}

fn context_of<R: Address>(key: &str, request: Option<Arc<RequestContext>>) -> Context {
    let id = ActorId::new(R::KIND, key).expect("a test names its actor well");
    Context::new(Arc::new(Homeless(id)), Instant::now() + Duration::from_secs(10), request)
}

/// An actor without a node.
pub(crate) struct Homeless(pub(crate) ActorId);

impl Home for Homeless {
    fn id(&self) -> &ActorId {
        &self.0
    }

    fn router(&self) -> Option<Router> {
        None
    }

    fn origin(&self, _: u32, _: u64) -> Option<Origin<'_>> {
        None
    }
}
