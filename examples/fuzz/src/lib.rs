//! Feeds every reader of bytes from outside with what nobody would send.
//!
//! The principal type is [`Target`]: a reader, what must hold for any input, and inputs to begin with.
//! `make fuzz` runs them under libFuzzer; `cargo test` gives the same functions all seeds, all
//! former findings (`regressions/`) and some random damage, without it. A check panics when it finds
//! something; besides that, [`check`] bounds time and memory.
//!
//! What this crate must never do: read anything by itself that the product reads.

mod chunks;
mod targets;

use std::panic::{catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub use targets::ALL;

/// Longest that one input may take. Most take microseconds; a machine may be busy.
const SPAN_MAX: Duration = Duration::from_secs(10);

/// A reader of outside bytes.
#[derive(Debug)]
pub struct Target {
    /// Short, and that of its binary.
    pub name: &'static str,
    /// What it reads.
    pub reads: &'static str,
    /// Panics when something is wrong with what the reader does with the input.
    pub check: fn(&[u8]),
    /// Inputs from the product's own writers.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How much memory it may take.
    pub room: Room,
}

/// Most memory that reading may take at a time, on the thread that reads.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    bytes: u64,
    bytes_each: u64,
}

impl Room {
    /// For what is read into values alone.
    pub const SMALL: Self = Self { bytes: 64 << 10, bytes_each: 256 };
    /// With the buffers of a link.
    pub const LINK: Self = Self { bytes: 256 << 10, bytes_each: 256 };
    /// With those of an HTTP server.
    pub const HTTP: Self = Self { bytes: 256 << 10, bytes_each: 256 };
    /// With an agent that has a small cluster to think about.
    pub const AGENT: Self = Self { bytes: 1 << 20, bytes_each: 1024 };

    fn of(self, input: &[u8]) -> u64 {
        self.bytes + self.bytes_each * input.len() as u64
    }
}

/// The target of this name.
pub fn find(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}

/// Gives an input to a target.
///
/// # Panics
/// When the target finds something, takes too long or takes too much memory, or there is none of that
/// name.
pub fn check(name: &str, input: &[u8]) {
    static WARM: OnceLock<()> = OnceLock::new();
    let target = find(name).expect("there is such a target");
    // What is made once must not count.
    WARM.get_or_init(|| (target.seeds)().iter().for_each(|seed| (target.check)(seed)));
    target.run(input);
}

impl Target {
    /// As [`check`], once what is made for the first input is there.
    ///
    /// # Panics
    /// As [`check`].
    pub fn run(&self, input: &[u8]) {
        let began = Instant::now();
        let mut found = None;
        // A panic must not leave the counter's own scope.
        let taken = allocation_counter::measure(|| {
            found = catch_unwind(|| (self.check)(input)).err();
        });
        if let Some(panic) = found {
            resume_unwind(panic);
        }
        let (bytes, allowed) = (taken.bytes_max, self.room.of(input));
        let len = input.len();
        assert!(bytes <= allowed, "{bytes} bytes of memory for {len} of input, over {allowed}");
        let span = began.elapsed();
        assert!(span <= SPAN_MAX, "{span:?} for {len} bytes of input");
    }

    /// Where its former findings are kept.
    pub fn regressions(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions").join(self.name)
    }
}
