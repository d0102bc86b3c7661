//! Joining, registering, leaving, and the end of a life from outside.

use super::death::is_literal;
use super::{Agent, Effect, Notice, Purpose};
use crate::record::{
    Guard, HeartbeatRecord, Key, LeaderRecord, NodeRecord, NodeState, Record, Transaction, Write,
};
use crate::time::{Moment, Now};
use crate::view::life_of;
use crate::{Life, NodeId};

/// Where the node is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Creating the heartbeat key; `told` when that somebody else holds the name.
    Joining { told: Option<Moment> },
    /// Alive. Once `beating`, the node record is written: a node whose heartbeats don't get through
    /// would take shards that it has no right to run.
    Registering { life: Life, beating: bool },
    /// A member that takes shards.
    Active(Life),
    /// A member that gives its shards away, and then leaves or waits to be told to.
    Draining { life: Life, then_leave: bool },
    /// Nothing runs here any more; the heartbeat key is being deleted.
    Leaving(Life),
    /// Gone.
    Left,
}

impl Phase {
    pub(super) fn life(&self) -> Option<&Life> {
        match self {
            Self::Joining { .. } | Self::Left => None,
            Self::Registering { life, .. }
            | Self::Active(life)
            | Self::Draining { life, .. }
            | Self::Leaving(life) => Some(life),
        }
    }
}

impl Agent {
    pub(super) fn decide_lifecycle(&mut self, now: Now, effects: &mut Vec<Effect>) {
        match self.phase.clone() {
            Phase::Joining { told } => self.join(now, told, effects),
            Phase::Registering { life, beating } => {
                if self.registered_as(&life, NodeState::Active) {
                    effects.push(Effect::Tell(Notice::Joined(life.clone())));
                    self.phase = if self.stays_drained {
                        Phase::Draining { life, then_leave: false }
                    } else {
                        Phase::Active(life)
                    };
                } else if beating {
                    self.register(&life, NodeState::Active);
                }
            }
            // Again, if somebody removed the record.
            Phase::Active(life) => {
                if !self.registered_as(&life, NodeState::Active) {
                    self.register(&life, NodeState::Active);
                }
            }
            Phase::Left => {}
            Phase::Draining { life, then_leave } => {
                // Again, if the first try was lost, or the election came after the order to drain:
                // a node that drains must not keep others from leading.
                self.resign();
                if !self.registered_as(&life, NodeState::Draining) {
                    self.register(&life, NodeState::Draining);
                } else if then_leave && self.has_nothing(&life) {
                    self.phase = Phase::Leaving(life.clone());
                    self.leave(&life);
                }
            }
            Phase::Leaving(life) => self.leave(&life),
        }
    }

    fn join(&mut self, now: Now, told: Option<Moment>, effects: &mut Vec<Effect>) {
        let me = self.config.node.clone();
        let Some(beat) = self.view.heartbeat(&me) else {
            if self.kinds_are_listed(effects) {
                self.create_heartbeat(me);
            }
            return;
        };
        let life = life_of(&me, beat);
        if beat.record.nonce == self.nonce {
            effects.push(Effect::Beat(life.clone()));
            self.phase = Phase::Registering { life, beating: false };
            return;
        }
        let window = self.window_of(beat);
        if told.is_none_or(|told| now.moment.since(told) > window * 2) {
            effects.push(Effect::Tell(Notice::NameInUse { by: life.clone(), window }));
            self.phase = Phase::Joining { told: Some(now.moment) };
        }
        // One process at a time can listen at an address, and now that is this one.
        // (A name may stand for another machine by now.)
        let port_is_ours = self.address_to_ask(&life).is_some_and(|address| {
            address == self.config.profile.peer_address
                && is_literal(&address)
                && self.is_overdue(&life, now.moment)
        });
        if port_is_ours {
            self.silence.port_refused(&me);
        }
        self.look_after(&life, now.moment, effects);
    }

    fn create_heartbeat(&mut self, me: NodeId) {
        if self.requests.any(Purpose::Join) {
            return;
        }
        let record = HeartbeatRecord {
            incarnation: None,
            sequence: 0,
            nonce: self.nonce,
            window_ms: self.config.timing.window_ms(),
            interval_ms: self.config.timing.interval_ms(),
        };
        let key = Key::Heartbeat(me);
        self.requests.submit(
            Purpose::Join,
            Transaction {
                guards: vec![Guard::CreateRevision(key.clone(), 0)],
                writes: vec![Write::Put(key, Record::Heartbeat(record))],
            },
        );
    }

