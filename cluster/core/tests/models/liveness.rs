//! Who may run, and who may take over: heartbeats, silence, burials, claims and releases of one shard
//! between two nodes whose clocks run at different rates. Nothing has to happen in time: whoever
//! could act may also be paused, and any message may be late or lost.

use std::time::Duration;

use greenroom_core::record::{Guard, Key};
use greenroom_core::{Incarnation, Life, Moment, NodeId, Timing};
use stateright::{Model, Property};

use crate::{holds, is_large, is_refuted};

const ONE_ACTIVATION: &str = "at most one node passes the check";
const NO_LATE_WRITE: &str = "no write under an older epoch";
const ONE_LIFE_AN_EPOCH: &str = "an epoch belongs to one life";

/// The protocol, or one that is broken in one way.
#[derive(Clone, Copy, Debug)]
struct Protocol {
    /// In ticks of a clock.
    window: u8,
    margin: u8,
    /// Whether one clock may miss a tick in each window of real time.
    slow_clock: bool,
    lives_max: u8,
    epochs_max: u8,
    /// Whether the second node may pause, die and lose its right too; if not, it lives and has the right
    /// to run at any time, which is worse than what a node of the product has.
    both_mortal: bool,
    /// Whether turns write durable states.
    writes: bool,
    broken: Option<Broken>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// The store revokes leases when it likes, and a key that is gone is a dead node.
    LeaseAsDeath,
    /// A claim does not compare that the former owner's life is over.
    NoGuardOnFormerOwner,
    /// A claim does not compare the record's revision.
    NoGuardOnRecord,
    /// A burial does not compare the heartbeat's revision.
    NoGuardOnSilence,
    /// A node's right ends when its timer gets to run, and not by its clock.
    TimerForClock,
    /// The right counts from when the answer came, and not from when the beat was sent.
    RightFromAnswer,
    /// The store of states takes what it gets.
    NoFence,
    /// A claim keeps the epoch.
    EpochKept,
    /// A gate opens again although a release of the same record may still be applied.
    ReopenOnOldRecord,
}

/// A transaction on its way to the store; a node has one at a time. `fresh` while the record that it
/// is guarded by has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sent {
    Claim { life: u8, former: Option<(usize, u8)>, epoch: u8, fresh: bool },
    Release { life: u8, fresh: bool },
    Burial { fresh: bool },
}

/// A heartbeat on its way, with the age that it has on its sender's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Beat {
    There { life: u8, age: u8 },
    Back { life: u8, age: u8, applied: bool },
}

/// The shard's record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Shard {
    owner: Option<(usize, u8)>,
    epoch: u8,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Node {
    /// The life that it believes to live.
    life: Option<u8>,
    /// For how many ticks of its clock it may still run.
    right: u8,
    gate: Option<u8>,
    beat: Option<Beat>,
    sent: Option<Sent>,
    /// What it last saw of the shard, and whether that is what stands.
    view: Shard,
    view_fresh: bool,
    /// It sent a release that is guarded by the record that it sees, and has no answer.
    released: bool,
    /// It ended its turns to release the shard; if its gate is open, then again.
    drained: bool,
    /// For how many ticks of its clock it has seen the other's heartbeat unchanged, and whether it
    /// is unchanged.
    silence: u8,
    silence_fresh: bool,
    /// A durable write on its way, with its epoch.
    write: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    nodes: [Node; 2],
    /// The life whose heartbeat key exists.
    hearts: [Option<u8>; 2],
    lives: u8,
    shard: Shard,
    /// Real ticks since the slow clock missed one, up to the window.
    since_missed: u8,
    /// The greatest epoch that the store of states took.
    fence: u8,
    late_write: bool,
    shared_epoch: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Tick,
    /// A tick that the slow clock, the first node's, misses.
    TickMissed,
    Join(usize),
    Beat(usize),
    BeatArrives(usize),
    BeatLost(usize),
    BeatAnswered(usize),
    SeesHeartbeat(usize),
    SeesShard(usize),
    Buries(usize),
    Claims(usize),
    Drains(usize),
    Releases(usize),
    Opens(usize),
    Arrives(usize),
    Lost(usize),
    /// Something else of the record changes, such as its target.
    Retarget,
    Writes(usize),
    WriteArrives(usize),
    /// The timer that takes the right away gets to run (only where that is the protocol).
    Timer(usize),
    /// The store revokes a lease (only where that is the protocol).
    Revoke(usize),
    /// The process is gone; its heartbeat stays.
    Crash(usize),
}

