//! Who may give a shard to whom: leaders and their terms, targets, releases and claims of one shard
//! between two nodes. Every transaction is what the agent sends, guards and all, against a store
//! with revisions; each may be late, also so late that its sender has decided anew, or lost.
//!
//! When a life is over is not this model's matter: lives end at any time here.

use greenroom_core::record::{Guard, Key};
use greenroom_core::{Incarnation, Life, NodeId, ShardId};
use stateright::{Model, Property};

use crate::{holds, is_large, is_refuted};

const NO_OLD_ORDER: &str = "no order of an older term is obeyed";
const ONE_LEADER_A_TERM: &str = "a term has one leader";
const ONE_LIFE_AN_EPOCH: &str = "an epoch belongs to one life";
const TAKEN_FROM_NOBODY: &str = "no shard is taken from an owner that lives";
const GATES_ARE_OWNED: &str = "an open gate of a life that goes on has its record";
const DEAD_WRITE_NOTHING: &str = "who is dead writes nothing";

#[derive(Clone, Copy, Debug)]
struct Protocol {
    lives_max: u8,
    revisions_max: u8,
    broken: Option<Broken>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// Orders do not compare the leader key.
    StaleTerm,
    /// Orders do not compare the shard's record.
    OrderWithoutRecord,
    /// A claim does not compare that the former owner's life is over.
    NoGuardOnFormerOwner,
    /// A claim does not compare the record's revision.
    ClaimWithoutRecord,
    /// An election does not compare the leader key.
    ElectionWithoutLeader,
    /// A new leader keeps the term.
    TermKept,
    /// Writes compare that the node is alive, and not that it is this life of it.
    AnyIncarnation,
    /// A gate opens again although a release of the same record may still be applied.
    ReopenOnOldRecord,
}

/// A node and the revision at which its heartbeat was created.
type Who = (usize, u8);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Leader {
    holder: Option<Who>,
    term: u8,
    revision: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Shard {
    target: Option<usize>,
    owner: Option<Who>,
    epoch: u8,
    revision: u8,
}

/// What the store holds, or a node believes it to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Records {
    /// When each node's heartbeat was created; 0 while it is absent.
    hearts: [u8; 2],
    leader: Leader,
    shard: Shard,
}

