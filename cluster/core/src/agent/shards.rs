//! Claims, drains and releases: moving what this node serves toward what it should serve.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::lifecycle::Phase;
use super::motion::Motions;
use super::suspects::Suspects;
use super::{Agent, Effect, GUARDS_PER_TRANSACTION_MAX, Notice, Purpose, Stage};
use crate::record::{Guard, Key, Record, ShardRecord, Transaction, Write};
use crate::time::{Moment, Now};
use crate::view::View;
use crate::{Epoch, Life, NodeId, ShardId};

/// What this node does with a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Local {
    /// Nothing.
    #[default]
    Closed,
    /// Its gate is open.
    Open(Epoch),
    /// Its gate is closing; actors are being deactivated.
    Draining(Epoch),
    /// Nothing of it runs here, but the record still names this node.
    Drained(Epoch),
    /// As drained, and a release was sent that is guarded by this revision of the record. Its
    /// answer may be lost, so it may be applied for as long as the record is of that revision.
    Releasing(Epoch, u64),
}

/// The node's shards: what it does with each, which to look at again, and where calls go.
#[derive(Debug)]
pub(super) struct Shards {
    local: Vec<Local>,
    /// Shards that are not [`Local::Closed`].
    held: usize,
    dirty: Vec<bool>,
    dirty_list: Vec<ShardId>,
    routes: Vec<Option<(Life, Epoch)>>,
    pub(super) suspects: Suspects,
    /// Since when shards have been on their way to this node, or away from it.
    since: BTreeMap<ShardId, Moment>,
}

impl Shards {
    pub(super) fn new(count: u32) -> Self {
        let count = count as usize;
        Self {
            local: vec![Local::Closed; count],
            held: 0,
            dirty: vec![false; count],
            dirty_list: Vec::new(),
            routes: vec![None; count],
            suspects: Suspects::default(),
            since: BTreeMap::new(),
        }
    }

    /// Makes room for the shards of groups that were added.
    pub(super) fn grow(&mut self, count: usize) {
        for shard in self.local.len()..count {
            self.local.push(Local::Closed);
            self.dirty.push(false);
            self.routes.push(None);
            self.touch(ShardId(shard as u32));
        }
    }

    /// Something about this shard is new.
    pub(super) fn touch(&mut self, shard: ShardId) {
        let Some(dirty) = self.dirty.get_mut(shard.0 as usize) else {
            return;
        };
        if !std::mem::replace(dirty, true) {
            self.dirty_list.push(shard);
        }
    }

    /// Something is new that concerns every shard.
    pub(super) fn touch_all(&mut self) {
        for shard in 0..self.local.len() {
            self.touch(ShardId(shard as u32));
        }
    }

    /// Something is new about these nodes, which concerns the shards that they own or should own.
    pub(super) fn touch_those_of(&mut self, view: &View, nodes: &BTreeSet<NodeId>) {
        if nodes.is_empty() {
            return;
        }
        for (shard, slot) in (0..).map(ShardId).zip(view.shards()) {
            let owner = slot.record.owner.as_ref().map(|life| &life.node);
            if owner.into_iter().chain(&slot.record.target).any(|node| nodes.contains(node)) {
                self.touch(shard);
            }
        }
    }

    /// Whether nothing runs here.
    pub(super) fn is_clear(&self) -> bool {
        self.held == 0
    }

    /// The gates are gone, revoked all at once.
    pub(super) fn forget(&mut self) {
        self.local.fill(Local::Closed);
        self.held = 0;
        self.since.clear();
        self.touch_all();
    }

    fn set(&mut self, shard: ShardId, local: Local) {
        let slot = &mut self.local[shard.0 as usize];
        self.held += usize::from(*slot == Local::Closed && local != Local::Closed);
        self.held -= usize::from(*slot != Local::Closed && local == Local::Closed);
        *slot = local;
    }

    pub(super) fn drained(&mut self, shards: &[(ShardId, Epoch)]) {
        for &(shard, epoch) in shards {
            if self.local.get(shard.0 as usize) == Some(&Local::Draining(epoch)) {
                self.set(shard, Local::Drained(epoch));
                self.touch(shard);
            }
        }
    }

    /// Looks at the shards of which something is new: tells where calls go now, and follows those on
    /// their way. Answers how long those that have just arrived took.
    pub(super) fn observe(
        &mut self,
        view: &View,
        motions: &mut Motions,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) -> Vec<Duration> {
        let mut changed = Vec::new();
        let mut arrived = Vec::new();
        for &shard in &self.dirty_list {
            let route = view.route(shard);
            let known = &mut self.routes[shard.0 as usize];
            if *known != route {
                known.clone_from(&route);
                changed.push((shard, route));
            }
            arrived.extend(motions.observe(view, shard, now));
        }
        if !changed.is_empty() {
            effects.push(Effect::Route(changed));
        }
        arrived
    }

