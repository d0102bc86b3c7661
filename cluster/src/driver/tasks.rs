//! What takes its time: each ends with a report to the driver.

use greenroom_core::record::{Key, Record, Transaction, Write};
use greenroom_core::{Event, Life, Outcome, Purpose, RequestId};

use super::Driver;
use crate::clock::Clock;
use crate::cluster::report;
use crate::probe;
use crate::store::{Commit, StoreError};

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
        let (events, clock) = (self.events.clone(), self.clock.clone());
        async move {
            let refused = match clock {
                Clock::Boot => probe::is_refused(&address).await,
                Clock::Simulated(simulation) => simulation.is_refused(&address),
            };
            tracing::debug!(peer = %life, address, refused, "an overdue node's port was asked");
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
                        tracing::debug!(%error, record = key, "can't read a record");
                        entries = None;
                        break;
                    }
                }
            }
            report(&events, Event::Read { request, entries }).await;
        }
    }
}
