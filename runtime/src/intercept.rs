//! Interceptors: what an application wants done to every call, on its way out and on its way in.

mod call;
mod watched;

use std::sync::Arc;

use greenroom_core::NodeId;

pub use call::{CallEnd, CallOutcome, CallSide, InterceptedCall, Source};
pub(crate) use watched::{Interceptors, Watched};

use crate::failure::Failure;
use crate::interface::InterfaceSpec;

/// Sees every call of a node: to authenticate it, to log it, to count it. Installed by
/// [`crate::NodeBuilder::intercept`]; [`crate::interceptors`] has some that are ready.
///
/// A call passes twice: where it is made ([`outgoing`](Self::outgoing)), and where its actor is
/// ([`incoming`](Self::incoming)), which may be the same node. It passes the interceptors in the order in
/// which they were installed, and each that let it pass hears how it ended
/// ([`ended`](Self::ended)), in reverse order.
///
/// The hooks are not `async`: they run on the stack of the caller or of the link to it, so that a call
/// that needs no waiting still gets none. What they need from elsewhere (keys to verify
/// signatures, quotas) is to be fetched by a task in the background. A hook that panics fails the call
/// that it was run for, with `panicked`, and no other; a panic in `ended` is only logged.
pub trait Interceptor: Send + Sync + 'static {
    /// The node starts: its name, and the interfaces that it hosts. Called once, before any call.
    fn started(&self, node: &NodeId, interfaces: &[&'static InterfaceSpec]) {
        let _ = (node, interfaces);
    }

    /// A call is about to leave its caller on this node, before it is known where it goes. What is
    /// done to its context here travels with it. A call that is tried again passes once.
    ///
    /// # Errors
    /// Refuses the call: it fails with this failure, best made by [`Failure::refused`], and does not run.
    fn outgoing(&self, call: &mut InterceptedCall) -> Result<(), Failure> {
        let _ = call;
        Ok(())
    }

    /// A call has come to its actor on this node, from here, from another node or from the gateway,
    /// and is about to be put into the mailbox. What is done to its context here is what the turn
    /// sees. A call whose shard moves away before its turn passes again at the new owner.
    ///
    /// # Errors
    /// Refuses the call: it fails with this failure, best made by [`Failure::refused`], and does not run.
    fn incoming(&self, call: &mut InterceptedCall) -> Result<(), Failure> {
        let _ = call;
        Ok(())
    }

    /// A call that this interceptor let pass has ended: for its caller, or, of one that came in, for
    /// its actor. [`InterceptedCall::side`] says which.
    fn ended(&self, call: &InterceptedCall, end: &CallEnd) {
        let _ = (call, end);
    }
}

impl<T: Interceptor + ?Sized> Interceptor for Arc<T> {
    fn started(&self, node: &NodeId, interfaces: &[&'static InterfaceSpec]) {
        (**self).started(node, interfaces);
    }

    fn outgoing(&self, call: &mut InterceptedCall) -> Result<(), Failure> {
        (**self).outgoing(call)
    }

    fn incoming(&self, call: &mut InterceptedCall) -> Result<(), Failure> {
        (**self).incoming(call)
    }

    fn ended(&self, call: &InterceptedCall, end: &CallEnd) {
        (**self).ended(call, end);
    }
}
