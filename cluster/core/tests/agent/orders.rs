//! Operators' orders: what is carried out, and what is refused with which reason.

use greenroom_core::record::{Key, NodeProfile, NodeRecord, NodeState, Record};
use greenroom_core::{
    BadGroups, Event, Labels, Life, NodeId, Order, OrderId, PlacementRule, Refusal, ShardId, Unfit,
};

use crate::support::{Bench, SHARD, name, profile, writes};

const ID: OrderId = OrderId(1);

/// One that leads alone and owns the only shard.
fn leader() -> Bench {
    let mut bench = Bench::new();
    bench.snapshot();
    assert_eq!(bench.agent.serving().count(), 1);
    bench
}

fn with_another(mut bench: Bench, node: &str) -> (Bench, Life) {
    let (life, entries) = bench.join(node);
    bench.tell(Event::Changes { entries }, |_| false);
    (bench, life)
}

/// What becomes of an order if everything is answered at once.
fn answer(bench: &mut Bench, order: Order) -> Result<(), Refusal> {
    bench.tell(Event::Operate { id: ID, order }, |_| false);
    let (id, answer) = bench.answers.pop().expect("it is answered at once");
    assert_eq!((id, bench.answers.len()), (ID, 0));
    answer
}

fn pin(shard: ShardId, node: Option<&str>) -> Order {
    Order::Pin { shards: vec![shard], node: node.map(name) }
}

fn send(shard: ShardId, to: &str) -> Order {
    Order::Move { shards: vec![shard], to: name(to) }
}

fn rule(group: &str, disk: &str, force: bool) -> Order {
    let require = Labels::from([("disk".to_owned(), disk.to_owned())]);
    let rule = PlacementRule { require, ..PlacementRule::default() };
    Order::Rule { group: group.to_owned(), rule, force }
}

fn pin_of(bench: &Bench) -> Option<NodeId> {
    bench.agent.view().shard(SHARD).record.pin.clone()
}

#[test]
fn a_shard_is_pinned_where_it_is_said_or_where_it_is() {
    let (mut bench, _) = with_another(leader(), "b");
    assert_eq!(answer(&mut bench, pin(SHARD, None)), Ok(()));
    assert_eq!(pin_of(&bench), Some(name("a")));
    assert_eq!(answer(&mut bench, pin(SHARD, Some("b"))), Ok(()));
    assert_eq!(pin_of(&bench), Some(name("b")));
    assert_eq!(answer(&mut bench, Order::Unpin { shards: vec![SHARD] }), Ok(()));
    assert_eq!(pin_of(&bench), None);
    let revision = bench.store.revision;
    assert_eq!(answer(&mut bench, Order::Unpin { shards: vec![SHARD] }), Ok(()));
    assert_eq!(bench.store.revision, revision, "there is nothing to write");
}

#[test]
fn a_shard_is_sent_to_another_node_by_who_leads() {
    let (mut bench, _) = with_another(leader(), "b");
    assert_eq!(answer(&mut bench, send(SHARD, "b")), Ok(()));
    assert_eq!(bench.agent.view().shard(SHARD).record.target, Some(name("b")));

    let mut bench = Bench::new();
    bench.led_by("b");
    bench.snapshot();
    assert_eq!(answer(&mut bench, send(SHARD, "a")), Err(Refusal::NotLeader(Some(name("b")))));
}

#[test]
fn rebalancing_is_held_and_goes_on() {
    let mut bench = leader();
    for held in [true, false] {
        assert_eq!(answer(&mut bench, Order::Hold(held)), Ok(()));
        assert_eq!(bench.agent.view().rebalancing().held, held);
    }
}

#[test]
fn a_rule_that_no_node_satisfies_must_be_forced() {
    let mut bench = leader();
    let group = "default".to_owned();
    let refused = answer(&mut bench, rule(&group, "ssd", false));
    assert_eq!(refused, Err(Refusal::Unsatisfiable { group: group.clone() }));
    assert_eq!(answer(&mut bench, rule(&group, "ssd", true)), Ok(()));
    assert_eq!(bench.agent.view().groups().as_slice()[0].rule.require["disk"], "ssd");

    let ssd =
        NodeProfile { labels: Labels::from([("disk".to_owned(), "ssd".to_owned())]), ..profile() };
    let (_, entries) = bench.join_as("b", ssd);
    bench.tell(Event::Changes { entries }, |_| false);
    let why = Unfit::Label { name: "disk".to_owned(), value: "ssd".to_owned() };
    let unfit = Refusal::Unfit { node: name("a"), group: group.clone(), why };
    assert_eq!(answer(&mut bench, pin(SHARD, Some("a"))), Err(unfit));
    assert_eq!(answer(&mut bench, pin(SHARD, Some("b"))), Ok(()));
    assert_eq!(answer(&mut bench, rule(&group, "hdd", true)), Ok(()));
    assert_eq!(answer(&mut bench, rule(&group, "ssd", false)), Ok(()), "a node satisfies it");
}

