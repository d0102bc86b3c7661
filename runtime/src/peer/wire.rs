//! Between the runtime's types and the wire's: the only conversions.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use greenroom_core::ActorId;
use greenroom_proto::v1;
use greenroom_proto::view::{self, Outcome as Wire, put_request, put_response};
use tokio::time::Instant;

use super::PeerCall;
use super::outbox::PART_BYTES;
use super::parts::{Parts, TooLarge};
use super::stream_in::WINDOW;
use crate::activation::Answer;
use crate::ambient::{CHAIN_LEN_MAX, Chain};
use crate::failure::{Failure, FailureCode};
use crate::payload::{Encoding, Outcome};
use crate::request_context::RequestContext;
use crate::router::failed;

/// A payload that is too large for one envelope: what goes before it in pieces, and the last piece.
pub(super) fn parts(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    (payload.len() > PART_BYTES).then(|| {
        // All pieces but the last one have the same size, and that one is not empty.
        payload.split_at((payload.len() - 1) / PART_BYTES * PART_BYTES)
    })
}

/// Writes a call, with so much of its arguments.
pub(super) fn put_call(out: &mut BytesMut, number: u64, call: &PeerCall<'_>, arguments: &[u8]) {
    let remaining = call.deadline.saturating_duration_since(call.now);
    // The wire has the outermost first.
    let mut chain: Vec<String> = Chain::iter(call.chain).map(ToString::to_string).collect();
    chain.reverse();
    let encoding = match call.encoding {
        Encoding::MessagePack => v1::Encoding::MessagePack,
        Encoding::Json => v1::Encoding::Json,
    };
    let context = call.context;
    let request = view::Request {
        call: number,
        kind: call.id.kind(),
        key: call.id.key(),
        method: call.method,
        encoding: encoding.into(),
        arguments,
        remaining_us: u64::try_from(remaining.as_micros()).unwrap_or(u64::MAX),
        one_way: call.one_way,
        epoch: call.epoch.0,
        chain: chain.iter().map(String::as_str).collect(),
        traceparent: context.and_then(RequestContext::traceparent).unwrap_or_default(),
        tracestate: context.and_then(RequestContext::tracestate).unwrap_or_default(),
        context: context.map(|context| context.iter().collect()).unwrap_or_default(),
        stream_window: if call.takes_stream { WINDOW } else { 0 },
    };
    put_request(out, &request);
}

/// What a peer asks, checked.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) encoding: Encoding,
    /// When it came here.
    pub(super) made: Instant,
    pub(super) deadline: Instant,
    pub(super) chain: Option<Arc<Chain>>,
    pub(super) context: Option<Arc<RequestContext>>,
}

/// Longest that a peer's call may take, whatever it says: no turn waits for ever.
const REMAINING_MAX: Duration = Duration::from_secs(24 * 3600);

/// Reads what a peer asks, at this time.
pub(super) fn asked(request: &view::Request<'_>, now: Instant) -> Result<Asked, Failure> {
    let bad = |code, message: String| Failure::new(code, message);
    ActorId::check(request.kind, request.key)
        .map_err(|error| bad(FailureCode::BadKey, error.to_string()))?;
    let encoding = match v1::Encoding::try_from(request.encoding) {
        Ok(v1::Encoding::MessagePack) => Encoding::MessagePack,
        Ok(v1::Encoding::Json) => Encoding::Json,
        _ => {
            let number = request.encoding;
            return Err(bad(FailureCode::BadArguments, format!("unknown encoding {number}")));
        }
    };
    if request.chain.len() > CHAIN_LEN_MAX {
        let message = format!("{CHAIN_LEN_MAX} calls wait on each other already");
        return Err(bad(FailureCode::Cycle, message));
    }
    let mut chain = None;
    for name in &request.chain {
        let actor = name.split_once('/').and_then(|(kind, key)| ActorId::new(kind, key).ok());
        let actor = actor
            .ok_or_else(|| bad(FailureCode::BadKey, "the call chain names no actor".to_owned()))?;
        chain = Some(Chain::push(chain, actor));
    }
    let remaining = Duration::from_micros(request.remaining_us).min(REMAINING_MAX);
    let context = context(request)?;
    Ok(Asked { encoding, made: now, deadline: now + remaining, chain, context })
}

/// What travels with the call, within the bounds that hold for all.
fn context(request: &view::Request<'_>) -> Result<Option<Arc<RequestContext>>, Failure> {
    if request.context.is_empty() && request.traceparent.is_empty() {
        return Ok(None);
    }
    let mut context = RequestContext::new();
    for (key, value) in &request.context {
        context.set(key, value)?;
    }
    // A trace context that can't be read is as good as none, as its specification has it.
    let _ = context.set_trace(request.traceparent, request.tracestate);
    Ok(Some(Arc::new(context)))
}

