//! Transactions on their way: which keys they hold, how many are under way, and how long to wait
//! after a failure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use super::{Effect, RequestId};
use crate::record::{Key, Transaction, Write};
use crate::time::{Moment, Retry};

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Writing down the cluster's constants.
    Found,
    /// Creating the heartbeat key.
    Join,
    /// Writing the node record.
    Register,
    /// Taking ownership of shards.
    Claim,
    /// Giving up ownership of shards.
    Release,
    /// Taking the leader key.
    Elect,
    /// Giving up the leader key.
    Resign,
    /// Writing targets.
    Assign,
    /// Declaring a node dead.
    Bury,
    /// Deleting the own heartbeat key.
    Leave,
    /// Listing the kinds of this node, or changing a group's rule.
    Groups,
    /// Pinning or unpinning shards.
    Pin,
    /// Writing how far rebalancing has come.
    Rebalancing,
    /// Writing what a new cluster begins with.
    Restore,
}

impl Purpose {
    /// The written name, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Join => "join",
            Self::Register => "register",
            Self::Claim => "claim",
            Self::Release => "release",
            Self::Elect => "elect",
            Self::Resign => "resign",
            Self::Assign => "assign",
            Self::Bury => "bury",
            Self::Leave => "leave",
            Self::Groups => "groups",
            Self::Pin => "pin",
            Self::Rebalancing => "rebalancing",
            Self::Restore => "restore",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug)]
pub(super) struct Pending {
    pub(super) purpose: Purpose,
    pub(super) transaction: Transaction,
}

/// The transactions that a node has decided on and not yet heard back from.
#[derive(Debug)]
pub(super) struct Requests {
    in_flight_max: usize,
    last: u64,
    outbox: VecDeque<Pending>,
    in_flight: BTreeMap<RequestId, Pending>,
    busy: BTreeSet<Key>,
    /// Consecutive failures of the store.
    failures: u32,
    hold_until: Moment,
    retry: Retry,
    jitter: u64,
}

impl Requests {
    pub(super) fn new(in_flight_max: usize, retry: Retry, seed: u64) -> Self {
        Self {
            in_flight_max,
            last: 0,
            outbox: VecDeque::new(),
            in_flight: BTreeMap::new(),
            busy: BTreeSet::new(),
            failures: 0,
            hold_until: Moment::default(),
            retry,
            // A xorshift state must not be zero.
            jitter: seed | 1,
        }
    }

    /// A number for a new request.
    pub(super) fn next_id(&mut self) -> RequestId {
        self.last += 1;
        RequestId(self.last)
    }

    /// Whether a write of this key is decided and not yet answered.
    pub(super) fn is_busy(&self, key: &Key) -> bool {
        self.busy.contains(key)
    }

    /// Whether any transaction for `purpose` is decided and not yet answered.
    pub(super) fn any(&self, purpose: Purpose) -> bool {
        let mut all = self.outbox.iter().chain(self.in_flight.values());
        all.any(|pending| pending.purpose == purpose)
    }

    /// Whether a recent failure asks for patience.
    pub(super) fn must_wait(&self, now: Moment) -> bool {
        now < self.hold_until
    }

    pub(super) fn submit(&mut self, purpose: Purpose, transaction: Transaction) {
        self.busy.extend(transaction.writes.iter().map(|write| write.key().clone()));
        self.outbox.push_back(Pending { purpose, transaction });
    }

    /// Starts what the limit of transactions in flight allows.
    pub(super) fn pump(&mut self, effects: &mut Vec<Effect>) {
        while self.in_flight.len() < self.in_flight_max {
            let Some(pending) = self.outbox.pop_front() else {
                return;
            };
            let request = self.next_id();
            let (purpose, transaction) = (pending.purpose, pending.transaction.clone());
            effects.push(Effect::Commit { request, purpose, transaction });
            self.in_flight.insert(request, pending);
        }
    }

    /// The request is answered for good; its keys are free.
    pub(super) fn finish(&mut self, request: RequestId) -> Option<Pending> {
        let pending = self.in_flight.remove(&request)?;
        for write in &pending.transaction.writes {
            self.busy.remove(write.key());
        }
        Some(pending)
    }

    pub(super) fn purpose(&self, request: RequestId) -> Option<Purpose> {
        Some(self.in_flight.get(&request)?.purpose)
    }

    /// The keys that the request writes.
    pub(super) fn written_keys(&self, request: RequestId) -> Vec<Key> {
        let pending = self.in_flight.get(&request);
        let writes = pending.into_iter().flat_map(|pending| &pending.transaction.writes);
        writes.map(Write::key).cloned().collect()
    }

    /// The store answered.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The store failed: wait, longer each time, with jitter so that nodes don't return together.
    pub(super) fn failed(&mut self, now: Moment) {
        let span = self.retry.span(self.failures);
        self.failures += 1;
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        let permille = u32::try_from(self.jitter % 1000).unwrap_or(0);
        self.hold_until = now.after(span / 2 + span / 2000 * permille);
    }

