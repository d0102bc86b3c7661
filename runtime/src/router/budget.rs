//! How many retries a node may send, so that a sick cluster is not hammered: first attempts pay in, and
//! retries are paid out of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use greenroom_cluster::metrics::{RETRIES, RETRIES_WITHHELD};
use greenroom_core::NodeId;
use metrics::Counter;
use parking_lot::Mutex;
use tokio::time::Instant;

/// What one retry costs. First attempts pay in so many hundredths of it.
const RETRY: u64 = 1000;
const PERCENT: u64 = RETRY / 100;
/// A budget holds no more than so many first attempts pay in: that of the node, and that of a peer.
const NODE_CALLS: u32 = 2500;
const PEER_CALLS: u32 = 500;

/// How much a budget gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Income {
    /// Retries for 100 first attempts.
    pub(crate) percent: u32,
    /// Retries that are allowed in a second, however few first attempts there are.
    pub(crate) per_s_min: u32,
}

/// A bucket of retries. Begins full.
///
/// In any span of time it gives out at most what it holds when full, `percent` of the first attempts, and
/// `per_s_min` a second (and as many again, which may have come together before).
#[derive(Debug)]
pub(crate) struct Budget {
    income: Income,
    full: u64,
    saved: AtomicU64,
    /// Asked only when nothing is saved.
    reserve: Mutex<Reserve>,
}

#[derive(Debug)]
struct Reserve {
    held: u64,
    /// Until when it has grown.
    at: Option<Instant>,
}

impl Budget {
    pub(crate) fn of_node(income: Income) -> Self {
        Self::new(income, NODE_CALLS)
    }

    pub(crate) fn of_peer(income: Income) -> Self {
        Self::new(income, PEER_CALLS)
    }

    fn new(income: Income, calls: u32) -> Self {
        let full = u64::from(calls) * u64::from(income.percent) * PERCENT;
        let reserve = Reserve { held: Self::reserve_max(income), at: None };
        Self { income, full, saved: AtomicU64::new(full), reserve: Mutex::new(reserve) }
    }

    /// One second's worth.
    fn reserve_max(income: Income) -> u64 {
        u64::from(income.per_s_min) * RETRY
    }

    /// A first attempt is made. Writes nothing while the budget is full, as it is in a healthy cluster.
    pub(crate) fn deposit(&self) {
        let saved = self.saved.load(Ordering::Relaxed);
        if saved < self.full {
            let share = u64::from(self.income.percent) * PERCENT;
            self.put(share);
        }
    }

    /// Takes what a retry costs; `false` if there is not so much.
    pub(crate) fn withdraw(&self, now: Instant) -> bool {
        let left = |saved: u64| saved.checked_sub(RETRY);
        self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok()
            || self.withdraw_reserve(now)
    }

    /// A retry that was paid for was not made.
    pub(crate) fn refund(&self) {
        self.put(RETRY);
    }

    fn put(&self, share: u64) {
        let more = |saved: u64| Some(saved.saturating_add(share).min(self.full.max(saved)));
        let _ = self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    fn withdraw_reserve(&self, now: Instant) -> bool {
        let max = Self::reserve_max(self.income);
        let mut reserve = self.reserve.lock();
        // What grew in the meantime, to the microsecond; longer than a second it does not grow.
        let since = now.saturating_duration_since(reserve.at.unwrap_or(now));
        let micros = u64::try_from(since.min(Duration::from_secs(1)).as_micros()).unwrap_or(0);
        let grown = u64::from(self.income.per_s_min) * micros * RETRY / 1_000_000;
        if grown > 0 || reserve.at.is_none() {
            reserve.held = max.min(reserve.held + grown);
            reserve.at = Some(now);
        }
        match reserve.held.checked_sub(RETRY) {
            Some(left) => {
                reserve.held = left;
                true
            }
            None => false,
        }
    }
}

/// Why a retry is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The shard's route or gate has changed, or its owner can be reached again.
    Change,
    /// The shard's new owner may still be opening its gate.
    Grace,
    /// Time has passed: it is paid for.
    Time,
    /// What refused the call as overloaded may have room by now: it is paid for.
    Overload,
}

impl Reason {
    const ALL: [Self; 4] = [Self::Change, Self::Grace, Self::Time, Self::Overload];

    fn as_str(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Grace => "grace",
            Self::Time => "time",
            Self::Overload => "overload",
        }
    }
}

/// How a call is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fare {
    /// For the first time: it pays in.
    First,
    /// Again, for nothing.
    Free(Reason),
    /// Again, if the budgets of the node and of the peer allow it.
    Paid(Reason),
    /// Again, paid for and counted already.
    Settled,
}

