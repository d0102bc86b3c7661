//! Who is dead, and how one may know: by silence for the whole window, or by a crash.

use std::time::Duration;

use super::journal::Decided;
use super::lifecycle::Phase;
use super::notice::Evidence;
use super::{Agent, Effect, Notice, Purpose, Reading};
use crate::Life;
use crate::record::{Guard, Key, NodeState, Record, Transaction, Write};
use crate::time::{Moment, Now};
use crate::view::{Beat, life_of};

/// After how many half intervals without a beat the next one is overdue.
const OVERDUE_AFTER_HALF_INTERVALS: u32 = 3;
/// After how many half intervals without a beat of its own a node takes itself for blind, at least.
const BLIND_AFTER_HALF_INTERVALS: u32 = 5;

impl Agent {
    /// Whether a life is silent: for long enough to be found dead, or long enough to ask its port.
    pub(super) fn look_after(&mut self, life: &Life, now: Moment, effects: &mut Vec<Effect>) {
        let (Some((silent_for, mod_revision)), Some(beat)) =
            (self.silence.of(&self.view, life, now), self.view.heartbeat(&life.node))
        else {
            return;
        };
        if let Some(evidence) = self.evidence_of_death(life, beat, silent_for, now) {
            self.confirm_silence(life.clone(), mod_revision, evidence, effects);
        } else if self.config.crash_detection && silent_for >= self.overdue_after(beat) {
            let every = self.interval_of(beat);
            let address = self.address_to_ask(life);
            if let Some(address) = address
                && self.silence.ask_port(&life.node, now, every)
            {
                effects.push(Effect::Probe { life: life.clone(), address });
            }
        }
    }

    /// A linearizable read after the observation showed the heartbeat unchanged: who may, declares
    /// the life dead.
    pub(super) fn confirmed_silent(
        &mut self,
        now: Now,
        life: &Life,
        mod_revision: u64,
        evidence: Evidence,
        effects: &mut Vec<Effect>,
    ) {
        let unchanged = self.view.heartbeat(&life.node).is_some_and(|beat| {
            beat.mod_revision == mod_revision && life_of(&life.node, beat) == *life
        });
        if !unchanged {
            return;
        }
        effects
            .push(Effect::Tell(Notice::Burying { life: life.clone(), evidence: evidence.clone() }));
        if let Some((term, _)) = self.own_term() {
            let death = Decided::Death { life: life.clone(), evidence };
            self.journal.record(term, now.wall_ms, death);
        }
        let silence = Guard::ModRevision(Key::Heartbeat(life.node.clone()), mod_revision);
        let burial = self.burial(life);
        let (leader, leader_revision) = self.view.leader();
        let of_the_leader = leader.is_some_and(|leader| leader.holder.as_ref() == Some(life));
        match (self.phase.clone(), self.own_term()) {
            // A former life of this very node, which nobody else may be left to bury.
            (Phase::Joining { .. }, _) if life.node == self.config.node => {
                self.requests
                    .submit(Purpose::Bury, Transaction { guards: vec![silence], writes: burial });
            }
            (Phase::Active(me), Some((_, revision))) => {
                let guards =
                    vec![silence, Guard::ModRevision(Key::Leader, revision), Guard::alive(&me)];
                self.requests.submit(Purpose::Bury, Transaction { guards, writes: burial });
            }
            (Phase::Active(me), None) if of_the_leader => {
                self.take_the_lead(&me, leader_revision, vec![silence], burial);
            }
            _ => {}
        }
    }

    fn burial(&self, life: &Life) -> Vec<Write> {
        let mut writes = vec![Write::Delete(Key::Heartbeat(life.node.clone()))];
        if let Some(record) = self.view.node(&life.node) {
            let mut record = record.clone();
            record.state = NodeState::Dead;
            writes.push(Write::Put(Key::Node(life.node.clone()), Record::Node(record)));
        }
        writes
    }

    /// Starts the read that must precede a death.
    fn confirm_silence(
        &mut self,
        life: Life,
        mod_revision: u64,
        evidence: Evidence,
        effects: &mut Vec<Effect>,
    ) {
        let under_way = |reading: &Reading| match reading {
            Reading::Confirm { life: other, .. } => other.node == life.node,
            Reading::Resolve(_) | Reading::Order { .. } => false,
        };
        if self.reads.values().any(under_way) || self.requests.any(Purpose::Bury) {
            return;
        }
        let request = self.requests.next_id();
        let keys = vec![Key::Heartbeat(life.node.clone())];
        self.reads.insert(request, Reading::Confirm { life, mod_revision, evidence });
        effects.push(Effect::Read { request, keys });
    }

