//! What a call has tried, and what its next attempt at another node costs.

use greenroom_core::Epoch;

use super::budget::{Fare, Reason};
use crate::failure::FailureCode;

/// Why an attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It is the first, and none of a call that was refused before.
    First,
    /// It is the first after one that was paid for.
    Settled,
    /// Something may have changed since the last look.
    Look,
    /// The shard's route or gate has changed.
    Change,
    /// Time has passed.
    Time,
}

/// What a call has tried.
#[derive(Debug)]
pub(super) struct Trail {
    pub(super) cause: Cause,
    /// The last epoch under which another node was to answer the call, and how that node refused it, if
    /// it came so far.
    last: Option<(Epoch, Option<FailureCode>)>,
}

impl Trail {
    pub(super) fn new(cause: Cause) -> Self {
        Self { cause, last: None }
    }

    /// The call was sent, or was to be.
    pub(super) fn tried(&mut self, epoch: Epoch, refused: Option<FailureCode>) {
        self.last = Some((epoch, refused));
    }

    /// The epoch under which it was last sent, or was to be.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.last.map(|(epoch, _)| epoch)
    }

    /// What it costs to send the call to the owner of this epoch; `None` if that was tried just now.
    ///
    /// What is sent because something changed is free, so that no planned move fails calls, however
    /// sick the cluster is otherwise. What is sent because time has passed is paid for: this owner
    /// refused the same call, and nothing says that it would not do so again. One that can't be reached
    /// refused nothing, and no retry hammers it, because only few links are tried
    /// ([`crate::peer`]).
    pub(super) fn fare(&self, epoch: Epoch, in_grace: impl FnOnce() -> bool) -> Option<Fare> {
        let last = self.last.filter(|(last, _)| *last == epoch);
        Some(match (self.cause, last) {
            (Cause::First, _) => Fare::First,
            (Cause::Settled, _) => Fare::Settled,
            (Cause::Look, Some(_)) => return None,
            (Cause::Time, Some((_, Some(code)))) if code != FailureCode::Unreachable => {
                if code == FailureCode::NotOwner && in_grace() {
                    Fare::Free(Reason::Grace)
                } else {
                    Fare::Paid(Reason::Time)
                }
            }
            (Cause::Look | Cause::Change | Cause::Time, _) => Fare::Free(Reason::Change),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGE: Option<Fare> = Some(Fare::Free(Reason::Change));
    const PAID: Option<Fare> = Some(Fare::Paid(Reason::Time));

    /// What the next attempt at epoch 7 costs, in the grace of a new owner and after it.
    fn fares(cause: Cause, last: Option<(u64, Option<FailureCode>)>) -> [Option<Fare>; 2] {
        let mut trail = Trail::new(cause);
        if let Some((epoch, refused)) = last {
            trail.tried(Epoch(epoch), refused);
        }
        [true, false].map(|in_grace| trail.fare(Epoch(7), || in_grace))
    }

    #[test]
    fn a_first_attempt_pays_in_and_one_that_was_paid_for_does_not() {
        assert_eq!(fares(Cause::First, None), [Some(Fare::First); 2]);
        assert_eq!(fares(Cause::Settled, None), [Some(Fare::Settled); 2]);
    }

    #[test]
    fn what_changed_is_free() {
        let refused = Some(FailureCode::NotOwner);
        for cause in [Cause::Look, Cause::Change, Cause::Time] {
            assert_eq!(fares(cause, None), [CHANGE; 2], "its first owner: {cause:?}");
            assert_eq!(fares(cause, Some((6, refused))), [CHANGE; 2], "a new one: {cause:?}");
        }
        assert_eq!(fares(Cause::Change, Some((7, refused))), [CHANGE; 2]);
    }

    #[test]
    fn nobody_is_asked_twice_at_once() {
        for refused in [Some(FailureCode::NotOwner), Some(FailureCode::Unreachable), None] {
            assert_eq!(fares(Cause::Look, Some((7, refused))), [None; 2], "{refused:?}");
        }
    }

    #[test]
    fn an_owner_that_refused_is_asked_again_for_a_price_and_one_out_of_reach_is_not_asked_at_all() {
        let again = |code| fares(Cause::Time, Some((7, Some(code))));
        assert_eq!(again(FailureCode::NotOwner), [Some(Fare::Free(Reason::Grace)), PAID]);
        assert_eq!(again(FailureCode::Stopping), [PAID; 2]);
        assert_eq!(again(FailureCode::Unreachable), [CHANGE; 2]);
    }
}