/// The retries of a node.
pub(crate) struct Retries {
    pub(crate) income: Income,
    /// For all that the node sends.
    pub(crate) budget: Budget,
    made: [Counter; Reason::ALL.len()],
    withheld: Counter,
}

impl Retries {
    pub(crate) fn of(node: &NodeId, income: Income) -> Self {
        let node = node.as_str().to_owned().into();
        Self {
            income,
            budget: Budget::of_node(income),
            made: Reason::ALL.map(|reason| RETRIES.counter(&node, &[reason.as_str().into()])),
            withheld: RETRIES_WITHHELD.counter(&node, &[]),
        }
    }

    /// Counts a retry that is made.
    pub(crate) fn made(&self, reason: Reason) {
        self.made[reason as usize].increment(1);
    }

    /// Counts a retry that was due and not made, because the budget was empty.
    pub(crate) fn withheld(&self) {
        self.withheld.increment(1);
    }
}

impl std::fmt::Debug for Retries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Retries").field("budget", &self.budget).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USUAL: Income = Income { percent: 20, per_s_min: 10 };

    /// Retries that the budget gives out now.
    fn drain(budget: &Budget, now: Instant) -> usize {
        (0..).take_while(|_| budget.withdraw(now)).count()
    }

    #[test]
    fn the_names_of_the_reasons_are_those_in_the_table() {
        let names: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(RETRIES.labels, [("reason", names.join(", ").as_str())]);
        assert!(Reason::ALL.iter().enumerate().all(|(index, reason)| *reason as usize == index));
    }

    #[test]
    fn five_first_attempts_pay_for_one_retry() {
        let (budget, now) = (Budget::new(Income { per_s_min: 0, ..USUAL }, 100), Instant::now());
        assert_eq!(drain(&budget, now), 20, "it begins full");
        for _ in 0..4 {
            budget.deposit();
        }
        assert!(!budget.withdraw(now));
        budget.deposit();
        assert!(budget.withdraw(now));
        assert!(!budget.withdraw(now));
        for _ in 0..10_000 {
            budget.deposit();
        }
        assert_eq!(drain(&budget, now), 20, "it holds no more than when it is full");
    }

    #[test]
    fn a_refund_gives_back_one_retry_and_never_more_than_all() {
        let (budget, now) = (Budget::new(Income { per_s_min: 0, ..USUAL }, 10), Instant::now());
        budget.refund();
        assert_eq!(drain(&budget, now), 2);
        budget.refund();
        assert_eq!(drain(&budget, now), 1);
    }

    #[test]
    fn without_first_attempts_a_few_retries_a_second_are_left() {
        let (budget, start) = (Budget::new(USUAL, 0), Instant::now());
        assert_eq!(drain(&budget, start), 10);
        let mut later = 0;
        for millis in 1..=3000 {
            later += drain(&budget, start + Duration::from_millis(millis));
        }
        assert_eq!(later, 30);
        assert_eq!(drain(&budget, start + Duration::from_secs(3600)), 10, "a second's worth");
    }

    #[test]
    fn nothing_comes_in_where_nothing_is_allowed() {
        let budget = Budget::of_node(Income { percent: 0, per_s_min: 0 });
        for _ in 0..1000 {
            budget.deposit();
        }
        budget.refund();
        assert_eq!(drain(&budget, Instant::now() + Duration::from_secs(60)), 0);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Deposit,
        Withdraw,
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => Just(Step::Deposit),
            3 => Just(Step::Withdraw),
            1 => (0..200_u64).prop_map(Step::Wait),
        ];
        proptest::collection::vec(step, 0..400)
    }

    proptest! {
        /// The promise of [`Budget`], from any step on.
        #[test]
        fn retries_stay_within_the_share_and_the_reserve(
            steps in steps(), percent in 0..=100_u32, per_s_min in 0..50_u32, skip in 0..100_usize,
        ) {
            let budget = Budget::new(Income { percent, per_s_min }, 50);
            let mut now = Instant::now();
            let (mut retries, mut calls, mut waited_ms) = (0_u64, 0_u64, 0_u64);
            for (number, step) in steps.into_iter().enumerate() {
                let counts = u64::from(number >= skip);
                match step {
                    Step::Deposit => {
                        budget.deposit();
                        calls += counts;
                    }
                    Step::Withdraw => retries += counts * u64::from(budget.withdraw(now)),
                    Step::Wait(ms) => {
                        now += Duration::from_millis(ms);
                        waited_ms += ms;
                    }
                }
            }
            let (percent, per_s) = (u64::from(percent), u64::from(per_s_min));
            let allowed = (50 + calls) * percent * 10 + per_s * 1000 + per_s * waited_ms;
            prop_assert!(retries * 1000 <= allowed, "{retries} retries, {allowed} / 1000 allowed");
        }
    }
}
