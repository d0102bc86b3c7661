//! What must stand in the store before a node joins: the cluster's constants, what is restored into
//! an empty cluster, and the groups of this node's kinds.

use super::{Agent, Effect, GUARDS_PER_TRANSACTION_MAX, Notice, Purpose};
use crate::ShardId;
use crate::groups::{GROUP_DEFAULT, Groups};
use crate::record::{Guard, Key, Meta, Record, ShardRecord, Transaction, Write};

impl Agent {
    /// Whether the cluster's constants are known and ours.
    pub(super) fn check_meta(&mut self, effects: &mut Vec<Effect>) -> bool {
        let ours = || Meta::born_with(self.config.shards);
        match self.view.meta() {
            Some(theirs) if theirs.is_born_with(self.config.shards) => {
                if self.config.restore.take().is_some() {
                    effects.push(Effect::Tell(Notice::NotRestored));
                }
                return true;
            }
            Some(theirs) => {
                let (ours, theirs) = (ours(), theirs.clone());
                effects.push(Effect::Tell(Notice::OtherCluster { ours, theirs }));
                self.stop(effects);
            }
            None if self.requests.any(Purpose::Found) || self.requests.any(Purpose::Restore) => {}
            None => self.found(ours(), effects),
        }
        false
    }

    /// Writes what the cluster begins with. The constants come last: nobody joins before they are
    /// there, so nobody owns anything of what is restored meanwhile.
    fn found(&mut self, ours: Meta, effects: &mut Vec<Effect>) {
        let unborn = || Guard::ModRevision(Key::Meta, 0);
        let restore = self.config.restore.as_ref();
        let groups = restore.map(|restore| &restore.groups);
        if groups.is_some_and(|groups| groups.len() < self.view.groups().len()) {
            // Left by somebody else; groups are never taken back.
            effects.push(Effect::Tell(Notice::NotRestored));
            self.config.restore = None;
            return;
        }
        if let Some(groups) = groups.filter(|groups| *groups != self.view.groups()) {
            // The names of the shards follow from them.
            self.write_groups(groups.clone(), vec![unborn()]);
            return;
        }
        let missing: Vec<(ShardId, ShardRecord)> = restore.map_or_else(Vec::new, |restore| {
            let shards = restore.shards.iter();
            shards.filter(|(shard, _)| self.is_missing(*shard)).cloned().collect()
        });
        for batch in missing.chunks(GUARDS_PER_TRANSACTION_MAX - 1) {
            let absent = batch.iter().map(|(shard, _)| Guard::ModRevision(Key::Shard(*shard), 0));
            let guards = std::iter::once(unborn()).chain(absent).collect();
            let writes = batch.iter().map(|(shard, record)| {
                Write::Put(Key::Shard(*shard), Record::Shard(record.clone()))
            });
            let writes = writes.collect();
            self.requests.submit(Purpose::Restore, Transaction { guards, writes });
        }
        if missing.is_empty() {
            if let Some(restore) = self.config.restore.take() {
                let shards = restore.shards.len();
                effects.push(Effect::Tell(Notice::Restored { shards }));
            }
            let writes = vec![Write::Put(Key::Meta, Record::Meta(ours))];
            let founding = Transaction { guards: vec![unborn()], writes };
            self.requests.submit(Purpose::Found, founding);
        }
    }

    fn is_missing(&self, shard: ShardId) -> bool {
        self.view.shards().get(shard.0 as usize).is_none_or(|slot| slot.mod_revision == 0)
    }

    /// Whether all kinds of this node stand in the groups of the cluster; if not, they are put
    /// there. A kind of another group's is a reason not to join at all.
    pub(super) fn kinds_are_listed(&mut self, effects: &mut Vec<Effect>) -> bool {
        let mut groups = self.view.groups().clone();
        let mut news = false;
        for kind in &self.config.profile.kinds {
            let group = self.config.groups.get(kind).map_or(GROUP_DEFAULT, String::as_str);
            match groups.assign(kind, group) {
                Ok(new) => news |= new,
                Err(error) => {
                    effects.push(Effect::Tell(Notice::KindRefused(error)));
                    self.stop(effects);
                    return false;
                }
            }
        }
        if news {
            self.write_groups(groups, Vec::new());
        }
        !news
    }

    pub(super) fn write_groups(&mut self, groups: Groups, mut guards: Vec<Guard>) {
        if self.requests.any(Purpose::Groups) {
            return;
        }
        guards.push(Guard::ModRevision(Key::Groups, self.view.revision_of(&Key::Groups)));
        let writes = vec![Write::Put(Key::Groups, Record::Groups(groups))];
        self.requests.submit(Purpose::Groups, Transaction { guards, writes });
    }
}