    pub(super) fn registered_as(&self, life: &Life, state: NodeState) -> bool {
        self.view
            .node(&life.node)
            .is_some_and(|record| record.incarnation == life.incarnation && record.state == state)
    }

    fn register(&mut self, life: &Life, state: NodeState) {
        if self.requests.any(Purpose::Register) {
            return;
        }
        let write = self.node_record(life, state);
        self.requests.submit(
            Purpose::Register,
            Transaction { guards: vec![Guard::alive(life)], writes: vec![write] },
        );
    }

    fn node_record(&self, life: &Life, state: NodeState) -> Write {
        let record = NodeRecord {
            incarnation: life.incarnation,
            state,
            profile: self.config.profile.clone(),
        };
        Write::Put(Key::Node(life.node.clone()), Record::Node(record))
    }

    /// Whether nothing runs here and no record names this life as an owner.
    pub(super) fn has_nothing(&self, life: &Life) -> bool {
        let owner_is = |slot: &crate::view::Slot| slot.record.owner.as_ref() == Some(life);
        self.shards.is_clear()
            && !self.view.shards().iter().any(owner_is)
            && !self.requests.any(Purpose::Claim)
    }

    fn leave(&mut self, life: &Life) {
        if self.requests.any(Purpose::Leave) {
            return;
        }
        let buried = self.node_record(life, NodeState::Dead);
        self.requests.submit(
            Purpose::Leave,
            Transaction {
                guards: vec![Guard::alive(life)],
                writes: vec![Write::Delete(Key::Heartbeat(life.node.clone())), buried],
            },
        );
    }

    pub(super) fn start_draining(&mut self, then_leave: bool, effects: &mut Vec<Effect>) {
        self.stays_drained = true;
        match self.phase.clone() {
            Phase::Registering { life, .. } | Phase::Active(life) => {
                self.phase = Phase::Draining { life, then_leave };
                self.shards.touch_all();
            }
            Phase::Draining { life, then_leave: before } => {
                self.phase = Phase::Draining { life, then_leave: then_leave || before };
            }
            Phase::Joining { .. } if then_leave => self.stop(effects),
            Phase::Joining { .. } | Phase::Leaving(_) | Phase::Left => {}
        }
    }

    /// Takes shards again, unless the node is to leave.
    pub(super) fn end_drain(&mut self) {
        self.stays_drained = false;
        if let Phase::Draining { life, then_leave: false } = self.phase.clone() {
            self.phase = Phase::Active(life);
            self.shards.touch_all();
        }
    }

    pub(super) fn leave_now(&mut self, effects: &mut Vec<Effect>) {
        match self.phase.clone() {
            Phase::Registering { life, .. }
            | Phase::Active(life)
            | Phase::Draining { life, .. } => {
                self.resign();
                self.shards.forget();
                self.phase = Phase::Leaving(life);
            }
            Phase::Joining { .. } => self.stop(effects),
            Phase::Leaving(_) | Phase::Left => {}
        }
    }

    /// Gives the leadership up, so that another takes it at once instead of after a silence.
    fn resign(&mut self) {
        let (Some(life), Some((term, revision))) = (self.life().cloned(), self.own_term()) else {
            return;
        };
        if self.requests.any(Purpose::Resign) {
            return;
        }
        let record = LeaderRecord { holder: None, term };
        self.requests.submit(
            Purpose::Resign,
            Transaction {
                guards: vec![Guard::ModRevision(Key::Leader, revision), Guard::alive(&life)],
                writes: vec![Write::Put(Key::Leader, Record::Leader(record))],
            },
        );
    }

    /// The life is over: whatever it still wants is void. A new one begins, unless this one was
    /// leaving anyway.
    pub(super) fn fence(&mut self, effects: &mut Vec<Effect>) {
        let Some(life) = self.life().cloned() else {
            return;
        };
        effects.push(Effect::StopBeating);
        effects.push(Effect::Fence(life.clone()));
        let leaving =
            matches!(self.phase, Phase::Leaving(_) | Phase::Draining { then_leave: true, .. });
        if leaving {
            self.stop(effects);
            return;
        }
        effects.push(Effect::Tell(Notice::Fenced(life)));
        self.requests.clear();
        self.unresolved.clear();
        self.reads.clear();
        self.shards.forget();
        // Later heartbeats carry 0, which is nobody's.
        self.nonce = self.nonce.wrapping_add(1).max(1);
        self.phase = Phase::Joining { told: None };
    }

    pub(super) fn stop(&mut self, effects: &mut Vec<Effect>) {
        self.phase = Phase::Left;
        effects.push(Effect::Stopped);
    }
}
