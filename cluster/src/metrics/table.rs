//! The table of all metrics: names, labels and meanings stand here and nowhere else.

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, SharedString, Unit};

/// Upper bounds of the buckets of every histogram but that of calls, in seconds: 1 ms to 60 s, for
/// what is far outside both a move without a running turn and one that used up its deadlines.
pub const BUCKETS_S: [f64; 15] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// Upper bounds of the buckets of [`CALL_DURATION`], in seconds: a call to an actor of the same node
/// takes less than a microsecond, and one without a time-out of its own has 10 s.
pub const CALL_BUCKETS_S: [f64; 18] = [
    0.000_001, 0.000_01, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1,
    0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
];

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricType {
    /// Only grows while its process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by size, in the buckets [`BUCKETS_S`] or [`CALL_BUCKETS_S`].
    Histogram,
}

impl MetricType {
    /// The written name, as Prometheus has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, `greenroom_…`; that of a counter ends in `_total`.
    pub name: &'static str,
    /// How it behaves.
    pub kind: MetricType,
    /// The labels besides `node`, each with the values that it may have.
    pub labels: &'static [(&'static str, &'static str)],
    /// What it counts or measures in.
    pub unit: Unit,
    /// What it means, in a sentence.
    pub help: &'static str,
}

const METADATA: Metadata<'static> = Metadata::new("greenroom", Level::INFO, Some(module_path!()));

impl Metric {
    /// Tells the installed recorder what the metric means.
    fn describe(&self) {
        let (name, help) = (self.name.into(), SharedString::const_str(self.help));
        metrics::with_recorder(|recorder| match self.kind {
            MetricType::Counter => recorder.describe_counter(name, Some(self.unit), help),
            MetricType::Gauge => recorder.describe_gauge(name, Some(self.unit), help),
            MetricType::Histogram => recorder.describe_histogram(name, Some(self.unit), help),
        });
    }

    /// The counter of a node; `values` are those of the metric's labels, in their order.
    pub fn counter(&self, node: &SharedString, values: &[SharedString]) -> Counter {
        let key = self.key(MetricType::Counter, node, values);
        metrics::with_recorder(|recorder| recorder.register_counter(&key, &METADATA))
    }

    /// The gauge of a node; `values` are those of the metric's labels, in their order.
    pub fn gauge(&self, node: &SharedString, values: &[SharedString]) -> Gauge {
        let key = self.key(MetricType::Gauge, node, values);
        metrics::with_recorder(|recorder| recorder.register_gauge(&key, &METADATA))
    }

    /// The histogram of a node; `values` are those of the metric's labels, in their order.
    pub fn histogram(&self, node: &SharedString, values: &[SharedString]) -> Histogram {
        let key = self.key(MetricType::Histogram, node, values);
        metrics::with_recorder(|recorder| recorder.register_histogram(&key, &METADATA))
    }

    fn key(&self, used_as: MetricType, node: &SharedString, values: &[SharedString]) -> Key {
        // The table and its users stand in this workspace: a mismatch is a defect of theirs.
        assert_eq!((self.kind, self.labels.len()), (used_as, values.len()), "{}", self.name);
        let node = Label::new("node", node.clone());
        let others = self.labels.iter().zip(values);
        let others = others.map(|((label, _), value)| Label::new(*label, value.clone()));
        Key::from_parts(self.name, std::iter::once(node).chain(others).collect::<Vec<_>>())
    }
}

/// Tells the installed recorder what all metrics mean.
pub fn describe() {
    for metric in ALL {
        metric.describe();
    }
}