/// A transaction: who wrote it, what he had seen, and what he wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Sent {
    by: Who,
    leader: Leader,
    shard: Shard,
    wants: Wants,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Wants {
    Lead,
    Resign,
    Target(usize),
    Claim,
    Release,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Node {
    life: Option<u8>,
    view: Records,
    gate: Option<u8>,
    /// It ended its turns to release the shard; if its gate is open, then again.
    drained: bool,
    /// The revision of the record that its last release was guarded by.
    released_at: u8,
    sent: Option<Sent>,
    /// What it has given up and may still arrive.
    late: Option<Sent>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    nodes: [Node; 2],
    revision: u8,
    lives: u8,
    store: Records,
    broken_promise: Option<&'static str>,
    old_order_refused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Join(usize),
    Dies(usize),
    /// It learns that its life is over.
    IsFenced(usize),
    SeesAll(usize),
    /// The answer to a refused transaction tells of the shard alone.
    SeesShard(usize),
    Sends(usize, Wants),
    Drains(usize),
    Opens(usize),
    GivesUp(usize),
    Arrives(usize),
    ArrivesLate(usize),
    Lost(usize),
}

fn life((node, incarnation): Who) -> Life {
    let node = NodeId::new(if node == 0 { "a" } else { "b" }).expect("a name");
    Life { node, incarnation: Incarnation(incarnation.into()) }
}

impl Protocol {
    fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    /// The guards of a transaction, each with whose record it looks at.
    fn hold(&self, store: &Records, sent: &Sent) -> bool {
        let created = |node: usize| u64::from(store.hearts[node]);
        let alive = Guard::alive(&life(sent.by)).holds(created(sent.by.0), 1)
            || self.is(Broken::AnyIncarnation) && created(sent.by.0) > 0;
        let dead = |former: Who| Guard::dead(&life(former)).holds(created(former.0), 1);
        let leader = Guard::ModRevision(Key::Leader, sent.leader.revision.into())
            .holds(1, store.leader.revision.into());
        let shard = Guard::ModRevision(Key::Shard(ShardId(0)), sent.shard.revision.into())
            .holds(1, store.shard.revision.into());
        alive
            && match sent.wants {
                Wants::Lead => {
                    (leader || self.is(Broken::ElectionWithoutLeader))
                        && sent.leader.holder.is_none_or(dead)
                }
                Wants::Resign => leader,
                Wants::Target(_) => {
                    (leader || self.is(Broken::StaleTerm))
                        && (shard || self.is(Broken::OrderWithoutRecord))
                }
                Wants::Claim => {
                    let free = sent.shard.owner.is_none_or(dead);
                    (shard || self.is(Broken::ClaimWithoutRecord))
                        && (free || self.is(Broken::NoGuardOnFormerOwner))
                }
                Wants::Release => shard,
            }
    }

    /// A transaction that is refused now is refused for ever, since no revision comes back: it is as
    /// good as lost. Only where all guards are in place.
    fn forget_what_makes_no_difference(&self, state: &mut State) {
        if self.broken.is_some() {
            return;
        }
        let (store, mut old) = (state.store, false);
        let mut lasts = |sent: &mut Option<Sent>| {
            if let Some(refused) =
                sent.filter(|sent| !self.hold(&store, sent) && !waits(&store, sent))
            {
                let order = matches!(refused.wants, Wants::Target(_));
                old |= order && refused.leader.term < store.leader.term;
                *sent = None;
            }
        };
        for node in &mut state.nodes {
            lasts(&mut node.sent);
            lasts(&mut node.late);
            if node.life.is_none() {
                *node = Node { sent: node.sent, late: node.late, ..Node::default() };
            }
        }
        state.old_order_refused |= old;
    }

    fn commit(&self, state: &mut State, sent: &Sent) {
        if !self.hold(&state.store, sent) {
            let order = matches!(sent.wants, Wants::Target(_));
            state.old_order_refused |= order && sent.leader.term < state.store.leader.term;
            return;
        }
        state.revision += 1;
        let (revision, before) = (state.revision, state.store);
        let lives = |who: Who| before.hearts[who.0] == who.1;
        let mut breaks = |promise, broken: bool| {
            if broken {
                state.broken_promise.get_or_insert(promise);
            }
        };
        breaks(DEAD_WRITE_NOTHING, !lives(sent.by));
        // A record is written whole, as its writer saw it.
        let seen = Shard { revision, ..sent.shard };
        match sent.wants {
            Wants::Lead => {
                let term = sent.leader.term + u8::from(!self.is(Broken::TermKept));
                breaks(ONE_LEADER_A_TERM, term <= before.leader.term);
                state.store.leader = Leader { holder: Some(sent.by), term, revision };
            }
            Wants::Resign => state.store.leader = Leader { holder: None, revision, ..sent.leader },
            Wants::Target(to) => {
                breaks(NO_OLD_ORDER, sent.leader.term != before.leader.term);
                breaks(TAKEN_FROM_NOBODY, changes_hands(&before.shard, &seen, lives));
                state.store.shard = Shard { target: Some(to), ..seen };
            }
            Wants::Claim => {
                let epoch = sent.shard.epoch + 1;
                breaks(TAKEN_FROM_NOBODY, before.shard.owner.is_some_and(lives));
                breaks(ONE_LIFE_AN_EPOCH, epoch <= before.shard.epoch);
                state.store.shard = Shard { owner: Some(sent.by), epoch, ..seen };
            }
            Wants::Release => state.store.shard = Shard { owner: None, ..seen },
        }
    }
}

/// Whether a transaction waits for nothing but somebody's death.
fn waits(store: &Records, sent: &Sent) -> bool {
    let former = match sent.wants {
        Wants::Lead => sent.leader.holder,
        Wants::Claim => sent.shard.owner,
        _ => None,
    };
    former.is_some_and(|former| store.hearts[former.0] == former.1)
}

/// Whether a record takes the shard from an owner that lives.
fn changes_hands(before: &Shard, after: &Shard, lives: impl Fn(Who) -> bool) -> bool {
    before.owner != after.owner && before.owner.is_some_and(lives)
}

impl Node {
    fn who(&self, place: usize) -> Option<Who> {
        self.life.map(|life| (place, life))
    }

    fn leads(&self, place: usize) -> bool {
        self.life.is_some() && self.view.leader.holder == self.who(place)
    }

    fn owns(&self, place: usize) -> bool {
        self.life.is_some() && self.view.shard.owner == self.who(place)
    }

    fn knows_alive(&self, who: Who) -> bool {
        self.view.hearts[who.0] == who.1
    }

    fn wants(&self, place: usize, wants: &mut Vec<Wants>) {
        let (leader, shard) = (&self.view.leader, &self.view.shard);
        if self.leads(place) {
            wants.push(Wants::Resign);
            let elsewhere = (0..2).filter(|to| shard.target != Some(*to));
            wants.extend(elsewhere.map(Wants::Target));
        } else if leader.holder.is_none_or(|holder| !self.knows_alive(holder)) {
            wants.push(Wants::Lead);
        }
        let free = shard.owner.is_none_or(|owner| !self.knows_alive(owner));
        if shard.target == Some(place) && free {
            wants.push(Wants::Claim);
        }
        if self.owns(place) && self.drained && self.gate.is_none() {
            wants.push(Wants::Release);
        }
    }

    /// What it sees takes effect on its gate.
    fn looks_at_shard(&mut self, place: usize) {
        if !self.owns(place) {
            (self.gate, self.drained) = (None, false);
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (place, node) in state.nodes.iter().enumerate() {
            let heart = state.store.hearts[place];
            match node.life {
                None if heart == 0 && state.lives < self.lives_max => {
                    actions.push(Action::Join(place));
                }
                Some(life) if life == heart => actions.push(Action::Dies(place)),
                Some(_) => actions.push(Action::IsFenced(place)),
                None => {}
            }
            if node.sent.is_some() {
                actions.extend([Action::Arrives(place), Action::Lost(place)]);
                if node.late.is_none() {
                    actions.push(Action::GivesUp(place));
                }
            }
            if node.late.is_some() {
                actions.push(Action::ArrivesLate(place));
            }
            if node.life.is_none() {
                continue;
            }
            if node.view != state.store {
                actions.push(Action::SeesAll(place));
            }
            if node.view.shard != state.store.shard {
                actions.push(Action::SeesShard(place));
            }
            if node.sent.is_none() {
                let mut wants = Vec::new();
                node.wants(place, &mut wants);
                actions.extend(wants.into_iter().map(|wants| Action::Sends(place, wants)));
            }
            if node.owns(place) {
                let wanted = node.view.shard.target == Some(place);
                let newer = node.view.shard.revision > node.released_at;
                if node.gate.is_some() && !wanted {
                    actions.push(Action::Drains(place));
                }
                if node.gate.is_none() && wanted && (newer || self.is(Broken::ReopenOnOldRecord)) {
                    actions.push(Action::Opens(place));
                }
                // It is told to drain, and later to take shards again.
                if node.gate.is_some() && wanted {
                    actions.push(Action::Drains(place));
                }
            }
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Join(n) => {
                state.revision += 1;
                state.lives += 1;
                state.store.hearts[n] = state.revision;
                state.nodes[n].life = Some(state.revision);
            }
            Action::Dies(n) => {
                state.revision += 1;
                state.store.hearts[n] = 0;
            }
            Action::IsFenced(n) => {
                let Node { view, sent, late, .. } = state.nodes[n];
                state.nodes[n] = Node { view, sent, late, ..Node::default() };
            }
            Action::SeesAll(n) => {
                state.nodes[n].view = state.store;
                state.nodes[n].looks_at_shard(n);
            }
            Action::SeesShard(n) => {
                state.nodes[n].view.shard = state.store.shard;
                state.nodes[n].looks_at_shard(n);
            }
            Action::Sends(n, wants) => {
                let node = &mut state.nodes[n];
                let Records { leader, shard, .. } = node.view;
                node.sent = Some(Sent { by: node.who(n)?, leader, shard, wants });
                if wants == Wants::Release {
                    node.released_at = shard.revision;
                }
            }
            Action::Drains(n) => {
                (state.nodes[n].gate, state.nodes[n].drained) = (None, true);
            }
            Action::Opens(n) => {
                let node = &mut state.nodes[n];
                node.gate = Some(node.view.shard.epoch);
            }
            Action::GivesUp(n) => state.nodes[n].late = state.nodes[n].sent.take(),
            Action::Arrives(n) => {
                let sent = state.nodes[n].sent.take()?;
                self.commit(&mut state, &sent);
            }
            Action::ArrivesLate(n) => {
                let sent = state.nodes[n].late.take()?;
                self.commit(&mut state, &sent);
            }
            Action::Lost(n) => state.nodes[n].sent = None,
        }
        self.forget_what_makes_no_difference(&mut state);
        (state != *before).then_some(state)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.revision <= self.revisions_max
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(NO_OLD_ORDER, |_, state: &State| {
                state.broken_promise != Some(NO_OLD_ORDER)
            }),
            Property::always(ONE_LEADER_A_TERM, |_, state: &State| {
                state.broken_promise != Some(ONE_LEADER_A_TERM)
            }),
            Property::always(ONE_LIFE_AN_EPOCH, |_, state: &State| {
                state.broken_promise != Some(ONE_LIFE_AN_EPOCH)
            }),
            Property::always(TAKEN_FROM_NOBODY, |_, state: &State| {
                state.broken_promise != Some(TAKEN_FROM_NOBODY)
            }),
            Property::always(DEAD_WRITE_NOTHING, |_, state: &State| {
                state.broken_promise != Some(DEAD_WRITE_NOTHING)
            }),
        ];
        properties.extend([
            Property::always(GATES_ARE_OWNED, |_, state: &State| {
                state.nodes.iter().enumerate().all(|(place, node)| {
                    let lives = node.life == Some(state.store.hearts[place]);
                    let owner = state.store.shard.owner;
                    !lives || node.gate.is_none() || owner == node.who(place)
                })
            }),
            Property::sometimes("an order of an old term is refused", |_, state: &State| {
                state.old_order_refused
            }),
            Property::sometimes("a shard is released and claimed", |_, state: &State| {
                // Nobody has died, so its former owner released it.
                let alive = state.store.hearts.iter().filter(|heart| **heart > 0).count();
                state.store.shard.epoch > 1 && alive == usize::from(state.lives)
            }),
            Property::sometimes("a shard is taken over from the dead", {
                |protocol: &Self, state: &State| {
                    let claims = state.nodes.iter().filter_map(|node| node.sent.as_ref());
                    let mut claims = claims.filter(|sent| sent.wants == Wants::Claim);
                    claims.any(|claim| {
                        claim.shard.owner.is_some() && protocol.hold(&state.store, claim)
                    })
                }
            }),
            Property::sometimes("a gate opens again after a release was sent", {
                |_, state: &State| {
                    let again = |node: &Node| node.gate.is_some() && node.released_at > 0;
                    state.nodes.iter().any(again)
                }
            }),
        ]);
        if is_large() {
            properties.push(Property::sometimes(
                "a leader is replaced while a shard is on its way",
                {
                    |_, state: &State| {
                        let Records { leader, shard, .. } = &state.store;
                        let on_its_way =
                            shard.owner.is_some_and(|owner| shard.target != Some(owner.0));
                        leader.term > 1 && on_its_way
                    }
                },
            ));
        }
        properties
    }
}

fn right() -> Protocol {
    let (lives_max, revisions_max) = if is_large() { (3, 8) } else { (2, 6) };
    Protocol { lives_max, revisions_max, broken: None }
}

/// Proves: C14, P1
#[test]
fn no_old_order_is_obeyed_and_no_shard_is_taken_whatever_is_late_or_lost() {
    holds(right(), "leader terms and migration");
}

/// Proves: C13, C14, C19, C20
#[test]
fn each_broken_protocol_is_refuted() {
    for (broken, promise) in [
        (Broken::StaleTerm, NO_OLD_ORDER),
        (Broken::OrderWithoutRecord, TAKEN_FROM_NOBODY),
        (Broken::NoGuardOnFormerOwner, TAKEN_FROM_NOBODY),
        (Broken::ClaimWithoutRecord, TAKEN_FROM_NOBODY),
        (Broken::ElectionWithoutLeader, ONE_LEADER_A_TERM),
        (Broken::TermKept, ONE_LEADER_A_TERM),
        (Broken::AnyIncarnation, DEAD_WRITE_NOTHING),
        (Broken::ReopenOnOldRecord, GATES_ARE_OWNED),
    ] {
        is_refuted(Protocol { broken: Some(broken), ..right() }, &format!("{broken:?}"), promise);
    }
}
