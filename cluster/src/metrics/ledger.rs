//! What happens to ownership, counted as the driver carries it out.

use std::collections::BTreeSet;
use std::time::Duration;

use greenroom_core::{
    Agent, Evidence, Moment, NodeId, Notice, Outcome, Purpose, ShardId, Stage, Term,
};
use greenroom_shardlock::{Counts, Gates};
use metrics::SharedString;

use super::survey;
use super::table::*;

/// How often the gauges are worked out, at most.
const SURVEY_EVERY: Duration = Duration::from_secs(1);

/// Counts what happens to ownership at one node.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(super) node: SharedString,
    /// After how long in one phase a shard counts as stuck.
    pub(super) migration_timeout: Duration,
    /// When the gauges were last worked out.
    surveyed: Option<Moment>,
    term: Option<Term>,
    /// The series of single shards that stand above 0.
    pub(super) top: BTreeSet<ShardId>,
    /// Groups of which there are series.
    pub(super) groups: BTreeSet<String>,
    /// What was last seen at the gates.
    gates: Counts,
}

impl Ledger {
    /// A node's, with the counters that should be seen to grow from nothing at 0.
    pub(crate) fn new(node: &NodeId, migration_timeout: Duration) -> Self {
        let ledger = Self {
            node: node.as_str().to_owned().into(),
            migration_timeout,
            surveyed: None,
            term: None,
            top: BTreeSet::new(),
            groups: BTreeSet::new(),
            gates: Counts::default(),
        };
        for metric in [&STUCK_REPORTS, &LEADER_CHANGES, &FENCES, &WATCH_LOSSES] {
            ledger.count(metric, &[], 0);
        }
        for evidence in ["silence", "crash"] {
            ledger.count(&DEATHS, &[evidence.into()], 0);
        }
        ledger
    }

    /// Counts what becomes of a transaction, wherever its answer arrives.
    pub(crate) fn write(&self, purpose: Purpose) -> impl FnOnce(&Outcome) + Send + 'static {
        let node = self.node.clone();
        move |outcome| {
            let outcome = match outcome {
                Outcome::Applied { .. } => "applied",
                Outcome::Refused { .. } => "conflict",
                Outcome::Transient => "transient",
                Outcome::Ambiguous => "ambiguous",
                Outcome::Permanent => "permanent",
            };
            let labels = [purpose.as_str().into(), outcome.into()];
            STORE_WRITES.counter(&node, &labels).increment(1);
        }
    }

    /// Something took these spans, one a shard.
    pub(crate) fn took(&self, stage: Stage, spans: &[Duration]) {
        let metric = match stage {
            Stage::Claim => CLAIM_DURATION,
            Stage::Release => RELEASE_DURATION,
            Stage::Migration => MIGRATION_DURATION,
        };
        let histogram = metric.histogram(&self.node, &[]);
        for span in spans {
            histogram.record(*span);
        }
    }

    pub(crate) fn watch_lost(&self) {
        self.count(&WATCH_LOSSES, &[], 1);
    }

    pub(crate) fn notice(&self, notice: &Notice) {
        match notice {
            Notice::Planned { orphans, recalls, drains, rebalanced, other } => {
                let parts = [
                    ("orphan", *orphans),
                    ("recall", *recalls),
                    ("drain", *drains),
                    ("rebalance", *rebalanced),
                    ("other", *other),
                ];
                for (reason, shards) in parts.into_iter().filter(|(_, shards)| *shards > 0) {
                    self.count(&PLANS, &[reason.into()], 1);
                    self.count(&PLANNED_MOVES, &[reason.into()], shards as u64);
                }
            }
            Notice::Idle { group, name, .. } => {
                self.count(&SKIPS, &[group.clone().into(), (*name).into()], 1);
            }
            Notice::Burying { evidence, .. } => {
                let evidence = match evidence {
                    Evidence::Silence(_) => "silence",
                    Evidence::Crash => "crash",
                };
                self.count(&DEATHS, &[evidence.into()], 1);
            }
            Notice::Fenced(_) => self.count(&FENCES, &[], 1),
            Notice::Stuck { stuck, .. } => {
                self.count(&STUCK_REPORTS, &[], stuck.shards.len() as u64);
            }
            _ => {}
        }
    }

    /// Sets the gauges, at most once in [`SURVEY_EVERY`]; `right` is what is left of the right to run.
    pub(crate) fn survey(&mut self, agent: &Agent, now: Moment, right: Duration, gates: &Gates) {
        if self.surveyed.is_some_and(|surveyed| now.since(surveyed) < SURVEY_EVERY) {
            return;
        }
        self.surveyed = Some(now);
        let term = agent.view().leader().0.map(|leader| leader.term);
        self.see_term(term);
        survey::set(self, agent, now, right);
        self.see_gates(gates.counts());
    }

    /// Tells what has happened at the gates since the last time, and how they stand.
    pub(super) fn see_gates(&mut self, now: Counts) {
        let before = self.gates;
        // A look while others enter may see less than the one before. What was told once counts.
        self.gates = now;
        self.gates.reads = now.reads.max(before.reads);
        self.gates.reads_refused = now.reads_refused.max(before.reads_refused);
        let grown = |of: fn(&Counts) -> u64| of(&now).saturating_sub(of(&before));
        for (side, attempts, refusals) in [
            ("read", grown(|counts| counts.reads), grown(|counts| counts.reads_refused)),
            ("write", grown(|counts| counts.writes), grown(|counts| counts.writes_refused)),
        ] {
            self.count(&GATE_ATTEMPTS, &[side.into()], attempts);
            self.count(&GATE_REFUSALS, &[side.into()], refusals);
        }
        self.count(&GATE_HOLDS_REVOKED, &[], grown(|counts| counts.holds_revoked));
        self.count(&GATE_PERMITS_REVOKED, &[], grown(|counts| counts.permits_revoked));
        self.set(&GATE_PERMITS, &[], now.permits as f64);
        self.set(&GATE_GUARDS, &[], now.guards as f64);
        self.set(&GATE_WAITERS, &["read".into()], now.readers_waiting as f64);
        self.set(&GATE_WAITERS, &["write".into()], now.writers_waiting as f64);
    }

    /// The node is gone: nothing may look as if it went on.
    pub(crate) fn close(&mut self) {
        survey::clear(self);
        for gauge in [&GATE_PERMITS, &GATE_GUARDS] {
            self.set(gauge, &[], 0.0);
        }
        for side in ["read", "write"] {
            self.set(&GATE_WAITERS, &[side.into()], 0.0);
        }
    }

    pub(super) fn see_term(&mut self, term: Option<Term>) {
        if let (Some(before), Some(now)) = (self.term, term) {
            self.count(&LEADER_CHANGES, &[], now.0.saturating_sub(before.0));
        }
        self.term = self.term.max(term);
        let term = self.term.map_or(0, |term| term.0);
        self.set(&TERM, &[], term as f64);
    }

    pub(super) fn set(&self, metric: &Metric, labels: &[SharedString], value: f64) {
        metric.gauge(&self.node, labels).set(value);
    }

    fn count(&self, metric: &Metric, labels: &[SharedString], by: u64) {
        metric.counter(&self.node, labels).increment(by);
    }
}
