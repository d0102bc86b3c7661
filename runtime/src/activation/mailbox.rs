//! Which turns of one actor may start: at most one `&mut self` turn, or many `&self` turns, in the
//! order of arrival. Decides only; [`super::cell`] runs what may start.

use std::collections::VecDeque;
use std::sync::Arc;

use greenroom_core::ActorId;

use super::turn::{Job, Queued};
use crate::failure::{Failure, FailureCode};
use crate::interface::Access;
use crate::pressure::Usage;

/// The state of a cell. There is one for each actor in memory, so every byte counts: what few need
/// stands elsewhere.
pub(super) struct Mailbox<A> {
    /// Nobody but in [`Stage::Idle`].
    actor: Option<Arc<A>>,
    /// Calls that wait.
    waiting: Waiting,
    /// `&self` turns that run now.
    readers: u16,
    /// When turns ended, or began if they did not wait.
    usage: Usage,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not in memory.
    Vacant,
    /// Alive, and no `&mut self` turn runs.
    Idle,
    /// Coming to life, going, or taken out by a `&mut self` turn.
    Taken,
    /// Lost by a panic, while other `&self` turns still have it.
    Lost,
    /// The cell is out of the directory; nothing starts here any more.
    Gone,
}

/// Most actors never have a call that waits.
#[derive(Default)]
#[expect(clippy::box_collection, reason = "an empty queue takes 8 bytes instead of 32")]
struct Waiting(Option<Box<VecDeque<Queued>>>);

impl Waiting {
    fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.len())
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push(&mut self, queued: Queued) {
        self.0.get_or_insert_default().push_back(queued);
    }

    fn front(&self) -> Option<&Queued> {
        self.0.as_ref()?.front()
    }

    fn pop(&mut self) -> Option<Queued> {
        self.0.as_mut()?.pop_front()
    }

    /// Takes all of it.
    fn take(&mut self) -> VecDeque<Queued> {
        self.0.take().map(|queue| *queue).unwrap_or_default()
    }

    /// Gives the memory back that nobody needs.
    fn shrink(&mut self) {
        if self.is_empty() {
            self.0 = None;
        }
    }
}

/// A turn that waited and may start now.
pub(super) struct Start<A> {
    pub(super) queued: Queued,
    pub(super) with: With<A>,
}

/// What a turn starts with.
pub(super) enum With<A> {
    /// The actor is not in memory and must be activated first.
    Nobody,
    /// The actor, taken out of its place.
    Alone(Arc<A>),
    /// The actor, beside other `&self` turns.
    Beside(Arc<A>),
}

/// What is to become of a call that arrived.
pub(super) enum Admission<A> {
    /// Its turn starts now.
    Start(With<A>),
    /// It may [wait](Mailbox::wait).
    Wait,
    /// As many wait as may.
    Full,
    Refused(Failure),
    /// The cell has left the directory: look the actor up again.
    Gone,
}

/// What there is to passivate.
pub(super) enum Unused<A> {
    /// The actor, taken out of its place.
    Actor(Arc<A>),
    /// Nothing lives or waits here.
    Empty,
    /// It is in use.
    InUse,
}

/// What the end of a `&self` turn came to.
pub(super) struct ReaderLeft<A> {
    /// What may start now.
    pub(super) next: Vec<Start<A>>,
    /// The actor, if this turn lost it by a panic.
    pub(super) lost: Option<Arc<A>>,
    /// Nobody has the actor any more that was lost.
    pub(super) ended: bool,
}

/// What was in a cell.
pub(super) struct Cleared<A> {
    pub(super) actor: Option<Arc<A>>,
    pub(super) waiting: VecDeque<Queued>,
    /// The actor had been lost by a panic, and turns still have it.
    pub(super) lost: bool,
}

impl<A> Mailbox<A> {
    pub(super) fn new(now_ms: u32) -> Self {
        let (waiting, usage) = (Waiting::default(), Usage::new(now_ms));
        Self { actor: None, waiting, readers: 0, usage, stage: Stage::Vacant }
    }

    /// Starts the call's turn if nothing is before it, else lets it wait, if there is room.
    ///
    /// Calls whose callers went away make room and go to `abandoned`.
    pub(super) fn admit(
        &mut self,
        id: &ActorId,
        job: &Job,
        waiting_max: usize,
        abandoned: &mut Vec<Queued>,
    ) -> Admission<A> {
        if self.stage == Stage::Gone {
            return Admission::Gone;
        }
        if self.waiting.is_empty() && self.may_start(job.access) {
            return Admission::Start(self.begin(job.access));
        }
        if let Some(cycle) = job.cycle(id) {
            // A turn that waits for this call is among the readers: those who wait in the mailbox wait
            // for that turn, and so for this call.
            if job.reentrant && self.readers > 0 && self.may_start(Access::Read) {
                return Admission::Start(self.begin(Access::Read));
            }
            let message = format!("the call would wait for itself: {cycle}");
            return Admission::Refused(Failure::new(FailureCode::Cycle, message));
        }
        if self.waiting.len() >= waiting_max {
            for queued in self.waiting.take() {
                if queued.is_abandoned() {
                    abandoned.push(queued);
                } else {
                    self.waiting.push(queued);
                }
            }
        }
        if self.waiting.len() >= waiting_max {
            return Admission::Full;
        }
        Admission::Wait
    }