fn life(node: usize, incarnation: u8) -> Life {
    let node = NodeId::new(if node == 0 { "a" } else { "b" }).expect("a name");
    Life { node, incarnation: Incarnation(u64::from(incarnation)) }
}

impl Protocol {
    fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    /// How much of the right is left to a node whose beat was sent `age` ticks ago.
    fn right_after(&self, age: u8) -> u8 {
        let ticks = |ticks: u8| Duration::from_secs(ticks.into());
        let timing =
            Timing { window: ticks(self.window), heartbeat: ticks(1), margin: ticks(self.margin) };
        let now = Moment(0).after(ticks(age));
        timing.right_until(Moment(0)).since(now).as_secs() as u8
    }

    /// Whether a node would run a turn.
    fn passes(&self, place: usize, node: &Node) -> bool {
        node.gate.is_some() && (node.right > 0 || !self.is_mortal(place))
    }

    fn is_mortal(&self, place: usize) -> bool {
        place == 0 || self.both_mortal
    }

    fn tick(&self, state: &mut State, missed: bool) {
        for (place, node) in state.nodes.iter_mut().enumerate() {
            if missed && place == 0 {
                continue;
            }
            if !self.is(Broken::TimerForClock) {
                node.right = node.right.saturating_sub(1);
            }
            let watches = node.life.is_some() && self.is_mortal(1 - place);
            node.silence = if watches { (node.silence + 1).min(self.window) } else { 0 };
            if let Some(Beat::There { age, .. } | Beat::Back { age, .. }) = &mut node.beat {
                *age = (*age + 1).min(self.window);
            }
        }
        state.since_missed = if missed { 0 } else { (state.since_missed + 1).min(self.window) };
    }

    fn arrives(&self, state: &mut State, from: usize) {
        let Some(sent) = state.nodes[from].sent.take() else { return };
        let created = |node: usize| state.hearts[node].map_or(0, u64::from);
        // Whether a record is of the revision that a guard names.
        let same =
            |fresh: bool| Guard::ModRevision(Key::Meta, 1).holds(1, if fresh { 1 } else { 2 });
        match sent {
            Sent::Claim { life: by, former, epoch, fresh } => {
                let alive = Guard::alive(&life(from, by)).holds(created(from), 1);
                let free = former.is_none_or(|(node, former)| {
                    Guard::dead(&life(node, former)).holds(created(node), 1)
                });
                let free = free || self.is(Broken::NoGuardOnFormerOwner);
                if alive && free && (same(fresh) || self.is(Broken::NoGuardOnRecord)) {
                    let raised = u8::from(!self.is(Broken::EpochKept));
                    let epoch = epoch + raised;
                    state.shared_epoch |= epoch <= state.shard.epoch;
                    state.shard = Shard { owner: Some((from, by)), epoch };
                    self.shard_changed(state);
                }
            }
            Sent::Release { life: by, fresh } => {
                if Guard::alive(&life(from, by)).holds(created(from), 1) && same(fresh) {
                    state.shard.owner = None;
                    self.shard_changed(state);
                }
            }
            Sent::Burial { fresh } => {
                if same(fresh) || self.is(Broken::NoGuardOnSilence) {
                    self.heart_gone(state, 1 - from);
                }
            }
        }
    }

    fn shard_changed(&self, state: &mut State) {
        for node in &mut state.nodes {
            node.view_fresh = false;
            if let Some(Sent::Claim { fresh, .. } | Sent::Release { fresh, .. }) = &mut node.sent {
                *fresh = false;
            }
        }
    }

