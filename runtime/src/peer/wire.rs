//! Between the runtime's types and the wire's: the only conversions.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use greenroom_core::ActorId;
use greenroom_proto::v1::{self, envelope::Body, response};
use tokio::time::Instant;

use super::PeerCall;
use crate::activation::Answer;
use crate::ambient::{CHAIN_LEN_MAX, Chain};
use crate::failure::{Failure, FailureCode};
use crate::payload::{Encoding, Outcome};
use crate::router::failed;

pub(super) fn envelope(body: Body) -> v1::Envelope {
    v1::Envelope { body: Some(body) }
}

pub(super) fn request(number: u64, call: &PeerCall) -> v1::Request {
    let remaining = call.deadline.saturating_duration_since(Instant::now());
    // The wire has the outermost first.
    let mut chain: Vec<String> =
        Chain::iter(call.chain.as_deref()).map(ToString::to_string).collect();
    chain.reverse();
    v1::Request {
        call: number,
        kind: call.id.kind().to_owned(),
        key: call.id.key().to_owned(),
        method: call.method.clone(),
        encoding: match call.encoding {
            Encoding::MessagePack => v1::Encoding::MessagePack,
            Encoding::Json => v1::Encoding::Json,
        }
        .into(),
        arguments: call.arguments.clone(),
        remaining_us: u64::try_from(remaining.as_micros()).unwrap_or(u64::MAX),
        one_way: call.one_way,
        epoch: call.epoch.0,
        chain,
        traceparent: String::new(),
    }
}

/// What a peer asks, checked.
pub(super) struct Asked {
    pub(super) id: ActorId,
    pub(super) encoding: Encoding,
    /// When it came here.
    pub(super) made: Instant,
    pub(super) deadline: Instant,
    pub(super) chain: Option<Arc<Chain>>,
}

/// Longest that a peer's call may take, whatever it says: no turn waits for ever.
const REMAINING_MAX: Duration = Duration::from_secs(24 * 3600);

/// Reads what a peer asks.
pub(super) fn asked(request: &v1::Request) -> Result<Asked, Failure> {
    let bad = |code, message: String| Failure::new(code, message);
    let id = ActorId::new(request.kind.as_str(), request.key.as_str())
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
    let made = Instant::now();
    Ok(Asked { id, encoding, made, deadline: made + remaining, chain })
}

pub(super) fn response(call: u64, answer: Answer, payload_bytes_max: usize) -> v1::Response {
    use response::Outcome as Wire;
    let outcome = match answer {
        Answer::Accepted => Wire::Accepted(v1::Accepted {}),
        Answer::Done(Outcome::Ok(bytes)) if bytes.len() <= payload_bytes_max => Wire::Ok(bytes),
        Answer::Done(Outcome::Err(bytes)) if bytes.len() <= payload_bytes_max => Wire::Err(bytes),
        Answer::Done(Outcome::Ok(bytes) | Outcome::Err(bytes)) => {
            let len = bytes.len();
            let message =
                format!("the reply has {len} bytes, at most {payload_bytes_max} are allowed");
            let failure = Failure::new(FailureCode::TooLarge, message).that_may_have_run();
            Wire::Failure(failure_to_wire(failure))
        }
        Answer::Done(Outcome::Failed(failure)) | Answer::Bounced(failure, _) => {
            Wire::Failure(failure_to_wire(failure))
        }
        Answer::Done(Outcome::Typed(_)) => {
            // Arguments that came as bytes are answered in bytes; only a defect leads here.
            let message = "the reply was not written down";
            let failure = Failure::new(FailureCode::BadReply, message).that_may_have_run();
            Wire::Failure(failure_to_wire(failure))
        }
    };
    v1::Response { call, outcome: Some(outcome) }
}

pub(super) fn answer(response: v1::Response) -> Answer {
    use response::Outcome as Wire;
    match response.outcome {
        Some(Wire::Ok(bytes)) => Answer::Done(Outcome::Ok(bytes)),
        Some(Wire::Err(bytes)) => Answer::Done(Outcome::Err(bytes)),
        Some(Wire::Accepted(_)) => Answer::Accepted,
        Some(Wire::Failure(failure)) => failed(failure_from_wire(failure)),
        None => {
            let message = "the owner's answer has an outcome that this version doesn't know";
            failed(Failure::new(FailureCode::BadReply, message).that_may_have_run())
        }
    }
}

/// Longest message of a failure on the wire, in bytes: some quote what users wrote.
const MESSAGE_BYTES_MAX: usize = 4096;

fn failure_to_wire(failure: Failure) -> v1::Failure {
    let Failure { code, mut message, may_have_run } = failure;
    message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
    v1::Failure { code: code.as_str().to_owned(), message, may_have_run }
}

fn failure_from_wire(failure: v1::Failure) -> Failure {
    let v1::Failure { code, message, may_have_run } = failure;
    match FailureCode::from_str(&code) {
        Ok(code) => Failure { code, message, may_have_run },
        // A newer peer's code: keep its name and its word on whether the call may have run.
        Err(unknown) => Failure {
            code: FailureCode::BadReply,
            message: format!("{unknown}: {message}"),
            may_have_run,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_wire() {
        for code in FailureCode::ALL {
            let failure = Failure { code: *code, message: "why".into(), may_have_run: true };
            assert_eq!(failure_from_wire(failure_to_wire(failure.clone())), failure);
        }
    }

    #[test]
    fn a_newer_peers_code_keeps_its_name() {
        let failure =
            v1::Failure { code: "melted".into(), message: "hot".into(), may_have_run: false };
        let read = failure_from_wire(failure);
        assert!(read.message.contains("melted") && read.message.contains("hot"), "{read:?}");
        assert!(!read.may_have_run);
    }

    #[test]
    fn what_a_peer_asks_is_checked() {
        let good = v1::Request {
            kind: "k".into(),
            key: "a/b".into(),
            encoding: v1::Encoding::Json.into(),
            remaining_us: u64::MAX,
            chain: vec!["k/outer".into(), "k/inner/1".into()],
            ..v1::Request::default()
        };
        let read = asked(&good).unwrap();
        let chain: Vec<_> = Chain::iter(read.chain.as_deref()).map(ToString::to_string).collect();
        assert_eq!(chain, ["k/inner/1", "k/outer"]);
        let code = |change: fn(&mut v1::Request)| {
            let mut request = good.clone();
            change(&mut request);
            asked(&request).err().map(|failure| failure.code)
        };
        assert_eq!(code(|request| request.key.clear()), Some(FailureCode::BadKey));
        assert_eq!(code(|request| request.kind = "K K".into()), Some(FailureCode::BadKey));
        assert_eq!(code(|request| request.encoding = 9), Some(FailureCode::BadArguments));
        assert_eq!(code(|request| request.chain = vec!["x".into()]), Some(FailureCode::BadKey));
        let endless = |request: &mut v1::Request| request.chain = vec!["k/a".into(); 65];
        assert_eq!(code(endless), Some(FailureCode::Cycle));
    }
}
