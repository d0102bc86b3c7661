//! Why a call was not answered with a value.

use std::time::Duration;

use serde_json::Value;

/// Why a call was not answered with a value.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The gateway's address is none; nothing was sent.
    #[error("`{address}` is not an address of the form host:port, such as 127.0.0.1:7480")]
    BadAddress {
        /// As it was given.
        address: String,
    },
    /// What travels with the call can't stand in a header; nothing was sent.
    #[error("what travels with the call can't be sent: {0}")]
    BadHeader(String),
    /// No connection came about; nothing was sent.
    #[error("cannot connect to the gateway {address}: {source} (the call did not run)")]
    Unreachable {
        /// Which gateway.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// No answer came in time.
    #[error("the gateway {address} did not answer within {limit:?} (the call may have run)")]
    TimedOut {
        /// Which gateway.
        address: String,
        /// What it had.
        limit: Duration,
    },
    /// The connection broke.
    #[error("the connection to the gateway broke: {source} (the call may have run)")]
    Broken {
        /// What the transport met.
        source: hyper::Error,
    },
    /// The stream broke off without an end.
    #[error("interrupted: the stream broke off without an end; what came before is good")]
    CutShort,
    /// The method answered with an error of its own.
    #[error("the actor's own error: {0}")]
    Actor(Value),
    /// The call failed, by the gateway or the cluster.
    #[error("{code}: {message}{}", told(*.may_have_run, *.retry_after))]
    Failed {
        /// A stable name, such as `overloaded`.
        code: String,
        /// What happened.
        message: String,
        /// Whether the method may have run.
        may_have_run: bool,
        /// When a new attempt is worth it, where that is known.
        retry_after: Option<Duration>,
    },
    /// Something answered that is no gateway, or a later one.
    #[error("the answer is no gateway's (status {status}); is it the address of a node's gateway?")]
    NotAGateway {
        /// The status of the answer.
        status: u16,
    },
}

impl CallError {
    /// The stable name of the failure; of the call's own, `actor_error`.
    pub fn code(&self) -> &str {
        match self {
            Self::BadAddress { .. } => "bad_address",
            Self::BadHeader(_) => "bad_context",
            Self::Unreachable { .. } => "gateway_unreachable",
            Self::TimedOut { .. } => "gateway_timeout",
            Self::Broken { .. } => "gateway_broke",
            Self::CutShort => "interrupted",
            Self::Actor(_) => "actor_error",
            Self::Failed { code, .. } => code,
            Self::NotAGateway { .. } => "no_gateway",
        }
    }

    /// Whether the method may have run.
    pub fn may_have_run(&self) -> bool {
        match self {
            Self::BadAddress { .. } | Self::BadHeader(_) | Self::Unreachable { .. } => false,
            Self::Failed { may_have_run, .. } => *may_have_run,
            _ => true,
        }
    }
}

fn told(may_have_run: bool, retry_after: Option<Duration>) -> String {
    let ran = if may_have_run { "the call may have run" } else { "the call did not run" };
    match retry_after {
        Some(pause) => format!(" ({ran}; try again in {pause:?})"),
        None => format!(" ({ran})"),
    }
}
