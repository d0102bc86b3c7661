//! A leader that rebalances, and what it writes about that.

use std::collections::BTreeSet;

use greenroom_core::record::{Key, Record};
use greenroom_core::{Event, Order, OrderId, ShardId};

use crate::support::{Bench, name, writes};

/// So that the next leader goes on with what this one has begun, also below the threshold.
#[test]
fn that_a_rebalancing_has_begun_and_ended_is_written_once_each() {
    let mut bench = Bench::with(|config| config.shards = 4);
    bench.snapshot();
    bench.pass(3000, |_| false);
    assert_eq!(bench.agent.claimed_of_targeted(), (4, 4));
    let under_way = |bench: &Bench| bench.agent.view().rebalancing().under_way.clone();
    assert_eq!(under_way(&bench), BTreeSet::new());
    assert_eq!(bench.pass(2000, writes(&Key::Rebalancing)), 0, "at rest there is nothing to write");

    let (_, entries) = bench.join("b");
    bench.tell(Event::Changes { entries }, |_| false);
    assert_eq!(bench.pass(900, writes(&Key::Rebalancing)), 0, "the membership is not stable yet");
    bench.pass(300, |_| false);
    assert_eq!(under_way(&bench), BTreeSet::from([0]));
    assert_eq!(bench.agent.claimed_of_targeted(), (2, 2), "the others are on their way");
    assert_eq!(bench.pass(500, writes(&Key::Rebalancing)), 0, "it goes on as it began");

    let key = Key::Heartbeat(name("b"));
    bench.delete("b", &key);
    let entries = vec![bench.store.entry(&key)];
    bench.tell(Event::Changes { entries }, |_| false);
    bench.pass(300, |_| false);
    assert_eq!(bench.agent.claimed_of_targeted().1, 4, "all are called back");
    assert_eq!(under_way(&bench), BTreeSet::from([0]), "it may have to go on");
    bench.pass(1000, |_| false);
    assert_eq!(under_way(&bench), BTreeSet::new());
}

/// What is under way for balance goes back to its owner; what an operator pinned goes on.
#[test]
fn a_hold_calls_back_what_moves_for_balance_alone() {
    let mut bench = Bench::with(|config| config.shards = 8);
    bench.snapshot();
    bench.pass(3000, |_| false);
    let (_, entries) = bench.join("b");
    bench.tell(Event::Changes { entries }, |_| false);
    let pin = Order::Pin { shards: vec![ShardId(7)], node: Some(name("b")) };
    bench.tell(Event::Operate { id: OrderId(1), order: pin }, |_| false);
    bench.pass(1300, |_| false);
    let away = |bench: &Bench| -> Vec<ShardId> {
        let shards = (0..8).map(ShardId);
        let target = |shard| bench.agent.view().shard(shard).record.target.clone();
        shards.filter(|shard| target(*shard) == Some(name("b"))).collect()
    };
    assert_eq!(away(&bench), [ShardId(7)], "nothing else moves while that does");
    bench.claim(ShardId(7), "b");
    bench.pass(300, |_| false);
    assert_eq!(away(&bench), [0, 1, 2, 7].map(ShardId), "three more for balance");

    // One that stays, and one that is on its way for balance.
    let pin = Order::Pin { shards: vec![ShardId(1), ShardId(6)], node: Some(name("b")) };
    bench.tell(Event::Operate { id: OrderId(2), order: pin }, |_| false);
    bench.tell(Event::Operate { id: OrderId(3), order: Order::Hold(true) }, |_| false);
    bench.pass(300, |_| false);
    assert_eq!(away(&bench), [1, 6, 7].map(ShardId));
    let reasons = [0, 1, 6].map(|shard| &*bench.agent.view().shard(ShardId(shard)).record.reason);
    let expected = [
        "an operator holds rebalancing, so its owner keeps it",
        "its owner had more than its share",
        "it is pinned",
    ];
    assert_eq!(reasons, expected);
    let is_sent_away = |record: &&Record| match record {
        Record::Shard(record) => record.target == Some(name("b")),
        _ => false,
    };
    let mut before = bench.store.records_of(&Key::Shard(ShardId(1))).skip_while(is_sent_away);
    assert!(!before.any(|record| is_sent_away(&record)), "it was called back in between");
    assert!(bench.answers.iter().all(|(_, answer)| answer.is_ok()));
}
