//! The actor systems that are compared within one process.

pub(crate) mod coerce;
mod greenroom;
mod kameo;
mod ractor;
pub(crate) mod rio;
mod tokio_channel;

pub(crate) use coerce::Coerce;
pub(crate) use greenroom::{CounterActor, CounterRef, Greenroom};
pub(crate) use kameo::Kameo;
pub(crate) use ractor::Ractor;
pub(crate) use rio::Rio;
pub(crate) use tokio_channel::TokioChannel;

use crate::system::System;

/// Those that the goals within a process were set against; every rival counts in the ratios.
pub(crate) const KAMEO_AND_RACTOR: &[&str] = &[Kameo::NAME, Ractor::NAME];
