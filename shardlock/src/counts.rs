//! What has happened at gates, in numbers.

use crate::{gate::Gate, sync::Ordering::Acquire};

/// What has happened at the gates of a table, and how they stand. Every attempt is counted once,
/// when it ends: with a permit or guard, or refused, which includes that its deadline passed or that
/// its future was dropped before it was given anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Attempts to read. Beyond the table there is no gate to count them.
    pub reads: u64,
    /// Attempts to read that got no permit.
    pub reads_refused: u64,
    /// Attempts to write, of [`write_many`](crate::Gates::write_many) one for each shard that it
    /// came to.
    pub writes: u64,
    /// Attempts to write that got no guard.
    pub writes_refused: u64,
    /// Write guards that were revoked because they were held for too long.
    pub holds_revoked: u64,
    /// Permits that were revoked because they were out at the deadline of a
    /// [`close`](crate::Gates::close).
    pub permits_revoked: u64,
    /// Permits that are out.
    pub permits: u64,
    /// Write guards that are held.
    pub guards: u64,
    /// Readers that wait.
    pub readers_waiting: u64,
    /// Writers that wait.
    pub writers_waiting: u64,
}

impl Counts {
    pub(crate) fn of_gate(gate: &Gate) -> Self {
        let (entered, reads_refused) = gate.entered_and_refused();
        let word = gate.word(Acquire);
        let counts = Self {
            reads: entered + reads_refused,
            reads_refused,
            permits: word.permits().into(),
            ..Self::default()
        };
        if !word.has_writer() {
            return counts;
        }
        let with_queue = gate.look(|queue| Self {
            guards: queue.holder.is_some().into(),
            readers_waiting: queue.readers.len() as u64,
            writers_waiting: queue.writers_waiting() as u64,
            ..counts
        });
        with_queue.unwrap_or(counts)
    }

    pub(crate) fn add(self, other: Self) -> Self {
        Self {
            reads: self.reads + other.reads,
            reads_refused: self.reads_refused + other.reads_refused,
            writes: self.writes + other.writes,
            writes_refused: self.writes_refused + other.writes_refused,
            holds_revoked: self.holds_revoked + other.holds_revoked,
            permits_revoked: self.permits_revoked + other.permits_revoked,
            permits: self.permits + other.permits,
            guards: self.guards + other.guards,
            readers_waiting: self.readers_waiting + other.readers_waiting,
            writers_waiting: self.writers_waiting + other.writers_waiting,
        }
    }
}
