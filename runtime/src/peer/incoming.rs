//! The calls of one peer: each goes to its actor on the stack of the task that reads them, and most are
//! answered there.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use greenroom_proto::Frame;
use greenroom_proto::view::{self, View};
use greenroom_shardlock::Permit;
use tokio::time::Instant;

use super::answers::{Answers, Together};
use super::parts::{Parts, TooLarge};
use super::wire;
use crate::activation::{Answer, Hosted, Job, Later, Name, Replier, Submitted};
use crate::failure::{Failure, FailureCode};
use crate::intercept::Source;
use crate::overload::{HINT_DEFAULT, Limit, about};
use crate::payload::{Arguments, Outcome};
use crate::router::{Router, failed, unknown_kind, unknown_method};

/// Calls that are taken in a row before other tasks on the thread get their chance.
const CALLS_IN_A_ROW_MAX: usize = 128;

/// One peer's calls.
pub(super) struct Incoming {
    router: Router,
    answers: Arc<Answers>,
    parts: Parts,
}

/// A call that may go to its actor.
struct Arrival<'a> {
    hosted: &'a dyn Hosted,
    name: Name<'a>,
    job: Job,
    permit: Permit<'a>,
}

impl Incoming {
    pub(super) fn new(router: Router, answers: Arc<Answers>) -> Self {
        let parts = Parts::new(router.limits().payload_bytes_max);
        Self { router, answers, parts }
    }

    /// Takes a frame of calls.
    ///
    /// # Errors
    /// With the reason, when the link can't go on.
    pub(super) async fn take(&mut self, frame: &Frame) -> Result<(), String> {
        let mut views = frame.views();
        let mut has_more = true;
        while has_more {
            // The turns are polled with this task's context.
            let some = poll_fn(|cx| Poll::Ready(self.take_some(frame, &mut views, cx)));
            has_more = some.await?;
            self.answers.read().await;
            if has_more {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Takes some of a frame's calls; whether there are more.
    fn take_some(
        &mut self,
        frame: &Frame,
        views: &mut view::Views<'_>,
        cx: &mut Context<'_>,
    ) -> Result<bool, String> {
        let answers = Arc::clone(&self.answers);
        let mut together = Together::new(&answers);
        for view in views.take(CALLS_IN_A_ROW_MAX) {
            match view {
                Ok(View::Request(request)) => {
                    let call = request.call;
                    match self.answer(&request, frame, cx) {
                        Some(Answer::Done(Outcome::Stream(flow))) => {
                            answers.stream(call, request.stream_window, *flow);
                        }
                        Some(answer) => together.add(call, answer),
                        None => {}
                    }
                }
                Ok(View::Cancel(call)) => {
                    self.parts.forget(call);
                    self.answers.forget_caller(call);
                }
                Ok(View::Part(call, data)) => {
                    if !self.parts.keep(call, data) {
                        return Err("too many unfinished calls".to_owned());
                    }
                }
                Ok(View::Credit(call, bytes)) => self.answers.grant(call, bytes),
                // What only a callee says, or something newer.
                Ok(View::Response(_) | View::Item(..) | View::Other(_)) => {}
                Err(malformed) => return Err(malformed.to_string()),
            }
        }
        together.send();
        Ok(views.clone().next().is_some())
    }

    /// The answer to a call, unless its turn waits.
    fn answer(
        &mut self,
        request: &view::Request<'_>,
        frame: &Frame,
        cx: &mut Context<'_>,
    ) -> Option<Answer> {
        let arguments = self.parts.whole(request.call, request.arguments, frame.bytes());
        let max = self.router.limits().payload_bytes_max;
        let arguments = match arguments {
            Ok(arguments) => arguments,
            Err(TooLarge(len)) => return Some(failed(wire::too_large("call", len, max))),
        };
        let busy = self.answers.waiting();
        if busy >= self.router.limits().calls_per_peer_max {
            let message = format!("{busy} calls of this peer are under way");
            let refusals = self.router.refusals();
            let refused = refusals.refuse(Limit::Connection, message, about(HINT_DEFAULT));
            return Some(failed(refused));
        }
        match self.arrival(request, arguments) {
            Ok(Arrival { hosted, name, job, permit }) => {
                let (call, stream_window) = (request.call, request.stream_window);
                let mut later = LaterHere { answers: &self.answers, call, stream_window };
                match hosted.submit(name, job, permit, cx, &mut later) {
                    Submitted::Answered(answer) => Some(answer),
                    Submitted::Later => None,
                }
            }
            Err(failure) => Some(failed(failure)),
        }
    }

    fn arrival<'a>(
        &'a self,
        request: &view::Request<'a>,
        arguments: bytes::Bytes,
    ) -> Result<Arrival<'a>, Failure> {
        let asked = wire::asked(request, Instant::now())?;
        let name = Name::Written { kind: request.kind, key: request.key };
        let shard = self.router.shard_of_name(request.kind, request.key);
        let permit = self
            .router
            .enter(shard, Some(request.epoch), asked.chain.as_deref())
            .map_err(|refused| {
                let message = format!("shard {shard} is not open here: {refused}");
                Failure::new(FailureCode::NotOwner, message)
            })?;
        let hosted = self.router.hosted(request.kind).ok_or_else(|| unknown_kind(request.kind))?;
        let (method, spec) = hosted
            .spec()
            .method(request.method)
            .ok_or_else(|| unknown_method(request.kind, request.method))?;
        if spec.streamed && request.stream_window == 0 && !request.one_way {
            let message = "the method answers with a stream, and the caller takes none";
            return Err(Failure::new(FailureCode::BadArguments, message));
        }
        let mut job = Job {
            method,
            access: spec.access,
            reentrant: spec.reentrant,
            arguments: Arguments::Encoded { encoding: asked.encoding, bytes: arguments },
            made: asked.made,
            deadline: asked.deadline,
            // As on this node: nobody waits for the turn of a one-way call.
            chain: asked.chain.filter(|_| !request.one_way),
            one_way: request.one_way,
            context: asked.context,
            watched: None,
        };
        if let Some(interceptors) = self.router.interceptors() {
            let id = name.id(&hosted.kind());
            interceptors.incoming(&id, spec, Source::Peer, &mut job)?;
        }
        Ok(Arrival { hosted: &**hosted, name, job, permit })
    }
}

/// The way back to the peer, should the turn wait.
struct LaterHere<'a> {
    answers: &'a Arc<Answers>,
    call: u64,
    stream_window: u32,
}

impl Later for LaterHere<'_> {
    fn replier(&mut self) -> Replier {
        Replier::There(Box::new(self.answers.later(self.call, self.stream_window)))
    }
}
