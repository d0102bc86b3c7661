//! A plan that moves nothing is the same again while nothing has changed that it rests on. A leader
//! asks for one at each tick, so it says so again instead of making it again.

use super::Agent;
use crate::Term;
use crate::time::{Moment, Now};

/// What the last plan rested on, if it moved nothing.
#[derive(Debug)]
pub(super) struct Rest {
    grounds: Grounds,
    /// When time alone may change the plan.
    until: Option<Moment>,
}

/// Everything but time that a plan depends on: what grows with each change of it.
#[derive(Debug, PartialEq, Eq)]
struct Grounds {
    term: Term,
    view: u64,
    motions: u64,
    loads: u64,
}

impl Agent {
    /// Nothing came of the plan that was just made.
    pub(super) fn rest(&mut self, now: Now, term: Term) {
        let stable_from = self.leading.stable_since.after(self.config.policy.stability);
        let stable_from = Some(stable_from).filter(|from| now.moment < *from);
        let able_from = self.motions.next_able(now.moment, self.config.migration_timeout);
        let until = stable_from.into_iter().chain(able_from).min();
        self.leading.rest = Some(Rest { grounds: self.grounds(term), until });
    }

    /// Whether a plan would say what the last one said; if so, that is noted in the journal.
    pub(super) fn still_rests(&mut self, now: Now, term: Term) -> bool {
        let lasts = self.leading.rest.as_ref().is_some_and(|rest| {
            rest.until.is_none_or(|until| now.moment < until) && rest.grounds == self.grounds(term)
        });
        let groups = self.view.groups().as_slice().iter().map(|group| &*group.name);
        let told = self.leading.told_idle.iter().copied();
        lasts && self.journal.repeat_idle(term, now.wall_ms, groups.zip(told))
    }

    fn grounds(&self, term: Term) -> Grounds {
        Grounds {
            term,
            view: self.view.changes(),
            motions: self.motions.changes(),
            loads: self.loads.reports(),
        }
    }
}
