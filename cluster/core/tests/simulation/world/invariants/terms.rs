//! No order of an older term is obeyed: a target that is written was decided in the present term.
//!
//! Proves: C14

use greenroom_core::record::{Key, Record, Transaction, Write};
use greenroom_core::{ShardId, Term};

use crate::world::World;

impl World {
    /// The term in which a node leads, as far as it knows.
    pub(in crate::world) fn term_of(&self, node: usize) -> Option<Term> {
        let agent = &self.nodes[node].agent;
        let (leader, _) = agent.view().leader();
        leader.filter(|_| agent.leads()).map(|leader| leader.term)
    }

    /// Looks at a transaction whose guards hold, before it is applied.
    pub(in crate::world) fn check_terms(
        &mut self,
        node: usize,
        decided_in: Option<Term>,
        transaction: &Transaction,
    ) {
        let by = self.nodes[node].id.clone();
        let present = match self.store.held.get(&Key::Leader).map(|held| &held.record) {
            Some(Record::Leader(leader)) => Some(leader.term),
            _ => None,
        };
        for write in &transaction.writes {
            match write {
                Write::Put(Key::Shard(shard), Record::Shard(new))
                    if self.target_of(*shard) != new.target && present != decided_in =>
                {
                    self.violated(&format!(
                        "{by} wrote a target of shard {shard} that it chose in {decided_in:?}, \
                         in {present:?}"
                    ));
                }
                Write::Put(Key::Leader, Record::Leader(new)) => {
                    let old = present.unwrap_or_default();
                    let grows = if new.holder.is_some() { new.term > old } else { new.term == old };
                    if !grows {
                        self.violated(&format!("{by} follows {old:?} with {:?}", new.term));
                    }
                }
                _ => {}
            }
        }
    }

    fn target_of(&self, shard: ShardId) -> Option<greenroom_core::NodeId> {
        self.store.shard(shard).and_then(|record| record.target.clone())
    }
}