    fn heart_changed(&self, state: &mut State, node: usize) {
        let other = &mut state.nodes[1 - node];
        other.silence_fresh = false;
        if let Some(Sent::Burial { fresh }) = &mut other.sent {
            *fresh = false;
        }
    }

    fn heart_gone(&self, state: &mut State, node: usize) {
        state.hearts[node] = None;
        self.heart_changed(state, node);
    }

    /// What can have no effect any more is as good as lost. Only where all guards are in place.
    fn forget_what_makes_no_difference(&self, state: &mut State) {
        if self.broken.is_some() {
            return;
        }
        for (place, node) in state.nodes.iter_mut().enumerate() {
            let stale = match node.sent {
                Some(Sent::Claim { life, fresh, .. } | Sent::Release { life, fresh }) => {
                    !fresh || state.hearts[place] != Some(life)
                }
                Some(Sent::Burial { fresh }) => !fresh,
                None => false,
            };
            if stale {
                node.sent = None;
            }
            if let Some(Beat::Back { age, applied: true, .. }) = node.beat
                && self.right_after(age) == 0
            {
                node.beat = None;
            }
            if node.life.is_none() {
                (node.silence, node.silence_fresh) = (0, false);
            }
        }
    }

    fn fence(node: &mut Node) {
        // What is on its way stays on its way.
        *node = Node {
            beat: node.beat,
            sent: node.sent,
            view: node.view,
            view_fresh: node.view_fresh,
            write: node.write,
            ..Node::default()
        };
    }

