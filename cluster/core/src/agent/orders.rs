//! What operators want: pins, moves, holds, rules. Each order is a wish for how the records should
//! be; it is pursued until they are, or it can't be, or it took too long.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::lifecycle::Phase;
use super::{Agent, Effect, GUARDS_PER_TRANSACTION_MAX, Purpose, Reading};
use crate::groups::{BadGroups, PlacementRule, Unfit};
use crate::record::{Guard, Key, RebalancingRecord, Record, Transaction, Write};
use crate::time::{Moment, Now};
use crate::{Life, NodeId, ShardId};

/// How long an order is pursued.
const PURSUED_FOR: Duration = Duration::from_secs(20);
/// Most keys that are read at a time.
const KEYS_PER_READ_MAX: usize = 100;
/// Most orders at a time.
const ORDERS_MAX: usize = 64;

/// Ties an answer to its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub u64);

/// What an operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Keep these shards at a node; without one, where each is now.
    Pin {
        /// Which.
        shards: Vec<ShardId>,
        /// Where.
        node: Option<NodeId>,
    },
    /// Let these shards move again.
    Unpin {
        /// Which.
        shards: Vec<ShardId>,
    },
    /// Give these shards a new target, once. Only the leader can.
    Move {
        /// Which.
        shards: Vec<ShardId>,
        /// Where.
        to: NodeId,
    },
    /// Stop rebalancing, and send back what is in motion for balance (`true`), or let it go on.
    Hold(bool),
    /// Change a group's placement rule.
    Rule {
        /// Which group.
        group: String,
        /// The new rule.
        rule: PlacementRule,
        /// Even if no live node satisfies it.
        force: bool,
    },
}

