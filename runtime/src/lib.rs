//! Greenroom: virtual actors for Rust.
//!
//! Every actor, named by a kind and a key, always exists; it is activated on exactly one node of
//! the cluster when it is called, and rests when nobody calls it. The principal type is [`Node`].
//!
//! ```
//! use greenroom::prelude::*;
//!
//! /// What anyone may ask of a counter.
//! #[greenroom::interface(kind = "counter")]
//! pub trait Counter {
//!     /// Adds and returns the new count.
//!     async fn add(&mut self, amount: u64) -> u64;
//! }
//!
//! struct CounterActor(u64);
//!
//! impl Actor for CounterActor {
//!     async fn activate(_: &mut Activating<'_>) -> Result<Self, ActivateError> {
//!         Ok(Self(0))
//!     }
//! }
//!
//! impl Counter for CounterActor {
//!     async fn add(&mut self, amount: u64) -> u64 {
//!         self.0 += amount;
//!         self.0
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Node::embedded().host(CounterRef::served_by::<CounterActor>()).start().await?;
//! let visits: CounterRef = node.actor("visits")?;
//! visits.add(1).await?;
//! assert_eq!(visits.add(1).await?, 2);
//! # node.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! This crate must never decide who owns a shard (that is `greenroom-core`'s, carried out by
//! `greenroom-cluster`), and must never answer a call that it has no right to run.

#[allow(unused_extern_crates)]
extern crate self as greenroom;

mod activation;
mod actor;
mod ambient;
mod call;
mod config;
mod context;
mod failure;
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod health;
mod intercept;
pub mod interceptors;
mod interface;
mod kind;
mod load;
pub mod logging;
mod metrics;
mod node;
mod overload;
mod payload;
mod peer;
mod pressure;
mod request_context;
mod router;
pub mod scatter;
mod streaming;
pub mod testing;

pub use actor::{ActivateError, Activating, Actor, DeactivateReason};
pub use call::{ActorRef, Address, Call, Calling};
pub use config::{Config, ConfigError, Token};
pub use context::Context;
pub use failure::{CallError, Failure, FailureCode, UnknownFailureCode};
pub use gateway::{GatewayLimits, Rate};
pub use greenroom_cluster::store::{EtcdOptions, MemoryStore};
pub use greenroom_cluster::{Owner, Route, Status, StatusPhase, StoreConfig};
pub use greenroom_core::{ActorId, Epoch, Life, NodeId, ShardId, ShardLoad, View};
pub use greenroom_macros::interface;
pub use intercept::{CallEnd, CallOutcome, CallSide, InterceptedCall, Interceptor, Source};
pub use interface::{Access, Dispatch, FieldSpec, Interface, InterfaceSpec, MethodSpec};
pub use kind::{Kind, OnPanic};
pub use node::{Node, NodeBuilder, NodeError};
pub use request_context::RequestContext;
pub use router::{CallLimits, Peeked};
pub use streaming::{Items, Streamed};

/// What a program that defines or calls actors needs by name.
pub mod prelude {
    pub use crate::{
        ActivateError, Activating, Actor, Address, CallError, Context, DeactivateReason, Failure,
        Node, Streamed,
    };
}

/// Compiles the code in the project's README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// Compiles the code in the guide to logs.
#[cfg(doctest)]
#[doc = include_str!("../LOGS.md")]
struct Logs;

/// For the code that [`interface`] writes; not for people.
#[doc(hidden)]
pub mod __private {
    pub use crate::interface::{Access, FieldSpec, InterfaceSpec, MethodSpec};
    pub use crate::payload::{Arguments, Outcome};
    pub use serde;
}
