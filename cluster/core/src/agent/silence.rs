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
}

impl Silence {
    /// Looks at all heartbeats; a stopwatch starts anew when its key changed.
    pub(super) fn observe(&mut self, view: &View, now: Moment) {
        self.watches.retain(|node, _| view.heartbeat(node).is_some());
        for (node, beat) in view.heartbeats() {
            let mod_revision = beat.mod_revision;
            match self.watches.get_mut(node) {
                Some(watch) if watch.mod_revision == mod_revision => {}
                Some(watch) => *watch = Watch { mod_revision, since: now },
                None => {
                    self.watches.insert(node.clone(), Watch { mod_revision, since: now });
                }
            }
        }
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
