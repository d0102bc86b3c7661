//! How much a call insists.

use std::future::poll_fn;
use std::task::Poll;

use tokio::time::{Instant, sleep_until};

use super::budget::Reason;
use super::{Begun, Package, Request, Router, failed};
use crate::activation::Answer;
use crate::failure::{Failure, FailureCode};
use crate::overload::HINT_DEFAULT;
use crate::payload::Outcome;

/// Which refusals a call is tried again after; always only those that surely did not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// None.
    Once,
    /// Those that are the cluster's own business: a shard on its way, a peer out of reach.
    #[default]
    Usual,
    /// Those by limits, too.
    Patient,
}

impl Router {
    /// Brings a call to its end, however far it has come.
    pub(crate) async fn end(
        &self,
        request: Request<'_>,
        package: &mut dyn Package,
        begun: Begun,
    ) -> Answer {
        let again = (request.persistence == Persistence::Patient).then(|| request.again());
        let answer = match begun {
            Begun::Answered(answer) => answer,
            Begun::UnderWay(begun) => self.go_on(request, package, begun).await,
        };
        match again {
            // Apart, so that the calls that don't do this need no memory for it.
            Some(again) => Box::pin(self.insist(again, package, answer)).await,
            None => answer,
        }
    }

    /// Tries a call again that a limit refused, after what the refusal hints at and as the budget
    /// allows, for as long as that is before the deadline.
    async fn insist(
        &self,
        mut request: Request<'_>,
        package: &mut dyn Package,
        mut answer: Answer,
    ) -> Answer {
        let retries = &self.0.retries;
        loop {
            let refusal = match answer {
                Answer::Bounced(failure, arguments) if is_by_limit(&failure) => {
                    package.take_back(*arguments);
                    failure
                }
                Answer::Done(Outcome::Failed(failure)) if is_by_limit(&failure) => failure,
                answer => return answer,
            };
            let mut rest = refusal.retry_after().unwrap_or(HINT_DEFAULT);
            loop {
                // Never earlier than hinted.
                let at = Instant::now() + rest.mul_f64(1.0 + fastrand::f64() / 4.0);
                if at >= request.deadline {
                    return failed(refusal);
                }
                sleep_until(at).await;
                if retries.budget.withdraw(Instant::now()) {
                    break;
                }
                retries.withheld();
                rest = HINT_DEFAULT;
            }
            retries.made(Reason::Overload);
            request.made = Instant::now();
            request.is_retry = true;
            let mut attempt = request.again();
            let begun = poll_fn(|cx| Poll::Ready(self.begin(&mut attempt, package, cx))).await;
            answer = match begun {
                Begun::Answered(answer) => answer,
                Begun::UnderWay(begun) => self.go_on(attempt, package, begun).await,
            };
        }
    }
}

fn is_by_limit(failure: &Failure) -> bool {
    failure.code == FailureCode::Overloaded && !failure.may_have_run
}
