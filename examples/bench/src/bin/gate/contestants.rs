//! Who counts readers, each in its own way.

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use greenroom_shardlock::Gates;
use tokio::time::Instant;

/// Two locks, numbered 0 and 1.
pub(crate) trait Contestant: Sync {
    fn name(&self) -> &'static str;

    fn acquire_and_release(&self, lock: usize, times: u64);
}

/// All of them, the least possible first.
pub(crate) fn contestants() -> Vec<Box<dyn Contestant>> {
    vec![
        Box::new(BareAtomicPair::default()),
        Box::new(Enter(opened())),
        Box::new(EnterOwned(Arc::new(opened()))),
        Box::new(Read(opened())),
        Box::new(ParkingLot::default()),
        Box::new(Tokio::default()),
        Box::new(AsyncLock::default()),
    ]
}

/// Locks that share no cache line, as each gate has one of its own.
#[derive(Default)]
#[repr(align(64))]
struct Apart<T>(T);

fn opened() -> Gates {
    let gates = Gates::new(2);
    (0..2).for_each(|shard| gates.open(shard, 1).expect("a new gate opens"));
    gates
}

/// Polls a future that is ready at once. No executor takes part, for no contestant.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("nobody writes"),
    }
}

#[derive(Default)]
struct BareAtomicPair([Apart<AtomicU64>; 2]);

impl Contestant for BareAtomicPair {
    fn name(&self) -> &'static str {
        super::BARE
    }

    fn acquire_and_release(&self, lock: usize, times: u64) {
        let readers = &self.0[lock].0;
        for _ in 0..times {
            black_box(readers.fetch_add(1, Ordering::Acquire));
            black_box(readers.fetch_sub(1, Ordering::Release));
        }
    }
}

struct Enter(Gates);

impl Contestant for Enter {
    fn name(&self) -> &'static str {
        super::GATE
    }

    fn acquire_and_release(&self, lock: usize, times: u64) {
        for _ in 0..times {
            let permit = self.0.enter(black_box(lock as u32)).expect("the gate is open");
            black_box(permit.epoch());
        }
    }
}

/// A permit that could move into a task.
struct EnterOwned(Arc<Gates>);

impl Contestant for EnterOwned {
    fn name(&self) -> &'static str {
        "gate, enter, owned permit"
    }

    fn acquire_and_release(&self, lock: usize, times: u64) {
        for _ in 0..times {
            let permit = self.0.enter(black_box(lock as u32)).expect("the gate is open");
            black_box(permit.into_owned(&self.0).epoch());
        }
    }
}

/// A reader that would wait for a writer.
struct Read(Gates);

impl Contestant for Read {
    fn name(&self) -> &'static str {
        "gate, read"
    }

    fn acquire_and_release(&self, lock: usize, times: u64) {
        let deadline = Instant::now() + Duration::from_secs(3600);
        for _ in 0..times {
            let read = ready(self.0.read(black_box(lock as u32), deadline));
            black_box(read.expect("the gate is open").epoch());
        }
    }
}

#[derive(Default)]
struct ParkingLot([Apart<parking_lot::RwLock<u64>>; 2]);

impl Contestant for ParkingLot {
    fn name(&self) -> &'static str {
        "parking_lot RwLock::read"
    }

    fn acquire_and_release(&self, lock: usize, times: u64) {
        let lock = &self.0[lock].0;
        for _ in 0..times {
            black_box(*lock.read());
        }
    }
}

#[derive(Default)]
struct Tokio([Apart<tokio::sync::RwLock<u64>>; 2]);

impl Contestant for Tokio {
    fn name(&self) -> &'static str {
        "tokio RwLock::read"
    }

    fn acquire_and_release(&self, lock: usize, times: u64) {
        let lock = &self.0[lock].0;
        for _ in 0..times {
            black_box(*ready(lock.read()));
        }
    }
}

#[derive(Default)]
struct AsyncLock([Apart<async_lock::RwLock<u64>>; 2]);

impl Contestant for AsyncLock {
    fn name(&self) -> &'static str {
        "async-lock RwLock::read"
    }

    fn acquire_and_release(&self, lock: usize, times: u64) {
        let lock = &self.0[lock].0;
        for _ in 0..times {
            black_box(*ready(lock.read()));
        }
    }
}