    /// A transaction was refused, and nothing that is known explains why. Answers whether it wrote
    /// any shards, which are then written with fewer others, or later.
    pub(super) fn suspect(&mut self, refused: &Transaction, now: Moment) -> bool {
        let shards: Vec<ShardId> = shards_of(refused).collect();
        self.suspects.refused(&shards, now);
        !shards.is_empty()
    }

    /// Suspects that were held off for long enough are looked at again.
    pub(super) fn touch_released_suspects(&mut self, now: Moment) {
        for shard in self.suspects.release(now) {
            self.touch(shard);
        }
    }

    pub(super) fn serving(&self) -> impl Iterator<Item = ShardId> {
        let shards = self.local.iter().enumerate();
        let serving =
            shards.filter(|(_, local)| matches!(local, Local::Open(_) | Local::Draining(_)));
        serving.map(|(shard, _)| ShardId(shard as u32))
    }

    pub(super) fn claimed_of_targeted(&self, view: &View, me: &NodeId) -> (usize, usize) {
        let mine = view
            .shards()
            .iter()
            .zip(&self.local)
            .filter(|(slot, _)| slot.record.target.as_ref() == Some(me));
        mine.fold((0, 0), |(claimed, targeted), (_, local)| {
            (claimed + usize::from(matches!(local, Local::Open(_))), targeted + 1)
        })
    }
}

/// What to do about one shard.
enum Step {
    Claim,
    Open(Epoch),
    Drain(Epoch),
    Release,
    /// The record names another owner; `open` if the gate here does not know that.
    Forget {
        open: bool,
    },
}

impl Agent {
    pub(super) fn decide_shards(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let (Phase::Active(life) | Phase::Draining { life, .. }) = self.phase.clone() else {
            return;
        };
        let leaves = matches!(self.phase, Phase::Draining { .. });
        let (mut claims, mut releases) = (Vec::new(), Vec::new());
        let (mut opened, mut drained, mut revoked) = (Vec::new(), Vec::new(), Vec::new());
        let mut took = Vec::new();
        for shard in std::mem::take(&mut self.shards.dirty_list) {
            self.shards.dirty[shard.0 as usize] = false;
            if self.must_let_be(shard) {
                // To be looked at again when the answer is there, or after a while.
                continue;
            }
            let mut step = self.step_of(shard, &life, leaves);
            if let Some(Step::Forget { open }) = step {
                if open {
                    revoked.push(shard);
                }
                let began = self.shards.since.remove(&shard);
                if !open {
                    took.extend(began.map(|began| (Stage::Release, now.moment.since(began))));
                }
                self.shards.set(shard, Local::Closed);
                step = self.step_of(shard, &life, leaves);
            }
            match step {
                None | Some(Step::Forget { .. }) => {
                    if self.shards.local[shard.0 as usize] == Local::Closed {
                        // A claim that came to nothing.
                        self.shards.since.remove(&shard);
                    }
                }
                Some(Step::Claim) => {
                    self.shards.since.entry(shard).or_insert(now.moment);
                    claims.push(shard);
                }
                Some(Step::Release) => {
                    let slot = self.view.shard(shard);
                    let sent = Local::Releasing(slot.record.epoch, slot.mod_revision);
                    self.shards.set(shard, sent);
                    releases.push(shard);
                }
                Some(Step::Open(epoch)) => {
                    let began = self.shards.since.remove(&shard);
                    if self.shards.local[shard.0 as usize] == Local::Closed {
                        took.extend(began.map(|began| (Stage::Claim, now.moment.since(began))));
                    }
                    self.shards.set(shard, Local::Open(epoch));
                    opened.push((shard, epoch));
                }
                Some(Step::Drain(epoch)) => {
                    self.shards.since.insert(shard, now.moment);
                    self.shards.set(shard, Local::Draining(epoch));
                    drained.push((shard, epoch));
                }
            }
        }
        if !revoked.is_empty() {
            effects.push(Effect::Revoke(revoked));
        }
        if !opened.is_empty() {
            effects.push(Effect::Open(opened));
        }
        if !drained.is_empty() {
            effects.push(Effect::Tell(self.draining_notice(&drained)));
            effects.push(Effect::Drain(drained));
        }
        if !claims.is_empty() {
            effects.push(Effect::Tell(Notice::Claiming { shards: claims.len() }));
        }
        for stage in [Stage::Claim, Stage::Release] {
            let spans = took.iter().filter(|(of, _)| *of == stage).map(|(_, span)| *span);
            let spans: Vec<_> = spans.collect();
            if !spans.is_empty() {
                effects.push(Effect::Took(stage, spans));
            }
        }
        self.submit_each(Purpose::Claim, &claims, &life, now);
        self.submit_each(Purpose::Release, &releases, &life, now);
    }

