//! The merge of many sorted lists into one: pure, without calls.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::vec;

/// Merges sorted lists. It holds what was given of each list, and a heap with the head of each.
pub(super) struct Merge<K, I> {
    heads: BinaryHeap<Reverse<Head<K, I>>>,
}

/// The first item of a list, and what follows it.
struct Head<K, I> {
    key: K,
    /// Which list; decides between equal keys.
    list: usize,
    item: I,
    rest: vec::IntoIter<I>,
}

/// The least item of all lists.
pub(super) struct Popped<K, I> {
    pub(super) item: I,
    pub(super) list: usize,
    /// The item's key, if nothing of its list is left: what follows it must not be less.
    pub(super) last: Option<K>,
}

impl<K: Ord, I> Merge<K, I> {
    pub(super) fn new() -> Self {
        Self { heads: BinaryHeap::new() }
    }

    /// Adds a list, or what follows a list's last item. Sorts it, unless it is sorted.
    pub(super) fn add(&mut self, list: usize, mut items: Vec<I>, key: impl Fn(&I) -> K) {
        if !items.is_sorted_by_key(&key) {
            items.sort_by_key(&key);
        }
        self.push(list, items.into_iter(), key);
    }

    fn push(&mut self, list: usize, mut rest: vec::IntoIter<I>, key: impl Fn(&I) -> K) {
        if let Some(item) = rest.next() {
            let key = key(&item);
            self.heads.push(Reverse(Head { key, list, item, rest }));
        }
    }

    /// Takes the least item; between equal keys, that of the first list.
    pub(super) fn pop(&mut self, key: impl Fn(&I) -> K) -> Option<Popped<K, I>> {
        let Reverse(Head { key: of_item, list, item, rest }) = self.heads.pop()?;
        let last = if rest.as_slice().is_empty() {
            Some(of_item)
        } else {
            self.push(list, rest, key);
            None
        };
        Some(Popped { item, list, last })
    }
}

impl<K: Ord, I> Ord for Head<K, I> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key).then(self.list.cmp(&other.list))
    }
}

impl<K: Ord, I> PartialOrd for Head<K, I> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord, I> PartialEq for Head<K, I> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<K: Ord, I> Eq for Head<K, I> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An item: what it is sorted by, and where it came from.
    type Item = (u8, usize, usize);

    fn key(item: &Item) -> u8 {
        item.0
    }

    fn merged(lists: Vec<Vec<Item>>) -> Vec<Item> {
        let mut merge = Merge::new();
        // Lists come in any order.
        for (list, items) in lists.into_iter().enumerate().rev() {
            merge.add(list, items, key);
        }
        std::iter::from_fn(|| merge.pop(key).map(|popped| popped.item)).collect()
    }

    /// Lists of keys; few keys, so that many are equal.
    fn lists() -> impl Strategy<Value = Vec<Vec<Item>>> {
        let list = prop::collection::vec(0..20_u8, 0..12);
        prop::collection::vec(list, 0..8).prop_map(|lists| {
            let with_origin = |(list, keys): (usize, Vec<u8>)| {
                let items = keys.into_iter().enumerate();
                items.map(|(place, key)| (key, list, place)).collect()
            };
            lists.into_iter().enumerate().map(with_origin).collect()
        })
    }

    proptest! {
        #[test]
        fn a_merge_is_the_stable_sort_of_all_lists_one_after_the_other(
            mut lists in lists(),
            sorted in any::<bool>(),
        ) {
            if sorted {
                for list in &mut lists {
                    list.sort_by_key(key);
                }
            }
            let mut all = lists.concat();
            all.sort_by_key(key);
            prop_assert_eq!(merged(lists), all);
        }

        #[test]
        fn a_list_that_comes_in_pages_merges_like_a_whole_one(
            mut lists in lists(),
            page in 1..4_usize,
        ) {
            for list in &mut lists {
                list.sort_by_key(key);
            }
            let whole = merged(lists.clone());
            let mut merge = Merge::new();
            let mut rest: Vec<_> = lists.into_iter().map(Vec::into_iter).collect();
            for (list, rest) in rest.iter_mut().enumerate() {
                merge.add(list, rest.take(page).collect(), key);
            }
            let mut paged = Vec::new();
            while let Some(popped) = merge.pop(key) {
                paged.push(popped.item);
                if popped.last.is_some() {
                    let next = rest[popped.list].by_ref().take(page).collect();
                    merge.add(popped.list, next, key);
                }
            }
            prop_assert_eq!(paged, whole);
        }
    }

    #[test]
    fn nothing_merges_to_nothing() {
        assert_eq!(merged(vec![Vec::new(), Vec::new()]), []);
    }
}
