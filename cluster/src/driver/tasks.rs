//! What takes its time: each ends with a report to the driver.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use greenroom_core::record::{Key, Record, Transaction, Write};
use greenroom_core::{Event, Life, Outcome, Purpose, RequestId};
use greenroom_shardlock::WriteError;
use tokio::time::{Instant, timeout};

use super::Driver;
use crate::cluster::{OpenShard, report};
use crate::probe;
use crate::store::{Commit, StoreError};

/// Most drained shards in one report.
const DRAINED_PER_REPORT_MAX: usize = 256;

impl Driver {
    pub(super) fn commit(
        &self,
        request: RequestId,
        purpose: Purpose,
        transaction: &Transaction,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (store, codec, events) = (self.store.clone(), self.codec.clone(), self.events.clone());
        let groups = transaction.writes.iter().find_map(|write| match write {
            Write::Put(_, record @ Record::Groups(_)) => Some(record.clone()),
            _ => None,
        });
        let transaction = codec.transaction(transaction);
        let count = self.ledger.write(purpose);
        async move {
            let outcome = match store.commit(transaction).await {
                Ok(Commit::Applied { revision }) => {
                    groups.iter().for_each(|groups| codec.learn(groups, revision));
                    Outcome::Applied { revision }
                }
                Ok(Commit::Refused { revision, current }) => {
                    let current = current.iter().filter_map(|(key, item)| match item {
                        Some(item) => codec.entry(item),
                        None => codec.absence(key, revision),
                    });
                    Outcome::Refused { current: current.collect() }
                }
                Err(StoreError::Ambiguous(reason)) => {
                    tracing::debug!(reason, "a transaction's reply was lost");
                    Outcome::Ambiguous
                }
                Err(StoreError::Permanent(reason)) => {
                    tracing::error!(reason, "the store refuses a transaction");
                    Outcome::Permanent
                }
                Err(error) => {
                    tracing::debug!(%error, "the store did not take a transaction");
                    Outcome::Transient
                }
            };
            count(&outcome);
            report(&events, Event::Committed { request, outcome }).await;
        }
    }

    /// Asks whether anybody listens at the port of a life.
    pub(super) fn probe(
        &self,
        life: Life,
        address: String,
    ) -> impl Future<Output = ()> + Send + 'static {
        let events = self.events.clone();
        async move {
            let refused = probe::is_refused(&address).await;
            tracing::debug!(%life, address, refused, "an overdue node's port was asked");
            report(&events, Event::Probed { life, refused }).await;
        }
    }

    pub(super) fn read(
        &self,
        request: RequestId,
        keys: &[Key],
    ) -> impl Future<Output = ()> + Send + 'static {
        let (store, codec, events) = (self.store.clone(), self.codec.clone(), self.events.clone());
        let keys: Vec<String> = keys.iter().map(|key| codec.key(key)).collect();
        async move {
            let mut entries = Some(Vec::with_capacity(keys.len()));
            for key in &keys {
                match store.get(key).await {
                    Ok((_, Some(item))) => {
                        entries.iter_mut().for_each(|read| read.extend(codec.entry(&item)));
                    }
                    Ok((revision, None)) => {
                        let absence = codec.absence(key, revision);
                        entries.iter_mut().for_each(|read| read.extend(absence.clone()));
                    }
                    Err(error) => {
                        tracing::debug!(%error, key, "can't read a record");
                        entries = None;
                        break;
                    }
                }
            }
            report(&events, Event::Read { request, entries }).await;
        }
    }

    /// Closes the gates, and reports shards as their turns end and their actors are gone. Until then the
    /// gates are held, so that nothing opens them.
    pub(super) fn drain(
        &self,
        shards: Vec<OpenShard>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (gates, activations) = (Arc::clone(&self.gates), Arc::clone(&self.activations));
        let (events, patience) = (self.events.clone(), self.drain_deadline);
        let deadline = Instant::now() + patience;
        async move {
            let drains = shards.into_iter().map(|(shard, epoch)| {
                let handoff = gates.close(shard.0, "handoff", deadline);
                let (gates, activations) = (&gates, &activations);
                async move {
                    let guard = match handoff.await {
                        Ok(guard) => guard,
                        // What ran went with the gate, which may be open again by now.
                        Err(WriteError::Revoked { .. }) => return (shard, epoch),
                        Err(error) => {
                            tracing::error!(%shard, %epoch, %error, "a gate was not to be had");
                            gates.revoke(shard.0);
                            drop(activations.deactivate(shard));
                            return (shard, epoch);
                        }
                    };
                    let revoked = guard.revoked_permits();
                    if revoked > 0 {
                        tracing::warn!(%shard, %epoch, revoked, "turns overran the drain deadline");
                    }
                    if let Some(deactivation) = activations.deactivate(shard)
                        && timeout(patience, deactivation).await.is_err()
                    {
                        tracing::warn!(%shard, %epoch, "deactivation overran the drain deadline");
                    }
                    drop(guard);
                    (shard, epoch)
                }
            });
            let drains: FuturesUnordered<_> = drains.collect();
            let mut drained = drains.ready_chunks(DRAINED_PER_REPORT_MAX);
            while let Some(shards) = drained.next().await {
                report(&events, Event::Drained { shards }).await;
            }
        }
    }
}
