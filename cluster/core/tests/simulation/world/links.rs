//! Which messages pass: each direction between two ends can be cut by itself.

use std::collections::BTreeMap;

/// What a message comes from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Store,
    Node(usize),
}

/// The directions that are cut, each with the real time in microseconds until which.
#[derive(Debug, Default)]
pub(crate) struct Links {
    cut: BTreeMap<(End, End), u64>,
    /// Until when the store answers nobody.
    pub(super) store_away: u64,
}

impl Links {
    /// From now on nothing passes in this direction.
    pub(crate) fn cut(&mut self, from: End, to: End, until_us: u64) {
        let cut = self.cut.entry((from, to)).or_default();
        *cut = until_us.max(*cut);
    }

    /// Whether nothing passes in this direction.
    pub(crate) fn are_cut(&self, from: End, to: End, now_us: u64) -> bool {
        let store_is_away = [from, to].contains(&End::Store) && now_us < self.store_away;
        store_is_away || self.cut.get(&(from, to)).is_some_and(|until| now_us < *until)
    }

    /// Everything passes again.
    pub(super) fn heal(&mut self) {
        self.cut.clear();
        self.store_away = 0;
    }
}
