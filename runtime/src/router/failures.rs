//! What callers are told whose calls found no way.

use std::time::Duration;

use crate::activation::Answer;
use crate::failure::{Failure, FailureCode};
use crate::payload::Outcome;

/// When a call that found the store silent is worth a new attempt.
const DARK_HINT: Duration = Duration::from_secs(1);

/// What an actor is told that looks for others without a node.
pub(crate) fn no_cluster() -> Failure {
    Failure::new(FailureCode::Stopping, "there is no cluster here to call other actors in")
}

pub(crate) fn unknown_kind(kind: &str) -> Failure {
    let message = format!("the owner of the actor's shard hosts no kind `{kind}`");
    Failure::new(FailureCode::UnknownKind, message)
}

pub(crate) fn unknown_method(kind: &str, name: &str) -> Failure {
    Failure::new(FailureCode::UnknownMethod, format!("`{kind}` has no method `{name}`"))
}

pub(super) fn stopping() -> Failure {
    Failure::new(FailureCode::Stopping, "this node has stopped")
}

pub(super) fn out_of_time(last: Option<&Failure>) -> Failure {
    let message = "the deadline passed before the call could run";
    Failure::new(FailureCode::Timeout, with_last(message, last))
}

/// Waiting would be in vain: this node can't run the call, nor learn who may.
pub(super) fn in_the_dark(last: Option<&Failure>) -> Failure {
    let message = "the store does not answer this node, so its right to run has ended";
    Failure::new(FailureCode::Fenced, with_last(message, last)).with_retry_after(DARK_HINT)
}

fn with_last(message: &str, last: Option<&Failure>) -> String {
    match last {
        Some(last) => format!("{message}; at last: {last}"),
        None => message.to_owned(),
    }
}

pub(crate) fn failed(failure: Failure) -> Answer {
    Answer::Done(Outcome::Failed(failure))
}
