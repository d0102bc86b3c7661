//! Busy processors: threads that compute, at the same priority as everything else.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Threads that compute without a pause until they are told to stop or dropped.
#[derive(Debug)]
pub struct Hogs {
    running: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Duration>>,
}

impl Hogs {
    /// Starts so many threads for each processor.
    #[must_use]
    pub fn start(per_processor: usize) -> Self {
        let running = Arc::new(AtomicBool::new(true));
        let threads = (0..per_processor * processors()).map(|_| {
            let running = Arc::clone(&running);
            thread::spawn(move || {
                let mut number = 1_u64;
                while running.load(Ordering::Relaxed) {
                    number = std::hint::black_box(number.wrapping_mul(31).wrapping_add(1));
                }
                used()
            })
        });
        let threads = threads.collect();
        Self { running, threads }
    }

    /// Stops them; how much of the processors they had together.
    #[must_use]
    pub fn stop(mut self) -> Duration {
        self.running.store(false, Ordering::Relaxed);
        self.threads.drain(..).filter_map(|thread| thread.join().ok()).sum()
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.running.store(false, Ordering::Relaxed);
    }
}

/// How many processors this process may use.
#[must_use]
pub fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

fn used() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
    seconds + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}
