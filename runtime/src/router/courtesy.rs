//! Calls that are answered at once let others have their thread now and then.

use std::cell::Cell;
use std::task::{Context as TaskContext, Poll, ready};

use tokio::task::coop;

/// So many calls cost one unit of tokio's cooperative budget, of which a task has 128 before it must
/// let others have its thread. A unit is meant for an operation that takes several times as long as a
/// call that is answered at once.
const CALLS_PER_UNIT: u8 = 8;

/// A call that is answered at once never waits by itself, and a task that makes one after the other
/// would keep its thread from everyone else: now and then it has to let go.
pub(crate) fn poll_budget(cx: &mut TaskContext<'_>) -> Poll<()> {
    thread_local! {
        static CALLS: Cell<u8> = const { Cell::new(0) };
    }
    let calls = CALLS.get();
    if calls + 1 < CALLS_PER_UNIT {
        CALLS.set(calls + 1);
        return Poll::Ready(());
    }
    let budget = ready!(coop::poll_proceed(cx));
    budget.made_progress();
    CALLS.set(0);
    Poll::Ready(())
}
