//! The wire of Greenroom: what nodes say to each other, and what operators' tools may ask.
//!
//! The principal type is [`Frame`], which carries many [`v1::Envelope`]s over one
//! [`v1::peer_client::PeerClient`] stream. The messages are written down in
//! `proto/greenroom.proto`; this crate adds nothing to them but a way to read and write the calls in
//! a frame in place ([`view`]). It must never know an actor, a store or a clock.

mod fields;
mod frame;
pub mod view;

pub use fields::Malformed;
pub use frame::Frame;

/// Version of the protocol between nodes, sent in each [`v1::Hello`].
pub const PROTOCOL: u32 = 1;

/// The generated messages and services of the package `greenroom.v1`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
#[allow(
    clippy::disallowed_methods,
    clippy::explicit_iter_loop,
    clippy::semicolon_if_nothing_returned
)]
pub mod v1 {
    tonic::include_proto!("greenroom.v1");
}
