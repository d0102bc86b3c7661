//! Taking permits and holds away while their holders give them back.

use std::{panic::Location, time::Duration};

use loom::{
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
};
use tokio::time::Instant;

use crate::{Claim, GateState, Stage, Writing, desk::Forced, model, writes_once};

/// Proves: C16
#[test]
fn a_permit_is_given_back_or_taken_away_but_not_both() {
    model(4, || {
        let stage = Stage::new();
        let entry = stage.gate.enter(None).unwrap();
        let leaver = thread::spawn({
            let stage = Arc::clone(&stage);
            move || stage.leave(entry)
        });
        let now = Instant::now();
        let revoked = stage.gate.revoke(now);
        stage.gate.open(now, 1).unwrap();
        let fresh = stage.gate.enter(None).unwrap();
        leaver.join().unwrap();
        assert!(revoked <= 1 && stage.gate.is_current(fresh.word));
        let open = GateState::Open { epoch: 1, permits: 1 };
        assert_eq!(stage.gate.state(now), open, "{revoked} revoked");
        stage.leave(fresh);
        stage.assert_left_open();
    });
}

/// Proves: C16
#[test]
fn a_deadline_and_the_last_reader_agree_on_who_was_in_the_way() {
    model(4, || {
        let stage = Stage::new();
        let entry = stage.gate.enter(None).unwrap();
        let reader = thread::spawn({
            let stage = Arc::clone(&stage);
            move || {
                stage.inside.fetch_add(1, Relaxed);
                stage.inside.fetch_sub(1, Relaxed);
                stage.leave(entry);
            }
        });
        let writing = stage.write(true);
        let ticket = writing.ticket();
        let Forced::Holds { revoked } = writing.force() else { panic!("nobody else writes") };
        if revoked == 0 {
            assert_eq!(stage.inside.load(Relaxed), 0, "all that was done inside is seen");
        } else {
            assert!(!stage.gate.is_current(entry.word));
        }
        reader.join().unwrap();
        let now = Instant::now();
        assert!(stage.gate.end_write(now, ticket), "nobody took it away");
        assert_eq!(stage.gate.state(now), GateState::Closed { last_epoch: 1 });
    });
}

#[test]
fn a_hold_is_ended_by_its_holder_or_because_it_is_overdue_but_not_by_both() {
    model(3, || {
        let stage = Stage::new();
        let (at, hold_max) = (Location::caller(), Duration::ZERO);
        let claim = Claim { who: "model", at, closes: false, hold_max };
        let now = Instant::now();
        let ticket = stage.gate.begin_write(now, &stage.tickets, claim, 9).unwrap();
        let watch = thread::spawn({
            let stage = Arc::clone(&stage);
            move || stage.gate.end_overdue(Instant::now()).is_some()
        });
        let next = writes_once(&stage);
        let ended = stage.gate.end_write(now, ticket);
        next.join().unwrap();
        assert_ne!(ended, watch.join().unwrap());
        stage.assert_left_open();
    });
}

#[test]
fn revoking_answers_a_writer_who_waits() {
    model(3, || {
        let stage = Stage::new();
        let entry = stage.gate.enter(None).unwrap();
        let writer = thread::spawn({
            let stage = Arc::clone(&stage);
            move || {
                let mut writing: Writing<'_> = stage.write(false);
                let held = loom::future::block_on(&mut writing).is_ok();
                if held {
                    stage.gate.end_write(Instant::now(), writing.ticket());
                }
            }
        });
        let now = Instant::now();
        stage.gate.revoke(now);
        stage.leave(entry);
        writer.join().unwrap();
        assert!(stage.gate.look(|_| ()).is_none(), "somebody was left waiting");
        stage.gate.open(now, 1).unwrap();
        stage.assert_left_open();
    });
}
