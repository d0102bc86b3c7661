//! What it says of itself and of the others.

use greenroom_core::record::{Key, NodeRecord, NodeState, Record, ShardRecord};
use greenroom_core::{Epoch, Event, Notice};

use crate::support::{Bench, SHARD, name, profile, writes};

#[test]
fn it_tells_how_far_it_is_from_joining_to_leaving() {
    let mut bench = Bench::new();
    let agent = &bench.agent;
    assert!(!agent.is_active() && !agent.is_draining() && !agent.is_recorded());
    bench.led_by("b");
    bench.snapshot();
    let given = bench.retarget("b", "a");
    bench.tell(Event::Changes { entries: vec![given] }, |_| false);
    let agent = &bench.agent;
    assert!(agent.is_active() && agent.is_recorded());
    assert!(!agent.is_draining() && !agent.is_drained());
    assert_eq!(agent.claimed_of_targeted(), (1, 1));

    let sent = bench.tell(Event::Drain, writes(&Key::Node(name("a"))));
    let [(request, drains)] = &sent[..] else { panic!("one write of its own: {sent:?}") };
    let agent = &bench.agent;
    assert!(agent.is_draining() && !agent.is_active() && !agent.is_drained());
    assert!(!agent.is_recorded(), "the store does not say so yet");
    let outcome = bench.store.commit(&name("a"), drains);
    bench.tell(Event::Committed { request: *request, outcome }, |_| false);
    assert!(bench.agent.is_recorded());

    let taken = bench.retarget("b", "b");
    bench.tell(Event::Changes { entries: vec![taken] }, |_| false);
    assert_eq!(bench.agent.claimed_of_targeted(), (0, 0));
    assert!(!bench.agent.is_drained(), "its turns go on");
    bench.tell(Event::Drained { shards: vec![(SHARD, Epoch(1))] }, |_| false);
    assert!(bench.agent.is_drained() && bench.agent.is_draining());
    bench.tell(Event::Leave, |_| false);
    assert!(bench.agent.is_drained() && !bench.agent.is_active());
}

#[test]
fn what_is_targeted_at_it_is_not_claimed_before_the_claim_is_through() {
    let mut bench = Bench::new();
    let claim = bench.given();
    assert!(!claim.is_empty());
    assert_eq!(bench.agent.claimed_of_targeted(), (0, 1));
}

#[test]
fn others_take_shards_while_one_of_them_is_active() {
    let mut bench = Bench::new();
    bench.snapshot();
    assert!(!bench.agent.others_take_shards(), "it is alone");
    let (life, entries) = bench.join("b");
    bench.tell(Event::Changes { entries }, |_| false);
    assert!(bench.agent.others_take_shards());
    let drains = NodeRecord {
        incarnation: life.incarnation,
        state: NodeState::Draining,
        profile: profile(),
    };
    let entry = bench.put("b", &Key::Node(name("b")), Record::Node(drains));
    bench.tell(Event::Changes { entries: vec![entry] }, |_| false);
    assert!(!bench.agent.others_take_shards(), "the other one drains");
}

/// The store refuses a transaction with more guards than etcd takes.
#[test]
fn all_shards_of_a_large_cluster_are_given_in_transactions_that_etcd_takes() {
    let mut bench = Bench::with(|config| {
        config.shards = 600;
        config.policy.batch_len_max = 600;
        config.policy.node_moves_max = 600;
    });
    bench.snapshot();
    bench.pass(1000, |_| false);
    assert_eq!(bench.agent.claimed_of_targeted(), (600, 600));
}

#[test]
fn it_says_again_that_its_name_is_in_use_but_not_often() {
    let mut bench = Bench::new();
    bench.led_by("b");
    bench.join("a");
    bench.snapshot();
    let told = |bench: &Bench| {
        let is_told = |notice: &&Notice| matches!(notice, Notice::NameInUse { .. });
        bench.notices.iter().filter(is_told).count()
    };
    assert_eq!(told(&bench), 1);
    bench.pass(11_000, |_| false);
    assert_eq!(told(&bench), 1);
    bench.pass(2000, |_| false);
    assert_eq!(told(&bench), 2, "after two windows");
    assert!(!bench.agent.is_active());
}