/// Why an order was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The node is not a member at present.
    NotMember,
    /// Another node leads, and only the leader can do it.
    NotLeader(Option<NodeId>),
    /// There is no such shard.
    NoShard(ShardId),
    /// The shard has no owner to be pinned to.
    NoOwner(ShardId),
    /// No live node has this name.
    NoNode(NodeId),
    /// A live node has this name already.
    NodeThere(NodeId),
    /// The node drains or has no weight, so it takes no shards.
    TakesNoShards(NodeId),
    /// The node may not own shards of the group.
    Unfit {
        /// The node.
        node: NodeId,
        /// The group.
        group: String,
        /// Why not.
        why: Unfit,
    },
    /// The shard is pinned.
    Pinned {
        /// Which.
        shard: ShardId,
        /// Where.
        to: NodeId,
    },
    /// No live node satisfies the rule.
    Unsatisfiable {
        /// The group.
        group: String,
    },
    /// The groups don't allow it.
    Groups(BadGroups),
    /// The store holds a record that the order is about, but not one that can be read: what it says
    /// is unknown, so it can't be told whether the order is done.
    Unreadable(Key),
    /// As many orders are under way as may be.
    TooMany,
    /// The store or the other nodes did not let it happen in time.
    TimedOut,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMember => f.write_str("the node is not a member of its cluster at present"),
            Self::NotLeader(Some(leader)) => {
                write!(f, "only the leader can do that, which is {leader}")
            }
            Self::NotLeader(None) => f.write_str("only the leader can do that, and nobody leads"),
            Self::NoShard(shard) => write!(f, "there is no shard {shard}"),
            Self::NoOwner(shard) => {
                write!(f, "shard {shard} has no owner at present: name the node to pin it to")
            }
            Self::NoNode(node) => write!(f, "no live node is named {node}"),
            Self::NodeThere(node) => write!(f, "a live node is named {node} already"),
            Self::TakesNoShards(node) => {
                write!(f, "{node} takes no shards: it drains, or hosts nothing")
            }
            Self::Unfit { node, group, why } => {
                write!(f, "{node} can't own shards of group {group}: {why}")
            }
            Self::Pinned { shard, to } => {
                write!(f, "shard {shard} is pinned to {to}: unpin it first")
            }
            Self::Unsatisfiable { group } => write!(
                f,
                "no live node that hosts kinds of group {group} has the required labels; force it if \
                 such nodes are to come"
            ),
            Self::Groups(error) => error.fmt(f),
            Self::Unreadable(key) => {
                f.write_str("the record of ")?;
                match key {
                    Key::Shard(shard) => write!(f, "shard {shard}")?,
                    Key::Groups => f.write_str("the groups")?,
                    Key::Rebalancing => f.write_str("rebalancing")?,
                    other => write!(f, "{other:?}")?,
                }
                f.write_str(
                    " in the store can't be read: put right what stands there, and order again",
                )
            }
            Self::TooMany => write!(f, "{ORDERS_MAX} orders are under way already"),
            Self::TimedOut => {
                write!(
                    f,
                    "not done within {PURSUED_FOR:?}; it may be done partly: look, and order again"
                )
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// What the records should say.
#[derive(Debug)]
enum Wish {
    Pins(BTreeMap<ShardId, Option<NodeId>>),
    Targets { shards: Vec<ShardId>, to: NodeId },
    Held(bool),
    Rule { group: String, rule: PlacementRule },
}

impl Wish {
    /// The records that tell whether it is fulfilled. Targets are the leader's own.
    fn keys(&self) -> Vec<Key> {
        match self {
            Self::Pins(pins) => pins.keys().map(|shard| Key::Shard(*shard)).collect(),
            Self::Targets { .. } => Vec::new(),
            Self::Held(_) => vec![Key::Rebalancing],
            Self::Rule { .. } => vec![Key::Groups],
        }
    }
}

/// An order that waits. A watch is behind the store, so the records that it is about are read once, linearizably,
/// before anything is said or done: else it could be called done because of what stood there before another order
/// that was done already.
#[derive(Debug)]
struct Pursued {
    wish: Wish,
    until: Moment,
    /// What is to be read yet.
    unread: Vec<Key>,
    /// Reads under way.
    reading: usize,
}

/// Orders that are not fulfilled yet.
#[derive(Debug, Default)]
pub(super) struct Orders {
    pursued: BTreeMap<OrderId, Pursued>,
}

impl Agent {
    pub(super) fn take_order(
        &mut self,
        now: Now,
        id: OrderId,
        order: Order,
        effects: &mut Vec<Effect>,
    ) {
        let accepted = if self.orders.pursued.len() >= ORDERS_MAX {
            Err(Refusal::TooMany)
        } else {
            self.accept(order)
        };
        match accepted {
            Ok(wish) => {
                let until = now.moment.after(PURSUED_FOR);
                let unread = wish.keys();
                self.orders.pursued.insert(id, Pursued { wish, until, unread, reading: 0 });
            }
            Err(refusal) => effects.push(Effect::Answer { id, result: Err(refusal) }),
        }
    }

    fn accept(&self, order: Order) -> Result<Wish, Refusal> {
        if !matches!(self.phase, Phase::Active(_) | Phase::Draining { .. }) {
            return Err(Refusal::NotMember);
        }
        match order {
            Order::Pin { shards, node } => {
                let mut pins = BTreeMap::new();
                for shard in shards {
                    self.check_shard(shard)?;
                    let to = match &node {
                        Some(node) => node.clone(),
                        None => {
                            let owner = self.view.live_owner(shard);
                            owner.ok_or(Refusal::NoOwner(shard))?.0.node.clone()
                        }
                    };
                    self.check_can_own(&to, shard)?;
                    pins.insert(shard, Some(to));
                }
                Ok(Wish::Pins(pins))
            }
            Order::Unpin { shards } => {
                shards.iter().try_for_each(|shard| self.check_shard(*shard))?;
                Ok(Wish::Pins(shards.into_iter().map(|shard| (shard, None)).collect()))
            }
            Order::Move { shards, to } => {
                if self.own_term().is_none() {
                    let leader = self.view.leader().0.and_then(|leader| leader.holder.clone());
                    return Err(Refusal::NotLeader(leader.map(|life| life.node)));
                }
                for shard in &shards {
                    self.check_shard(*shard)?;
                    self.check_can_own(&to, *shard)?;
                    self.check_pin(&to, *shard)?;
                }
                Ok(Wish::Targets { shards, to })
            }
            Order::Hold(held) => Ok(Wish::Held(held)),
            Order::Rule { group, rule, force } => {
                let mut groups = self.view.groups().clone();
                groups.set_rule(&group, rule.clone()).map_err(Refusal::Groups)?;
                let index = groups.index_of(&group).unwrap_or(0);
                let mut members = self.view.members();
                if !force && !members.any(|m| groups.admits(index, &m.record.profile).is_ok()) {
                    return Err(Refusal::Unsatisfiable { group });
                }
                Ok(Wish::Rule { group, rule })
            }
        }
    }

    fn check_shard(&self, shard: ShardId) -> Result<(), Refusal> {
        let there = (shard.0 as usize) < self.view.shards().len();
        if there { Ok(()) } else { Err(Refusal::NoShard(shard)) }
    }

    fn check_pin(&self, to: &NodeId, shard: ShardId) -> Result<(), Refusal> {
        let pin = self.view.shard(shard).record.pin.as_ref().filter(|pin| *pin != to);
        pin.map_or(Ok(()), |pin| Err(Refusal::Pinned { shard, to: pin.clone() }))
    }

    fn check_can_own(&self, node: &NodeId, shard: ShardId) -> Result<(), Refusal> {
        let member = self.view.member(node).ok_or_else(|| Refusal::NoNode(node.clone()))?;
        if !member.takes_shards() {
            return Err(Refusal::TakesNoShards(node.clone()));
        }
        let index = self.view.group_of(shard);
        self.view.groups().admits(index, &member.record.profile).map_err(|why| Refusal::Unfit {
            node: node.clone(),
            group: self.view.groups().as_slice()[index].name.clone(),
            why,
        })
    }

    /// Answers the orders whose time is over, also while a failing store keeps everything else waiting.
    /// Nothing is written for them any more: whoever gave one may have given another since, which an
    /// agent that hung would undo.
    pub(super) fn end_overdue_orders(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let over = |pursued: &Pursued| now >= pursued.until;
        for (id, _) in self.orders.pursued.extract_if(.., |_, pursued| over(pursued)) {
            effects.push(Effect::Answer { id, result: Err(Refusal::TimedOut) });
        }
    }

    /// Needs the overdue ones ended first.
    pub(super) fn pursue_orders(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.orders.pursued.is_empty() {
            return;
        }
        let life = self.life().cloned();
        let blind = !self.is_synced() || self.saw_nothing_lately(now.moment);
        for (id, mut pursued) in std::mem::take(&mut self.orders.pursued) {
            let result = match &life {
                None => Some(Err(Refusal::NotMember)),
                // What it knows may be old, so it can't say that the records are as wished.
                Some(_) if blind => None,
                Some(_) if !self.is_read(now, id, &mut pursued, effects) => None,
                Some(life) => self.pursue(now, life, &mut pursued.wish),
            };
            match result {
                Some(result) => effects.push(Effect::Answer { id, result }),
                None => {
                    self.orders.pursued.insert(id, pursued);
                }
            }
        }
    }

    /// Whether the records of an order have been read; asks for what has not.
    fn is_read(
        &mut self,
        now: Now,
        id: OrderId,
        pursued: &mut Pursued,
        effects: &mut Vec<Effect>,
    ) -> bool {
        while !pursued.unread.is_empty() && !self.requests.must_wait(now.moment) {
            let few = pursued.unread.len().min(KEYS_PER_READ_MAX);
            let keys: Vec<Key> = pursued.unread.drain(..few).collect();
            let request = self.requests.next_id();
            self.reads.insert(request, Reading::Order { id, keys: keys.clone() });
            effects.push(Effect::Read { request, keys });
            pursued.reading += 1;
        }
        pursued.unread.is_empty() && pursued.reading == 0
    }

    /// What an order is about was read; or was not, and must be read again.
    pub(super) fn order_was_read(&mut self, id: OrderId, failed: Vec<Key>) {
        if let Some(pursued) = self.orders.pursued.get_mut(&id) {
            pursued.reading -= 1;
            pursued.unread.extend(failed);
        }
    }

    /// The store has no readable record under a key that an order is about. Nothing was written for
    /// the order yet.
    pub(super) fn order_is_unreadable(&mut self, id: OrderId, key: Key, effects: &mut Vec<Effect>) {
        if self.orders.pursued.remove(&id).is_some() {
            effects.push(Effect::Answer { id, result: Err(Refusal::Unreadable(key)) });
        }
    }

    /// Does what is left to do for a wish; answers when it is fulfilled or can't be.
    fn pursue(&mut self, now: Now, life: &Life, wish: &mut Wish) -> Option<Result<(), Refusal>> {
        match wish {
            Wish::Pins(pins) => {
                pins.retain(|shard, pin| self.view.shard(*shard).record.pin != *pin);
                self.write_pins(life, pins);
                pins.is_empty().then_some(Ok(()))
            }
            Wish::Targets { shards, to } => {
                let Some((_, revision)) = self.own_term() else {
                    return Some(Err(Refusal::NotLeader(None)));
                };
                if self.view.member(to).is_none() {
                    return Some(Err(Refusal::NoNode(to.clone())));
                }
                shards.retain(|shard| self.view.shard(*shard).record.target.as_ref() != Some(to));
                // It may have been pinned since the order was accepted.
                let allowed = shards.iter().try_for_each(|shard| self.check_pin(to, *shard));
                if let Err(refusal) = allowed {
                    return Some(Err(refusal));
                }
                let wanted = shards.clone();
                self.write_targets(now, life, revision, &wanted, to);
                shards.is_empty().then_some(Ok(()))
            }
            Wish::Held(held) => {
                if self.view.rebalancing().held == *held {
                    return Some(Ok(()));
                }
                let record = RebalancingRecord { held: *held, ..RebalancingRecord::default() };
                self.write_rebalancing(life, record);
                None
            }
            Wish::Rule { group, rule } => {
                let mut groups = self.view.groups().clone();
                if let Err(error) = groups.set_rule(group, rule.clone()) {
                    return Some(Err(Refusal::Groups(error)));
                }
                if groups == *self.view.groups() {
                    return Some(Ok(()));
                }
                self.write_groups(groups, vec![Guard::alive(life)]);
                None
            }
        }
    }

    fn write_pins(&mut self, life: &Life, pins: &BTreeMap<ShardId, Option<NodeId>>) {
        let free: Vec<_> = pins.iter().filter(|(shard, _)| !self.must_let_be(**shard)).collect();
        let len_max = GUARDS_PER_TRANSACTION_MAX - 1;
        for batch in self.shards.suspects.batches(&free, |(shard, _)| **shard, len_max) {
            let mut transaction =
                Transaction { guards: vec![Guard::alive(life)], writes: Vec::new() };
            for (shard, pin) in batch {
                let slot = self.view.shard(**shard);
                transaction.guards.push(Guard::ModRevision(Key::Shard(**shard), slot.mod_revision));
                let mut record = slot.record.clone();
                record.pin.clone_from(pin);
                transaction.writes.push(Write::Put(Key::Shard(**shard), Record::Shard(record)));
            }
            self.requests.submit(Purpose::Pin, transaction);
        }
    }

    pub(super) fn write_rebalancing(&mut self, life: &Life, record: RebalancingRecord) {
        if self.requests.any(Purpose::Rebalancing) {
            return;
        }
        let revision = self.view.revision_of(&Key::Rebalancing);
        let guards = vec![Guard::alive(life), Guard::ModRevision(Key::Rebalancing, revision)];
        let writes = vec![Write::Put(Key::Rebalancing, Record::Rebalancing(record))];
        self.requests.submit(Purpose::Rebalancing, Transaction { guards, writes });
    }
}
