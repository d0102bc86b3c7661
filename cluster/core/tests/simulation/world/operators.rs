//! Operators, who give orders through any node, and insist on the last ones.

use std::collections::{BTreeMap, VecDeque};

use greenroom_core::{Event, Labels, Moment, Order, OrderId, PlacementRule, Refusal, ShardId};

use super::{Happening, MS, SECOND, World};

/// What operators have asked for.
#[derive(Debug, Default)]
pub(crate) struct Operators {
    last: u64,
    pub(super) waiting: BTreeMap<OrderId, Given>,
    /// What must be carried out before the run ends.
    insisted: VecDeque<Order>,
    /// The one of those that is under way.
    trying: Option<OrderId>,
    /// When no request of before is under way any more.
    insist_from: u64,
}

/// An order that is not answered yet.
#[derive(Clone, Debug)]
pub(in crate::world) struct Given {
    pub(super) node: usize,
    pub(super) start: u64,
    /// When the agent took it, on the node's own clock.
    pub(super) at: Moment,
    pub(super) order: Order,
    /// The store's when it was given.
    pub(super) revision: u64,
}

impl World {
    /// Gives an order through a node.
    pub(crate) fn order(&mut self, node: usize, order: Order) -> OrderId {
        self.counts.orders += 1;
        self.operators.last += 1;
        let id = OrderId(self.operators.last);
        let this = &self.nodes[node];
        let (start, at) = (this.start, this.clock(self.now_us));
        let given = Given { node, start, at, order: order.clone(), revision: self.store.revision };
        self.operators.waiting.insert(id, given);
        self.step(node, Event::Operate { id, order });
        id
    }

    /// Orders that must be carried out, one after the other, however often they are refused.
    pub(crate) fn insist(&mut self, orders: impl IntoIterator<Item = Order>) {
        self.operators.insisted.extend(orders);
        self.operators.insist_from = self.now_us + 5 * SECOND;
    }

    /// Whether all that was insisted on is done.
    pub(crate) fn is_content(&self) -> bool {
        self.operators.insisted.is_empty()
    }

    pub(super) fn operate(&mut self) {
        let again = self.rng.u64(100 * MS..if self.faults { 3 * SECOND } else { 300 * MS });
        self.after(0, again, Happening::Operate);
        let node = self.rng.usize(..self.nodes.len());
        let this = &self.nodes[node];
        let busy = self.now_us < this.troubles.paused.max(this.troubles.hung);
        if !this.listens() || busy {
            return;
        }
        if self.faults {
            let order = self.draw_order();
            self.order(node, order);
            return;
        }
        // What is under way still may be carried out after what comes later.
        let under_way = self.operators.waiting.values().any(|given| {
            let node = &self.nodes[given.node];
            node.start == given.start && node.listens()
        });
        let troubles = &this.troubles;
        let sees = self.now_us >= troubles.cut.max(troubles.watch_stalled);
        if !under_way
            && sees
            && self.now_us >= self.operators.insist_from
            && let Some(order) = self.operators.insisted.front().cloned()
        {
            // Known before the step, which may answer at once.
            self.operators.trying = Some(OrderId(self.operators.last + 1));
            self.order(node, order);
        }
    }

    fn draw_order(&mut self) -> Order {
        let shards = self.shape.all_shards().count() as u32;
        let few = self.rng.usize(1..6);
        let some: Vec<ShardId> = (0..few).map(|_| ShardId(self.rng.u32(..shards))).collect();
        let node = self.nodes[self.rng.usize(..self.nodes.len())].id.clone();
        match self.rng.u32(..10) {
            0..=2 => Order::Pin { shards: some, node: Some(node) },
            3 => Order::Pin { shards: some, node: None },
            4 => Order::Unpin { shards: (0..shards).map(ShardId).collect() },
            5 => Order::Unpin { shards: some },
            6 => Order::Move { shards: some, to: node },
            7 | 8 => Order::Hold(self.rng.bool()),
            _ => {
                let group = self.draw_group();
                let rule = self.draw_rule();
                Order::Rule { group, rule, force: self.rng.u32(..4) == 0 }
            }
        }
    }

    fn draw_group(&mut self) -> String {
        let names = self.shape.group_names();
        names[self.rng.usize(..names.len())].to_owned()
    }

    fn draw_rule(&mut self) -> PlacementRule {
        let disk = |kind: &str| Labels::from([("disk".to_owned(), kind.to_owned())]);
        match self.rng.u32(..5) {
            0 | 1 => PlacementRule::default(),
            2 => PlacementRule { require: disk("ssd"), ..PlacementRule::default() },
            3 => PlacementRule { prefer: disk("ssd"), ..PlacementRule::default() },
            _ => PlacementRule { require: disk("tape"), ..PlacementRule::default() },
        }
    }

    /// The orders with which a run ends: rules that can be satisfied, and rebalancing goes on.
    pub(crate) fn last_orders(&mut self, unpin: bool) -> Vec<Order> {
        let mut orders = vec![Order::Hold(false)];
        for group in self.shape.group_names() {
            let mut rule = self.draw_rule();
            rule.require.retain(|_, value| value != "tape");
            orders.push(Order::Rule { group: group.to_owned(), rule, force: false });
        }
        if unpin {
            orders.push(Order::Unpin { shards: self.shape.all_shards().collect() });
        }
        orders
    }

    pub(super) fn answered(&mut self, id: OrderId, result: &Result<(), Refusal>) {
        let Some(given) = self.operators.waiting.remove(&id) else {
            self.violated(&format!("{id:?} was answered twice"));
        };
        match result {
            Ok(()) => {
                self.counts.orders_done += 1;
                self.counts.held += u64::from(given.order == Order::Hold(true));
                self.counts.rules_changed += u64::from(matches!(given.order, Order::Rule { .. }));
                self.check_done(&given);
            }
            Err(Refusal::TimedOut) => self.counts.orders_timed_out += 1,
            Err(_) => self.counts.orders_refused += 1,
        }
        if self.operators.trying == Some(id) {
            self.operators.trying = None;
            if result.is_ok() {
                self.operators.insisted.pop_front();
            }
        }
    }
}