    /// Whether this node's own heartbeats have not come back from the store for a while, because
    /// it was paused or the store was away: what others did meanwhile is unknown. To be asked
    /// before news of them is taken in.
    pub(super) fn saw_nothing_lately(&self, now: Moment) -> bool {
        let own = self.life().and_then(|life| self.silence.of(&self.view, life, now));
        let timing = self.config.timing;
        let a_while = (timing.window / 2).max(timing.heartbeat * BLIND_AFTER_HALF_INTERVALS / 2);
        own.is_some_and(|(silent_for, _)| silent_for > a_while)
    }

    /// Why a life that has been silent for so long may be declared dead.
    fn evidence_of_death(
        &self,
        life: &Life,
        beat: &Beat,
        silent_for: Duration,
        now: Moment,
    ) -> Option<Evidence> {
        let window = self.window_of(beat);
        if silent_for >= window && !self.saw_nothing_lately(now) {
            return Some(Evidence::Silence(window));
        }
        let crashed = self.config.crash_detection && self.silence.is_port_refused(&life.node);
        crashed.then_some(Evidence::Crash)
    }

    /// Whether the next heartbeat of a life should have been seen by now.
    pub(super) fn is_overdue(&self, life: &Life, now: Moment) -> bool {
        let silent_for = self.silence.of(&self.view, life, now).map(|(span, _)| span);
        let overdue_after = self.view.heartbeat(&life.node).map(|beat| self.overdue_after(beat));
        silent_for.zip(overdue_after).is_some_and(|(span, overdue_after)| span >= overdue_after)
    }

    /// After how much silence the next heartbeat should have been seen.
    fn overdue_after(&self, beat: &Beat) -> Duration {
        self.interval_of(beat) * OVERDUE_AFTER_HALF_INTERVALS / 2
    }

    /// A port was asked. The answer counts only for a heartbeat that is overdue still.
    pub(super) fn probed(&mut self, life: &Life, refused: bool, now: Moment) {
        if refused && self.is_overdue(life, now) {
            self.silence.port_refused(&life.node);
        }
    }

    /// Where to ask whether the process of a life still listens, if that can tell anything: on
    /// another machine's loopback address anyone may listen, or nobody.
    pub(super) fn address_to_ask(&self, life: &Life) -> Option<String> {
        let record = self.view.node(&life.node)?;
        let theirs = &record.profile.peer_address;
        let known = record.incarnation == life.incarnation && !theirs.is_empty();
        let reachable = !is_loopback(theirs) || is_loopback(&self.config.profile.peer_address);
        (known && reachable).then(|| theirs.clone())
    }

    /// The window that a life counts on, or this node's own if that is longer.
    pub(super) fn window_of(&self, beat: &Beat) -> Duration {
        let theirs = beat.record.window_ms;
        self.config.timing.window.max(Duration::from_millis(theirs))
    }

    /// The interval at which a life beats, as far as it says.
    fn interval_of(&self, beat: &Beat) -> Duration {
        match beat.record.interval_ms {
            0 => self.config.timing.heartbeat,
            theirs => Duration::from_millis(theirs),
        }
    }
}

fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host == "localhost" || host == "[::1]" || host.starts_with("127.")
}

/// Whether the host of an address is an IP address, and no name.
pub(super) fn is_literal(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.starts_with('[') || host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart_by_their_hosts() {
        for (address, loopback, literal) in [
            ("127.0.0.1:7000", true, true),
            ("127.8.0.1:7000", true, true),
            ("[::1]:7000", true, true),
            ("localhost:7000", true, false),
            ("10.0.0.1:7000", false, true),
            ("[2001:db8::1]:7000", false, true),
            ("node-1.cluster.local:7000", false, false),
            ("1.example:7000", false, false),
        ] {
            assert_eq!(
                (is_loopback(address), is_literal(address)),
                (loopback, literal),
                "{address}"
            );
        }
    }
}
