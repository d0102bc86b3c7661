//! What can go wrong with a store, told by what the caller may do next.

/// A failure of the store. The variant says whether a write may have been applied and whether a
/// retry makes sense; the text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Surely not applied, and worth a retry: unavailable before it was sent, no leader, too many
    /// requests.
    #[error("store is not available: {0}")]
    Transient(String),
    /// The reply was lost, so the write may have been applied, or may still be, late: read to find
    /// out, and guard what is written next so that a late one is refused.
    #[error("store didn't say whether the write was applied: {0}")]
    Ambiguous(String),
    /// The revision asked for was compacted away: read everything again.
    #[error("store history before revision {oldest} was compacted away")]
    Compacted {
        /// A watch must start after this revision, or after a later one.
        oldest: u64,
    },
    /// Surely not applied, and a retry can't help: not permitted, wrong credentials, invalid or too
    /// big.
    #[error("store refuses the request: {0}")]
    Permanent(String),
    /// The watch ended: read everything again and watch from there.
    #[error("store watch was lost: {0}")]
    WatchLost(String),
}

impl StoreError {
    /// Whether the write that failed so may have been applied all the same.
    #[must_use]
    pub fn may_have_been_applied(&self) -> bool {
        matches!(self, Self::Ambiguous(_))
    }
}
