//! How idle actors go: after their time-out, or because others need their place.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream;
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;

use super::cell::Cell;
use super::directory::{DEACTIVATIONS_IN_FLIGHT_MAX, Directory, Shared};
use super::mailbox::Unused;
use crate::actor::Actor;
use crate::interface::Dispatch;
use crate::pressure::{Coldest, Evict, Usage, Victim, Why};

/// How often idle actors are looked for.
const PASSIVATE_EVERY_MIN: Duration = Duration::from_millis(20);
const PASSIVATE_EVERY_MAX: Duration = Duration::from_secs(5);

impl<A: Actor, I: Dispatch<A>> Directory<A, I> {
    /// Rounds of passivation without end.
    pub(super) async fn passivate_for_ever(&self) {
        let pause =
            (self.shared.options.idle_timeout / 4).clamp(PASSIVATE_EVERY_MIN, PASSIVATE_EVERY_MAX);
        loop {
            tokio::time::sleep(pause).await;
            self.passivate_once().await;
        }
    }

    async fn passivate_once(&self) {
        let idle_ms = self.shared.options.idle_timeout.as_millis();
        // What is longer than any age is for ever.
        let idle_ms = u32::try_from(idle_ms).unwrap_or(Usage::AGE_MS_MAX);
        let clock = self.shared.clock;
        // By the time of each look: a round may take long. And by whole milliseconds an age may seem
        // longer by one than it is.
        let is_unused = move |usage: Usage| usage.age_ms(clock.now()) > idle_ms;
        let shards = self.slots().filter(|(_, slot)| !slot.cells.lock().is_empty());
        let cells = shards.flat_map(|(shard, slot)| {
            let cells: Vec<_> = slot.cells.lock().values().cloned().collect();
            cells.into_iter().map(move |cell| (shard, cell))
        });
        stream::iter(cells)
            .for_each_concurrent(DEACTIVATIONS_IN_FLIGHT_MAX, |(shard, cell)| async move {
                tokio::task::coop::consume_budget().await;
                cell.passivate(shard, is_unused, Why::Idle).await;
            })
            .await;
    }

    /// Shows the actors of a shard that are at rest.
    pub(super) fn look_at(&self, number: u32, coldest: &mut Coldest<Victim>) {
        let Some((shard, slot)) = self.numbered_slot(number) else { return };
        for cell in slot.cells.lock().values() {
            // Somebody has a call for an actor whose mailbox is locked.
            let Some(usage) = cell.mailbox.try_lock().and_then(|mailbox| mailbox.at_rest()) else {
                continue;
            };
            if cell.has_streams() {
                continue;
            }
            coldest.look(usage, || Victim { cell: Arc::clone(cell) as _, shard, usage });
        }
    }
}

impl<A: Actor, I: Dispatch<A>> Cell<A, I> {
    /// Lets the actor go if it is at rest and `is_unused` says so, with a farewell, and lets the cell
    /// go too if nobody called meanwhile. Says whether an actor went.
    async fn passivate(
        self: &Arc<Self>,
        shard: u32,
        is_unused: impl FnOnce(Usage) -> bool,
        why: Why,
    ) -> bool {
        // Without a permit the shard is on its way out, and deactivates its actors itself.
        let Ok(_permit) = self.shared.gates.enter(shard) else { return false };
        let unused =
            self.mailbox.lock().take_unused(|usage| !self.has_streams() && is_unused(usage));
        let went = match unused {
            Unused::Actor(actor) => {
                self.deactivate(shard, actor, why.reason()).await;
                self.shared.told.gone(why);
                let next = self.put_back(None, Instant::now());
                self.spawn_all(next);
                true
            }
            Unused::Empty => false,
            Unused::InUse => return false,
        };
        self.shared.forget(shard, self);
        went
    }
}

impl<A: Actor, I: Dispatch<A>> Evict for Cell<A, I> {
    fn evict(self: Arc<Self>, shard: u32, unused: Usage, why: Why) -> BoxFuture<'static, bool> {
        async move { self.passivate(shard, |usage| usage == unused, why).await }.boxed()
    }
}

impl<A: Actor, I: Dispatch<A>> Shared<A, I> {
    /// Takes a cell out of the directory in which nothing lives or waits.
    pub(super) fn forget(&self, shard: u32, cell: &Arc<Cell<A, I>>) {
        let Some(cells) = self.cells(shard) else { return };
        let mut cells = cells.lock();
        let same = cells.get(cell.id.key()).is_some_and(|other| Arc::ptr_eq(other, cell));
        if same && cell.mailbox.lock().retire() {
            cells.remove(cell.id.key());
        }
    }
}
