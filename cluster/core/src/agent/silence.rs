//! How long heartbeat keys have been unchanged, on the observer's own clock.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Moment;
use crate::view::View;
use crate::{Life, NodeId, view};

/// The observer's stopwatches, one a heartbeat key.
#[derive(Debug, Default)]
pub(super) struct Silence {
    watches: BTreeMap<NodeId, Watch>,
}

#[derive(Debug)]
struct Watch {
    mod_revision: u64,
    since: Moment,
    /// When its port was last asked.
    probed: Option<Moment>,
    /// Its port was found closed, after the heartbeat was overdue.
    refused: bool,
}

impl Watch {
    fn started(mod_revision: u64, now: Moment) -> Self {
        Self { mod_revision, since: now, probed: None, refused: false }
    }
}

impl Silence {
    /// Looks at all heartbeats; a stopwatch starts anew when its key changed.
    pub(super) fn observe(&mut self, view: &View, now: Moment) {
        self.watches.retain(|node, _| view.heartbeat(node).is_some());
        let nodes: Vec<NodeId> = view.heartbeats().map(|(node, _)| node.clone()).collect();
        for node in nodes {
            self.observe_one(view, &node, now);
        }
    }

    /// Looks at one heartbeat.
    pub(super) fn observe_one(&mut self, view: &View, node: &NodeId, now: Moment) {
        let Some(beat) = view.heartbeat(node) else {
            self.watches.remove(node);
            return;
        };
        let mod_revision = beat.mod_revision;
        match self.watches.get_mut(node) {
            Some(watch) if watch.mod_revision == mod_revision => {}
            Some(watch) => *watch = Watch::started(mod_revision, now),
            None => {
                self.watches.insert(node.clone(), Watch::started(mod_revision, now));
            }
        }
    }

    /// All stopwatches start anew: the observer itself saw nothing for a while.
    pub(super) fn restart_all(&mut self, now: Moment) {
        for watch in self.watches.values_mut() {
            *watch = Watch::started(watch.mod_revision, now);
        }
    }

    /// Whether it is time to ask the port of a life that is overdue; if so, that is noted.
    pub(super) fn ask_port(&mut self, node: &NodeId, now: Moment, every: Duration) -> bool {
        let Some(watch) = self.watches.get_mut(node) else { return false };
        if watch.refused || watch.probed.is_some_and(|probed| now.since(probed) < every) {
            return false;
        }
        watch.probed = Some(now);
        true
    }

    /// Its port was found closed. That holds for as long as no heartbeat comes.
    pub(super) fn port_refused(&mut self, node: &NodeId) {
        if let Some(watch) = self.watches.get_mut(node) {
            watch.refused = true;
        }
    }

    /// Whether its port was found closed since its last heartbeat.
    pub(super) fn is_port_refused(&self, node: &NodeId) -> bool {
        self.watches.get(node).is_some_and(|watch| watch.refused)
    }

    /// The watch on the store was lost: silence seen so far may have been ours.
    pub(super) fn restart(&mut self) {
        self.watches.clear();
    }

    /// How long this life has been silent, and since which revision.
    pub(super) fn of(&self, view: &View, life: &Life, now: Moment) -> Option<(Duration, u64)> {
        let beat = view.heartbeat(&life.node)?;
        let watch = self.watches.get(&life.node)?;
        let same = view::life_of(&life.node, beat) == *life;
        (same && watch.mod_revision == beat.mod_revision)
            .then(|| (now.since(watch.since), watch.mod_revision))
    }
}
