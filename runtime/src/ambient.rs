//! The call that the current turn serves, so that calls made in it inherit its deadline and chain
//! without being told.

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::sync::Arc;

use greenroom_core::ActorId;
use scoped_tls::scoped_thread_local;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::activation::Farewell;
use crate::activation::Origin;
use crate::request_context::RequestContext;
use crate::router::Router;

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

/// The place in which a turn runs, as the turn itself sees it.
pub(crate) trait Home: Send + Sync {
    /// Whose turn it is.
    fn id(&self) -> &ActorId;

    /// The way to other actors; `None` without a node.
    fn router(&self) -> Option<Router>;

    /// What the log says of the actor; `None` without a node.
    fn origin(&self, shard: u32, epoch: u64) -> Option<Origin<'_>>;
}

/// What a turn inherits to the calls that it makes.
pub(crate) struct Ambient {
    pub(crate) deadline: Instant,
    home: Arc<dyn Home>,
    /// The actors that wait for the turn.
    outer: Option<Arc<Chain>>,
    /// Those and the turn's own. Most turns call nobody, so it is made when the first one does.
    chain: OnceCell<Arc<Chain>>,
    /// What travels with the call.
    context: Option<Arc<RequestContext>>,
    /// Made when the turn asks to be told that its caller is gone.
    farewell: OnceCell<Arc<Farewell>>,
}

impl Ambient {
    pub(crate) fn new(
        deadline: Instant,
        home: Arc<dyn Home>,
        outer: Option<Arc<Chain>>,
        context: Option<Arc<RequestContext>>,
    ) -> Self {
        let (chain, farewell) = (OnceCell::new(), OnceCell::new());
        Self { deadline, home, outer, chain, context, farewell }
    }

    /// What travels with the call.
    pub(crate) fn context(&self) -> &RequestContext {
        RequestContext::of(self.context.as_ref())
    }

    /// What the turn asked for, if it wants to be told that its caller is gone.
    pub(crate) fn farewell(&self) -> Option<&Arc<Farewell>> {
        self.farewell.get()
    }

    /// Lets calls made in `poll` inherit it.
    #[inline]
    pub(crate) fn around<T>(&self, poll: impl FnOnce() -> T) -> T {
        CURRENT.set(self, poll)
    }

    fn inherited(&self) -> Inherited {
        let made = || Chain::push(self.outer.clone(), self.home.id().clone());
        Inherited {
            deadline: self.deadline,
            chain: Arc::clone(self.chain.get_or_init(made)),
            context: self.context.clone(),
        }
    }
}

impl fmt::Debug for Ambient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ambient").field("actor", self.home.id()).finish_non_exhaustive()
    }
}

/// What a call inherits of the turn that makes it.
#[derive(Debug)]
pub(crate) struct Inherited {
    pub(crate) deadline: Instant,
    pub(crate) chain: Arc<Chain>,
    pub(crate) context: Option<Arc<RequestContext>>,
}

// Borrowed, not moved: it is put in place for every turn, and most turns don't look at it.
scoped_thread_local!(static CURRENT: Ambient);

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

#[inline]
fn current<T>(look: impl FnOnce(&Ambient) -> T) -> Option<T> {
    CURRENT.is_set().then(|| CURRENT.with(look))
}

/// What a call made here and now inherits; nothing outside of turns.
#[inline]
pub(crate) fn inherited() -> Option<Inherited> {
    current(Ambient::inherited)
}

/// By when the turn that is polled on this thread must have answered; nothing outside of turns.
pub(crate) fn deadline() -> Option<Instant> {
    current(|ambient| ambient.deadline)
}

/// Asks for the news that the caller of the present turn is gone; `None` outside of turns.
pub(crate) fn ask_for_farewell() -> Option<watch::Receiver<bool>> {
    current(|ambient| ambient.farewell.get_or_init(|| Arc::new(Farewell::new(false))).subscribe())
}

/// How many turns may be polled on one stack, each inside the one that called it.
const INLINE_DEPTH_MAX: usize = 8;

/// A place on this thread's stack for one more inline turn.
pub(crate) struct InlinePlace(());

impl InlinePlace {
    /// `None` when the stack is deep enough already.
    #[inline]
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
    #[inline]
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get() - 1));
    }
}
