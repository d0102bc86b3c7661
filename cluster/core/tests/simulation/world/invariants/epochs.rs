//! Epochs only grow, by one with each owner, and a shard is taken from nobody who is alive and
//! given to nobody who is dead; nobody but
//! who leads writes targets.
//!
//! Proves: C14, C19, C20, P2

use greenroom_core::NodeId;
use greenroom_core::record::{Key, Record, ShardRecord, Write};

use super::Store;

impl Store {
    /// What no write may do, whoever decided it when.
    pub(super) fn check(&self, writer: &NodeId, write: &Write) {
        let Write::Put(key @ Key::Shard(_), Record::Shard(new)) = write else { return };
        let old = match self.held.get(key).map(|held| &held.record) {
            Some(Record::Shard(old)) => old.clone(),
            _ => ShardRecord::default(),
        };
        if new.owner != old.owner && new.owner.is_some() {
            assert_eq!(new.epoch, old.epoch.next(), "{key:?}: an owner without a new epoch");
            let free = old.owner.as_ref().is_none_or(|former| !self.alive(former));
            assert!(free, "{key:?}: taken from {:?}, which is alive", old.owner);
            let lives = new.owner.as_ref().is_some_and(|owner| self.alive(owner));
            assert!(lives, "{key:?}: given to {:?}, whose life is over", new.owner);
        } else if self.held.contains_key(&Key::Meta) {
            // Before its birth a cluster may be given epochs to begin with.
            assert_eq!(new.epoch, old.epoch, "{key:?}: a new epoch without an owner");
        }
        if new.target != old.target {
            let leads = match self.held.get(&Key::Leader).map(|held| &held.record) {
                Some(Record::Leader(leader)) => {
                    leader.holder.as_ref().is_some_and(|holder| holder.node == *writer)
                }
                _ => false,
            };
            assert!(leads, "{key:?}: a target by {writer}, which does not lead");
        }
    }
}
