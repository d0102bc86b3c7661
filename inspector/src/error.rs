//! Why a cluster could not be asked, or did not do what it was told.

use std::error::Error;
use std::time::Duration;

use crate::Malformed;

/// Why a cluster could not be asked, or did not do what it was told. Each sentence names the address
/// and, where there is one, the innermost cause. Asking changes nothing, so any question may be asked
/// again; of an order, the last two tell whether it may have been carried out.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The address is not one; nothing was sent.
    #[error("`{address}` is not an address of the form host:port, such as 127.0.0.1:7400")]
    BadAddress {
        /// As it was given.
        address: String,
    },
    /// No connection came about.
    #[error("cannot connect to {address}: {}", innermost(.source))]
    Unreachable {
        /// Which node was asked.
        address: String,
        /// What the transport met.
        source: tonic::transport::Error,
    },
    /// Connecting, or the answer, took too long.
    #[error("{address} did not answer within {limit:?}")]
    TimedOut {
        /// Which node was asked.
        address: String,
        /// What it had.
        limit: Duration,
    },
    /// Something is there that speaks no `greenroom.v1.Inspect`.
    #[error("{address} answers no questions about a cluster; is it a node's peer address?")]
    NotANode {
        /// What was asked.
        address: String,
    },
    /// The node answered with an error, or the connection broke.
    #[error("{address} gave no answer: {}", explain(.source))]
    Refused {
        /// Which node was asked.
        address: String,
        /// What it said, or what the transport met.
        source: Box<tonic::Status>,
    },
    /// The answer contradicts itself.
    #[error("the answer of {address} makes no sense: {source}")]
    Malformed {
        /// Which node was asked.
        address: String,
        /// What is wrong with it.
        source: Malformed,
    },
    /// The node refused the order, or failed to carry it out, and says why. Unless it says
    /// otherwise, nothing was changed.
    #[error("{address} did not carry the order out: {}", explain(.source))]
    NotDone {
        /// Which node was asked.
        address: String,
        /// What it said, or what the transport met.
        source: Box<tonic::Status>,
    },
    /// The order was sent, and what became of it is unknown. It may be carried out all the same.
    #[error("{address} may have carried the order out or not: {}", explain(.source))]
    OrderInDoubt {
        /// Which node was asked.
        address: String,
        /// What it said, or what the transport met.
        source: Box<tonic::Status>,
    },
    /// The order was sent, and no answer came in time. It may be carried out all the same.
    #[error("{address} did not answer within {limit:?}; the order may be carried out all the same")]
    OrderUnanswered {
        /// Which node was asked.
        address: String,
        /// What it had.
        limit: Duration,
    },
}

/// The last error of the chain: the layers above it say little more than their own names.
fn innermost(mut error: &(dyn Error + 'static)) -> String {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

fn explain(status: &tonic::Status) -> String {
    match status.source() {
        Some(cause) => innermost(cause),
        None if status.message().is_empty() => status.code().to_string(),
        None => status.message().to_owned(),
    }
}
