//! The algorithm of the gate under [loom](https://docs.rs/loom), which runs each model in every order
//! in which its threads can meet (with at most so many preemptions), and with every value that the
//! memory orderings allow a load to see. A wake-up that is lost ends a model in a deadlock, which loom
//! reports.
//!
//! The files of the algorithm are compiled here a second time, with loom's atomics and lock in the
//! place of `src/sync.rs`. They know no clock and no runtime; what they take for the time is nobody's
//! concern here.

#![allow(dead_code, reason = "the crate uses more of the algorithm than the models")]
#![allow(unreachable_pub, reason = "in the crate it is reachable")]

#[path = "../../src/desk.rs"]
mod desk;
#[path = "../../src/errors.rs"]
mod errors;
#[path = "../../src/gate.rs"]
mod gate;
#[path = "../../src/queue.rs"]
mod queue;
#[path = "../../src/state.rs"]
mod state;
#[path = "../../src/waiting.rs"]
mod waiting;
#[path = "../../src/word.rs"]
mod word;

mod cancelling;
mod entering;
mod revoking;
mod sync;
mod writing;

use std::{panic::Location, time::Duration};

use errors::{OpenError, Refused};
use gate::{Entry, Gate};
use loom::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};
use queue::Claim;
use state::GateState;
use sync::AtomicU64;
use tokio::time::Instant;
use waiting::{Reading, Writing};
use word::PERMITS_MAX;

/// Runs a model in all orders with at most so many preemptions.
fn model(preemptions_max: usize, what: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions_max);
    builder.check(what);
}

/// A thread that waits to read and is inside; ends with how often somebody had written by then.
fn reads_once(stage: &Arc<Stage>) -> JoinHandle<u32> {
    let stage = Arc::clone(stage);
    thread::spawn(move || {
        let entry = stage.read().unwrap();
        stage.be_inside(entry)
    })
}

/// A thread that waits to write and is alone.
fn writes_once(stage: &Arc<Stage>) -> JoinHandle<()> {
    let stage = Arc::clone(stage);
    thread::spawn(move || stage.write_once(false))
}

/// A gate, and what its readers and writers touch. All of that is relaxed on purpose: the gate alone
/// must order it.
struct Stage {
    gate: Gate,
    tickets: AtomicU64,
    /// How many readers say that they are inside.
    inside: AtomicU32,
    /// How often somebody has written.
    written: AtomicU32,
}

impl Stage {
    /// With the gate open, epoch 1.
    fn new() -> Arc<Self> {
        let stage = Self {
            gate: Gate::new(),
            tickets: AtomicU64::new(1),
            inside: AtomicU32::new(0),
            written: AtomicU32::new(0),
        };
        stage.gate.open(Instant::now(), 1).unwrap();
        Arc::new(stage)
    }

    fn write(&self, closes: bool) -> Writing<'_> {
        let (at, hold_max) = (Location::caller(), Duration::MAX);
        let claim = Claim { who: "model", at, closes, hold_max };
        let ticket = self.gate.begin_write(Instant::now(), &self.tickets, claim, 9);
        Writing::new(&self.gate, ticket.unwrap())
    }

    fn read(&self) -> Result<Entry, Refused> {
        match self.gate.begin_read(Instant::now(), &self.tickets, None, 9)? {
            desk::BegunRead::Entered(entry) => Ok(entry),
            desk::BegunRead::Waits(ticket) => {
                loom::future::block_on(Reading::new(&self.gate, ticket))
            }
        }
    }

    /// What a reader does who is inside: it must not meet a writer. Returns how often somebody has
    /// written.
    fn be_inside(&self, entry: Entry) -> u32 {
        self.inside.fetch_add(1, Relaxed);
        let seen = self.written.load(Relaxed);
        self.inside.fetch_sub(1, Relaxed);
        self.leave(entry);
        seen
    }

    fn leave(&self, entry: Entry) {
        if self.gate.leave(entry.word) {
            self.gate.settle(Instant::now());
        }
    }

    /// What a writer does who holds the gate: it must not meet anybody.
    fn be_alone(&self) {
        assert_eq!(self.inside.load(Relaxed), 0, "a writer met a reader");
        let before = self.written.load(Relaxed);
        self.written.store(before + 1, Relaxed);
    }

    /// Waits to write, writes, and lets go.
    fn write_once(&self, closes: bool) {
        let mut writing = self.write(closes);
        let revoked = loom::future::block_on(&mut writing);
        assert_eq!(revoked, Ok(0));
        self.be_alone();
        assert!(self.gate.end_write(Instant::now(), writing.ticket()));
    }

    /// When all have gone nobody is inside, holds the gate or waits for it.
    fn assert_left_open(&self) {
        assert_eq!(self.gate.state(Instant::now()), GateState::Open { epoch: 1, permits: 0 });
        assert!(self.gate.look(|_| ()).is_none(), "somebody was left waiting");
        let entry = self.gate.enter(None).expect("nobody is in the way");
        self.leave(entry);
    }
}
