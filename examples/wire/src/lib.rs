//! The wire, simulated: nodes with the real driver, the real client of etcd and real gRPC run on a
//! simulated network, against a double of etcd that answers as badly as etcd's contract allows.
//!
//! The principal type is [`etcd::Etcd`], the double. What it answers is held against a real etcd by
//! random lists of requests (`tests/against_etcd`), so that a simulation on it proves something. The
//! simulation itself is the binary `wire`. This crate must never be part of a product.

pub mod api;
pub mod etcd;