macro_rules! table {
    ($($constant:ident: $kind:ident $name:literal
        [$($label:literal = $values:literal),*] $unit:ident $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric = Metric {
                name: $name,
                kind: MetricType::$kind,
                labels: &[$(($label, $values)),*],
                unit: Unit::$unit,
                help: $help,
            };
        )*

        /// All metrics, in the order in which people read of them.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

table! {
    CLAIM_DURATION: Histogram "greenroom_claim_duration_seconds" [] Seconds
        "From the decision to claim a shard to its open gate, at the claimer; one observation a shard.";
    RELEASE_DURATION: Histogram "greenroom_release_duration_seconds" [] Seconds
        "From the decision to drain a shard to its release in the store, at the former owner; one observation a shard.";
    MIGRATION_DURATION: Histogram "greenroom_migration_duration_seconds" [] Seconds
        "From a shard's leaving its place to its new owner, the first owner included, as the leader saw it; one observation a shard.";
    STORE_WRITES: Counter "greenroom_store_writes_total"
        ["purpose" = "found, join, register, claim, release, elect, resign, assign, bury, leave, groups, pin, rebalancing, restore",
         "outcome" = "applied, conflict, transient, ambiguous, permanent"] Count
        "Transactions answered, each once, heartbeats not included: applied; refused because someone else wrote first; surely not applied; reply lost; refused until a person acts.";
    PLANS: Counter "greenroom_rebalance_plans_total"
        ["reason" = "orphan, recall, drain, rebalance, other"] Count
        "Plans of this node as leader that give shards new targets for this reason; a plan with moves for two reasons counts for both.";
    PLANNED_MOVES: Counter "greenroom_rebalance_planned_moves_total"
        ["reason" = "orphan, recall, drain, rebalance, other"] Count
        "Shards that those plans give new targets.";
    SKIPS: Counter "greenroom_rebalance_skips_total"
        ["group" = "shard group", "reason" = "short name of the reason, as in the leader's decisions"] Count
        "How often the leader began to leave a group as it is for this reason; one that lasts counts once.";
    SHARDS: Gauge "greenroom_shards"
        ["group" = "shard group", "state" = "owned, releasing, claiming, orphaned"] Count
        "Shards of the cluster: in their place, waiting for their owner to let go, for their target to claim, or for a target. Leader only, else 0.";
    NODE_SHARDS_MAX: Gauge "greenroom_node_shards_max" [] Count
        "Most shards of one group that a node owns. Leader only, else 0.";
    NODE_SHARDS_MIN: Gauge "greenroom_node_shards_min" [] Count
        "Fewest shards of one group that a node owns which may own some. Leader only, else 0.";
    IMBALANCE: Gauge "greenroom_imbalance_ratio" ["by" = "count, load"] Count
        "The greatest share of a node, relative to its weight, divided by the mean of its group: 1 is even; of the worst group. By number of shards, and by what runs in them. Leader only, else 0.";
    PINNED: Gauge "greenroom_pinned_shards" [] Count
        "Shards that an operator pinned to a node. Leader only, else 0.";
    PINS_UNSERVED: Gauge "greenroom_pins_unserved" [] Count
        "Shards pinned to a node that can't have them now; they are served elsewhere. Leader only, else 0.";
    MIGRATION_AGE: Gauge "greenroom_migration_oldest_seconds"
        ["phase" = "releasing, claiming, orphaned"] Seconds
        "For how long, through all phases, the oldest of the shards in this phase has been on its way; 0 without any. Leader only, else 0.";
    STUCK: Gauge "greenroom_migrations_stuck" [] Count
        "Shards that have waited in one phase for longer than the migration time-out. Leader only, else 0.";
    STUCK_REPORTS: Counter "greenroom_migrations_stuck_total" [] Count
        "Reports of this node as leader that a shard is stuck: one a shard and migration time-out.";
    MEMBERS: Gauge "greenroom_members" ["state" = "active, draining, dead"] Count
        "Nodes by state; dead are those whose record is left without a life. Leader only, else 0.";
    IS_LEADER: Gauge "greenroom_is_leader" [] Count
        "1 on the node that leads, as far as it knows, else 0.";
    TERM: Gauge "greenroom_term" [] Count "The newest term of leadership that the node has seen.";
    LEADER_CHANGES: Counter "greenroom_leader_changes_total" [] Count
        "How often the node saw the term grow, after the first that it saw.";
    RIGHT_REMAINING: Gauge "greenroom_right_to_run_seconds" [] Seconds
        "How long the node may go on to run turns if no further heartbeat is acknowledged.";
    HEARTBEAT_ROUND_TRIP: Histogram "greenroom_heartbeat_round_trip_seconds" [] Seconds
        "From sending a heartbeat to its acknowledgement; acknowledged ones only.";
    HEARTBEATS_UNACKNOWLEDGED: Counter "greenroom_heartbeats_unacknowledged_total"
        ["reason" = "unanswered, refused, withheld"] Count
        "Heartbeats that the store did not answer with success in time, that it refused because the life is over, or that were not sent because the node's driver hangs.";
    OWN_SHARDS: Gauge "greenroom_own_shards" ["state" = "claimed, targeted"] Count
        "Shards that the node should serve (targeted), and those of them that it serves (claimed).";
    FENCES: Counter "greenroom_fences_total" [] Count
        "How often the node's life was ended by others and it joined again.";
    DEATHS: Counter "greenroom_deaths_declared_total" ["evidence" = "silence, crash"] Count
        "Lives that this node set out to declare dead, by what it rests on; the write may still be refused.";
    WATCH_LOSSES: Counter "greenroom_watch_losses_total" [] Count
        "How often the node could no longer follow the store and read all anew.";
    ACTIVATIONS: Gauge "greenroom_activations" ["kind" = "kind of actor that the node hosts"] Count
        "Actors in the node's memory.";
    PASSIVATIONS: Counter "greenroom_passivations_total"
        ["kind" = "kind of actor that the node hosts", "reason" = "idle, cap, memory"] Count
        "Actors deactivated because they were idle for their kind's time-out, to make room below a cap on actors, or because memory was short. Those whose shard moved are not among them.";
    ACTIVATIONS_REFUSED: Counter "greenroom_activations_refused_total"
        ["kind" = "kind of actor that the node hosts", "reason" = "node_cap, kind_cap, memory"] Count
        "Activations refused because the node or the kind had as many actors as it may have and none could go, or because memory was short.";
    RESIDENT_MEMORY: Gauge "greenroom_resident_memory_bytes" [] Bytes
        "Physical memory of the node's process, as Linux tells it; not told elsewhere.";
    GATE_ATTEMPTS: Counter "greenroom_gate_attempts_total" ["side" = "read, write"] Count
        "Attempts to get into a shard's gate for a call (read), or to hold it alone for a handoff (write), each counted when it has ended.";
    GATE_REFUSALS: Counter "greenroom_gate_refusals_total" ["side" = "read, write"] Count
        "Those of them that got nothing: the gate was closed, held, or open with another epoch, or the deadline passed. Calls to shards of other nodes are among them.";
    GATE_WAITS: Histogram "greenroom_gate_wait_seconds" ["side" = "read, write"] Seconds
        "How long those waited at a gate that had to, however it ended.";
    GATE_PERMITS: Gauge "greenroom_gate_permits" [] Count
        "Permits that are out: calls that run here or wait for their actor.";
    GATE_GUARDS: Gauge "greenroom_gate_guards" [] Count
        "Gates that are held alone.";
    GATE_WAITERS: Gauge "greenroom_gate_waiters" ["side" = "read, write"] Count
        "Who waits at a gate.";
    GATE_HOLDS_REVOKED: Counter "greenroom_gate_holds_revoked_total" [] Count
        "How often a gate was held for longer than allowed, and taken away from its holder.";
    GATE_PERMITS_REVOKED: Counter "greenroom_gate_permits_revoked_total" [] Count
        "Permits of turns that overran a handoff's drain deadline: their replies are refused.";
    CALLS_REFUSED: Counter "greenroom_calls_refused_total"
        ["limit" = "mailbox, kind, activations, memory, node, connection, gateway, gateway_rate, client_rate"] Count
        "Calls refused at once because there were too many: that wait for one actor, of a kind that wait or run on, to actors that found no place in memory, to new actors while memory was short, under way that were made on the node, under way of one peer's link, HTTP calls at a time, HTTP calls in a span of time of everybody and of one client.";
    RETRIES: Counter "greenroom_call_retries_total" ["reason" = "change, grace, time, overload"] Count
        "Calls that surely did not run and were sent once more: because the shard's route or gate changed or its owner is back, because a new owner may still be opening the gate, because time passed, because a limit may have room again. The last two are paid for from the budget.";
    RETRIES_WITHHELD: Counter "greenroom_call_retries_withheld_total" [] Count
        "How often a retry was due and not sent because the budget was empty; the call waits on.";
    PEER_BREAKER: Gauge "greenroom_peer_breaker" ["peer" = "node that calls are for"] Count
        "Whether links to the peer are tried: 1 while one attempt is made for all (half-open), 2 while none is made (open). Peers with which all is well are left out of `/metrics`, and 0 for other recorders.";
    BREAKER_OPENINGS: Counter "greenroom_peer_breaker_openings_total" [] Count
        "How often so many links to a peer failed in a row that the node began to leave it alone.";
    CALLS: Counter "greenroom_calls_total"
        ["side" = "in, out", "kind" = "kind of actor, or other", "method" = "its method, or other",
         "source" = "local, peer, gateway",
         "outcome" = "ok, actor_error, accepted, abandoned, or the code of a failure"] Count
        "Calls that ended: out of the node, counted where they are made, and in, where their actor is. Only with the interceptor `Metrics`.";
    CALL_DURATION: Histogram "greenroom_call_duration_seconds"
        ["side" = "in, out", "kind" = "kind of actor, or other", "method" = "its method, or other"] Seconds
        "How long those calls took: out, from when they were made to their answer; in, from their arrival to the end of their turn. Only with the interceptor `Metrics`.";
    SHARD_ACTIVATIONS: Gauge "greenroom_shard_activations" ["shard" = "number of one of the 10 fullest shards"] Count
        "Actors in memory in the 10 shards of the cluster that have the most, as reported to the leader. Leader only; other shards are left out of `/metrics`, and 0 for other recorders.";
}
