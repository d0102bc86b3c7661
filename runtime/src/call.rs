//! A call from the caller's side: the address of an actor, and a call on it before it is made.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::BoxFuture;
use greenroom_core::{ActorId, ShardId};
use serde::Serialize;
use tokio::time::Instant;

use crate::activation::{Answer, Hosted};
use crate::failure::{CallError, Failure, FailureCode};
use crate::intercept::Source;
use crate::interface::MethodSpec;
use crate::payload::{Arguments, Encoding, Outcome, encode_to};
use crate::request_context::{Changes, RequestContext};
use crate::router::{Begun, Method, Package, Persistence, Request, Router, UnderWay, poll_budget};

/// Longest that a call may take, whatever its caller says: no turn waits for ever.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

/// The address of one actor, wherever it is. Interfaces wrap it into a typed one.
#[derive(Clone)]
pub struct ActorRef {
    id: ActorId,
    shard: ShardId,
    router: Router,
    /// The kind, if this node hosts it too.
    hosted: Option<Arc<dyn Hosted>>,
}

impl ActorRef {
    pub(crate) fn new(
        id: ActorId,
        shard: ShardId,
        router: Router,
        hosted: Option<Arc<dyn Hosted>>,
    ) -> Self {
        Self { id, shard, router, hosted }
    }

    /// Which actor.
    pub fn id(&self) -> &ActorId {
        &self.id
    }

    /// Which of its kind.
    pub fn key(&self) -> &str {
        self.id.key()
    }

    /// The shard that the actor belongs to.
    pub fn shard(&self) -> ShardId {
        self.shard
    }
}

impl fmt::Debug for ActorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorRef({})", self.id)
    }
}

/// A typed address, as `#[greenroom::interface]` makes one for each interface.
pub trait Address: Clone + Send + Sync + 'static {
    /// The written name of the kind.
    const KIND: &'static str;

    /// Wraps an address of that kind.
    fn from_actor(actor: ActorRef) -> Self;

    /// The address itself.
    fn actor(&self) -> &ActorRef;
}

/// How an outcome becomes what the caller of a method gets; with how bytes, if that is what came, are
/// written.
type Take<T, E> = fn(Outcome, Encoding) -> Result<T, CallError<E>>;

/// A call that has not been made yet: `.await` makes it, [`Call::send`] makes it one-way.
///
/// What surely did not run because of the cluster's own business (the shard was moving, the owner could
/// not be reached) is tried again until the deadline. What a limit refused as `overloaded` surely did
/// not run either, but comes back at once with a hint ([`Failure::retry_after`]): whoever is told early that
/// there is too much to do can do without, and most callers that wait would be in the way of those that
/// can't. What this node can't run, because the store does not answer it and its right to run has ended, fails
/// at once too, as `fenced`: the node can't learn who else may. [`Call::patient`] waits nevertheless, and [`Call::once`] tries nothing again.
#[must_use = "a call is made when it is awaited"]
pub struct Call<'a, Args, T, E> {
    actor: &'a ActorRef,
    method: &'static MethodSpec,
    index: usize,
    arguments: Typed<Args>,
    timeout: Option<Duration>,
    persistence: Persistence,
    changes: Option<Box<Changes>>,
    take: Take<T, E>,
}

impl<'a, Args, T, E> Call<'a, Args, T, E> {
    /// A call whose outcome is taken by this one of [`Outcome`]'s methods. Written by the interface macro.
    pub fn new(
        actor: &'a ActorRef,
        method: &'static MethodSpec,
        index: usize,
        arguments: Args,
        take: Take<T, E>,
    ) -> Self {
        let (arguments, persistence) = (Typed::Whole(arguments), Persistence::Usual);
        Self { actor, method, index, arguments, timeout: None, persistence, changes: None, take }
    }
}

