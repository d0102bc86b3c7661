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
}
