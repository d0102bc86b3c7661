//! How far a watch of etcd has come, and what each of etcd's replies means to it.

use crate::store::{Change, StoreError, WatchBatch};

/// One reply on a watch's stream.
#[derive(Debug, Default)]
pub(super) struct Reply {
    /// It is about our watch. Answers to progress requests are about the whole stream.
    pub(super) is_ours: bool,
    /// It announces that the watch was created.
    pub(super) is_created: bool,
    /// It announces that the watch has ended, for this reason.
    pub(super) canceled: Option<String>,
    /// If not 0, history before this revision was compacted away, and the watch needed it.
    pub(super) compact_revision: u64,
    /// The revision in the reply's header.
    pub(super) header_revision: u64,
    /// The changes, of whole revisions, in order.
    pub(super) changes: Vec<Change>,
}

/// How far a watch has come.
#[derive(Debug)]
pub(super) struct Cursor {
    /// Everything up to this revision has been delivered.
    revision: u64,
}

impl Cursor {
    /// A cursor for a watch that delivers what happened after `revision`.
    pub(super) fn after(revision: u64) -> Self {
        Self { revision }
    }

    /// The revision to ask etcd to start from.
    ///
    /// It is one earlier than what is to be delivered, and what comes too early is dropped. Older
    /// etcd servers (3.4.23 was seen to) lose a deletion when history is compacted at its very
    /// revision, and a watch that starts right there misses it without a word; a watch that starts
    /// one earlier is told that its past was compacted away. 0 would mean "from now on".
    pub(super) fn start_revision(&self) -> u64 {
        self.revision.max(1)
    }

    /// What a reply delivers, if anything.
    pub(super) fn accept(&mut self, mut reply: Reply) -> Result<Option<WatchBatch>, StoreError> {
        if reply.compact_revision > 0 {
            return Err(StoreError::Compacted { oldest: reply.compact_revision });
        }
        if let Some(reason) = reply.canceled {
            return Err(cancellation(&reason));
        }
        if reply.is_created {
            return Ok(None);
        }
        if reply.changes.is_empty() {
            // Only the notice that etcd sends of itself to a watch in step says that nothing is
            // under way. Answers to progress requests and headers of other replies were seen to run
            // ahead of changes that are still to come.
            if reply.is_ours {
                self.revision = self.revision.max(reply.header_revision);
            }
            return Ok(Some(WatchBatch { revision: self.revision, changes: Vec::new() }));
        }
        reply.changes.retain(|change| change.mod_revision() > self.revision);
        let Some(newest) = reply.changes.last().map(Change::mod_revision) else {
            return Ok(None);
        };
        self.revision = newest;
        Ok(Some(WatchBatch { revision: newest, changes: reply.changes }))
    }
}

fn cancellation(reason: &str) -> StoreError {
    if reason.contains("permission denied") {
        return StoreError::Permanent(reason.to_owned());
    }
    let reason = if reason.is_empty() { "etcd ended the watch" } else { reason };
    StoreError::WatchLost(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delete(mod_revision: u64) -> Change {
        Change::Delete { key: "key".to_owned(), mod_revision }
    }

    fn batch(revision: u64, changes: Vec<Change>) -> Result<Option<WatchBatch>, StoreError> {
        Ok(Some(WatchBatch { revision, changes }))
    }

    #[test]
    fn changes_advance_the_cursor_and_early_ones_are_dropped() {
        let mut cursor = Cursor::after(5);
        assert_eq!(cursor.start_revision(), 5);

        let reply = |revisions: &[u64]| Reply {
            is_ours: true,
            header_revision: 90,
            changes: revisions.iter().copied().map(delete).collect(),
            ..Reply::default()
        };
        assert_eq!(cursor.accept(reply(&[5])), Ok(None));
        assert_eq!(
            cursor.accept(reply(&[5, 6, 6, 8])),
            batch(8, vec![delete(6), delete(6), delete(8)])
        );
        assert_eq!(cursor.accept(reply(&[8])), Ok(None));
    }

    #[test]
    fn only_the_watchs_own_progress_advances_the_cursor() {
        let mut cursor = Cursor::after(5);
        let progress = |is_ours| Reply { is_ours, header_revision: 9, ..Reply::default() };
        let created = Reply { is_created: true, ..progress(true) };

        assert_eq!(cursor.accept(created), Ok(None));
        assert_eq!(cursor.accept(progress(false)), batch(5, vec![]));
        assert_eq!(cursor.accept(progress(true)), batch(9, vec![]));
    }

    #[test]
    fn endings_are_told_apart() {
        let mut cursor = Cursor::after(0);
        assert_eq!(cursor.start_revision(), 1);

        let ended = |reason: &str, compact_revision| Reply {
            canceled: Some(reason.to_owned()),
            compact_revision,
            ..Reply::default()
        };
        assert_eq!(cursor.accept(ended("", 7)), Err(StoreError::Compacted { oldest: 7 }));
        assert!(matches!(cursor.accept(ended("", 0)), Err(StoreError::WatchLost(_))));
        let denied = cursor.accept(ended("etcdserver: permission denied", 0));
        assert!(matches!(denied, Err(StoreError::Permanent(_))));
    }
}
