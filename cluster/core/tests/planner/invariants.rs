//! What holds for any problem and any policy.

use std::time::Duration;

use greenroom_core::planner::{Move, MoveReason, Pin, Placement, Standing, shares};
use proptest::prelude::*;

use crate::any::{any_cluster, any_policy};
use crate::support::{Cluster, LONG_STABLE, at_rest, policy};

/// How many moves are under way: all of them, and those of each member.
fn in_flight(cluster: &Cluster) -> (usize, Vec<usize>) {
    let mut nodes = vec![0; cluster.members.len()];
    let mut all = 0;
    for shard in &cluster.shards {
        if let Some((from, to)) = flight(cluster, shard) {
            all += 1;
            nodes[from] += 1;
            nodes[to] += 1;
        }
    }
    (all, nodes)
}

fn flight(cluster: &Cluster, shard: &Placement) -> Option<(usize, usize)> {
    let live = |i: &usize| *i < cluster.members.len();
    let (from, to) = (shard.owner.filter(live)?, shard.target.filter(live)?);
    (from != to).then_some((from, to))
}

fn of(cluster: &Cluster, step: &Move) -> Placement {
    cluster.shards[step.shard.0 as usize]
}

/// Where a shard is pinned, if it can be there.
fn wish(cluster: &Cluster, shard: &Placement) -> Option<usize> {
    match shard.pin {
        Some(Pin::To(to)) => {
            let member = cluster.members.get(to)?;
            let may = member.standing != Standing::Leaving && shard.avoid != Some(to);
            may.then_some(to)
        }
        Some(Pin::Elsewhere) | None => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 256, ..ProptestConfig::default() })]

    /// Beyond what was under way already; a shard whose destination is lost is sent on at once.
    ///
    /// Proves: C18, P5
    #[test]
    fn caps_are_never_exceeded(mut cluster in any_cluster(), policy in any_policy(), stable: bool) {
        let before = cluster.clone();
        let (all_before, nodes_before) = in_flight(&cluster);
        let plan = cluster.plan_at(if stable { LONG_STABLE } else { Duration::ZERO }, &policy);
        cluster.apply(&plan);
        let (all, nodes) = in_flight(&cluster);
        prop_assert!(all <= all_before.max(policy.batch_len_max));
        for (i, count) in nodes.iter().enumerate() {
            let sent_on = plan.moves.iter().filter(|step| {
                let drains = step.reason == MoveReason::Drain && step.to == i;
                drains && flight(&before, &of(&before, step)).is_some()
            });
            let most = nodes_before[i].max(policy.node_moves_max).saturating_add(sent_on.count());
            prop_assert!(*count <= most, "{} of {} at {}", count, most, i);
        }
    }

    #[test]
    fn nobody_is_given_what_it_must_not_have(cluster in any_cluster(), policy in any_policy()) {
        let takers = (0..cluster.members.len()).filter(|m| cluster.takes(*m)).count();
        for step in cluster.plan(&policy).moves {
            let shard = of(&cluster, &step);
            let wish = wish(&cluster, &shard);
            let stays = step.from == Some(step.to);
            if wish == Some(step.to) || stays {
                prop_assert!(cluster.members[step.to].standing != Standing::Leaving);
                continue;
            }
            prop_assert_eq!(wish, None, "a pinned shard goes nowhere else: {:?}", step);
            prop_assert!(cluster.takes(step.to), "{:?}", step);
            prop_assert!(takers == 1 || shard.avoid != Some(step.to), "{:?}", step);
            if step.reason == MoveReason::Rebalance {
                prop_assert_eq!(shard.pin, None);
                prop_assert!(step.from.is_some_and(|from| cluster.takes(from)), "{:?}", step);
            }
        }
    }

    #[test]
    fn whatever_can_be_served_is_meant_for_somebody(mut cluster in any_cluster(), policy in any_policy()) {
        let plan = cluster.plan_at(Duration::ZERO, &policy);
        cluster.apply(&plan);
        let live = |i: &usize| *i < cluster.members.len();
        let anybody = (0..cluster.members.len()).any(|m| cluster.takes(m));
        for shard in &cluster.shards {
            let (owner, target) = (shard.owner.filter(live), shard.target.filter(live));
            let pinned = wish(&cluster, shard);
            let good = target.is_some_and(|t| cluster.takes(t) || pinned == Some(t));
            match owner {
                None => prop_assert!(good || (!anybody && pinned.is_none()), "{:?}", shard),
                Some(owner) if cluster.members[owner].standing != Standing::Leaving => {
                    prop_assert!(good || target == Some(owner), "{:?}", shard);
                }
                Some(_) => {}
            }
        }
    }

    /// From any state, and then pins are where they may be, whoever leaves has nothing, and
    /// nothing is left to do.
    #[test]
    fn it_comes_to_rest(mut cluster in any_cluster(), policy in any_policy()) {
        let converged = cluster.converge(&policy);
        prop_assert!(cluster.plan(&policy).moves.is_empty());
        prop_assert!(converged.idle.ends_rebalancing());
        cluster.converge(&policy.finishing());
        let anybody = (0..cluster.members.len()).any(|m| cluster.takes(m));
        for shard in &cluster.shards {
            if let Some(wish) = wish(&cluster, shard) {
                prop_assert_eq!(shard.owner, Some(wish));
            } else if anybody {
                let leaving = shard.owner.is_none_or(|owner| {
                    cluster.members.get(owner).is_none_or(|m| m.standing == Standing::Leaving)
                });
                prop_assert!(!leaving, "{:?}", shard);
            }
        }
    }

    #[test]
    fn the_same_question_has_the_same_answer(cluster in any_cluster(), policy in any_policy()) {
        prop_assert_eq!(cluster.plan(&policy), cluster.plan(&policy));
        prop_assert_eq!(cluster.settled(&policy), cluster.settled(&policy));
    }

    /// Who keeps keeps, and the others share the rest by weight.
    #[test]
    fn members_that_keep_are_left_out(
        counts in prop::collection::vec(0..60_usize, 2..10),
        keeping in 0..10_usize,
        weights in prop::collection::vec(1..=1000_i32, 10),
    ) {
        let mut cluster = Cluster::new(&weights[..counts.len()], at_rest(&counts));
        let keeping = keeping % counts.len();
        cluster.members[keeping].standing = Standing::Keeping;
        cluster.converge(&policy());
        let owned = cluster.owned();
        prop_assert_eq!(owned[keeping], counts[keeping]);
        let rest = counts.iter().sum::<usize>() - counts[keeping];
        let shares = shares(&cluster.members, rest as u64, false);
        for (i, (owned, share)) in owned.iter().zip(shares).enumerate() {
            prop_assert!(i == keeping || owned.abs_diff(share as usize) <= 1);
        }
    }

    /// Whoever has shards that could go has none too many: pins apart, all are within one of their
    /// shares, which differ by one at most.
    #[test]
    fn equal_members_are_even_but_for_their_pins(
        counts in prop::collection::vec(0..60_usize, 2..10),
        pins in prop::collection::vec((0..600_usize, 0..10_usize), 0..80),
    ) {
        let mut cluster = Cluster::new(&vec![100; counts.len()], at_rest(&counts));
        let shards = cluster.shards.len();
        for (shard, to) in pins {
            if let Some(shard) = shard.checked_rem(shards) {
                cluster.shards[shard].pin = Some(Pin::To(to % counts.len()));
            }
        }
        cluster.converge(&policy());
        let owned = cluster.owned();
        let least = owned.iter().min().copied().unwrap_or(0);
        for shard in cluster.shards.iter().filter(|shard| shard.pin.is_none()) {
            let at = shard.owner.expect("every shard has an owner");
            let fixed = cluster.shards.iter().filter(|s| s.owner == Some(at) && s.pin.is_some());
            prop_assert!(owned[at] <= (least + 3).max(fixed.count() + 1), "{:?}", owned);
        }
    }
}
