//! Draws units from members, always from whoever has the most left.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::problem::MemberIndex;

/// Members with a number of units each (shards too many, or shards too few). As an iterator it
/// takes one unit at a time from the member that has the most left, and among equals from the
/// first, until none has any.
#[derive(Debug)]
pub(super) struct Greatest {
    /// Never holds a member without units.
    heap: BinaryHeap<(u64, Reverse<MemberIndex>)>,
}

impl FromIterator<(MemberIndex, u64)> for Greatest {
    fn from_iter<I: IntoIterator<Item = (MemberIndex, u64)>>(units: I) -> Self {
        let with_units = units.into_iter().filter(|(_, units)| *units > 0);
        Self { heap: with_units.map(|(i, units)| (units, Reverse(i))).collect() }
    }
}

impl Iterator for Greatest {
    type Item = MemberIndex;

    fn next(&mut self) -> Option<MemberIndex> {
        let mut top = self.heap.peek_mut()?;
        let (units, Reverse(member)) = *top;
        if units > 1 {
            top.0 = units - 1;
        } else {
            PeekMut::pop(top);
        }
        Some(member)
    }
}
