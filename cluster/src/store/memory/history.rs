//! The changes of the last revisions, for watches. It is shared by all watches, so a watch needs no
//! queue of its own.

use std::collections::VecDeque;

use crate::store::Change;

/// The most revisions that the history for watches keeps.
pub const HISTORY_REVISIONS_MAX: usize = 16_384;

/// The most bytes of keys and values that the history for watches keeps, the newest revision aside.
pub const HISTORY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What one revision changed.
#[derive(Debug)]
struct Entry {
    revision: u64,
    bytes: usize,
    changes: Vec<Change>,
}

/// The changes of consecutive revisions, from `compacted` (not included) to the store's present
/// one.
#[derive(Debug)]
pub(super) struct History {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Changes up to this revision are gone.
    compacted: u64,
    /// The part of `compacted` that someone asked for; the rest was dropped for want of room.
    compacted_on_request: u64,
}

impl History {
    /// A history that begins after `revision`.
    pub(super) fn after(revision: u64) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, compacted: revision, compacted_on_request: 0 }
    }

    /// Changes up to this revision are gone.
    pub(super) fn compacted(&self) -> u64 {
        self.compacted
    }

    /// The part of [`History::compacted`] that someone asked for.
    pub(super) fn compacted_on_request(&self) -> u64 {
        self.compacted_on_request
    }

    /// Adds the changes of the next revision and drops the oldest ones beyond the limits.
    pub(super) fn push(&mut self, revision: u64, changes: Vec<Change>) {
        let bytes = changes.iter().map(size_bytes).sum();
        self.bytes += bytes;
        self.entries.push_back(Entry { revision, bytes, changes });
        while self.entries.len() > HISTORY_REVISIONS_MAX
            || (self.bytes > HISTORY_BYTES_MAX && self.entries.len() > 1)
        {
            self.pop_oldest();
        }
    }

    /// Drops the changes up to `revision`.
    pub(super) fn compact(&mut self, revision: u64) {
        while self.entries.front().is_some_and(|entry| entry.revision <= revision) {
            self.pop_oldest();
        }
        self.compacted = self.compacted.max(revision);
        self.compacted_on_request = revision;
    }

    /// The revisions after `revision`, oldest first, each with its changes.
    pub(super) fn since(&self, revision: u64) -> impl Iterator<Item = (u64, &[Change])> {
        let start = self.entries.partition_point(|entry| entry.revision <= revision);
        self.entries.range(start..).map(|entry| (entry.revision, entry.changes.as_slice()))
    }

    fn pop_oldest(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.bytes;
            self.compacted = entry.revision;
        }
    }
}

fn size_bytes(change: &Change) -> usize {
    let value_bytes = match change {
        Change::Put(item) => item.value.len(),
        Change::Delete { .. } => 0,
    };
    size_of::<Change>() + change.key().len() + value_bytes
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::store::KeyValue;

    fn put(revision: u64, value: Bytes) -> Vec<Change> {
        let key = "key".to_owned();
        vec![Change::Put(KeyValue { key, value, create_revision: 1, mod_revision: revision })]
    }

    #[test]
    fn the_number_of_revisions_is_bounded() {
        let mut history = History::after(1);
        let last = 1 + HISTORY_REVISIONS_MAX as u64 + 10;
        for revision in 2..=last {
            history.push(revision, put(revision, Bytes::new()));
        }

        assert_eq!(history.compacted(), 11);
        assert_eq!(history.since(0).count(), HISTORY_REVISIONS_MAX);
        assert_eq!(
            history.since(last - 1).map(|(revision, _)| revision).collect::<Vec<_>>(),
            [last]
        );
        assert_eq!(history.compacted_on_request(), 0);
    }

    #[test]
    fn the_bytes_are_bounded() {
        let mut history = History::after(1);
        let quarter = Bytes::from(vec![0; HISTORY_BYTES_MAX / 4]);
        for revision in 2..=9 {
            history.push(revision, put(revision, quarter.clone()));
        }

        assert!(history.bytes <= HISTORY_BYTES_MAX);
        assert_eq!(history.since(0).map(|(revision, _)| revision).collect::<Vec<_>>(), [7, 8, 9]);
        assert_eq!(history.compacted(), 6);
    }
}
