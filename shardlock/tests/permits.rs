//! Who gets in, with which epoch, and what opening allows.

use std::sync::Arc;

use greenroom_shardlock::{GateState, Gates, OpenError, Refused};
use tokio::sync::oneshot;

#[test]
fn all_gates_begin_closed() {
    let gates = Gates::new(3);
    assert_eq!(gates.shards(), 3);
    for shard in 0..3 {
        assert_eq!(gates.state(shard), GateState::Closed { last_epoch: 0 });
        assert_eq!(gates.enter(shard).err(), Some(Refused::Closed));
        assert_eq!(gates.enter_at(shard, 0).err(), Some(Refused::Closed));
    }
}

#[test]
fn a_permit_tells_where_and_with_which_epoch_it_entered() {
    let gates = Gates::new(3);
    gates.open(2, 40).unwrap();
    let permit = gates.enter(2).unwrap();
    assert_eq!((permit.shard(), permit.epoch(), permit.is_valid()), (2, 40, true));
    assert_eq!(format!("{permit:?}"), "Permit { shard: 2, epoch: 40, valid: true, .. }");
}

#[test]
fn permits_are_counted_and_shared() {
    let gates = Gates::new(1);
    gates.open(0, 5).unwrap();
    let first = gates.enter(0).unwrap();
    let second = gates.enter_at(0, 5).unwrap();
    assert_eq!(open(5, 2), gates.state(0));
    drop(first);
    assert_eq!(open(5, 1), gates.state(0));
    drop(second);
    assert_eq!(open(5, 0), gates.state(0));
}

#[test]
fn gates_are_independent_of_each_other() {
    let gates = Gates::new(2);
    gates.open(0, 5).unwrap();
    let _inside = gates.enter(0).unwrap();
    assert_eq!(gates.enter(1).err(), Some(Refused::Closed));
    gates.open(1, 9).unwrap();
    assert_eq!(open(5, 1), gates.state(0));
    assert_eq!(open(9, 0), gates.state(1));
}

/// Proves: C21
#[test]
fn another_epoch_is_refused_either_way() {
    let gates = Gates::new(1);
    gates.open(0, 5).unwrap();
    for asked in [4, 6] {
        let refused = Some(Refused::Epoch { asked, current: 5 });
        assert_eq!(gates.enter_at(0, asked).err(), refused);
        assert_eq!(gates.enter_beside(0, Some(asked)).err(), refused);
    }
    assert_eq!(open(5, 0), gates.state(0));
}

#[test]
fn a_shard_beyond_the_table_is_refused() {
    let gates = Gates::new(2);
    let refused = Some(Refused::OutOfRange { shard: 2, shards: 2 });
    assert_eq!(gates.enter(2).err(), refused);
    assert_eq!(gates.enter_at(2, 0).err(), refused);
    assert_eq!(gates.enter_beside(2, None).err(), refused);
    assert!(!gates.is_draining(2));
    assert!(Gates::new(0).enter(u32::MAX).is_err());
}

#[test]
#[should_panic(expected = "shard 2 is beyond the table of 2 shards")]
fn an_owner_whose_books_are_wrong_is_stopped() {
    let _ = Gates::new(2).open(2, 1);
}

#[test]
fn an_open_gate_does_not_open() {
    let gates = Gates::new(1);
    gates.open(0, 5).unwrap();
    assert_eq!(gates.open(0, 6), Err(OpenError::NotClosed));
    assert_eq!(open(5, 0), gates.state(0));
}

/// Proves: C21, P2
#[test]
fn an_epoch_may_come_again_but_no_older_one() {
    let gates = Gates::new(1);
    gates.open(0, 5).unwrap();
    gates.revoke(0);
    let older = OpenError::OlderEpoch { asked: 4, last: 5 };
    assert_eq!(gates.open(0, 4), Err(older));
    assert_eq!(gates.state(0), GateState::Closed { last_epoch: 5 });
    gates.open(0, 5).unwrap();
    gates.revoke(0);
    gates.open(0, u64::MAX).unwrap();
    assert_eq!(gates.enter(0).unwrap().epoch(), u64::MAX);
}

#[tokio::test]
async fn an_owned_permit_lives_in_its_task() {
    let gates = Arc::new(Gates::new(1));
    gates.open(0, 5).unwrap();
    let permit = gates.enter_at(0, 5).unwrap().into_owned(&gates);
    let (finish, finished) = oneshot::channel::<()>();
    let turn = tokio::spawn(async move {
        finished.await.unwrap();
        (permit.shard(), permit.epoch(), permit.is_valid())
    });
    assert_eq!(open(5, 1), gates.state(0));
    finish.send(()).unwrap();
    assert_eq!(turn.await.unwrap(), (0, 5, true));
    assert_eq!(open(5, 0), gates.state(0));
}

#[tokio::test]
async fn a_turn_that_panics_goes_out_too() {
    let gates = Arc::new(Gates::new(1));
    gates.open(0, 5).unwrap();
    let permit = gates.enter(0).unwrap().into_owned(&gates);
    let turn = tokio::spawn(async move {
        let _permit = permit;
        panic!("the actor failed");
    });
    assert!(turn.await.unwrap_err().is_panic());
    assert_eq!(open(5, 0), gates.state(0));
}

/// Something that leads to a table, as whoever runs under a permit may have.
struct Holder(Arc<Gates>);

impl AsRef<Gates> for Holder {
    fn as_ref(&self) -> &Gates {
        &self.0
    }
}

#[test]
fn a_permit_is_one_permit_whoever_holds_it() {
    let gates = Arc::new(Gates::new(1));
    gates.open(0, 5).unwrap();
    let holder = Arc::new(Holder(Arc::clone(&gates)));
    let permit = gates.enter(0).unwrap().into_owned_by(Arc::clone(&holder));
    assert!(Arc::ptr_eq(permit.holder(), &holder));
    let permit = permit.hand_to(Arc::clone(&gates));
    assert_eq!((permit.epoch(), permit.is_valid(), Arc::strong_count(&holder)), (5, true, 1));
    assert_eq!(open(5, 1), gates.state(0));
    let permit = permit.hand_to(holder);
    assert_eq!(open(5, 1), gates.state(0));
    drop(permit);
    assert_eq!(open(5, 0), gates.state(0));
}

#[test]
#[should_panic(expected = "the permit is of another table")]
fn a_permit_can_t_be_handed_to_another_table() {
    let gates = Arc::new(Gates::new(1));
    gates.open(0, 5).unwrap();
    let permit = gates.enter(0).unwrap().into_owned(&gates);
    let _ = permit.hand_to(Arc::new(Gates::new(1)));
}

#[test]
#[should_panic(expected = "the permit is of another table")]
fn a_permit_can_t_pass_for_one_of_another_table() {
    let gates = Gates::new(1);
    gates.open(0, 5).unwrap();
    let _ = gates.enter(0).unwrap().into_owned(&Arc::new(Gates::new(1)));
}

#[test]
fn refusals_read_as_sentences() {
    let epoch = Refused::Epoch { asked: 4, current: 5 };
    assert_eq!(epoch.to_string(), "the gate has epoch 5, not 4");
    let full = "all 1048575 permits of the gate are out, or too many wait";
    assert_eq!(Refused::Full.to_string(), full);
    let older = OpenError::OlderEpoch { asked: 4, last: 5 };
    assert_eq!(older.to_string(), "epoch 4 is older than 5, which the gate has had");
}

fn open(epoch: u64, permits: u32) -> GateState {
    GateState::Open { epoch, permits }
}
