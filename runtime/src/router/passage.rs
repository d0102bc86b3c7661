//! What calls pass on their way out: their own context, and the interceptors of the node.

use std::sync::Arc;
use std::task::Context as TaskContext;

use super::{Begun, Package, Request, Router, UnderWay};
use crate::activation::Answer;
use crate::failure::Failure;
use crate::intercept::Interceptors;

impl Router {
    #[inline]
    pub(crate) fn interceptors(&self) -> Option<&Arc<Interceptors>> {
        self.0.interceptors.as_ref()
    }

    /// Begins a call, and tells interceptors if that is all there is to it.
    pub(crate) fn begin(
        &self,
        request: &mut Request<'_>,
        package: &mut dyn Package,
        cx: &mut TaskContext<'_>,
    ) -> Begun {
        let begun = self.first_look(request, package, cx);
        if let Begun::Answered(answer) = &begun {
            request.has_ended(answer);
        }
        begun
    }

    /// Brings to an end what was begun.
    pub(crate) async fn go_on(
        &self,
        mut request: Request<'_>,
        package: &mut dyn Package,
        begun: UnderWay,
    ) -> Answer {
        // Dropped with this future, it tells that the caller went away.
        let watched = request.watched.take();
        let answer = self.try_on(request, package, begun).await;
        if let Some(watched) = watched {
            watched.ended(&answer);
        }
        answer
    }

    /// Gives a call its own context, and shows it to the interceptors.
    pub(super) fn dress(&self, request: &mut Request<'_>) -> Result<(), Failure> {
        if let Some(changes) = request.changes.take() {
            request.context = Some(Arc::new(changes.over(request.context.as_ref())?));
        }
        self.interceptors().map_or(Ok(()), |interceptors| interceptors.outgoing(request))
    }
}