    /// Lets a call wait that may.
    pub(super) fn wait(&mut self, queued: Queued) {
        self.waiting.push(queued);
    }

    fn may_start(&self, access: Access) -> bool {
        match self.stage {
            // More readers than can be counted wait for one to leave.
            Stage::Idle => match access {
                Access::Read => self.readers < u16::MAX,
                Access::Write => self.readers == 0,
            },
            Stage::Vacant => true,
            Stage::Taken | Stage::Lost | Stage::Gone => false,
        }
    }

    /// Starts a turn that may start.
    fn begin(&mut self, access: Access) -> With<A> {
        if let (Some(actor), Access::Read) = (&self.actor, access) {
            self.readers += 1;
            return With::Beside(Arc::clone(actor));
        }
        self.stage = Stage::Taken;
        self.actor.take().map_or(With::Nobody, With::Alone)
    }

    /// What may start now: one `&mut self` turn, or all `&self` turns up to the next one.
    fn next(&mut self) -> Vec<Start<A>> {
        let mut starts = Vec::new();
        while let Some(front) = self.waiting.front() {
            if !self.may_start(front.job.access) {
                break;
            }
            if let Some(queued) = self.waiting.pop() {
                let with = self.begin(queued.job.access);
                starts.push(Start { queued, with });
            }
        }
        starts
    }

    /// Puts the actor back after a turn that was alone with it; answers with what may start now.
    /// `Err` with the actor when the cell is gone.
    pub(super) fn put_back(
        &mut self,
        actor: Arc<A>,
        used_ms: u32,
    ) -> Result<Vec<Start<A>>, Arc<A>> {
        if self.stage == Stage::Gone {
            return Err(actor);
        }
        self.usage.used(used_ms);
        self.stage = Stage::Idle;
        self.actor = Some(actor);
        Ok(self.next())
    }

    /// The place that was taken is empty: the actor did not come to life, or did not survive, or has
    /// taken its leave. Answers with what may start now.
    pub(super) fn leave_empty(&mut self) -> Vec<Start<A>> {
        if self.stage == Stage::Gone {
            return Vec::new();
        }
        self.stage = Stage::Vacant;
        self.next()
    }

    /// Puts an actor back that a `&self` turn activated and uses from here on; answers with what
    /// may start beside that turn, or `None` when the cell is gone.
    pub(super) fn share(&mut self, actor: &Arc<A>) -> Option<Vec<Start<A>>> {
        if self.stage == Stage::Gone {
            return None;
        }
        self.stage = Stage::Idle;
        self.actor = Some(Arc::clone(actor));
        self.readers += 1;
        Some(self.next())
    }

    /// A `&self` turn has ended, and let go of the actor. Answers with what may start now.
    pub(super) fn reader_left(&mut self, healthy: bool, used_ms: u32) -> ReaderLeft<A> {
        self.readers -= 1;
        self.usage.used(used_ms);
        if !healthy && self.stage == Stage::Idle {
            self.stage = Stage::Lost;
        }
        let is_lost = self.stage == Stage::Lost;
        let lost = if is_lost { self.actor.take() } else { None };
        let ended = is_lost && self.readers == 0;
        if ended {
            self.stage = Stage::Vacant;
        }
        ReaderLeft { next: self.next(), lost, ended }
    }

    /// Whether an actor is in memory: also one that a turn has taken out, that comes or that goes.
    pub(super) fn is_active(&self) -> bool {
        !matches!(self.stage, Stage::Vacant | Stage::Gone)
    }

    /// When the actor was called, if it is alive and at rest.
    pub(super) fn at_rest(&self) -> Option<Usage> {
        let resting = self.stage == Stage::Idle && self.readers == 0 && self.waiting.is_empty();
        resting.then_some(self.usage)
    }

    /// Takes the actor out if `is_unused` says so. A place that is empty is unused.
    pub(super) fn take_unused(&mut self, is_unused: impl FnOnce(Usage) -> bool) -> Unused<A> {
        if self.is_empty() {
            return Unused::Empty;
        }
        match self.at_rest() {
            Some(usage) if is_unused(usage) => {}
            _ => {
                self.waiting.shrink();
                return Unused::InUse;
            }
        }
        match self.actor.take() {
            Some(actor) => {
                self.stage = Stage::Taken;
                Unused::Actor(actor)
            }
            None => Unused::InUse,
        }
    }

    /// Whether nothing lives or waits here.
    fn is_empty(&self) -> bool {
        self.stage == Stage::Vacant && self.waiting.is_empty()
    }

    /// Marks the cell as gone if nothing lives or waits in it.
    pub(super) fn retire(&mut self) -> bool {
        let empty = self.is_empty();
        if empty {
            self.stage = Stage::Gone;
        }
        empty
    }

    /// Marks the cell as gone, and takes everything out of it.
    pub(super) fn clear(&mut self) -> Cleared<A> {
        let stage = std::mem::replace(&mut self.stage, Stage::Gone);
        let (actor, waiting) = (self.actor.take(), self.waiting.take());
        Cleared { actor, waiting, lost: stage == Stage::Lost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With its lock: each actor in memory has one.
    #[test]
    fn a_mailbox_at_rest_takes_32_bytes() {
        assert_eq!(size_of::<parking_lot::Mutex<Mailbox<u64>>>(), 32);
    }
}
