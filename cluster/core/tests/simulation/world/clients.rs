//! Clients call actors through any node; the node that passes the ownership check runs the turn.
//! A turn looks at its actor's number, or adds one to it and writes that down before it answers.

use std::collections::BTreeMap;

use greenroom_core::{Epoch, Life, ShardId};

use super::links::End;
use super::state::Fence;
use super::{Happening, MS, World};

/// How long a node waits for the store of states.
const STATES_PATIENCE: u64 = 700 * MS;

/// A call on its way.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    id: u64,
    pub(crate) shard: ShardId,
    /// It adds one; else it only looks.
    pub(crate) adds: bool,
    /// The epoch that its sender believes in; the client believes in none.
    epoch: Option<Epoch>,
}

/// What a client waits for.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The greatest number of the actor that had been acknowledged when the call was sent.
    pub(super) acknowledged: u64,
}

/// What clients have asked for and were told.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    last: u64,
    pub(super) waiting: BTreeMap<u64, Waiting>,
    /// The greatest number that any client was told of each actor.
    pub(super) acknowledged: BTreeMap<ShardId, u64>,
}

/// An actor in memory; a shard has one.
#[derive(Debug)]
pub(crate) struct Activation {
    fence: Fence,
    value: u64,
    /// Its only turn under way is this one's.
    turn: Option<Call>,
    /// Which request to the store of states is its last.
    asked: u64,
}

/// What the store of states said.
#[derive(Debug)]
pub(crate) enum Said {
    Loaded(u64),
    Written(u64),
    /// A newer activation has shown itself.
    Refused,
    /// Nothing, in time.
    Nothing,
}

/// Ties an answer of the store of states to its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(super) shard: ShardId,
    pub(super) fence: Fence,
    number: u64,
}

/// A request to the store of states.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AtStates {
    Load,
    Write(u64),
}

impl World {
    /// A client makes a call, and another one soon.
    pub(super) fn client_calls(&mut self) {
        let again = self.rng.u64(50 * MS..600 * MS);
        self.after(0, again, Happening::ClientCalls);
        let shard = ShardId(self.rng.u32(..self.shape.all_shards().count() as u32));
        let node = self.rng.usize(..self.nodes.len());
        let adds = self.rng.bool();
        self.counts.calls += 1;
        self.clients.last += 1;
        let id = self.clients.last;
        let acknowledged = self.clients.acknowledged.get(&shard).copied().unwrap_or(0);
        self.clients.waiting.insert(id, Waiting { acknowledged });
        self.send_call(None, node, &Call { id, shard, adds, epoch: None });
    }

    /// A message to whatever process is at that node when it arrives; it waits in the socket of one
    /// that is paused.
    fn send_call(&mut self, from: Option<usize>, to: usize, call: &Call) {
        if from.is_some_and(|from| self.links.are_cut(End::Node(from), End::Node(to), self.now_us))
        {
            self.counts.calls_cut += 1;
            return;
        }
        let copies = if self.in_thousand(self.options.network.repeated) { 2 } else { 1 };
        for _ in 0..copies {
            let late = self.in_thousand(self.options.network.late);
            let span = if late { self.rng.u64(MS..4000 * MS) } else { self.rng.u64(200..5 * MS) };
            self.counts.calls_late += u64::from(late);
            self.after(to, span, Happening::AtSocket(call.clone()));
        }
        self.counts.calls_repeated += copies - 1;
    }

    /// A call is taken from the socket.
    pub(super) fn call_arrived(&mut self, node: usize, call: Call) {
        let this = &self.nodes[node];
        let open = this.gates.get(&call.shard).copied();
        let open = open.filter(|_| this.has_right(self.now_us));
        match (open, call.epoch) {
            (Some(epoch), expected) if expected.is_none_or(|expected| expected == epoch) => {
                self.begin_turn(node, epoch, call);
            }
            // Of another time, or the right to run is over.
            (_, Some(_)) => self.counts.calls_refused += 1,
            (_, None) => {
                let Some((owner, epoch)) = this.routes.get(&call.shard).cloned() else { return };
                let to = self.nodes.iter().position(|other| other.id == owner.node);
                if let Some(to) = to.filter(|to| *to != node) {
                    self.counts.calls_forwarded += 1;
                    self.send_call(Some(node), to, &Call { epoch: Some(epoch), ..call });
                }
            }
        }
    }

