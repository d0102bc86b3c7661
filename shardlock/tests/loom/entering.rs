//! Which epoch a reader gets.

use loom::{
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
};
use tokio::time::Instant;

use crate::{Refused, Stage, model};

/// The owner takes the gate away and opens it with the next epoch.
fn reopen(stage: &Stage) {
    let now = Instant::now();
    stage.gate.revoke(now);
    stage.written.store(1, Relaxed);
    stage.gate.open(now, 2).unwrap();
}

/// Proves: C21
#[test]
fn a_permit_that_counts_carries_the_epoch_of_its_opening() {
    model(4, || {
        let stage = Stage::new();
        let reader = thread::spawn({
            let stage = Arc::clone(&stage);
            move || {
                let entry = stage.gate.enter(None).ok()?;
                if entry.epoch == 2 {
                    assert_eq!(stage.written.load(Relaxed), 1, "it was written before the opening");
                }
                Some(entry)
            }
        });
        reopen(&stage);
        if let Some(entry) = reader.join().unwrap() {
            let counts = stage.gate.is_current(entry.word);
            assert_eq!(counts, entry.epoch == 2, "of an opening with another epoch");
            stage.leave(entry);
        }
    });
}

/// Proves: C21
#[test]
fn who_asks_for_an_epoch_gets_that_one_or_none() {
    model(4, || {
        let stage = Stage::new();
        let reader = thread::spawn({
            let stage = Arc::clone(&stage);
            move || stage.gate.enter(Some(1))
        });
        reopen(&stage);
        match reader.join().unwrap() {
            Ok(entry) => {
                assert_eq!(entry.epoch, 1);
                assert!(!stage.gate.is_current(entry.word), "it was taken away");
                stage.leave(entry);
            }
            Err(Refused::Closed | Refused::Epoch { asked: 1, current: 2 }) => {}
            Err(other) => panic!("{other}"),
        }
    });
}

/// Proves: P1
#[test]
fn a_gate_that_is_drained_and_reopened_lets_nobody_in_beside_who_came_before() {
    model(3, || {
        let stage = Stage::new();
        let outer = stage.gate.enter(None).unwrap();
        let closing = stage.write(true);
        let beside = thread::spawn({
            let stage = Arc::clone(&stage);
            move || stage.gate.enter_beside(Some(1))
        });
        stage.leave(outer);
        // Dropped, so the owner may open the gate if it is drained.
        drop(closing);
        let opened = stage.gate.open(Instant::now(), 2).is_ok();
        if let Ok(entry) = beside.join().unwrap() {
            assert!(!opened, "it was still inside");
            assert!(stage.gate.is_current(entry.word));
            stage.leave(entry);
        }
    });
}
