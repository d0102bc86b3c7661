//! The call that the current turn serves, so that calls made in it inherit its deadline and chain
//! without being told.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use greenroom_core::ActorId;
use tokio::time::Instant;

/// The actors whose turns wait on a call, innermost first.
#[derive(Debug)]
pub(crate) struct Chain {
    actor: ActorId,
    outer: Option<Arc<Chain>>,
}

/// Longest chain of calls that wait on each other; a longer one is a runaway recursion.
pub(crate) const CHAIN_LEN_MAX: usize = 64;

impl Chain {
    pub(crate) fn push(outer: Option<Arc<Self>>, actor: ActorId) -> Arc<Self> {
        Arc::new(Self { actor, outer })
    }

    /// From the innermost to the outermost.
    pub(crate) fn iter(chain: Option<&Self>) -> impl Iterator<Item = &ActorId> {
        std::iter::successors(chain, |link| link.outer.as_deref()).map(|link| &link.actor)
    }
}

/// What a turn inherits to the calls that it makes.
#[derive(Clone, Debug)]
pub(crate) struct Ambient {
    pub(crate) deadline: Instant,
    pub(crate) chain: Arc<Chain>,
}

thread_local! {
    static CURRENT: RefCell<Option<Ambient>> = const { RefCell::new(None) };
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// The turn that is being polled on this thread.
pub(crate) fn current() -> Option<Ambient> {
    CURRENT.with_borrow(Clone::clone)
}

/// A turn, polled with its ambient call set.
pub(crate) struct Within<F> {
    ambient: Option<Ambient>,
    future: Pin<Box<F>>,
}

impl<F: Future> Within<F> {
    pub(crate) fn new(ambient: Ambient, future: F) -> Self {
        Self { ambient: Some(ambient), future: Box::pin(future) }
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let _swapped = Swapped::new(&mut this.ambient);
        this.future.as_mut().poll(cx)
    }
}

/// Puts an ambient call in place, and back again even when the turn panics.
struct Swapped<'a>(&'a mut Option<Ambient>);

impl<'a> Swapped<'a> {
    fn new(ambient: &'a mut Option<Ambient>) -> Self {
        CURRENT.with_borrow_mut(|current| std::mem::swap(current, ambient));
        Self(ambient)
    }
}

impl Drop for Swapped<'_> {
    fn drop(&mut self) {
        CURRENT.with_borrow_mut(|current| std::mem::swap(current, self.0));
    }
}

/// How many turns may be polled on one stack, each inside the one that called it.
const INLINE_DEPTH_MAX: usize = 8;

/// A place on this thread's stack for one more inline turn.
pub(crate) struct InlinePlace(());

impl InlinePlace {
    /// `None` when the stack is deep enough already.
    pub(crate) fn take() -> Option<Self> {
        DEPTH.with(|depth| {
            let now = depth.get();
            (now < INLINE_DEPTH_MAX).then(|| {
                depth.set(now + 1);
                Self(())
            })
        })
    }
}

impl Drop for InlinePlace {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get() - 1));
    }
}
