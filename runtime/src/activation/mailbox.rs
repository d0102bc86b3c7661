//! Which turns of one actor may start: at most one `&mut self` turn, or many `&self` turns, in the
//! order of arrival. Decides only; [`super::cell`] runs what may start.

use std::collections::VecDeque;
use std::sync::Arc;

use greenroom_core::ActorId;
use tokio::time::Instant;

use super::turn::{Job, Queued};
use crate::failure::{Failure, FailureCode};
use crate::interface::Access;

/// The state of a cell.
pub(super) struct Mailbox<A> {
    stage: Stage<A>,
    /// `&self` turns that run now.
    readers: usize,
    waiting: VecDeque<Queued>,
    /// When the last turn ended, or began if it did not wait.
    last_used: Instant,
}

enum Stage<A> {
    /// Not in memory.
    Vacant,
    /// Alive, and no `&mut self` turn runs.
    Idle(Arc<A>),
    /// Coming to life, going, or taken out by a `&mut self` turn.
    Taken,
    /// The cell is out of the directory; nothing starts here any more.
    Gone,
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

impl<A> Mailbox<A> {
    pub(super) fn new() -> Self {
        let waiting = VecDeque::new();
        Self { stage: Stage::Vacant, readers: 0, waiting, last_used: Instant::now() }
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
        if let Stage::Gone = self.stage {
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
            let waiting = std::mem::take(&mut self.waiting);
            for queued in waiting {
                if queued.is_abandoned() {
                    abandoned.push(queued);
                } else {
                    self.waiting.push_back(queued);
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
        self.waiting.push_back(queued);
    }

    fn may_start(&self, access: Access) -> bool {
        match &self.stage {
            Stage::Idle(_) => access == Access::Read || self.readers == 0,
            Stage::Vacant => self.readers == 0,
            Stage::Taken | Stage::Gone => false,
        }
    }

    /// Starts a turn that may start.
    fn begin(&mut self, access: Access) -> With<A> {
        match std::mem::replace(&mut self.stage, Stage::Taken) {
            Stage::Idle(actor) if access == Access::Read => {
                self.readers += 1;
                self.stage = Stage::Idle(Arc::clone(&actor));
                With::Beside(actor)
            }
            Stage::Idle(actor) => With::Alone(actor),
            _ => With::Nobody,
        }
    }

    /// What may start now: one `&mut self` turn, or all `&self` turns up to the next one.
    fn next(&mut self) -> Vec<Start<A>> {
        let mut starts = Vec::new();
        while let Some(front) = self.waiting.front() {
            if !self.may_start(front.job.access) {
                break;
            }
            if let Some(queued) = self.waiting.pop_front() {
                let with = self.begin(queued.job.access);
                starts.push(Start { queued, with });
            }
        }
        starts
    }

    /// Puts the actor back, or nobody if it did not come to life or did not survive; answers with
    /// what may start now. `Err` with the actor when the cell is gone.
    pub(super) fn put_back(
        &mut self,
        actor: Option<Arc<A>>,
        used: Instant,
    ) -> Result<Vec<Start<A>>, Option<Arc<A>>> {
        if let Stage::Gone = self.stage {
            return Err(actor);
        }
        self.last_used = self.last_used.max(used);
        self.stage = actor.map_or(Stage::Vacant, Stage::Idle);
        Ok(self.next())
    }

    /// Puts an actor back that a `&self` turn activated and uses from here on; answers with what
    /// may start beside that turn, or `None` when the cell is gone.
    pub(super) fn share(&mut self, actor: &Arc<A>) -> Option<Vec<Start<A>>> {
        if let Stage::Gone = self.stage {
            return None;
        }
        self.stage = Stage::Idle(Arc::clone(actor));
        self.readers += 1;
        Some(self.next())
    }

    /// A `&self` turn has ended, and let go of the actor. Answers with what may start now, and with
    /// the actor if this turn lost it by a panic.
    pub(super) fn reader_left(
        &mut self,
        healthy: bool,
        used: Instant,
    ) -> (Vec<Start<A>>, Option<Arc<A>>) {
        self.readers -= 1;
        self.last_used = self.last_used.max(used);
        let lost = match std::mem::replace(&mut self.stage, Stage::Vacant) {
            Stage::Idle(actor) if !healthy => Some(actor),
            stage => {
                self.stage = stage;
                None
            }
        };
        (self.next(), lost)
    }

    /// Whether an actor is in memory: also one that a turn has taken out, that comes or that goes.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.stage, Stage::Idle(_) | Stage::Taken)
    }

    /// Takes the actor out if it has not been used since `before`. A place that is empty is unused.
    pub(super) fn take_unused(&mut self, before: Instant) -> Unused<A> {
        let vacant = matches!(self.stage, Stage::Vacant);
        let used = self.last_used >= before && !vacant;
        if used || self.readers > 0 || !self.waiting.is_empty() {
            return Unused::InUse;
        }
        match std::mem::replace(&mut self.stage, Stage::Taken) {
            Stage::Idle(actor) => Unused::Actor(actor),
            Stage::Vacant => {
                self.stage = Stage::Vacant;
                Unused::Empty
            }
            other => {
                self.stage = other;
                Unused::InUse
            }
        }
    }

    /// Marks the cell as gone if nothing lives or waits in it.
    pub(super) fn retire(&mut self) -> bool {
        let vacant = matches!(self.stage, Stage::Vacant);
        let empty = vacant && self.readers == 0 && self.waiting.is_empty();
        if empty {
            self.stage = Stage::Gone;
        }
        empty
    }

    /// Marks the cell as gone, and takes everything out of it.
    pub(super) fn clear(&mut self) -> (Option<Arc<A>>, VecDeque<Queued>) {
        let stage = std::mem::replace(&mut self.stage, Stage::Gone);
        let waiting = std::mem::take(&mut self.waiting);
        match stage {
            Stage::Idle(actor) => (Some(actor), waiting),
            _ => (None, waiting),
        }
    }
}