    /// Whether a write of this shard is under way, or was refused a moment ago.
    pub(super) fn must_let_be(&self, shard: ShardId) -> bool {
        self.requests.is_busy(&Key::Shard(shard)) || self.shards.suspects.is_held_off(shard)
    }

    /// What to do about a shard, from its record and what runs here. `None`: nothing, or not yet.
    fn step_of(&self, shard: ShardId, life: &Life, leaves: bool) -> Option<Step> {
        let record = &self.view.shard(shard).record;
        let mine = record.owner.as_ref() == Some(life);
        let wanted = record.target.as_ref() == Some(&life.node) && !leaves;
        let taken = |target: &NodeId| {
            *target != life.node
                && self.view.member(target).is_some_and(|member| member.takes_shards())
        };
        let unwanted =
            || record.target.as_ref().is_some_and(taken) || (leaves && !self.others_take(shard));
        match self.shards.local[shard.0 as usize] {
            Local::Closed if mine && wanted => Some(Step::Open(record.epoch)),
            Local::Closed if mine => Some(Step::Release),
            Local::Closed if wanted && self.view.live_owner(shard).is_none() => Some(Step::Claim),
            Local::Closed | Local::Draining(_) => None,
            Local::Open(epoch) if mine => unwanted().then_some(Step::Drain(epoch)),
            // It was drained and is wanted again before any release was sent.
            Local::Drained(epoch) if mine && wanted => Some(Step::Open(epoch)),
            // The target came back: the record is newer than any release that was sent, so none of
            // those can be applied any more, and the gate may open again under the same epoch.
            Local::Releasing(epoch, sent_at)
                if mine && wanted && self.view.shard(shard).mod_revision > sent_at =>
            {
                Some(Step::Open(epoch))
            }
            Local::Drained(_) | Local::Releasing(..) if mine => Some(Step::Release),
            Local::Open(_) => Some(Step::Forget { open: true }),
            Local::Drained(_) | Local::Releasing(..) => Some(Step::Forget { open: false }),
        }
    }

    /// Whether another live node may be given this shard.
    fn others_take(&self, shard: ShardId) -> bool {
        let group = self.view.group_of(shard);
        self.view.members().any(|member| {
            member.life.node != self.config.node && self.view.takes_shards_of(&member, group)
        })
    }

    fn draining_notice(&self, drained: &[(ShardId, Epoch)]) -> Notice {
        let mut targets = drained.iter().map(|(shard, _)| &self.view.shard(*shard).record.target);
        let first = targets.next().cloned().flatten();
        let to = first.filter(|first| targets.all(|target| target.as_ref() == Some(first)));
        Notice::Draining { shards: drained.len(), to }
    }

    /// Claims or releases shards, as many in a transaction as its guards allow.
    fn submit_each(&mut self, purpose: Purpose, shards: &[ShardId], life: &Life, now: Now) {
        if shards.is_empty() {
            return;
        }
        // The claimer's own guard, and for each shard its own and perhaps its former owner's.
        for batch in
            self.shards.suspects.batches(shards, |shard| *shard, GUARDS_PER_TRANSACTION_MAX - 1)
        {
            let begin = || Transaction { guards: vec![Guard::alive(life)], writes: Vec::new() };
            let mut transaction = begin();
            for &&shard in &batch {
                if transaction.guards.len() + 2 > GUARDS_PER_TRANSACTION_MAX {
                    self.requests.submit(purpose, std::mem::replace(&mut transaction, begin()));
                }
                self.add_to(&mut transaction, purpose, shard, life, now);
            }
            self.requests.submit(purpose, transaction);
        }
    }

    fn add_to(
        &self,
        transaction: &mut Transaction,
        purpose: Purpose,
        shard: ShardId,
        life: &Life,
        now: Now,
    ) {
        let slot = self.view.shard(shard);
        transaction.guards.push(Guard::ModRevision(Key::Shard(shard), slot.mod_revision));
        let mut record = slot.record.clone();
        record.since_ms = now.wall_ms;
        if purpose == Purpose::Claim {
            guard_former_owner(&mut transaction.guards, &record, life);
            record.owner = Some(life.clone());
            record.epoch = record.epoch.next();
        } else {
            record.owner = None;
        }
        transaction.writes.push(Write::Put(Key::Shard(shard), Record::Shard(record)));
    }
}

/// The shards that a transaction writes.
pub(super) fn shards_of(transaction: &Transaction) -> impl Iterator<Item = ShardId> {
    transaction.writes.iter().filter_map(|write| match write.key() {
        Key::Shard(shard) => Some(*shard),
        _ => None,
    })
}

/// That the former owner, if the record still names one, is dead.
fn guard_former_owner(guards: &mut Vec<Guard>, record: &ShardRecord, claimer: &Life) {
    let Some(former) = &record.owner else { return };
    assert_ne!(former, claimer, "a claim of what is owned already");
    let guard = Guard::dead(former);
    if !guards.contains(&guard) {
        guards.push(guard);
    }
}
