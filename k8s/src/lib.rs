//! What the manifests in this folder are checked and tried with: [`kustomize::render`] makes an
//! overlay into the objects that a cluster gets, [`workload::Workload`] reads from them what a
//! kubelet would do, and [`roll`] does it with local processes.
//!
//! It knows Greenroom from outside only: by variables, ports, probes and signals.

pub mod kustomize;
pub mod roll;
pub mod workload;

use std::error::Error;

/// What can go wrong here ends a test or a run, with a message for people.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;
