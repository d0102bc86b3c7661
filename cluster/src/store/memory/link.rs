//! The way from a handle to the store, which tests can cut.

use std::iter::successors;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// One link of the chain from a handle to the store. It is only changed and read under the lock of
/// the store's state, so the atomics need no ordering of their own.
#[derive(Debug)]
pub(super) struct Link {
    up: AtomicBool,
    /// How often this link was cut. A watch compares it, so that a short cut breaks a watch that
    /// didn't look then.
    cut_count: AtomicU64,
    parent: Option<Arc<Link>>,
}

impl Link {
    /// The link of the store itself.
    pub(super) fn root() -> Self {
        Self { up: AtomicBool::new(true), cut_count: AtomicU64::new(0), parent: None }
    }

    /// A link that reaches the store through `parent`.
    pub(super) fn below(parent: Arc<Link>) -> Self {
        Self { parent: Some(parent), ..Self::root() }
    }

    /// Cuts or mends this link.
    pub(super) fn set_up(&self, up: bool) {
        let was_up = self.up.swap(up, Ordering::Relaxed);
        if was_up && !up {
            self.cut_count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the store can be reached.
    pub(super) fn is_up(&self) -> bool {
        self.chain().all(|link| link.up.load(Ordering::Relaxed))
    }

    /// How often the way to the store was cut anywhere.
    pub(super) fn cuts(&self) -> u64 {
        self.chain().map(|link| link.cut_count.load(Ordering::Relaxed)).sum()
    }

    fn chain(&self) -> impl Iterator<Item = &Link> {
        successors(Some(self), |link| link.parent.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_reaches_down_and_never_up() {
        let root = Arc::new(Link::root());
        let child = Arc::new(Link::below(Arc::clone(&root)));

        child.set_up(false);
        assert!(root.is_up() && !child.is_up());
        assert_eq!((root.cuts(), child.cuts()), (0, 1));

        child.set_up(true);
        root.set_up(false);
        assert!(!root.is_up() && !child.is_up());
        assert_eq!((root.cuts(), child.cuts()), (1, 2));
    }
}
