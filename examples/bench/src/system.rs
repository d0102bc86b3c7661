//! What every contestant must be able to do: keep counters, and add to them.

use std::error::Error;

/// Anything that goes wrong ends the case; it is told to the person who runs the benchmark.
pub(crate) type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// The address of one counter actor.
pub(crate) trait Counter: Clone + Send + Sync + 'static {
    /// Adds, and returns the new count.
    fn add(&self, amount: u64) -> impl Future<Output = Result<u64>> + Send;
}

/// An actor system within this process.
pub(crate) trait System: Sized + Send + Sync + 'static {
    /// Name in the report, on the command line of child processes, and in `--only`.
    const NAME: &'static str;
    /// Whether a counter lives only as long as somebody holds its address.
    const HELD: bool;
    type Counter: Counter;

    fn start() -> impl Future<Output = Result<Self>> + Send;

    /// The counter of a key that was not asked for before. Whether it is created here or by its
    /// first call is the system's own matter.
    fn counter(&self, key: &str) -> impl Future<Output = Result<Self::Counter>> + Send;

    /// Ends a counter, so that what is left of it doesn't disturb the next measurement.
    fn discard(counter: Self::Counter) -> impl Future<Output = ()> + Send;

    /// Ends the system with all counters that were not discarded.
    fn stop(self) -> impl Future<Output = ()> + Send;
}
