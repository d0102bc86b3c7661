//! The node's runtime, in which turns are polled, on whose stack ever.

use std::cell::Cell;

use tokio::runtime::{EnterGuard, Handle, Id};
use tokio::task;

/// Enters the node's runtime, unless that is where we are.
///
/// Asking tokio counts a reference that all threads share, which costs more than all else on the way of a
/// call when several of them make calls. A task stays with its runtime, so each thread asks once for a task
/// and remembers the answer for the last one that it was home to.
#[inline]
pub(super) fn enter(runtime: &Handle) -> Option<EnterGuard<'_>> {
    thread_local! {
        static AT_HOME: Cell<Option<(task::Id, Id)>> = const { Cell::new(None) };
    }
    let here = task::try_id().map(|task| (task, runtime.id()));
    if here.is_some() && AT_HOME.get() == here {
        return None;
    }
    let is_home = |current: Handle| current.id() == runtime.id();
    if Handle::try_current().is_ok_and(is_home) {
        AT_HOME.set(here);
        return None;
    }
    Some(runtime.enter())
}