impl<Args, T, E> Call<'_, Args, T, E>
where
    Args: Serialize + Send + 'static,
{
    /// Gives the call this long in all, retries included, instead of the node's default; at most
    /// 24 hours. A call made in a turn gets no longer than that turn's caller still waits.
    pub fn timeout(mut self, span: Duration) -> Self {
        self.timeout = Some(span.min(TIMEOUT_MAX));
        self
    }

    /// Gives the call no longer than until then.
    pub(crate) fn no_later_than(mut self, deadline: Instant) -> Self {
        let own = self.timeout.unwrap_or(self.actor.router.call_timeout());
        self.timeout = Some(own.min(deadline.saturating_duration_since(Instant::now())));
        self
    }

    /// Waits when a limit refuses the call as `overloaded`: for what the refusal hints at, then it is
    /// tried again, and so on, as long as the next attempt comes before the deadline; else the
    /// refusal is the answer. The node's budget of retries counts these attempts, and while it is
    /// empty the call waits longer. Waits also, until the deadline, while the store does not answer this node.
    pub fn patient(mut self) -> Self {
        self.persistence = Persistence::Patient;
        self
    }

    /// Tries nothing again: a refusal of the first attempt is the answer, be it that the shard is just
    /// moving. For callers that have something better to do than to wait.
    pub fn once(mut self) -> Self {
        self.persistence = Persistence::Once;
        self
    }

    /// Lets a pair of text travel with the call, and with all calls that its turn makes: there it is
    /// `ctx.request().get(key)`. A call made in a turn inherits what that turn's call carries; this
    /// adds to it, or goes over it. The bounds are those of [`RequestContext`]; a call that breaks them
    /// fails with `bad_arguments` when it is made, and does not run.
    pub fn with(mut self, key: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.changes.get_or_insert_default().set(key.as_ref(), value.as_ref());
        self
    }

    /// Lets this context travel with the call, instead of what it would inherit and of what
    /// [`Call::with`] said before.
    pub fn with_context(mut self, context: RequestContext) -> Self {
        self.changes.get_or_insert_default().replace(context);
        self
    }

    /// Makes the call without waiting for its turn: resolves when the call stands in the actor's
    /// mailbox. It is dropped there if its turn can't begin before the deadline.
    ///
    /// # Errors
    /// When the call could not be put there until its deadline.
    pub async fn send(mut self) -> Result<(), Failure> {
        let request = self.request(true);
        match self.actor.router.call(request, &mut self.arguments).await {
            Answer::Accepted => Ok(()),
            Answer::Done(Outcome::Failed(failure)) | Answer::Bounced(failure, _) => Err(failure),
            // A peer that answers in full has certainly accepted the call.
            Answer::Done(_) => Ok(()),
        }
    }
}

impl<'a, Args, T, E> Call<'a, Args, T, E>
where
    Args: Serialize + Send + 'static,
{
    /// The call as the router sees it, without its arguments.
    #[inline]
    fn request(&mut self, one_way: bool) -> Request<'a> {
        let patience = self.timeout.unwrap_or(self.actor.router.call_timeout());
        let made = Instant::now();
        Request {
            id: &self.actor.id,
            shard: self.actor.shard,
            hosted: self.actor.hosted.as_ref(),
            method: Method::Known { index: self.index, spec: self.method },
            made,
            deadline: made + patience,
            one_way,
            persistence: self.persistence,
            is_retry: false,
            source: Source::Local,
            changes: self.changes.take(),
            context: None,
            watched: None,
        }
    }
}

impl<'a, Args, T, E> IntoFuture for Call<'a, Args, T, E>
where
    Args: Serialize + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    type Output = Result<T, CallError<E>>;
    type IntoFuture = Calling<'a, Args, T, E>;

    fn into_future(self) -> Self::IntoFuture {
        Calling(Stage::Made(self))
    }
}

/// A call that is being made: what awaiting a [`Call`] awaits.
#[must_use = "futures do nothing unless they are polled"]
pub struct Calling<'a, Args, T, E>(Stage<'a, Args, T, E>);

enum Stage<'a, Args, T, E> {
    Made(Call<'a, Args, T, E>),
    /// With another node.
    There(Box<There<'a, Args, T, E>>),
    /// Not answered at the first look, or to be tried again.
    UnderWay(BoxFuture<'a, Result<T, CallError<E>>>),
    Answered,
}

/// A call that another node has.
struct There<'a, Args, T, E> {
    actor: &'a ActorRef,
    take: Take<T, E>,
    request: Request<'a>,
    package: Typed<Args>,
    under_way: UnderWay,
}

/// Nothing in it is pinned where it stands.
impl<Args, T, E> Unpin for Calling<'_, Args, T, E> {}

impl<Args, T, E> Future for Calling<'_, Args, T, E>
where
    Args: Serialize + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    type Output = Result<T, CallError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Stage::Made(call) = &mut self.0 {
            ready!(poll_budget(cx));
            // What is over at once is moved nowhere.
            let mut request = call.request(false);
            let begun = call.actor.router.begin(&mut request, &mut call.arguments, cx);
            return match begun {
                Begun::Answered(answer) if request.persistence != Persistence::Patient => {
                    let take = call.take;
                    self.0 = Stage::Answered;
                    Poll::Ready(taken(take, answer))
                }
                begun => self.goes_on(request, begun, cx),
            };
        }
        match std::mem::replace(&mut self.0, Stage::Answered) {
            Stage::There(there) => self.go_on(there, cx),
            Stage::UnderWay(under_way) => self.poll_under_way(under_way, cx),
            Stage::Made(_) | Stage::Answered => panic!("a call was polled after its answer"),
        }
    }
}

