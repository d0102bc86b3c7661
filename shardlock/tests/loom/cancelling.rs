//! Going away while one waits, or when one was just given what one waited for (C25).

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use loom::{sync::Arc, thread};
use tokio::time::Instant;

use crate::{Reading, Stage, desk::BegunRead, model, reads_once, writes_once};

/// Looks once, and leaves a waker behind.
fn look<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Proves: C25
#[test]
fn a_writer_who_goes_away_leaves_no_trace() {
    model(4, || {
        let stage = Stage::new();
        let entry = stage.gate.enter(None).unwrap();
        let reader = thread::spawn({
            let stage = Arc::clone(&stage);
            move || stage.be_inside(entry)
        });
        let mut writing = stage.write(false);
        if look(&mut writing).is_ready() {
            assert!(stage.gate.end_write(Instant::now(), writing.ticket()));
        }
        drop(writing);
        reader.join().unwrap();
        stage.assert_left_open();
    });
}

/// Proves: C25
#[test]
fn a_writer_who_goes_away_lets_the_next_one_and_the_readers_in() {
    model(2, || {
        let stage = Stage::new();
        let entry = stage.gate.enter(None).unwrap();
        let writing = stage.write(false);
        let next = writes_once(&stage);
        let reader = reads_once(&stage);
        drop(writing);
        stage.leave(entry);
        next.join().unwrap();
        reader.join().unwrap();
        stage.assert_left_open();
    });
}

/// Proves: C25
#[test]
fn a_reader_who_goes_away_leaves_no_trace() {
    model(4, || {
        let stage = Stage::new();
        let held = stage.write(false);
        let ticket = held.ticket();
        let mut held = held;
        assert!(look(&mut held).is_ready());
        let reader = thread::spawn({
            let stage = Arc::clone(&stage);
            move || {
                let begun = stage.gate.begin_read(Instant::now(), &stage.tickets, None, 9);
                match begun.unwrap() {
                    BegunRead::Entered(entry) => stage.leave(entry),
                    BegunRead::Waits(ticket) => {
                        let mut reading = Reading::new(&stage.gate, ticket);
                        if let Poll::Ready(entry) = look(&mut reading) {
                            stage.leave(entry.unwrap());
                        }
                    }
                }
            }
        });
        assert!(stage.gate.end_write(Instant::now(), ticket));
        reader.join().unwrap();
        stage.assert_left_open();
    });
}

/// Proves: C25
#[test]
fn a_reader_who_was_let_in_and_goes_away_lets_the_writer_in() {
    model(3, || {
        let stage = Stage::new();
        let mut held = stage.write(false);
        assert!(look(&mut held).is_ready());
        let ticket = held.ticket();
        let begun = stage.gate.begin_read(Instant::now(), &stage.tickets, None, 9).unwrap();
        let BegunRead::Waits(reader) = begun else { panic!("the writer is in its way") };
        let writer = writes_once(&stage);
        assert!(stage.gate.end_write(Instant::now(), ticket));
        drop(Reading::new(&stage.gate, reader));
        writer.join().unwrap();
        stage.assert_left_open();
    });
}
