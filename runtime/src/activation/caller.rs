//! Who waits for the turn that is polled on this thread, and how a turn hears that nobody does any
//! more.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::watch;

use super::turn::{Answer, Replier};

/// Tells those in a turn who wait for it whether the caller is gone; `true` once it is.
pub(crate) type Farewell = watch::Sender<bool>;

/// The way back to the caller of a turn that was handed over.
pub(super) struct Reply {
    /// In its place but while the turn is polled.
    back: Option<Back>,
}

struct Back {
    replier: Replier,
    /// The turn asked to be told; most don't, and pay nothing for it.
    farewell: Option<Arc<Farewell>>,
}

thread_local! {
    /// Whether what stands in `BACK` leads to the caller of the turn that is polled; if not, the caller
    /// is further up on this very stack.
    static BY_REPLY: Cell<bool> = const { Cell::new(false) };
    static BACK: RefCell<Option<Back>> = const { RefCell::new(None) };
}

/// Whether nobody waits any more for the turn that is polled on this thread.
pub(crate) fn is_gone() -> bool {
    BY_REPLY.get() && BACK.with_borrow(|back| back.as_ref().is_some_and(Back::is_closed))
}

/// The turn that is polled on this thread and now waits wants to be woken when its caller goes away.
pub(super) fn wants_to_know(farewell: &Arc<Farewell>) {
    // On the caller's own stack the caller is there. The turn is handed over, and says it again.
    if BY_REPLY.get() {
        BACK.with_borrow_mut(|back| {
            if let Some(back) = back {
                back.farewell.get_or_insert_with(|| Arc::clone(farewell));
            }
        });
    }
}

/// Does something for a turn whose caller surely is there.
#[inline]
pub(super) fn with_present<T>(what: impl FnOnce() -> T) -> T {
    let _restore = Restore(BY_REPLY.replace(false));
    what()
}

struct Restore(bool);

impl Drop for Restore {
    #[inline]
    fn drop(&mut self) {
        BY_REPLY.set(self.0);
    }
}

impl Back {
    fn is_closed(&self) -> bool {
        self.replier.is_gone()
    }
}

/// Puts the way back in place for as long as the turn is polled.
struct Swapped<'a>(&'a mut Option<Back>);

impl<'a> Swapped<'a> {
    fn new(back: &'a mut Option<Back>) -> Self {
        BACK.with_borrow_mut(|current| std::mem::swap(current, back));
        Self(back)
    }
}

impl Drop for Swapped<'_> {
    fn drop(&mut self) {
        BACK.with_borrow_mut(|current| std::mem::swap(current, self.0));
    }
}

impl Reply {
    pub(super) fn new(replier: Replier) -> Self {
        Self { back: Some(Back { replier, farewell: None }) }
    }

    /// Nobody waits for the turn, so nobody goes away.
    pub(super) fn is_one_way(&self) -> bool {
        self.back.as_ref().is_some_and(|back| matches!(back.replier, Replier::Nobody))
    }

    /// Polls the turn that is to be answered.
    pub(super) fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        turn: impl FnOnce(&mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        if self.is_one_way() {
            return with_present(|| turn(cx));
        }
        let polled = {
            let _swapped = Swapped::new(&mut self.back);
            let _restore = Restore(BY_REPLY.replace(true));
            turn(cx)
        };
        if polled.is_pending()
            && let Some(Back { replier, farewell: Some(farewell) }) = &mut self.back
            && replier.poll_gone(cx).is_ready()
        {
            // Wakes the turn, once.
            farewell.send_if_modified(|gone| !std::mem::replace(gone, true));
        }
        polled
    }

    pub(super) fn send(self, answer: Answer) {
        if let Some(back) = self.back {
            back.replier.send(answer);
        }
    }
}