impl<'a, Args, T, E> Calling<'a, Args, T, E>
where
    Args: Serialize + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    /// A call has been begun that is not over.
    fn goes_on(
        &mut self,
        request: Request<'a>,
        begun: Begun,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, CallError<E>>> {
        let Stage::Made(call) = std::mem::replace(&mut self.0, Stage::Answered) else {
            panic!("a call was polled after its answer");
        };
        let Call { actor, take, arguments: mut package, .. } = call;
        match begun {
            Begun::UnderWay(under_way) if request.persistence != Persistence::Patient => {
                let there = There { actor, take, request, package, under_way };
                self.go_on(Box::new(there), cx)
            }
            // It may have to be made again, whatever came of it.
            begun => {
                let under_way = Box::pin(async move {
                    taken(take, actor.router.end(request, &mut package, begun).await)
                });
                self.poll_under_way(under_way, cx)
            }
        }
    }

    fn go_on(
        &mut self,
        mut there: Box<There<'a, Args, T, E>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, CallError<E>>> {
        if there.under_way.is_there() {
            match there.under_way.poll_there(&there.actor.router, &there.request, cx) {
                Poll::Ready(Some(answer)) => {
                    there.request.has_ended(&answer);
                    return Poll::Ready(taken(there.take, answer));
                }
                Poll::Ready(None) => {}
                Poll::Pending => {
                    self.0 = Stage::There(there);
                    return Poll::Pending;
                }
            }
        }
        let There { actor, take, request, mut package, under_way } = *there;
        let under_way = Box::pin(async move {
            taken(take, actor.router.go_on(request, &mut package, under_way).await)
        });
        self.poll_under_way(under_way, cx)
    }

    fn poll_under_way(
        &mut self,
        mut under_way: BoxFuture<'a, Result<T, CallError<E>>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, CallError<E>>> {
        let polled = under_way.as_mut().poll(cx);
        if polled.is_pending() {
            self.0 = Stage::UnderWay(under_way);
        }
        polled
    }
}

impl<Args, T, E> fmt::Debug for Calling<'_, Args, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calling").finish_non_exhaustive()
    }
}

fn taken<T, E>(take: Take<T, E>, answer: Answer) -> Result<T, CallError<E>> {
    match answer {
        Answer::Done(outcome) => take(outcome, Encoding::MessagePack),
        Answer::Bounced(failure, _) => Err(failure.into()),
        Answer::Accepted => {
            let message = "the owner took the call for a one-way one";
            let failure = Failure::new(FailureCode::BadReply, message);
            Err(failure.that_may_have_run().into())
        }
    }
}

impl<Args, T, E> fmt::Debug for Call<'_, Args, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({}.{})", self.actor.id, self.method.name)
    }
}

/// Typed arguments: as they are to this node, written down for others.
enum Typed<Args> {
    Whole(Args),
    /// With a turn; they come back only if the call surely did not run.
    Lent,
}

impl<Args: Serialize + Send + 'static> Package for Typed<Args> {
    fn for_this_node(&mut self) -> Option<Arguments> {
        match std::mem::replace(self, Self::Lent) {
            Self::Whole(arguments) => Some(Arguments::Typed(Box::new(arguments))),
            Self::Lent => None,
        }
    }

    fn for_another_node(&self, out: &mut Vec<u8>) -> Option<Result<Encoding, Failure>> {
        let Self::Whole(arguments) = self else { return None };
        let encoding = Encoding::MessagePack;
        Some(encode_to(encoding, arguments, out).map(|()| encoding))
    }

    fn take_back(&mut self, arguments: Arguments) {
        if let Arguments::Typed(arguments) = arguments
            && let Ok(arguments) = arguments.downcast()
        {
            *self = Self::Whole(*arguments);
        }
    }
}