    /// Forgets everything: the life that decided it is over.
    pub(super) fn clear(&mut self) {
        self.outbox.clear();
        self.in_flight.clear();
        self.busy.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ShardId;
    use crate::record::Record;
    use crate::record::ShardRecord;

    const RETRY: Retry = Retry { first: Duration::from_millis(100), max: Duration::from_secs(1) };

    fn writes(numbers: &[u32]) -> Transaction {
        let put = |number: &u32| {
            Write::Put(Key::Shard(ShardId(*number)), Record::Shard(ShardRecord::default()))
        };
        Transaction { guards: Vec::new(), writes: numbers.iter().map(put).collect() }
    }

    fn sent(requests: &mut Requests) -> Vec<RequestId> {
        let mut effects = Vec::new();
        requests.pump(&mut effects);
        let sent = effects.into_iter().map(|effect| match effect {
            Effect::Commit { request, .. } => request,
            other => panic!("it has nothing else to do: {other:?}"),
        });
        sent.collect()
    }

    #[test]
    fn no_more_are_under_way_than_allowed_and_keys_are_busy_until_the_answer() {
        let mut requests = Requests::new(2, RETRY, 7);
        for number in 0..3 {
            requests.submit(Purpose::Claim, writes(&[number, number + 10]));
        }
        let first = sent(&mut requests);
        assert_eq!(first.len(), 2);
        assert_eq!(sent(&mut requests), []);
        let key = |number| Key::Shard(ShardId(number));
        assert_eq!(requests.written_keys(first[1]), [key(1), key(11)]);
        assert_eq!(requests.purpose(first[0]), Some(Purpose::Claim));
        assert!([0, 1, 2, 10, 11, 12].iter().all(|number| requests.is_busy(&key(*number))));
        assert!(requests.any(Purpose::Claim) && !requests.any(Purpose::Release));

        assert!(requests.finish(first[0]).is_some());
        assert!(requests.finish(first[0]).is_none(), "it was answered already");
        assert!(!requests.is_busy(&key(0)) && !requests.is_busy(&key(10)));
        assert!(requests.is_busy(&key(1)) && requests.is_busy(&key(2)));
        let last = sent(&mut requests);
        assert_eq!(last.len(), 1);
        for request in [first[1], last[0]] {
            requests.finish(request);
        }
        assert!(!requests.any(Purpose::Claim) && !requests.is_busy(&key(2)));

        requests.submit(Purpose::Pin, writes(&[1]));
        requests.clear();
        assert!(!requests.any(Purpose::Pin) && !requests.is_busy(&key(1)));
        assert_eq!(sent(&mut requests), []);
    }

    /// Between half of the span and the whole of it, and elsewhere for each node.
    #[test]
    fn after_failures_it_waits_for_longer_each_time_and_not_as_others_do() {
        let waits = |seed| -> Vec<Duration> {
            let mut requests = Requests::new(2, RETRY, seed);
            let waits = (0..8).map(|_| {
                let now = Moment(1);
                requests.failed(now);
                assert!(requests.must_wait(now));
                assert!(!requests.must_wait(requests.hold_until));
                requests.hold_until.since(now)
            });
            waits.collect()
        };
        let mut fractions = Vec::new();
        for seed in 1..=20 {
            for (failures, wait) in waits(seed * 1_000_003).into_iter().enumerate() {
                let span = RETRY.span(failures as u32);
                assert!(wait >= span / 2 && wait < span, "{wait:?} of {span:?}");
                fractions.push(wait.as_nanos() * 10 / span.as_nanos());
            }
        }
        for tenth in 5..10 {
            let count = fractions.iter().filter(|fraction| **fraction == tenth).count();
            assert!(count > fractions.len() / 20, "{count} waits of {tenth} tenths");
        }
        let mut requests = Requests::new(2, RETRY, 7);
        (0..4).for_each(|_| requests.failed(Moment(1)));
        requests.succeeded();
        requests.failed(Moment(1));
        assert!(requests.hold_until.since(Moment(1)) < RETRY.first, "it begins anew");
    }

    #[test]
    fn purposes_are_written_in_lower_case() {
        for purpose in [
            Purpose::Found,
            Purpose::Join,
            Purpose::Register,
            Purpose::Claim,
            Purpose::Release,
            Purpose::Elect,
            Purpose::Resign,
            Purpose::Assign,
            Purpose::Bury,
            Purpose::Leave,
            Purpose::Groups,
            Purpose::Pin,
            Purpose::Rebalancing,
            Purpose::Restore,
        ] {
            assert_eq!(purpose.to_string(), format!("{purpose:?}").to_lowercase());
        }
    }
}
