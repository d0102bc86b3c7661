//! What a peer asks over a link: frames, one after the other, down to the actors.
//!
//! Proves: C24

use std::collections::HashSet;

use bytes::Bytes;
use greenroom::fuzzing::{Arguments, Callee, Encoding, ReplyForm};
use greenroom_proto::Frame;
use greenroom_proto::v1::envelope::Body;
use greenroom_proto::v1::{self, Part, Request};
use greenroom_proto::view::{Outcome, View};

use super::arguments::something;
use super::caller::frame;
use super::frame::bodies;
use super::node::{PAYLOAD_BYTES_MAX, home};
use crate::chunks;

pub(super) fn check(input: &[u8]) {
    let home = home();
    let _entered = home.runtime.enter();
    let mut callee = Callee::of(&home.node);
    let (mut asked, mut answered) = (HashSet::new(), HashSet::new());
    for part in chunks::split(input) {
        let frame = Frame::written(Bytes::copy_from_slice(part));
        asked.extend(frame.views().filter_map(|view| match view {
            Ok(View::Request(request)) => Some(request.call),
            _ => None,
        }));
        let Ok(taken) = home.runtime.block_on(callee.take(&frame)) else { return };
        for frame in &taken.frames {
            for view in frame.views() {
                let view = view.expect("a node writes frames");
                answered.extend(answer(&view, &asked));
            }
        }
        // Of a number that is used twice, one call may have been answered and the other wait.
        let (asked, known) = (asked.len(), answered.len() + taken.waiting);
        assert!(asked <= known, "of {asked} calls {known} are answered or wait");
    }
}

/// The number of a call that this answers.
fn answer(view: &View<'_>, asked: &HashSet<u64>) -> Option<u64> {
    let (call, payload) = match view {
        View::Response(response) => {
            let outcome = response.outcome.as_ref().expect("an answer says what came of the call");
            let payload = match outcome {
                Outcome::Ok(bytes) | Outcome::Err(bytes) => bytes.len(),
                Outcome::Failure(failure) => {
                    assert!(failure.code.parse::<greenroom::FailureCode>().is_ok(), "{failure:?}");
                    failure.message.len()
                }
                Outcome::Accepted | Outcome::Stream => 0,
            };
            (response.call, payload)
        }
        View::Part(call, bytes) | View::Item(call, bytes) => (*call, bytes.len()),
        View::Other(_) => return None,
        other => panic!("a node does not answer with {other:?}"),
    };
    assert!(asked.contains(&call), "an answer to call {call}, which was not asked");
    assert!(payload <= 2 * PAYLOAD_BYTES_MAX, "{payload} bytes");
    matches!(view, View::Response(_)).then_some(call)
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let methods = ["echo", "fail", "later", "letters", "odd", "none"];
    let requests = methods.into_iter().flat_map(|method| {
        [Encoding::MessagePack, Encoding::Json].map(|encoding| request(method, encoding))
    });
    let requests: Vec<Request> = requests.collect();
    let one_way = Request { one_way: true, ..requests[0].clone() };
    let mut seeds: Vec<Vec<u8>> = requests
        .iter()
        .chain([&one_way])
        .map(|request| chunks::join([frame(Body::Request(request.clone()))]))
        .collect();
    // In two pieces, followed by all else that a peer may say.
    let piece = Part { call: 9, data: requests[0].arguments.slice(..20) };
    let rest = Request { arguments: requests[0].arguments.slice(20..), ..requests[0].clone() };
    let pieces = [Body::Part(piece), Body::Request(Request { call: 9, ..rest })];
    seeds.push(chunks::join(pieces.into_iter().chain(bodies()).map(frame)));
    let all = (1..).zip(requests).map(|(call, request)| Request { call, ..request });
    seeds.push(chunks::join(all.map(|request| frame(Body::Request(request)))));
    seeds
}

fn request(method: &str, encoding: Encoding) -> Request {
    let text = ("text", "abc");
    let form = ReplyForm::Encoded(encoding);
    let arguments = match method {
        "later" | "letters" => form.value(std::collections::BTreeMap::from([text])),
        "odd" | "none" => form.value(std::collections::BTreeMap::<String, String>::new()),
        _ => form.value(std::collections::BTreeMap::from([("value", something())])),
    };
    let greenroom::fuzzing::Outcome::Ok(arguments) = arguments else {
        panic!("arguments can be written")
    };
    // The way from bytes to values is what is fuzzed; here it must be a good one.
    let opened = Arguments::Encoded { encoding, bytes: arguments.clone() };
    assert!(matches!(opened.form(), ReplyForm::Encoded(_)));
    let wire = match encoding {
        Encoding::MessagePack => v1::Encoding::MessagePack,
        Encoding::Json => v1::Encoding::Json,
    };
    Request {
        call: 1,
        kind: "fuzz.echo".into(),
        key: "a".into(),
        method: method.into(),
        encoding: wire.into(),
        arguments,
        remaining_us: 1_000_000,
        epoch: 1,
        stream_window: 4096,
        ..Request::default()
    }
}