#[test]
fn what_does_not_exist_is_refused_by_its_name() {
    let mut bench = leader();
    let beyond = ShardId(1);
    for order in [
        pin(beyond, Some("a")),
        pin(beyond, None),
        Order::Unpin { shards: vec![SHARD, beyond] },
        send(beyond, "a"),
    ] {
        assert_eq!(answer(&mut bench, order), Err(Refusal::NoShard(beyond)));
    }
    for order in [pin(SHARD, Some("z")), send(SHARD, "z")] {
        assert_eq!(answer(&mut bench, order), Err(Refusal::NoNode(name("z"))));
    }
    let unknown = Refusal::Groups(BadGroups::Unknown("gpu".to_owned()));
    assert_eq!(answer(&mut bench, rule("gpu", "ssd", true)), Err(unknown));

    let mut bench = Bench::new();
    bench.led_by("b");
    bench.snapshot();
    assert_eq!(answer(&mut bench, pin(SHARD, None)), Err(Refusal::NoOwner(SHARD)));
}

#[test]
fn a_node_that_takes_no_shards_is_given_none_and_a_pinned_shard_goes_nowhere_else() {
    let (mut bench, life) = with_another(leader(), "b");
    answer(&mut bench, pin(SHARD, None)).unwrap();
    let pinned = Refusal::Pinned { shard: SHARD, to: name("a") };
    assert_eq!(answer(&mut bench, send(SHARD, "b")), Err(pinned));
    assert_eq!(answer(&mut bench, send(SHARD, "a")), Ok(()), "where it is pinned it may go");

    let state = NodeState::Draining;
    let drains = NodeRecord { incarnation: life.incarnation, state, profile: profile() };
    let entry = bench.put("b", &Key::Node(name("b")), Record::Node(drains));
    bench.tell(Event::Changes { entries: vec![entry] }, |_| false);
    for order in [pin(SHARD, Some("b")), send(SHARD, "b")] {
        assert_eq!(answer(&mut bench, order), Err(Refusal::TakesNoShards(name("b"))));
    }
}

#[test]
fn a_node_that_is_no_member_takes_no_orders() {
    let mut bench = Bench::new();
    assert_eq!(answer(&mut bench, Order::Hold(true)), Err(Refusal::NotMember));
    let (mut bench, _) = with_another(leader(), "b");
    bench.tell(Event::Drain, |_| false);
    assert_eq!(answer(&mut bench, Order::Hold(true)), Ok(()), "while it drains it is one");
}

/// 64 are pursued at a time.
#[test]
fn more_orders_than_can_be_pursued_are_refused_at_once() {
    let mut bench = leader();
    let hold = |bench: &mut Bench, id| {
        let order = Order::Hold(true);
        bench.tell(Event::Operate { id: OrderId(id), order }, writes(&Key::Rebalancing));
    };
    (0..64).for_each(|id| hold(&mut bench, id));
    assert_eq!(bench.answers, []);
    hold(&mut bench, 64);
    assert_eq!(bench.answers, [(OrderId(64), Err(Refusal::TooMany))]);
}

#[test]
fn each_refusal_names_what_it_is_about() {
    let why = Unfit::Label { name: "disk".to_owned(), value: "ssd".to_owned() };
    for (refusal, words) in [
        (Refusal::NotMember, &["member"][..]),
        (Refusal::NotLeader(Some(name("n7"))), &["leader", "n7"]),
        (Refusal::NotLeader(None), &["leader", "nobody"]),
        (Refusal::NoShard(ShardId(7)), &["7"]),
        (Refusal::NoOwner(ShardId(7)), &["7", "no owner"]),
        (Refusal::NoNode(name("n7")), &["n7"]),
        (Refusal::NodeThere(name("n7")), &["n7", "already"]),
        (Refusal::TakesNoShards(name("n7")), &["n7", "drains"]),
        (
            Refusal::Unfit { node: name("n7"), group: "gpu".to_owned(), why },
            &["n7", "gpu", "disk=ssd"],
        ),
        (Refusal::Pinned { shard: ShardId(7), to: name("n7") }, &["7", "n7", "unpin"]),
        (Refusal::Unreadable(Key::Shard(ShardId(7))), &["shard 7", "read"]),
        (Refusal::Unreadable(Key::Groups), &["groups", "read"]),
        (Refusal::Unreadable(Key::Rebalancing), &["rebalancing", "read"]),
        (Refusal::Unsatisfiable { group: "gpu".to_owned() }, &["gpu", "labels"]),
        (Refusal::Groups(BadGroups::Unknown("gpu".to_owned())), &["gpu"]),
        (Refusal::TooMany, &["64"]),
        (Refusal::TimedOut, &["20s", "partly"]),
    ] {
        let text = refusal.to_string();
        for word in words {
            assert!(text.contains(word), "{text:?} does not say {word:?}");
        }
    }
}
