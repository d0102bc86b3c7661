//! What a leader tells people, once each time that it changes.

use greenroom_core::record::{Key, NodeProfile, Record, ShardRecord};
use greenroom_core::{Event, Groups, Labels, Notice, Order, OrderId, PlacementRule, Stage};

use crate::support::{Bench, SHARD, name, profile};

fn leader() -> Bench {
    let mut bench = Bench::new();
    bench.snapshot();
    bench.pass(500, |_| false);
    assert!(bench.agent.leads());
    bench.notices.clear();
    bench
}

/// What was told of this sort, since it was last asked for.
fn told(bench: &mut Bench, sort: impl Fn(&Notice) -> bool) -> Vec<Notice> {
    bench.notices.drain(..).filter(sort).collect()
}

#[test]
fn pins_that_cannot_be_served_are_told_of_once_and_when_that_is_over() {
    let mut bench = leader();
    let pinned = |bench: &mut Bench, pin: Option<&str>| {
        let record = bench.store.shard(SHARD).cloned().expect("the shard has a record");
        let record = ShardRecord { pin: pin.map(name), ..record };
        let entry = bench.put("a", &Key::Shard(SHARD), Record::Shard(record));
        bench.tell(Event::Changes { entries: vec![entry] }, |_| false);
        bench.pass(1000, |_| false);
        told(bench, |notice| matches!(notice, Notice::PinsUnserved { .. }))
    };
    let unserved = |node: &str, shards| Notice::PinsUnserved { node: name(node), shards };
    assert_eq!(pinned(&mut bench, Some("a")), []);
    assert_eq!(pinned(&mut bench, Some("z")), [unserved("z", 1)]);
    assert_eq!(pinned(&mut bench, Some("y")), [unserved("z", 0), unserved("y", 1)]);
    assert_eq!(pinned(&mut bench, None), [unserved("y", 0)]);
}

#[test]
fn nodes_that_lack_a_kind_are_told_of_once_and_when_that_is_over() {
    let mut bench = leader();
    let mut groups = Groups::default();
    groups.assign("a", "default").unwrap();
    groups.assign("b", "default").unwrap();
    let listed = bench.put("b", &Key::Groups, Record::Groups(groups));
    let kinds = vec!["a".to_owned(), "b".to_owned()];
    let (_, mut entries) = bench.join_as("b", NodeProfile { kinds, ..profile() });
    entries.push(listed);
    bench.tell(Event::Changes { entries }, |_| false);
    bench.pass(500, |_| false);
    let lacking = |nodes: &[&str]| Notice::KindLacking {
        kind: "b".to_owned(),
        nodes: nodes.iter().copied().map(name).collect(),
    };
    let of_kinds = |notice: &Notice| matches!(notice, Notice::KindLacking { .. });
    assert_eq!(told(&mut bench, of_kinds), [lacking(&["a"])]);

    let key = Key::Heartbeat(name("b"));
    bench.delete("b", &key);
    let entries = vec![bench.store.entry(&key)];
    bench.tell(Event::Changes { entries }, |_| false);
    bench.pass(500, |_| false);
    assert_eq!(told(&mut bench, of_kinds), [lacking(&[])], "nobody hosts it, so nobody lacks it");
}

#[test]
fn why_nobody_may_own_shards_is_told_node_by_node() {
    let mut bench = leader();
    let ssd = Labels::from([("disk".to_owned(), "ssd".to_owned())]);
    let cannot = NodeProfile { weight: 0, labels: ssd.clone(), ..profile() };
    let (_, entries) = bench.join_as("b", cannot);
    bench.tell(Event::Changes { entries }, |_| false);
    let rule = PlacementRule { require: ssd, ..PlacementRule::default() };
    let order = Order::Rule { group: "default".to_owned(), rule, force: true };
    bench.tell(Event::Operate { id: OrderId(1), order }, |_| false);
    bench.pass(300, |_| false);
    let reasons = told(&mut bench, |notice| matches!(notice, Notice::Idle { .. }));
    let Some(Notice::Idle { name: "no_members", reason, .. }) = reasons.last() else {
        panic!("nobody may own it: {reasons:?}")
    };
    for part in ["a: it has no label disk=ssd", "b: it drains or has no weight"] {
        assert!(reason.contains(part), "{reason:?} does not say {part:?}");
    }
}

/// Claiming and releasing have times of their own.
#[test]
fn how_long_a_claim_took_is_told_as_that() {
    let mut bench = Bench::new();
    let claim = bench.given();
    let [(request, transaction)] = &claim[..] else { panic!("one claim: {claim:?}") };
    bench.now_ms += 70;
    let outcome = bench.store.commit(&name("a"), transaction);
    bench.tell(Event::Committed { request: *request, outcome }, |_| false);
    assert_eq!(bench.took, [(Stage::Claim, vec![std::time::Duration::from_millis(70)])]);
}
