//! What happened in a run, so that a run counts only if its faults took effect.

macro_rules! counts {
    ($($(#[$what:meta])* $name:ident,)*) => {
        /// How often each thing happened.
        #[derive(Clone, Debug, Default)]
        pub(crate) struct Counts {
            $($(#[$what])* pub(crate) $name: u64,)*
        }

        impl std::ops::AddAssign<&Counts> for Counts {
            fn add_assign(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }
        }

        impl Counts {
            /// Each count with its name.
            pub(crate) fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

counts! {
    /// Faults of nodes and of the cluster, of whatever kind.
    faults,
    crashes,
    restarts_at_once,
    pauses,
    hangs,
    /// Heartbeats left out because the agent hung for too long.
    hearts_stopped,
    hearts_late,
    cuts,
    heart_cuts,
    leaves,
    drains,
    watches_lost,
    watches_stalled,
    late_requests,
    lost_replies,
    /// Claims that never reached the store.
    claims_swallowed,
    /// Shard records that nobody could read for a while.
    unreadable,
    /// Transactions refused for a record that nobody could read.
    refused_unreadable,
    fences,
    opened,
    elections,
    probes,
    probes_refused,
    deaths_by_silence,
    deaths_by_crash,
    stuck,
    /// Moves of each reason.
    orphans,
    drained,
    rebalanced,
    pinned_or_stuck,
    recalled,
    orders,
    orders_done,
    orders_refused,
    orders_timed_out,
    held,
    rules_changed,
    clock_rates_changed,
    store_outages,
    store_elections,
    compactions,
    /// Watchers that wanted what was compacted away.
    compactions_met,
    watches_repeated,
    splits,
    one_way_cuts,
    swizzles,
    cascades,
    rolling_restarts,
    /// Messages that did not pass for a link that was cut.
    links_cut,
    repeated_requests,
    repeated_replies,
    calls,
    calls_forwarded,
    calls_cut,
    calls_late,
    calls_repeated,
    /// Calls that another owner's node was asked, or one without the right to run.
    calls_refused,
    calls_acknowledged,
    /// Turns that were over when the node could not speak for the actor any more.
    acknowledgements_withheld,
    late_writes_refused,
    /// With clocks that the margin does not cover: what the clocks alone would have prevented.
    beyond_bound_activations,
    beyond_bound_burials,
    beyond_bound_answers,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, count) in self.named() {
            writeln!(f, "{count:>10} {name}")?;
        }
        Ok(())
    }
}