    fn begin_turn(&mut self, node: usize, epoch: Epoch, call: Call) {
        let shard = call.shard;
        let this = &mut self.nodes[node];
        match this.activations.get_mut(&shard) {
            // One turn at a time; who comes meanwhile is turned away.
            Some(activation) if activation.turn.is_some() => {}
            Some(activation) => {
                activation.turn = Some(call);
                self.run_turn(node, shard);
            }
            None => {
                this.activated += 1;
                let fence = Fence { epoch, activation: this.activated };
                let activation = Activation { fence, value: 0, turn: Some(call), asked: 0 };
                this.activations.insert(shard, activation);
                self.ask_states(node, shard, fence, AtStates::Load);
            }
        }
    }

    fn run_turn(&mut self, node: usize, shard: ShardId) {
        let Some(activation) = self.nodes[node].activations.get(&shard) else { return };
        let (fence, value) = (activation.fence, activation.value);
        if activation.turn.as_ref().is_some_and(|call| call.adds) {
            self.ask_states(node, shard, fence, AtStates::Write(value + 1));
        } else {
            let span = self.rng.u64(100..20 * MS);
            self.after(node, span, Happening::TurnEnded { shard, fence });
        }
    }

    fn ask_states(&mut self, node: usize, shard: ShardId, fence: Fence, what: AtStates) {
        let late = self.in_thousand(self.options.network.late);
        let span = if late { self.rng.u64(300 * MS..5000 * MS) } else { self.rng.u64(200..5 * MS) };
        let life = self.nodes[node].heart.beating.clone();
        let Some(activation) = self.nodes[node].activations.get_mut(&shard) else { return };
        activation.asked += 1;
        let request = Request { shard, fence, number: activation.asked };
        self.after(node, span, Happening::AtStates { request, what, life });
        let said = Said::Nothing;
        self.after(node, STATES_PATIENCE, Happening::StatesSaid { request, said });
    }

    /// What crosses the network from a process that may have died meanwhile still arrives.
    pub(super) fn reached_states(
        &mut self,
        node: usize,
        start: u64,
        request: Request,
        what: AtStates,
        life: Option<Life>,
    ) {
        let Request { shard, fence, .. } = request;
        let taken = match what {
            AtStates::Load => self.states.load(shard, fence).map(Said::Loaded),
            AtStates::Write(value) => {
                self.states.write(shard, fence, value).then_some(Said::Written(value))
            }
        };
        match (&taken, life) {
            (Some(_), Some(life)) => self.check_late_writes(shard, fence.epoch, life),
            (Some(_), None) => self.violated("a state was touched by a process without a life"),
            (None, _) => self.counts.late_writes_refused += 1,
        }
        if self.nodes[node].start == start && !self.in_thousand(self.options.network.lost) {
            let back = self.rng.u64(200..5 * MS);
            let said = taken.unwrap_or(Said::Refused);
            self.after(node, back, Happening::StatesSaid { request, said });
        }
    }

    pub(super) fn states_said(&mut self, node: usize, request: Request, said: &Said) {
        let Request { shard, fence, number } = request;
        let Some(activation) = self.nodes[node].activations.get_mut(&shard) else { return };
        if (activation.fence, activation.asked) != (fence, number) {
            return;
        }
        // Whatever comes later is an answer to nothing.
        activation.asked += 1;
        match said {
            Said::Loaded(value) => {
                activation.value = *value;
                self.run_turn(node, shard);
            }
            Said::Written(value) => {
                activation.value = *value;
                self.end_turn(node, shard, fence);
            }
            // What stands is not known: the next call loads it.
            Said::Nothing | Said::Refused => {
                self.nodes[node].activations.remove(&shard);
            }
        }
    }

    /// The turn is over: its caller is answered, if this node may still speak for the actor.
    pub(super) fn end_turn(&mut self, node: usize, shard: ShardId, fence: Fence) {
        let now = self.now_us;
        let this = &mut self.nodes[node];
        let Some(activation) = this.activations.get_mut(&shard) else { return };
        if activation.fence != fence {
            return;
        }
        let Some(call) = activation.turn.take() else { return };
        let value = activation.value;
        if this.gates.get(&shard) != Some(&fence.epoch) || !this.has_right(now) {
            self.counts.acknowledgements_withheld += 1;
            return;
        }
        self.check_acknowledged(node, shard, fence.epoch);
        if !self.in_thousand(self.options.network.lost) {
            let span = self.rng.u64(200..5 * MS);
            self.after(node, span, Happening::ClientHears { call, value });
        }
    }

    pub(super) fn client_hears(&mut self, call: &Call, value: u64) {
        // To a call that arrived twice the second answer finds nobody.
        let Some(waiting) = self.clients.waiting.remove(&call.id) else { return };
        self.counts.calls_acknowledged += 1;
        self.check_answer(call, value, &waiting);
        let greatest = self.clients.acknowledged.entry(call.shard).or_default();
        *greatest = value.max(*greatest);
    }
}
