//! Where calls go: for each shard its live owner, readable without a lock.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use greenroom_core::{Epoch, Life, ShardId};
use parking_lot::Mutex;
use tokio::sync::{Notify, futures::Notified};

/// Bits of a route that hold the epoch; the rest is the owner's place among the owners, plus one.
const EPOCH_BITS: u32 = 48;

/// Most bells that those who wait for shards listen to.
const BELLS_MAX: u32 = 4096;

/// A live node that owns shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Which life.
    pub life: Life,
    /// `host:port` at which it takes calls.
    pub address: String,
}

/// Where the calls for a shard go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// To whom.
    pub owner: Arc<Owner>,
    /// The epoch of its ownership.
    pub epoch: Epoch,
}

/// Where calls go: one atomic word a shard, written by the cluster's driver alone.
#[derive(Debug)]
pub struct Routes {
    words: Box<[AtomicU64]>,
    owners: ArcSwap<Vec<Option<Arc<Owner>>>>,
    /// Places of the owners; also serialises the writers.
    places: Mutex<HashMap<Life, usize>>,
    /// Shards share these, so a wake-up may be for another one.
    changed: Box<[Notify]>,
}

impl Routes {
    pub(crate) fn new(shards: u32) -> Self {
        Self {
            words: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            owners: ArcSwap::default(),
            places: Mutex::default(),
            changed: (0..shards.clamp(1, BELLS_MAX)).map(|_| Notify::new()).collect(),
        }
    }

    /// Where the shard's calls go; `None` while it has no live owner, or beyond the last shard.
    pub fn route(&self, shard: ShardId) -> Option<Route> {
        loop {
            let word = self.words.get(shard.0 as usize)?.load(Ordering::Acquire);
            let place = usize::try_from(word >> EPOCH_BITS).ok()?.checked_sub(1)?;
            let owner = self.owners.load().get(place).cloned().flatten();
            // A place is given to another owner only when no word names it any more, so a word
            // that still stands was read together with its owner.
            if self.words[shard.0 as usize].load(Ordering::Acquire) == word {
                let epoch = Epoch(word & ((1 << EPOCH_BITS) - 1));
                return Some(Route { owner: owner?, epoch });
            }
        }
    }

    /// Resolves when the shard's route or gate changes, or perhaps another's. Call it, enable it, then look: a change
    /// after that is not missed.
    pub fn changed(&self, shard: ShardId) -> Notified<'_> {
        self.bell(shard).notified()
    }

    /// Wakes those who wait for the shard.
    pub(crate) fn notify(&self, shard: ShardId) {
        self.bell(shard).notify_waiters();
    }

    fn bell(&self, shard: ShardId) -> &Notify {
        &self.changed[shard.0 as usize % self.changed.len()]
    }

    /// Changes routes; `address` tells where a life takes calls.
    pub(crate) fn apply(
        &self,
        changes: &[(ShardId, Option<(Life, Epoch)>)],
        address: impl Fn(&Life) -> String,
    ) {
        let mut places = self.places.lock();
        for (shard, route) in changes {
            let word = match route {
                None => 0,
                Some((life, epoch)) => {
                    let place = self.place(&mut places, life, &address);
                    ((place as u64 + 1) << EPOCH_BITS) | epoch.0
                }
            };
            self.words[shard.0 as usize].store(word, Ordering::Release);
        }
        drop(places);
        for (shard, _) in changes {
            self.notify(*shard);
        }
    }

    fn place(
        &self,
        places: &mut HashMap<Life, usize>,
        life: &Life,
        address: &impl Fn(&Life) -> String,
    ) -> usize {
        if let Some(place) = places.get(life) {
            return *place;
        }
        self.forget_unused(places);
        let mut owners = Vec::clone(&self.owners.load());
        let owner = Some(Arc::new(Owner { life: life.clone(), address: address(life) }));
        let place = match owners.iter().position(Option::is_none) {
            Some(free) => {
                owners[free] = owner;
                free
            }
            None => {
                owners.push(owner);
                owners.len() - 1
            }
        };
        self.owners.store(Arc::new(owners));
        places.insert(life.clone(), place);
        place
    }

    /// Frees the places of lives that no shard names, so that places stay as few as live nodes.
    fn forget_unused(&self, places: &mut HashMap<Life, usize>) {
        let mut used = vec![false; self.owners.load().len()];
        for word in &self.words {
            let place = (word.load(Ordering::Acquire) >> EPOCH_BITS) as usize;
            if let Some(used) = place.checked_sub(1).and_then(|place| used.get_mut(place)) {
                *used = true;
            }
        }
        places.retain(|_, place| used[*place]);
        let mut owners = Vec::clone(&self.owners.load());
        for (owner, used) in owners.iter_mut().zip(used) {
            if !used {
                *owner = None;
            }
        }
        self.owners.store(Arc::new(owners));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use greenroom_core::{Incarnation, NodeId};

    fn life(number: u64) -> Life {
        Life { node: NodeId::new(format!("n{number}")).unwrap(), incarnation: Incarnation(number) }
    }

    fn to(routes: &Routes, shard: u32, number: u64, epoch: u64) {
        let change = (ShardId(shard), Some((life(number), Epoch(epoch))));
        routes.apply(&[change], |life| format!("{}:1", life.node));
    }

    #[test]
    fn a_route_names_owner_and_epoch() {
        let routes = Routes::new(4);
        assert_eq!(routes.route(ShardId(0)), None);
        to(&routes, 0, 1, 7);
        let route = routes.route(ShardId(0)).unwrap();
        assert_eq!((route.owner.address.as_str(), route.epoch), ("n1:1", Epoch(7)));
        routes.apply(&[(ShardId(0), None)], |_| unreachable!());
        assert_eq!(routes.route(ShardId(0)), None);
        assert_eq!(routes.route(ShardId(4)), None);
    }

    #[test]
    fn places_of_former_lives_are_used_again() {
        let routes = Routes::new(2);
        for number in 1..200_000_u64 {
            to(&routes, 0, number, number);
        }
        assert!(routes.owners.load().len() <= 2);
        assert_eq!(routes.route(ShardId(0)).unwrap().owner.life, life(199_999));
    }

    #[tokio::test]
    async fn a_change_wakes_those_who_wait_for_the_shard() {
        let routes = Routes::new(2);
        let mut changed = std::pin::pin!(routes.changed(ShardId(1)));
        changed.as_mut().enable();
        to(&routes, 1, 1, 1);
        changed.await;
    }
}
