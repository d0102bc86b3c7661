//! Clocks of nodes that run faster or slower than everybody else's.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::Result;
use crate::clock::nanos;

/// What a process loads so that its clocks obey a [`ClockRate`].
const SOURCE: &str = include_str!("../shim/clock_rate.c");
const MILLION: i64 = 1_000_000;

static LIBRARY: LazyLock<std::result::Result<PathBuf, String>> =
    LazyLock::new(|| build().map_err(|error| error.to_string()));

/// Why clocks of nodes can't be made to run at other rates on this machine.
///
/// # Errors
/// The reason: no C compiler, another processor, or a kernel that forbids it.
pub fn possible() -> std::result::Result<(), String> {
    LIBRARY.as_ref().map(|_| ()).map_err(Clone::clone)
}

/// The rate of one process's clocks, which may change while it runs. Everything but
/// `CLOCK_MONOTONIC_RAW` and the wall clock obeys.
#[derive(Debug)]
pub struct ClockRate {
    path: PathBuf,
    file: File,
    turn: u64,
    now: Rate,
}

/// A rate and since when it holds; the C source tells what each field is for.
#[derive(Clone, Copy, Debug)]
struct Rate {
    monotonic_began_ns: i64,
    boottime_began_ns: i64,
    skew_ns: i64,
    ppm: i64,
}

impl ClockRate {
    /// A clock that is right until [`ClockRate::set`]; `path` is for the file that the process reads.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn start(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path)?;
        let file = File::create(&path)?;
        let now = Rate { skew_ns: 0, ppm: 0, ..Rate::beginning() };
        let mut clock = Self { path, file, turn: 0, now };
        clock.write()?;
        Ok(clock)
    }

    /// The variables of a process whose clocks this is for.
    ///
    /// # Errors
    /// As [`possible`].
    pub fn variables(&self) -> Result<[(String, String); 2]> {
        let library = LIBRARY.as_ref().map_err(Clone::clone)?;
        Ok([
            ("LD_PRELOAD".to_owned(), library.display().to_string()),
            ("CHAOS_CLOCK".to_owned(), self.path.display().to_string()),
        ])
    }

    /// The clock runs at this rate from now on, without a jump: 1.25 is faster by a fourth.
    ///
    /// # Errors
    /// When the file can't be written.
    #[expect(clippy::cast_possible_truncation, reason = "a rate is a small number")]
    pub fn set(&mut self, rate: f64) -> Result<()> {
        let next = Rate::beginning();
        let past_ns = next.monotonic_began_ns - self.now.monotonic_began_ns;
        let skew_ns = self.now.skew_ns + past_ns / 1000 * self.now.ppm / 1000;
        let ppm = ((rate - 1.0) * 1e6).round() as i64;
        self.now = Rate { skew_ns, ppm, ..next };
        self.write()
    }

    /// How far the clock is off by now.
    #[must_use]
    pub fn skew(&self) -> Duration {
        let past_ns = Rate::beginning().monotonic_began_ns - self.now.monotonic_began_ns;
        let skew_ns = self.now.skew_ns + past_ns / MILLION * self.now.ppm;
        Duration::from_nanos(skew_ns.unsigned_abs())
    }

    /// An odd turn tells readers that what stands there is not whole.
    fn write(&mut self) -> Result<()> {
        let Rate { monotonic_began_ns, boottime_began_ns, skew_ns, ppm } = self.now;
        self.file.write_all_at(&(self.turn + 1).to_ne_bytes(), 0)?;
        let fields = [monotonic_began_ns, boottime_began_ns, skew_ns, ppm];
        self.file.write_all_at(&fields.map(i64::to_ne_bytes).concat(), 8)?;
        self.turn += 2;
        self.file.write_all_at(&self.turn.to_ne_bytes(), 0)?;
        Ok(())
    }
}

impl Rate {
    fn beginning() -> Self {
        let monotonic_began_ns = read_ns(ClockId::Monotonic);
        Self {
            monotonic_began_ns,
            boottime_began_ns: read_ns(ClockId::Boottime),
            skew_ns: 0,
            ppm: 0,
        }
    }
}

fn read_ns(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
    let ns = nanos(seconds) + u64::try_from(time.tv_nsec).unwrap_or(0);
    i64::try_from(ns).unwrap_or(i64::MAX)
}

/// Compiles the library, beside this binary, and tries it on a program that does nothing.
fn build() -> Result<PathBuf> {
    let scratch = tempfile::tempdir()?;
    let (source, built) = (scratch.path().join("clock_rate.c"), scratch.path().join("built.so"));
    fs::write(&source, SOURCE)?;
    let compiled = Command::new("cc")
        .args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
        .args([&built, &source])
        .output()
        .map_err(|error| format!("needs a C compiler (cc): {error}"))?;
    if !compiled.status.success() {
        let why = String::from_utf8_lossy(&compiled.stderr);
        return Err(format!("the clock can't be compiled: {why}").into());
    }
    let clock = ClockRate::start(&scratch.path().join("clock"))?;
    let tried =
        Command::new("true").env("LD_PRELOAD", &built).env("CHAOS_CLOCK", &clock.path).output()?;
    if !tried.status.success() {
        return Err(String::from_utf8_lossy(&tried.stderr).trim().to_owned().into());
    }
    // Another run may have the former one loaded, which must not change under it.
    let library = std::env::current_exe()?.with_file_name("clock_rate.so");
    let beside = library.with_extension(std::process::id().to_string());
    fs::copy(&built, &beside)?;
    fs::rename(&beside, &library)?;
    Ok(library)
}
