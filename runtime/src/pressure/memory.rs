//! The memory of the process, and the limit above which actors must go.

use std::sync::atomic::{AtomicBool, Ordering};

/// The memory that a node's actors may take, with all that the process has besides.
#[derive(Debug)]
pub(crate) struct Memory {
    /// In bytes, of the whole process.
    limit: Option<u64>,
    /// The limit is passed, and to let idle actors go does not help.
    short: AtomicBool,
}

impl Memory {
    pub(crate) fn new(limit: Option<u64>) -> Self {
        Self { limit, short: AtomicBool::new(false) }
    }

    pub(super) fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// Says whether memory is so short that nobody may come to life; answers whether that is new.
    pub(super) fn set_short(&self, short: bool) -> bool {
        self.short.swap(short, Ordering::Relaxed) != short
    }

    /// Why nobody may come to life now, if so.
    pub(super) fn refusal(&self) -> Option<String> {
        if !self.short.load(Ordering::Relaxed) {
            return None;
        }
        let limit = self.limit.unwrap_or_default();
        Some(format!(
            "the node's process takes more memory than {limit} bytes \
             (GREENROOM_MEMORY_SHED_BYTES), and to let idle actors go does not help"
        ))
    }
}

/// Bytes of this process in physical memory; `None` where the system doesn't tell as Linux does.
pub(crate) fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// How many of `actors` must go for the memory to fall below the limit, if they account for all of
/// it, and at least one in 64: actors take different amounts, and what they gave back may be kept by
/// the allocator for a while.
pub(super) fn share_to_shed(resident: u64, limit: u64, actors: usize) -> usize {
    let least = actors.div_ceil(64);
    let excess = resident.saturating_sub(limit) as f64 / resident.max(1) as f64;
    least.max((actors as f64 * excess).ceil() as usize).min(actors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_to_shed_is_the_share_of_memory_above_the_limit() {
        assert_eq!(share_to_shed(150, 100, 300), 100);
        assert_eq!(share_to_shed(101, 100, 6400), 100, "at least one in 64");
        assert_eq!(share_to_shed(1_000_000, 1, 10), 10);
        assert_eq!(share_to_shed(150, 100, 1), 1);
        assert_eq!(share_to_shed(150, 100, 0), 0);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn resident_memory_is_that_of_this_process() {
        let before = resident_bytes().expect("Linux tells");
        let block = vec![1_u8; 64 << 20];
        let grown = resident_bytes().expect("Linux tells") - before;
        assert!(grown > 48 << 20, "{grown} bytes for {}", block.len());
        assert!(before > 1 << 20, "{before}");
    }
}
