//! What became of transactions and reads.

use super::requests::Pending;
use super::shards::shards_of;
use super::{Agent, Effect, Notice, Outcome, Purpose, Reading, RequestId};
use crate::record::{Entry, Held, Key, Transaction, Write};
use crate::time::Now;

impl Agent {
    pub(super) fn answered(
        &mut self,
        now: Now,
        request: RequestId,
        outcome: Outcome,
        effects: &mut Vec<Effect>,
    ) {
        let Some(purpose) = self.requests.purpose(request) else {
            // Decided by a former life. What a refusal read is true all the same.
            if let Outcome::Refused { current } = outcome {
                self.learn(now, current, effects);
            }
            return;
        };
        match outcome {
            Outcome::Applied { revision } => {
                self.requests.succeeded();
                if let Some(done) = self.finish(request) {
                    if done.purpose == Purpose::Resign {
                        let term = self.view.leader().0.map(|leader| leader.term);
                        effects.extend(term.map(|term| Effect::Tell(Notice::Resigned(term))));
                    }
                    let entries = Self::written(done.transaction, revision);
                    self.learn(now, entries, effects);
                }
            }
            Outcome::Refused { current } => {
                let refused = self.finish(request);
                effects.push(Effect::Tell(Notice::Conflict { purpose }));
                self.learn(now, current, effects);
                let unexplained = refused.filter(|refused| {
                    refused.transaction.guards.iter().all(|guard| self.view.holds(guard))
                });
                match unexplained {
                    None => self.requests.succeeded(),
                    Some(refused) => {
                        // The same would be tried again: something stands in the store that this
                        // node can't read or did not expect. Not so fast, and not together with
                        // shards that have nothing to do with it.
                        if !self.shards.suspect(&refused.transaction, now.moment) {
                            self.requests.failed(now.moment);
                        }
                    }
                }
            }
            Outcome::Transient | Outcome::Permanent => {
                self.requests.failed(now.moment);
                self.finish(request);
                let permanent = matches!(outcome, Outcome::Permanent);
                effects.push(Effect::Tell(Notice::StoreFailed { purpose, permanent }));
            }
            Outcome::Ambiguous => {
                self.requests.failed(now.moment);
                effects.push(Effect::Tell(Notice::ReplyLost { purpose }));
                self.unresolved.push(request);
            }
        }
    }

    /// The request is answered for good: its keys are free, and its shards to be looked at again.
    fn finish(&mut self, request: RequestId) -> Option<Pending> {
        let pending = self.requests.finish(request)?;
        for shard in shards_of(&pending.transaction) {
            self.shards.touch(shard);
        }
        Some(pending)
    }

    /// What the store holds after `transaction` was applied at `revision`.
    fn written(transaction: Transaction, revision: u64) -> Vec<Entry> {
        let entry = |write| match write {
            Write::Put(key, record) => {
                // Only heartbeats are asked for it, and a join creates that key.
                let create_revision = revision;
                let held = Some(Held { create_revision, mod_revision: revision, record });
                Entry { key, revision, held }
            }
            Write::Delete(key) => Entry { key, revision, held: None },
        };
        transaction.writes.into_iter().map(entry).collect()
    }

    pub(super) fn was_read(
        &mut self,
        now: Now,
        request: RequestId,
        entries: Option<Vec<Entry>>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(reading) = self.reads.remove(&request) else {
            return;
        };
        let Some(entries) = entries else {
            self.requests.failed(now.moment);
            match reading {
                Reading::Resolve(of) => self.unresolved.push(of),
                Reading::Order { id, keys } => self.order_was_read(id, keys),
                Reading::Confirm { .. } => {}
            }
            return;
        };
        self.requests.succeeded();
        match reading {
            Reading::Resolve(of) => {
                self.learn(now, entries, effects);
                self.finish(of);
            }
            Reading::Order { id, keys } => {
                let is_told = |key: &Key| entries.iter().any(|entry| entry.key == *key);
                let untold = keys.into_iter().find(|key| !is_told(key));
                self.learn(now, entries, effects);
                match untold {
                    Some(key) => self.order_is_unreadable(id, key, effects),
                    None => self.order_was_read(id, Vec::new()),
                }
            }
            Reading::Confirm { life, mod_revision, evidence } => {
                self.learn(now, entries, effects);
                self.confirmed_silent(now, &life, mod_revision, evidence, effects);
            }
        }
    }

    pub(super) fn resolve_lost_replies(&mut self, effects: &mut Vec<Effect>) {
        for of in std::mem::take(&mut self.unresolved) {
            let keys = self.requests.written_keys(of);
            if keys.is_empty() {
                continue;
            }
            let request = self.requests.next_id();
            self.reads.insert(request, Reading::Resolve(of));
            effects.push(Effect::Read { request, keys });
        }
    }
}
