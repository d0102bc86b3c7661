//! What it says would happen if something were otherwise.

use greenroom_core::planner::Idle;
use greenroom_core::{
    Event, Forecast, Labels, Moment, NodeId, Now, Order, OrderId, Refusal, ShardId, SupposedNode,
    WhatIf,
};

use crate::support::{Bench, name};

const MORE: &str = "its owner had more than its share";

/// One that leads alone and owns twelve shards.
fn leader() -> Bench {
    let mut bench = Bench::with(|config| config.shards = 12);
    bench.snapshot();
    bench.pass(3000, |_| false);
    assert_eq!(bench.agent.claimed_of_targeted(), (12, 12));
    bench
}

fn suppose(bench: &Bench, what: &WhatIf) -> Result<Forecast, Refusal> {
    let now = Now { moment: Moment(bench.now_ms * 1_000_000), wall_ms: bench.now_ms };
    let mut forecasts = bench.agent.what_if(now, what)?;
    assert_eq!(forecasts.len(), 1, "one for each group");
    Ok(forecasts.remove(0))
}

fn node(node: &str) -> SupposedNode {
    SupposedNode { node: name(node), weight: 1, zone: String::new(), labels: Labels::new() }
}

fn with_another() -> WhatIf {
    WhatIf { added: vec![node("b")], ..WhatIf::default() }
}

/// How many shards a node has, and how many it will have.
fn of(forecast: &Forecast, node: &str) -> (usize, usize) {
    forecast.nodes[&name(node)]
}

fn moves(forecast: &Forecast) -> Vec<(Option<&str>, &str, &str, usize)> {
    let moves = forecast.moves.iter().map(|((from, to, reason), count)| {
        (from.as_ref().map(NodeId::as_str), to.as_str(), *reason, *count)
    });
    moves.collect()
}

#[test]
fn nothing_supposed_changes_nothing() {
    let bench = leader();
    let forecast = suppose(&bench, &WhatIf::default()).unwrap();
    assert_eq!((forecast.group.as_str(), forecast.rounds), ("default", 0));
    assert_eq!((of(&forecast, "a"), moves(&forecast)), ((12, 12), Vec::new()));
    assert_eq!((&forecast.idle, &forecast.rests), (&Some(Idle::Balanced), &Some(Idle::Balanced)));
    assert_eq!((forecast.pinned, forecast.pins_unserved, forecast.homeless), (0, 0, 0));
}

#[test]
fn a_node_that_comes_gets_its_share() {
    let bench = leader();
    let revision = bench.store.revision;
    let forecast = suppose(&bench, &with_another()).unwrap();
    assert_eq!((of(&forecast, "a"), of(&forecast, "b")), ((12, 6), (0, 6)));
    assert_eq!(moves(&forecast), [(Some("a"), "b", MORE, 6)]);
    let few = WhatIf { batch_len_max: Some(2), ..with_another() };
    assert_eq!(suppose(&bench, &few).unwrap().rounds, 3, "two at a time");
    let few = WhatIf { node_moves_max: Some(3), ..with_another() };
    assert_eq!(suppose(&bench, &few).unwrap().rounds, 2, "three at a time");
    let heavy = WhatIf { weights: vec![(name("a"), 2)], ..with_another() };
    assert_eq!(of(&suppose(&bench, &heavy).unwrap(), "b"), (0, 4));
    let lazy = WhatIf { imbalance_threshold_permille: Some(1_000_000), ..with_another() };
    let forecast = suppose(&bench, &lazy).unwrap();
    assert_eq!((of(&forecast, "b"), moves(&forecast)), ((0, 0), Vec::new()));
    assert!(matches!(forecast.rests, Some(Idle::WithinThreshold { .. })), "{forecast:?}");
    assert_eq!(bench.store.revision, revision, "nothing is carried out");
}

#[test]
fn pins_are_counted_by_whether_they_are_served() {
    let bench = leader();
    let pins = vec![
        (ShardId(0), Some(name("a"))),
        (ShardId(1), Some(name("b"))),
        (ShardId(2), Some(name("b"))),
        (ShardId(3), None),
    ];
    let forecast = suppose(&bench, &WhatIf { pins: pins.clone(), ..with_another() }).unwrap();
    assert_eq!((of(&forecast, "a"), of(&forecast, "b")), ((12, 6), (0, 6)));
    assert_eq!(moves(&forecast), [(Some("a"), "b", "it is pinned", 2), (Some("a"), "b", MORE, 4)]);
    assert_eq!((forecast.pinned, forecast.pins_unserved), (1, 0));
    let drained = vec![name("a")];
    let forecast = suppose(&bench, &WhatIf { pins, drained, ..with_another() }).unwrap();
    assert_eq!((of(&forecast, "a"), of(&forecast, "b")), ((12, 0), (0, 12)));
    assert_eq!((forecast.pinned, forecast.pins_unserved), (0, 1));
}

#[test]
fn what_nobody_may_have_is_homeless() {
    let bench = leader();
    let forecast =
        suppose(&bench, &WhatIf { removed: vec![name("a")], ..WhatIf::default() }).unwrap();
    assert_eq!((of(&forecast, "a"), forecast.homeless), ((12, 0), 12));
    assert_eq!(forecast.rests, Some(Idle::NoMembers));
}

#[test]
fn what_is_under_way_is_told_as_that() {
    let mut bench = leader();
    let (_, entries) = bench.join("b");
    bench.tell(Event::Changes { entries }, |_| false);
    let order = Order::Move { shards: vec![ShardId(0)], to: name("b") };
    bench.tell(Event::Operate { id: OrderId(1), order }, |_| false);
    let forecast = suppose(&bench, &WhatIf::default()).unwrap();
    assert_eq!(of(&forecast, "b"), (0, 6));
    assert_eq!(
        moves(&forecast),
        [(Some("a"), "b", "it is on its way already", 1), (Some("a"), "b", MORE, 5)]
    );
    assert!(matches!(forecast.idle, Some(Idle::Unstable { .. })), "{forecast:?}");
}

/// The forecast of a cluster whose rebalancing an operator holds moves nothing for balance.
#[test]
fn what_an_operator_holds_is_held() {
    let mut bench = leader();
    let order = Order::Hold(true);
    bench.tell(Event::Operate { id: OrderId(1), order }, |_| false);
    let forecast = suppose(&bench, &with_another()).unwrap();
    assert_eq!((of(&forecast, "b"), moves(&forecast)), ((0, 0), Vec::new()));
}

#[test]
fn what_cannot_be_supposed_is_refused_by_its_name() {
    let bench = leader();
    let no_node = || Err(Refusal::NoNode(name("z")));
    for what in [
        WhatIf { removed: vec![name("z")], ..WhatIf::default() },
        WhatIf { drained: vec![name("z")], ..WhatIf::default() },
        WhatIf { weights: vec![(name("z"), 1)], ..WhatIf::default() },
        WhatIf { pins: vec![(ShardId(0), Some(name("z")))], ..WhatIf::default() },
    ] {
        assert_eq!(suppose(&bench, &what), no_node(), "{what:?}");
    }
    let beyond = WhatIf { pins: vec![(ShardId(12), None)], ..WhatIf::default() };
    assert_eq!(suppose(&bench, &beyond), Err(Refusal::NoShard(ShardId(12))));
    let there = WhatIf { added: vec![node("a")], ..WhatIf::default() };
    assert_eq!(suppose(&bench, &there), Err(Refusal::NodeThere(name("a"))));
}