/// Writes an answer; if its payload is too large for one envelope, answers with what must go before it
/// in pieces.
pub(super) fn put_answer(
    out: &mut BytesMut,
    call: u64,
    answer: Answer,
    payload_bytes_max: usize,
) -> Option<Bytes> {
    type Payload = for<'a> fn(&'a [u8]) -> Wire<'a>;
    let failure = |failure| Wire::Failure(failure_to_wire(failure));
    let (bytes, wrap): (Bytes, Payload) = match answer {
        Answer::Done(Outcome::Ok(bytes)) => (bytes, |bytes| Wire::Ok(bytes)),
        Answer::Done(Outcome::Err(bytes)) => (bytes, |bytes| Wire::Err(bytes)),
        other => {
            let outcome = match other {
                Answer::Accepted => Wire::Accepted,
                Answer::Done(Outcome::Failed(why)) | Answer::Bounced(why, _) => failure(why),
                // Arguments that came as bytes are answered in bytes; only a defect leads here.
                Answer::Done(_) => failure(
                    Failure::new(FailureCode::BadReply, "the reply was not written down")
                        .that_may_have_run(),
                ),
            };
            put_response(out, &view::Response { call, outcome: Some(outcome) });
            return None;
        }
    };
    let mut put = |outcome| put_response(out, &view::Response { call, outcome: Some(outcome) });
    if bytes.len() > payload_bytes_max {
        put(failure(too_large("reply", bytes.len(), payload_bytes_max).that_may_have_run()));
        return None;
    }
    match parts(&bytes) {
        None => {
            put(wrap(&bytes));
            None
        }
        Some((rest, last)) => {
            put(wrap(last));
            Some(bytes.slice_ref(rest))
        }
    }
}

/// Reads an answer, which is a part of `frame`.
pub(super) fn answer(response: view::Response<'_>, frame: &Bytes, parts: &mut Parts) -> Answer {
    let call = response.call;
    let mut whole = |last| {
        parts
            .whole(call, last, frame)
            .map_err(|TooLarge(len)| Outcome::Failed(too_large_here("reply", len)))
    };
    match response.outcome {
        Some(Wire::Ok(last)) => Answer::Done(whole(last).map_or_else(|failed| failed, Outcome::Ok)),
        Some(Wire::Err(last)) => {
            Answer::Done(whole(last).map_or_else(|failed| failed, Outcome::Err))
        }
        Some(Wire::Accepted) => Answer::Accepted,
        Some(Wire::Failure(failure)) => failed(failure_from_wire(failure)),
        // Only a defect leads here: the link knows what to do with a stream.
        Some(Wire::Stream) | None => {
            let message = "the owner's answer has an outcome that this version doesn't know";
            failed(Failure::new(FailureCode::BadReply, message).that_may_have_run())
        }
    }
}

/// A payload that a peer sent, which allows more than this node.
pub(super) fn too_large_here(what: &str, len: usize) -> Failure {
    let message = format!("the {what} has {len} bytes, more than this node takes");
    Failure::new(FailureCode::TooLarge, message).that_may_have_run()
}

/// A payload that is larger than allowed.
pub(crate) fn too_large(what: &str, len: usize, max: usize) -> Failure {
    let message = format!("the {what} has {len} bytes, at most {max} are allowed");
    Failure::new(FailureCode::TooLarge, message)
}

/// Longest message of a failure on the wire, in bytes: some quote what users wrote.
const MESSAGE_BYTES_MAX: usize = 4096;

pub(super) fn failure_to_wire(failure: Failure) -> v1::Failure {
    let retry_after = failure.retry_after().unwrap_or_default();
    let Failure { code, mut message, may_have_run, .. } = failure;
    message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
    v1::Failure {
        code: code.as_str().to_owned(),
        message,
        may_have_run,
        retry_after_ms: u32::try_from(retry_after.as_millis()).unwrap_or(u32::MAX),
    }
}

