//! What lies between the nodes and the store, and between the nodes.
//!
//! Proves: C13

use greenroom_core::record::{Entry, Key, Record, Transaction, Write};
use greenroom_core::{Event, Incarnation, Life, Moment, Outcome, RequestId, Term};

use super::links::End;
use super::{Happening, MS, World};

/// A request to the store.
#[derive(Clone, Debug)]
pub(super) enum AtStore {
    Commit(RequestId, Transaction),
    Read(RequestId, Vec<Key>),
    List,
    Beat { sent: Moment, incarnation: Incarnation, round: u64, transaction: Transaction },
}

/// What the network has in store for a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Fate {
    /// Its reply is lost.
    lost: bool,
    /// Its sender was told so long ago.
    given_up: bool,
    /// Its reply arrives twice.
    repeated: bool,
    /// In which term its sender led when it decided on it.
    term: Option<Term>,
}

impl World {
    pub(super) fn ask(&mut self, node: usize, event: AtStore) {
        // Some requests dawdle for seconds and take effect long after their sender gave up.
        let network = self.options.network;
        let late = self.in_thousand(network.late);
        let lost = self.in_thousand(network.lost);
        let swallowed = self.in_thousand(network.swallowed);
        let repeated = self.in_thousand(network.repeated);
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
        let term = self.term_of(node);
        let fate = Fate { lost: lost || late, given_up, repeated, term };
        if repeated
            && self.rng.bool()
            && matches!(event, AtStore::Commit(..) | AtStore::Beat { .. })
        {
            // It takes effect once more, and nobody waits for what comes of that.
            self.counts.repeated_requests += 1;
            let again = Fate { lost: true, given_up: true, ..fate };
            let later = span + self.rng.u64(MS..3000 * MS);
            let event = event.clone();
            self.after(node, later, Happening::AtStore { event, fate: again });
        }
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
        let (here, store) = (End::Node(node), End::Store);
        let there = !self.links.are_cut(here, store, self.now_us);
        let and_back = !self.links.are_cut(store, here, self.now_us);
        self.counts.links_cut += u64::from(!there || !and_back);
        let arrives = there && self.now_us >= cut;
        let answered = arrives && and_back && !fate.lost;
        self.counts.lost_replies += u64::from(fate.lost);
        let back = if answered { self.rng.u64(200..12 * MS) } else { 700 * MS };
        let reply = match event {
            AtStore::Commit(request, transaction) => {
                let outcome = arrives.then(|| self.commit(node, fate.term, &transaction));
                if fate.given_up {
                    return;
                }
                let outcome = outcome.filter(|_| answered).unwrap_or(Outcome::Ambiguous);
                if fate.repeated && self.nodes[node].start == start {
                    self.counts.repeated_replies += 1;
                    let event = Event::Committed { request, outcome: outcome.clone() };
                    let later = back + self.rng.u64(0..500 * MS);
                    self.after(node, later, Happening::Tell(event));
                }
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
                let outcome = self.commit(node, fate.term, &transaction);
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

    fn commit(&mut self, node: usize, term: Option<Term>, transaction: &Transaction) -> Outcome {
        if transaction.guards.iter().all(|guard| self.store.holds(guard)) {
            self.check_terms(node, term, transaction);
        }
        let writer = self.nodes[node].id.clone();
        let outcome = self.store.commit(&writer, transaction);
        if matches!(outcome, Outcome::Applied { .. }) {
            self.check_deaths(node, transaction);
            self.wake_watchers();
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
        let place = self.nodes.iter().position(|other| other.id == life.node).map(End::Node);
        let silent = place.is_some_and(|place| {
            let here = End::Node(node);
            self.links.are_cut(here, place, self.now_us)
                || self.links.are_cut(place, here, self.now_us)
        });
        let refused = refused && !silent;
        self.counts.probes_refused += u64::from(refused);
        if self.nodes[node].start == start {
            let back = self.rng.u64(MS..400 * MS);
            self.after(node, back, Happening::Tell(Event::Probed { life, refused }));
        }
    }

    /// The log has grown: whoever follows it will look soon.
    pub(super) fn wake_watchers(&mut self) {
        for node in 0..self.nodes.len() {
            self.follow_soon(node);
        }
    }

    fn follow_soon(&mut self, node: usize) {
        if !std::mem::replace(&mut self.nodes[node].follows, true) {
            let span = self.rng.u64(MS..25 * MS);
            self.after(node, span, Happening::Watch);
        }
    }

    /// The watch breaks, and what it would have told is compacted away.
    pub(super) fn break_watch(&mut self, node: usize) {
        self.counts.watches_lost += 1;
        self.nodes[node].followed = self.store.log.len();
        self.step(node, Event::WatchLost);
        self.ask(node, AtStore::List);
    }

    pub(super) fn follow(&mut self, node: usize) {
        self.nodes[node].follows = false;
        let troubles = &self.nodes[node].troubles;
        let cut = self.links.are_cut(End::Store, End::Node(node), self.now_us);
        if cut || self.now_us < troubles.cut.max(troubles.watch_stalled) {
            self.follow_soon(node);
            return;
        }
        let compacted = self.nodes[node].followed < self.store.compacted;
        self.counts.compactions_met += u64::from(compacted);
        if compacted || (self.faults && self.rng.u32(..400) == 0) {
            self.break_watch(node);
            return;
        }
        let mut from = self.nodes[node].followed;
        if self.in_thousand(self.options.network.repeated / 4) {
            // A watch that is resumed too early tells some of it again.
            self.counts.watches_repeated += 1;
            from -= self.rng.usize(..20).min(from - self.store.compacted);
        }
        let entries: Vec<Entry> = self.store.log[from..].to_vec();
        if !entries.is_empty() {
            self.nodes[node].followed = self.store.log.len();
            self.step(node, Event::Changes { entries });
        }
    }
}
