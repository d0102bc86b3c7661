//! What is yet to happen, in the order in which it will: by time, and at one time in the order in
//! which it was scheduled.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The queue of a world. The heap holds small numbers only; what they stand for stays where it is.
#[derive(Debug)]
pub(super) struct Queue<T> {
    heap: BinaryHeap<Reverse<(u64, u64, usize)>>,
    slots: Vec<Option<T>>,
    free: Vec<usize>,
    /// How much was ever scheduled.
    order: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), order: 0 }
    }
}

impl<T> Queue<T> {
    /// Schedules something.
    pub(super) fn push(&mut self, at_us: u64, what: T) {
        self.order += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(what);
        self.heap.push(Reverse((at_us, self.order, slot)));
    }

    /// Takes out what happens next, with its time, if that is not after `end_us`.
    pub(super) fn pop_until(&mut self, end_us: u64) -> Option<(u64, T)> {
        let Reverse((at_us, _, _)) = *self.heap.peek()?;
        if at_us > end_us {
            return None;
        }
        let Reverse((at_us, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        self.slots[slot].take().map(|what| (at_us, what))
    }

    /// How much was ever scheduled.
    pub(super) fn scheduled(&self) -> u64 {
        self.order
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;

    #[test]
    fn what_is_scheduled_for_one_time_happens_in_order() {
        let mut queue = Queue::default();
        for (at_us, what) in [(5, 'a'), (3, 'b'), (5, 'c'), (3, 'd')] {
            queue.push(at_us, what);
        }
        assert_eq!(queue.pop_until(2), None);
        let first = [queue.pop_until(4), queue.pop_until(4), queue.pop_until(4)];
        assert_eq!(first, [Some((3, 'b')), Some((3, 'd')), None]);
        queue.push(4, 'e');
        queue.push(5, 'f');
        let rest: String =
            std::iter::from_fn(|| queue.pop_until(9)).map(|(_, what)| what).collect();
        assert_eq!((rest.as_str(), queue.scheduled()), ("eacf", 6));
    }
}