pub(super) fn failure_from_wire(failure: v1::Failure) -> Failure {
    let v1::Failure { code, message, may_have_run, retry_after_ms } = failure;
    let read = match FailureCode::from_str(&code) {
        Ok(code) => Failure::new(code, message),
        // A newer peer's code: keep its name and its word on whether the call may have run.
        Err(unknown) => Failure::new(FailureCode::BadReply, format!("{unknown}: {message}")),
    };
    let read = read.with_retry_after(Duration::from_millis(retry_after_ms.into()));
    if may_have_run { read.that_may_have_run() } else { read }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_wire() {
        for code in FailureCode::ALL {
            let failure = Failure::new(*code, "why");
            let hinting = failure.clone().with_retry_after(Duration::from_millis(70));
            for failure in [failure.clone(), failure.that_may_have_run(), hinting] {
                assert_eq!(failure_from_wire(failure_to_wire(failure.clone())), failure);
            }
        }
        // A peer's word is no reason to wait for ever.
        let endless = v1::Failure { retry_after_ms: u32::MAX, ..v1::Failure::default() };
        let hint = failure_from_wire(endless).retry_after();
        assert_eq!(hint, Some(Duration::from_secs(3600)));
    }

    #[test]
    fn a_newer_peers_code_keeps_its_name() {
        let (code, message) = ("melted".into(), "hot".into());
        let failure = v1::Failure { code, message, ..v1::Failure::default() };
        let read = failure_from_wire(failure);
        assert!(read.message.contains("melted") && read.message.contains("hot"), "{read:?}");
        assert!(!read.may_have_run);
    }

    #[test]
    fn what_a_peer_asks_is_checked() {
        let good = || view::Request {
            kind: "k",
            key: "a/b",
            encoding: v1::Encoding::Json.into(),
            remaining_us: u64::MAX,
            chain: vec!["k/outer", "k/inner/1"],
            ..view::Request::default()
        };
        let now = Instant::now();
        let read = asked(&good(), now).unwrap();
        assert_eq!(read.deadline, now + REMAINING_MAX);
        let chain: Vec<_> = Chain::iter(read.chain.as_deref()).map(ToString::to_string).collect();
        assert_eq!(chain, ["k/inner/1", "k/outer"]);
        let code = |request| asked(&request, now).err().map(|failure| failure.code);
        assert_eq!(code(view::Request { key: "", ..good() }), Some(FailureCode::BadKey));
        assert_eq!(code(view::Request { kind: "K K", ..good() }), Some(FailureCode::BadKey));
        assert_eq!(code(view::Request { encoding: 9, ..good() }), Some(FailureCode::BadArguments));
        assert_eq!(code(view::Request { chain: vec!["x"], ..good() }), Some(FailureCode::BadKey));
        let endless = view::Request { chain: vec!["k/a"; 65], ..good() };
        assert_eq!(code(endless), Some(FailureCode::Cycle));
    }

    #[test]
    fn a_peers_context_is_checked_and_a_broken_trace_is_none() {
        const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let keys: Vec<String> = (0..17).map(|at| format!("k{at}")).collect();
        let pairs = |count: usize| keys[..count].iter().map(|key| (key.as_str(), "v")).collect();
        let now = Instant::now();
        let mut request = view::Request {
            kind: "k",
            key: "a",
            encoding: v1::Encoding::Json.into(),
            context: pairs(16),
            traceparent: PARENT,
            tracestate: "vendor=1",
            ..view::Request::default()
        };
        let read = asked(&request, now).unwrap().context.unwrap();
        assert_eq!((read.iter().count(), read.get("k15")), (16, Some("v")));
        assert_eq!((read.traceparent(), read.tracestate()), (Some(PARENT), Some("vendor=1")));

        request.traceparent = "00-nonsense";
        assert_eq!(asked(&request, now).unwrap().context.unwrap().traceparent(), None);

        request.context = pairs(17);
        let refused = asked(&request, now).expect_err("it is refused");
        assert_eq!((refused.code, refused.may_have_run), (FailureCode::BadArguments, false));
        request.context = vec![("Key", "")];
        let code = asked(&request, now).err().map(|failure| failure.code);
        assert_eq!(code, Some(FailureCode::BadArguments));
        request.context.clear();
        request.traceparent = "";
        assert!(asked(&request, now).unwrap().context.is_none(), "most calls carry nothing");
    }

    #[test]
    fn large_payloads_are_cut_into_whole_pieces_and_a_rest() {
        let payload = vec![7; 2 * PART_BYTES + 1];
        let lens = |len| parts(&payload[..len]).map(|(rest, last)| (rest.len(), last.len()));
        assert_eq!(lens(PART_BYTES), None);
        assert_eq!(lens(PART_BYTES + 1), Some((PART_BYTES, 1)));
        assert_eq!(lens(2 * PART_BYTES), Some((PART_BYTES, PART_BYTES)));
        assert_eq!(lens(2 * PART_BYTES + 1), Some((2 * PART_BYTES, 1)));
    }
}
