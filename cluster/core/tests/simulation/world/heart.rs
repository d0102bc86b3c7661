//! The heart: its thread and its connection are its own, so it may be late or cut off while the
//! agent is well, and beat on while the agent hangs.

use std::time::Duration;

use greenroom_core::record::{Guard, HeartbeatRecord, Key, Record, Transaction, Write};
use greenroom_core::{Event, Incarnation, Life, Moment, Timing};

use super::invariants::More;
use super::network::AtStore;
use super::{Happening, World};

/// For how many windows the agent may hang before the heart stops for it.
const WINDOWS_WITHOUT_AGENT: u32 = 5;

#[derive(Debug, Default)]
pub(crate) struct Heart {
    pub(crate) beating: Option<Life>,
    /// Until when turns may run, on the process's own clock.
    pub(crate) right_until: Moment,
    sequence: u64,
    /// Which attempt is under way; answers to an earlier one are dropped.
    round: u64,
    began: Moment,
}

impl World {
    /// A life begins; its heartbeats start at once.
    pub(super) fn start_heart(&mut self, node: usize, life: Life) {
        let heart = &mut self.nodes[node].heart;
        heart.beating = Some(life);
        heart.right_until = Moment::default();
        heart.round += 1;
        let round = heart.round;
        self.after(node, 0, Happening::Beat { round });
    }

    pub(super) fn stop_heart(&mut self, node: usize) {
        let heart = &mut self.nodes[node].heart;
        heart.beating = None;
        heart.right_until = Moment::default();
        heart.round += 1;
    }

    pub(super) fn beat(&mut self, node: usize, round: u64) {
        let (timing, sent) = (self.shape.timing, self.nodes[node].clock(self.now_us));
        let this = &mut self.nodes[node];
        let Some(life) = this.heart.beating.clone().filter(|_| this.heart.round == round) else {
            return;
        };
        let pulse = this.pulse;
        let heart = &mut this.heart;
        heart.round += 1;
        heart.began = sent;
        let round = heart.round;
        if sent.since(pulse) >= timing.window * WINDOWS_WITHOUT_AGENT {
            self.counts.hearts_stopped += 1;
            self.after(node, micros(timing.heartbeat), Happening::Beat { round });
            return;
        }
        heart.sequence += 1;
        let transaction = beat_of(&life, heart.sequence, timing);
        let incarnation = life.incarnation;
        self.ask(node, AtStore::Beat { sent, incarnation, round, transaction });
        let patience = (timing.window - timing.margin) / 3;
        self.after(node, micros(patience), Happening::BeatOverdue { round });
    }

    /// No answer in time: once more, soon.
    pub(super) fn beat_overdue(&mut self, node: usize, round: u64) {
        if self.nodes[node].heart.round == round {
            self.beat(node, round);
        }
    }

    pub(super) fn beat_answered(
        &mut self,
        node: usize,
        sent: Moment,
        incarnation: Incarnation,
        round: u64,
        applied: bool,
    ) {
        let (timing, now) = (self.shape.timing, self.nodes[node].clock(self.now_us));
        let heart = &mut self.nodes[node].heart;
        let current = heart.beating.as_ref().is_some_and(|life| life.incarnation == incarnation);
        if !current || heart.round != round {
            return;
        }
        heart.round += 1;
        let round = heart.round;
        let event = if applied {
            if heart.right_until <= now {
                self.more_may_run.push(More { node, shard: None });
            }
            heart.right_until = heart.right_until.max(timing.right_until(sent));
            Event::HeartbeatAcknowledged { incarnation }
        } else {
            heart.right_until = Moment::default();
            Event::HeartbeatRefused { incarnation }
        };
        let pause = timing.heartbeat.saturating_sub(now.since(heart.began));
        self.after(node, 0, Happening::Tell(event));
        self.after(node, micros(pause), Happening::Beat { round });
    }
}

fn micros(span: Duration) -> u64 {
    span.as_micros() as u64
}

fn beat_of(life: &Life, sequence: u64, timing: Timing) -> Transaction {
    let record = HeartbeatRecord {
        incarnation: Some(life.incarnation),
        sequence,
        nonce: 0,
        window_ms: timing.window_ms(),
        interval_ms: timing.interval_ms(),
    };
    let write = Write::Put(Key::Heartbeat(life.node.clone()), Record::Heartbeat(record));
    Transaction { guards: vec![Guard::alive(life)], writes: vec![write] }
}
