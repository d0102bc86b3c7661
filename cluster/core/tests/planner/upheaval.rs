//! Members come, go and drain while shards are still moving: then calm, and all must be well.

use std::time::Duration;

use greenroom_core::planner::{Idle, Placement, Policy, Standing};
use proptest::prelude::*;

use crate::support::{Cluster, LONG_STABLE, members, policy};

#[derive(Clone, Debug)]
enum Event {
    Join(i32),
    Die(usize),
    Drain(usize),
    /// Each shard that is moving arrives, if its number modulo the first is below the second.
    Arrive(usize, usize),
    /// A slow owner releases a shard that the target has not claimed yet.
    Release(usize),
    Calm,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => (1..=1000_i32).prop_map(Event::Join),
        1 => (0..8_usize).prop_map(Event::Die),
        1 => (0..8_usize).prop_map(Event::Drain),
        3 => (1..5_usize, 0..5_usize).prop_map(|(n, below)| Event::Arrive(n, below)),
        2 => (0..64_usize).prop_map(Event::Release),
        2 => Just(Event::Calm),
    ]
}

fn happen(cluster: &mut Cluster, event: &Event, stable_for: &mut Duration) {
    let len = cluster.members.len();
    match event {
        Event::Calm => {
            *stable_for = LONG_STABLE;
            return;
        }
        Event::Arrive(n, below) => {
            let shards = 0..cluster.shards.len();
            shards.filter(|s| s % n < *below).for_each(|s| cluster.settle(s));
            return;
        }
        Event::Release(shard) => {
            let shard = &mut cluster.shards[*shard];
            if shard.target != shard.owner {
                shard.owner = None;
            }
            return;
        }
        Event::Join(weight) if len < 8 => cluster.members.extend(members(&[*weight])),
        Event::Die(member) if *member < len => cluster.lose(*member),
        Event::Drain(member) if *member < len => {
            cluster.members[*member].standing = Standing::Leaving;
        }
        _ => return,
    }
    *stable_for = Duration::ZERO;
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_upheaval_calm_restores_balance(
        events in prop::collection::vec(event(), 0..60),
        batch_len_max in 1..10_usize,
    ) {
        let policy = Policy { batch_len_max, ..policy() };
        let mut cluster = Cluster::new(&[100, 200, 300], vec![Placement::default(); 64]);
        let mut stable_for = Duration::ZERO;
        for event in &events {
            let plan = cluster.plan_at(stable_for, &policy);
            cluster.apply(&plan);
            if (0..cluster.members.len()).any(|m| cluster.takes(m)) {
                let served = |s: &Placement| s.owner.is_some() || s.target.is_some();
                prop_assert!(cluster.shards.iter().all(served));
            }
            happen(&mut cluster, event, &mut stable_for);
        }

        if !(0..cluster.members.len()).any(|m| cluster.takes(m)) {
            cluster.members.extend(members(&[500]));
        }
        let converged = cluster.converge(&policy);
        prop_assert_eq!(converged.idle, Idle::Balanced);
        let shares = cluster.shares();
        for (i, (owned, share)) in cluster.owned().iter().zip(shares).enumerate() {
            prop_assert!(owned.abs_diff(share) <= 1);
            prop_assert!(cluster.takes(i) || *owned == 0);
        }
    }
}