#[test]
fn calls_go_to_whoever_owns_their_shard_while_it_lives() {
    let mut bench = Bench::new();
    let other = bench.led_by("b");
    bench.snapshot();
    bench.given_again();
    assert_eq!(bench.routes.get(&SHARD), None, "it is claimed, and that is not through yet");
    let record = ShardRecord {
        target: Some(name("b")),
        owner: Some(other.clone()),
        epoch: Epoch(1),
        ..ShardRecord::default()
    };
    let entry = bench.put("b", &Key::Shard(SHARD), Record::Shard(record));
    bench.tell(Event::Changes { entries: vec![entry] }, |_| false);
    assert_eq!(bench.routes[&SHARD], Some((other, Epoch(1))));
    bench.delete("b", &Key::Heartbeat(name("b")));
    let entries = vec![bench.store.entry(&Key::Heartbeat(name("b")))];
    bench.tell(Event::Changes { entries }, |_| true);
    assert_eq!(bench.routes[&SHARD], None, "its owner is dead");
}

#[test]
fn members_that_come_go_or_change_are_counted_and_beats_are_not() {
    let mut bench = Bench::new();
    bench.snapshot();
    let mut before = bench.agent.placement_changes();
    let mut changed = |bench: &Bench| {
        let is = bench.agent.placement_changes();
        std::mem::replace(&mut before, is) != is
    };
    let (_, entries) = bench.join("b");
    bench.tell(Event::Changes { entries }, |_| false);
    assert!(changed(&bench), "one comes");
    bench.pass(1000, |_| false);
    assert!(!changed(&bench), "they live");
    bench.delete("b", &Key::Heartbeat(name("b")));
    let entries = vec![bench.store.entry(&Key::Heartbeat(name("b")))];
    bench.tell(Event::Changes { entries }, |_| false);
    assert!(changed(&bench), "one goes");
}

#[test]
fn it_is_in_step_with_the_store_from_a_list_to_the_loss_of_the_watch() {
    let mut bench = Bench::new();
    assert!(!bench.agent.is_synced());
    bench.snapshot();
    assert!(bench.agent.is_synced());
    bench.tell(Event::WatchLost, |_| false);
    assert!(!bench.agent.is_synced());
    bench.snapshot();
    assert!(bench.agent.is_synced());
}

/// The claim may be applied still, and then it owns the shard.
#[test]
fn it_has_not_given_everything_away_while_a_claim_is_under_way() {
    let mut bench = Bench::new();
    let claim = bench.given();
    assert_eq!(claim.len(), 1);
    bench.tell(Event::Drain, |_| false);
    assert!(bench.agent.is_draining() && !bench.agent.is_drained());
}

/// That can only be if it was taken for dead: the gate must not wait for turns that run there.
#[test]
fn a_shard_that_another_owns_is_revoked_at_once() {
    let mut bench = Bench::new();
    let other = bench.led_by("b");
    bench.snapshot();
    let given = bench.retarget("b", "a");
    bench.tell(Event::Changes { entries: vec![given] }, |_| false);
    assert_eq!((bench.agent.serving().count(), bench.revoked.len()), (1, 0));
    let record = bench.store.shard(SHARD).cloned().expect("the shard has a record");
    // Its life is over, which it sees later than the record.
    bench.delete("b", &Key::Heartbeat(name("a")));
    let taken = ShardRecord {
        owner: Some(other),
        target: Some(name("b")),
        epoch: record.epoch.next(),
        ..record
    };
    let entry = bench.put("b", &Key::Shard(SHARD), Record::Shard(taken));
    bench.tell(Event::Changes { entries: vec![entry] }, |_| true);
    assert_eq!((bench.agent.serving().count(), &bench.revoked[..]), (0, &[SHARD][..]));
}
