//! Every order is answered in time, and what is said to be done was done.

use std::time::Duration;

use greenroom_core::record::{Key, Record};
use greenroom_core::{NodeId, Order, ShardId};

use crate::world::operators::Given;
use crate::world::{SECOND, World};

/// How long an order is pursued, and then how long the store may keep its agent from deciding.
const ANSWERED_WITHIN: Duration = Duration::from_secs(22);
/// That also counts from when an agent that hung or was paused goes on: what it finds first may be
/// a failure of the store.
const AWAKE_FOR: u64 = 2 * SECOND;

impl World {
    /// Looks for orders that a node should have answered by now.
    pub(in crate::world) fn check_orders(&self, node: usize) {
        let this = &self.nodes[node];
        let asleep_until = this.troubles.paused.max(this.troubles.hung);
        if self.now_us < asleep_until + AWAKE_FOR {
            return;
        }
        let now = this.clock(self.now_us);
        let mine =
            self.operators.waiting.iter().filter(|(_, given)| {
                (given.node, given.start) == (node, this.start) && this.listens()
            });
        for (id, given) in mine {
            if now.since(given.at) > ANSWERED_WITHIN {
                self.violated(&format!("{id:?} of {} is not answered: {:?}", this.id, given.order));
            }
        }
    }

    /// What was ordered must have stood in the store at some time.
    pub(in crate::world) fn check_done(&self, given: &Given) {
        let order = &given.order;
        let stood = |key: &Key, as_wanted: &dyn Fn(&Record) -> bool| {
            self.store.records_of(key).any(as_wanted)
        };
        let shard_stood = |shard: &ShardId, pinned: &dyn Fn(Option<&str>) -> bool| {
            stood(&Key::Shard(*shard), &|record| match record {
                Record::Shard(record) => pinned(record.pin.as_ref().map(NodeId::as_str)),
                _ => false,
            })
        };
        let done = match order {
            Order::Pin { shards, node } => shards.iter().all(|shard| {
                let wanted = node.as_ref().map(NodeId::as_str);
                shard_stood(shard, &|pin| pin.is_some() && (wanted.is_none() || pin == wanted))
            }),
            // A shard without a record has no pin, and some had none yet when the order was given.
            Order::Unpin { shards } => shards.iter().all(|shard| {
                let held = self.store.held.get(&Key::Shard(*shard));
                held.is_none_or(|held| held.create_revision > given.revision)
                    || shard_stood(shard, &|pin| pin.is_none())
            }),
            Order::Move { shards, to } => shards.iter().all(|shard| {
                stood(&Key::Shard(*shard), &|record| {
                    matches!(record, Record::Shard(record) if record.target.as_ref() == Some(to))
                })
            }),
            Order::Hold(held) => {
                let is_held = |record: &Record| {
                    matches!(record, Record::Rebalancing(record) if record.held == *held)
                };
                !held || stood(&Key::Rebalancing, &is_held)
            }
            Order::Rule { group, rule, .. } => stood(&Key::Groups, &|record| match record {
                Record::Groups(groups) => {
                    groups.as_slice().iter().any(|g| g.name == *group && g.rule == *rule)
                }
                _ => false,
            }),
        };
        if !done {
            self.violated(&format!("said to be done, but never was: {order:?}"));
        }
    }
}