    fn sees_shard(state: &mut State, node: usize) {
        let shard = state.shard;
        let this = &mut state.nodes[node];
        (this.view, this.view_fresh, this.released) = (shard, true, false);
        let mine = this.life.map(|life| (node, life)) == shard.owner && shard.owner.is_some();
        if !mine {
            // It was taken away, or the release is done.
            (this.gate, this.drained) = (None, false);
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let immortal = (!self.both_mortal).then_some(1);
        let node = |life| Node { life, view_fresh: true, ..Node::default() };
        vec![State {
            nodes: [node(None), node(immortal)],
            hearts: [None, immortal],
            lives: immortal.unwrap_or(0),
            shard: Shard::default(),
            since_missed: self.window,
            fence: 0,
            late_write: false,
            shared_epoch: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.push(Action::Tick);
        if self.slow_clock && state.since_missed >= self.window {
            actions.push(Action::TickMissed);
        }
        if state.shard.epoch > 0 {
            actions.push(Action::Retarget);
        }
        for (place, node) in state.nodes.iter().enumerate() {
            let mine = node.life.map(|life| (place, life));
            let owns = mine.is_some() && node.view.owner == mine;
            match node.life {
                None if state.hearts[place].is_none() && state.lives < self.lives_max => {
                    actions.push(Action::Join(place));
                }
                Some(_) if node.beat.is_none() && self.is_mortal(place) => {
                    actions.push(Action::Beat(place));
                }
                _ => {}
            }
            match node.beat {
                Some(Beat::There { .. }) => {
                    actions.extend([Action::BeatArrives(place), Action::BeatLost(place)]);
                }
                Some(Beat::Back { .. }) => actions.push(Action::BeatAnswered(place)),
                None => {}
            }
            let watches = node.life.is_some() && self.is_mortal(1 - place);
            if watches && !node.silence_fresh && state.hearts[1 - place].is_some() {
                actions.push(Action::SeesHeartbeat(place));
            }
            if !node.view_fresh && state.shard.epoch > 0 {
                actions.push(Action::SeesShard(place));
            }
            if node.sent.is_some() {
                actions.extend([Action::Arrives(place), Action::Lost(place)]);
            } else if node.life.is_some() {
                // The read before a burial sees the heartbeat as it is.
                let unchanged = node.silence_fresh || self.is(Broken::NoGuardOnSilence);
                if watches
                    && node.silence >= self.window
                    && unchanged
                    && state.hearts[1 - place].is_some()
                {
                    actions.push(Action::Buries(place));
                }
                if !owns && node.view.epoch < self.epochs_max {
                    actions.push(Action::Claims(place));
                }
                if owns && node.drained && node.gate.is_none() {
                    actions.push(Action::Releases(place));
                }
            }
            if owns && node.gate.is_none() {
                let again = !node.released || self.is(Broken::ReopenOnOldRecord);
                if again {
                    actions.push(Action::Opens(place));
                }
            }
            if owns && node.gate.is_some() {
                actions.push(Action::Drains(place));
            }
            if self.writes && self.passes(place, node) && node.write.is_none() {
                actions.push(Action::Writes(place));
            }
            if node.write.is_some() {
                actions.push(Action::WriteArrives(place));
            }
            if node.life.is_some() && self.is_mortal(place) {
                actions.push(Action::Crash(place));
            }
            if self.is(Broken::TimerForClock) && node.right > 0 {
                actions.push(Action::Timer(place));
            }
            if self.is(Broken::LeaseAsDeath) && state.hearts[place].is_some() {
                actions.push(Action::Revoke(place));
            }
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Tick => self.tick(&mut state, false),
            Action::TickMissed => self.tick(&mut state, true),
            Action::Join(n) => {
                state.lives += 1;
                state.hearts[n] = Some(state.lives);
                state.nodes[n].life = Some(state.lives);
                self.heart_changed(&mut state, n);
            }
            Action::Beat(n) => {
                let life = state.nodes[n].life?;
                state.nodes[n].beat = Some(Beat::There { life, age: 0 });
            }
            Action::BeatArrives(n) => {
                let Some(Beat::There { life: by, age }) = state.nodes[n].beat else { return None };
                let created = state.hearts[n].map_or(0, u64::from);
                let applied = Guard::alive(&life(n, by)).holds(created, 1);
                if applied {
                    self.heart_changed(&mut state, n);
                }
                state.nodes[n].beat = Some(Beat::Back { life: by, age, applied });
            }
            Action::BeatLost(n) => state.nodes[n].beat = None,
            Action::BeatAnswered(n) => {
                let node = &mut state.nodes[n];
                let Some(Beat::Back { life, age, applied }) = node.beat.take() else { return None };
                if node.life == Some(life) {
                    if applied {
                        let age = if self.is(Broken::RightFromAnswer) { 0 } else { age };
                        node.right = node.right.max(self.right_after(age));
                    } else {
                        Self::fence(node);
                    }
                }
            }
            Action::SeesHeartbeat(n) => {
                (state.nodes[n].silence, state.nodes[n].silence_fresh) = (0, true);
            }
            Action::SeesShard(n) => Self::sees_shard(&mut state, n),
            Action::Buries(n) => {
                let fresh = state.nodes[n].silence_fresh;
                state.nodes[n].sent = Some(Sent::Burial { fresh });
            }
            Action::Claims(n) => {
                let node = &mut state.nodes[n];
                let (former, epoch, fresh) = (node.view.owner, node.view.epoch, node.view_fresh);
                node.sent = Some(Sent::Claim { life: node.life?, former, epoch, fresh });
            }
            Action::Drains(n) => (state.nodes[n].gate, state.nodes[n].drained) = (None, true),
            Action::Releases(n) => {
                let node = &mut state.nodes[n];
                node.sent = Some(Sent::Release { life: node.life?, fresh: node.view_fresh });
                node.released = true;
            }
            Action::Opens(n) => {
                state.nodes[n].gate = Some(state.nodes[n].view.epoch);
            }
            Action::Arrives(n) => self.arrives(&mut state, n),
            Action::Lost(n) => {
                // Of a release nobody knows whether it was lost or is late: it is late for ever.
                state.nodes[n].sent = None;
            }
            Action::Retarget => self.shard_changed(&mut state),
            Action::Writes(n) => state.nodes[n].write = state.nodes[n].gate,
            Action::WriteArrives(n) => {
                let epoch = state.nodes[n].write.take()?;
                if epoch >= state.fence || self.is(Broken::NoFence) {
                    state.late_write |= epoch < state.fence;
                    state.fence = state.fence.max(epoch);
                }
            }
            Action::Timer(n) => state.nodes[n].right = 0,
            Action::Revoke(n) => self.heart_gone(&mut state, n),
            Action::Crash(n) => Self::fence(&mut state.nodes[n]),
        }
        self.forget_what_makes_no_difference(&mut state);
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_ACTIVATION, |protocol: &Self, state: &State| {
                !state.nodes.iter().enumerate().all(|(place, node)| protocol.passes(place, node))
            }),
            Property::always(NO_LATE_WRITE, |_, state: &State| !state.late_write),
            Property::always(ONE_LIFE_AN_EPOCH, |_, state: &State| !state.shared_epoch),
            Property::sometimes("one runs while the other's gate is open without a right", {
                |protocol: &Self, state: &State| {
                    let [a, b] = &state.nodes;
                    a.gate.is_some() && protocol.passes(1, b)
                }
            }),
            Property::sometimes("a late write is under way", |protocol: &Self, state: &State| {
                !protocol.writes
                    || state.nodes.iter().any(|node| node.write.is_some_and(|e| e < state.fence))
            }),
            Property::sometimes("a shard has had as many owners as may be", {
                |protocol: &Self, state: &State| state.shard.epoch == protocol.epochs_max
            }),
            Property::sometimes("a gate opens again", |_, state: &State| {
                state.nodes.iter().any(|node| node.gate.is_some() && node.drained)
            }),
        ]
    }
}

/// What the product does, with a clock that is as slow as the margin allows.
fn right() -> Protocol {
    let (lives_max, epochs_max) = if is_large() { (4, 5) } else { (3, 3) };
    Protocol {
        window: 3,
        margin: 1,
        slow_clock: true,
        lives_max,
        epochs_max,
        both_mortal: false,
        writes: false,
        broken: None,
    }
}

/// Proves: C1, C10, C13, C19, P1
#[test]
fn at_most_one_runs_whatever_pauses_is_late_or_lost() {
    holds(right(), "liveness and claim");
}

/// Proves: C2, P2
#[test]
fn no_write_under_an_older_epoch_whatever_pauses_is_late_or_lost() {
    let few = Protocol { window: 2, lives_max: 2, epochs_max: 2, ..right() };
    holds(Protocol { writes: true, ..few }, "liveness, claim and durable writes");
}

/// Of minutes, so only in the large search.
#[test]
fn at_most_one_runs_with_both_mortal() {
    if is_large() {
        let few = Protocol { window: 2, lives_max: 2, epochs_max: 2, ..right() };
        holds(Protocol { both_mortal: true, ..few }, "liveness and claim, both mortal");
    }
}

/// Proves: C3
#[test]
fn a_margin_of_nothing_is_refuted_by_a_slow_clock_and_only_by_that() {
    is_refuted(Protocol { margin: 0, ..right() }, "no margin", ONE_ACTIVATION);
    let alike = Protocol { margin: 0, slow_clock: false, ..right() };
    holds(alike, "liveness and claim, with no margin and clocks alike");
}

/// Proves: C1, C2, C7, C10, C13, C19, C21
#[test]
fn each_broken_protocol_is_refuted() {
    for (broken, promise) in [
        (Broken::LeaseAsDeath, ONE_ACTIVATION),
        (Broken::NoGuardOnFormerOwner, ONE_ACTIVATION),
        (Broken::NoGuardOnRecord, ONE_LIFE_AN_EPOCH),
        (Broken::NoGuardOnSilence, ONE_ACTIVATION),
        (Broken::TimerForClock, ONE_ACTIVATION),
        (Broken::RightFromAnswer, ONE_ACTIVATION),
        (Broken::NoFence, NO_LATE_WRITE),
        (Broken::EpochKept, ONE_LIFE_AN_EPOCH),
        (Broken::ReopenOnOldRecord, ONE_ACTIVATION),
    ] {
        let broken_one = Protocol {
            broken: Some(broken),
            window: 2,
            lives_max: 2,
            epochs_max: 2,
            writes: broken == Broken::NoFence,
            ..right()
        };
        is_refuted(broken_one, &format!("{broken:?}"), promise);
    }
}
