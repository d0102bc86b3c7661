//! What lies between the nodes and the store, and between the nodes.

use greenroom_core::record::{Entry, Key, Record, Transaction, Write};
use greenroom_core::{Event, Incarnation, Life, Moment, Outcome, RequestId};

use super::{Happening, MS, World};

/// A request to the store.
#[derive(Debug)]
pub(super) enum AtStore {
    Commit(RequestId, Transaction),
    Read(RequestId, Vec<Key>),
    List,
    Beat { sent: Moment, incarnation: Incarnation, round: u64, transaction: Transaction },
}

/// What the network has in store for a request.
#[derive(Debug, Default)]
pub(super) struct Fate {
    /// Its reply is lost.
    lost: bool,
    /// Its sender was told so long ago.
    given_up: bool,
}

impl World {
    pub(super) fn ask(&mut self, node: usize, event: AtStore) {
        let mut in_hundred = |below: u32| self.faults && self.rng.u32(..100) < below;
        // Some requests dawdle for seconds and take effect long after their sender gave up.
        let late = in_hundred(3);
        let lost = in_hundred(2);
        let swallowed = in_hundred(2);
        let span =
            if late { self.rng.u64(500 * MS..4000 * MS) } else { self.rng.u64(200..12 * MS) };
        self.counts.late_requests += u64::from(late);
        let mut given_up = false;
        if let AtStore::Commit(request, transaction) = &event {
            let request = *request;
            given_up = late;
            let unable = self.now_us < self.nodes[node].troubles.unable && self.claims(transaction);
            self.counts.claims_swallowed += u64::from(unable);
            if unable {
                let outcome = Outcome::Transient;
                self.after(node, 20 * MS, Happening::Tell(Event::Committed { request, outcome }));
                return;
            } else if late {
                let outcome = Outcome::Ambiguous;
                self.after(node, 300 * MS, Happening::Tell(Event::Committed { request, outcome }));
            } else if swallowed {
                let outcome = if self.rng.bool() { Outcome::Ambiguous } else { Outcome::Transient };
                let span = self.rng.u64(MS..700 * MS);
                self.after(node, span, Happening::Tell(Event::Committed { request, outcome }));
                return;
            }
        }
        let fate = Fate { lost: lost || late, given_up };
        self.after(node, span, Happening::AtStore { event, fate });
    }

    /// Whether a transaction gives a shard an owner.
    fn claims(&self, transaction: &Transaction) -> bool {
        transaction.writes.iter().any(|write| match write {
            Write::Put(Key::Shard(shard), Record::Shard(new)) => {
                let epoch = self.store.shard(*shard).map_or(0, |old| old.epoch.0);
                new.epoch.0 > epoch
            }
            _ => false,
        })
    }

    /// What crosses the network from a process that may have died meanwhile still arrives.
    pub(super) fn reached_store(&mut self, node: usize, start: u64, event: AtStore, fate: &Fate) {
        let troubles = &self.nodes[node].troubles;
        let cut = match event {
            AtStore::Beat { .. } => troubles.heart_cut,
            _ => troubles.cut,
        };
        let arrives = self.now_us >= cut;
        let answered = arrives && !fate.lost;
        self.counts.lost_replies += u64::from(fate.lost);
        let back = if answered { self.rng.u64(200..12 * MS) } else { 700 * MS };
        let reply = match event {
            AtStore::Commit(request, transaction) => {
                let outcome = arrives.then(|| self.commit(node, &transaction));
                if fate.given_up {
                    return;
                }
                let outcome = outcome.filter(|_| answered).unwrap_or(Outcome::Ambiguous);
                Happening::Tell(Event::Committed { request, outcome })
            }
            AtStore::Read(request, keys) => {
                let entries = self.store.read(keys.iter());
                let entries = Some(entries).filter(|_| answered);
                Happening::Tell(Event::Read { request, entries })
            }
            AtStore::List if answered => {
                let (revision, entries) = (self.store.revision, self.store.all());
                Happening::Tell(Event::Snapshot { revision, entries })
            }
            AtStore::List => {
                if self.nodes[node].start == start {
                    self.ask(node, AtStore::List);
                }
                return;
            }
            AtStore::Beat { sent, incarnation, round, transaction } => {
                if !arrives {
                    return;
                }
                let outcome = self.commit(node, &transaction);
                if !answered {
                    return;
                }
                let applied = matches!(outcome, Outcome::Applied { .. });
                Happening::BeatAnswered { sent, incarnation, round, applied }
            }
        };
        if self.nodes[node].start == start {
            self.after(node, back, reply);
        }
    }

    fn commit(&mut self, node: usize, transaction: &Transaction) -> Outcome {
        let writer = self.nodes[node].id.clone();
        let outcome = self.store.commit(&writer, transaction);
        if matches!(outcome, Outcome::Applied { .. }) {
            self.check_deaths(node, transaction);
        } else if transaction.guards.iter().any(|guard| self.store.unreadable.contains(guard.key()))
        {
            self.counts.refused_unreadable += 1;
        }
        outcome
    }

    /// Only where no process listens a connection is refused; one that is paused is not answered.
    pub(super) fn reached_port(&mut self, node: usize, start: u64, life: Life, address: &str) {
        let there = self.nodes.iter().find(|other| other.profile.peer_address == address);
        let refused = there.is_some_and(|there| !there.listens());
        self.counts.probes_refused += u64::from(refused);
        if self.nodes[node].start == start {
            let back = self.rng.u64(MS..400 * MS);
            self.after(node, back, Happening::Tell(Event::Probed { life, refused }));
        }
    }

    pub(super) fn follow(&mut self, node: usize) {
        let span = self.rng.u64(MS..25 * MS);
        self.after(node, span, Happening::Watch);
        let troubles = &self.nodes[node].troubles;
        if self.now_us < troubles.cut.max(troubles.watch_stalled) {
            return;
        }
        if self.faults && self.rng.u32(..2000) == 0 {
            // The watch breaks, and what it would have told is compacted away.
            self.counts.watches_lost += 1;
            self.nodes[node].followed = self.store.log.len();
            self.step(node, Event::WatchLost);
            self.ask(node, AtStore::List);
            return;
        }
        let entries: Vec<Entry> = self.store.log[self.nodes[node].followed..].to_vec();
        if !entries.is_empty() {
            self.nodes[node].followed = self.store.log.len();
            self.step(node, Event::Changes { entries });
        }
    }
}
