//! Readers and writers: who is alone, who sees what, and that everybody is woken.

use loom::{
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
};
use tokio::time::Instant;

use crate::{GateState, Refused, Stage, model, reads_once, writes_once};

#[test]
fn a_writer_is_alone_and_sees_what_readers_did() {
    model(4, || {
        let stage = Stage::new();
        let reader = thread::spawn({
            let stage = Arc::clone(&stage);
            move || match stage.gate.enter(None) {
                Ok(entry) => Some(stage.be_inside(entry)),
                Err(refused) => {
                    assert_eq!(refused, Refused::Busy);
                    None
                }
            }
        });
        stage.write_once(false);
        reader.join().unwrap();
        let entry = stage.gate.enter(None).unwrap();
        assert_eq!(stage.be_inside(entry), 1, "a reader sees what was written before it");
        stage.assert_left_open();
    });
}

#[test]
fn the_last_of_two_readers_lets_the_writer_in() {
    model(2, || {
        let stage = Stage::new();
        let entries = [(); 2].map(|()| stage.gate.enter(None).unwrap());
        let readers = entries.map(|entry| {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.be_inside(entry))
        });
        stage.write_once(false);
        for reader in readers {
            assert_eq!(reader.join().unwrap(), 0);
        }
        stage.assert_left_open();
    });
}

#[test]
fn a_reader_who_waits_is_let_in_after_the_writer() {
    model(3, || {
        let stage = Stage::new();
        let reader = reads_once(&stage);
        stage.write_once(false);
        reader.join().unwrap();
        stage.assert_left_open();
    });
}

#[test]
fn two_writers_and_a_reader_who_waits_all_get_their_turn() {
    model(2, || {
        let stage = Stage::new();
        let reader = reads_once(&stage);
        let writer = writes_once(&stage);
        stage.write_once(false);
        reader.join().unwrap();
        writer.join().unwrap();
        assert_eq!(stage.written.load(Relaxed), 2, "no write was lost");
        stage.assert_left_open();
    });
}

/// Proves: P1
#[test]
fn a_closed_gate_drains_and_lets_nobody_in() {
    model(3, || {
        let stage = Stage::new();
        let entry = stage.gate.enter(None).unwrap();
        let leaver = thread::spawn({
            let stage = Arc::clone(&stage);
            move || stage.be_inside(entry)
        });
        let reader = thread::spawn({
            let stage = Arc::clone(&stage);
            move || match stage.read() {
                Ok(entry) => assert_eq!(stage.be_inside(entry), 0, "it came before the closer"),
                Err(refused) => assert_eq!(refused, Refused::Closed),
            }
        });
        stage.write_once(true);
        leaver.join().unwrap();
        reader.join().unwrap();
        let now = Instant::now();
        assert_eq!(stage.gate.state(now), GateState::Closed { last_epoch: 1 });
        assert_eq!(stage.gate.enter(None), Err(Refused::Closed));
        assert!(stage.gate.look(|_| ()).is_none(), "somebody was left waiting");
    });
}

#[test]
fn whoever_lets_another_in_beside_keeps_the_writer_out_for_both() {
    model(3, || {
        let stage = Stage::new();
        let outer = stage.gate.enter(None).unwrap();
        let inner = thread::spawn({
            let stage = Arc::clone(&stage);
            // Inside for somebody who may have left: then it may be refused, but never wrong.
            move || stage.gate.enter_beside(None).map(|entry| stage.be_inside(entry))
        });
        let leaver = thread::spawn({
            let stage = Arc::clone(&stage);
            move || stage.be_inside(outer)
        });
        stage.write_once(false);
        leaver.join().unwrap();
        if let Err(refused) = inner.join().unwrap() {
            assert_eq!(refused, Refused::Busy);
        }
        stage.assert_left_open();
    });
}
