//! What the owner of an actor answers over a link: frames, one after the other.
//!
//! Proves: C24

use std::collections::HashSet;

use bytes::Bytes;
use greenroom::fuzzing::Caller;
use greenroom_proto::Frame;
use greenroom_proto::v1::envelope::Body;
use greenroom_proto::v1::{Envelope, Response, response};
use greenroom_proto::view::View;
use prost::Message;

use super::frame::bodies;
use super::node::PAYLOAD_BYTES_MAX;
use crate::chunks;

const CALLS: usize = 3;

pub(super) fn check(input: &[u8]) {
    let (mut caller, sent) = Caller::with_calls(CALLS, PAYLOAD_BYTES_MAX);
    let mut unanswered = numbers(&sent);
    for part in chunks::split(input) {
        let frame = Frame::written(Bytes::copy_from_slice(part));
        let before = unanswered.len();
        let goes_on = caller.take(&frame);
        forget_answered(&frame, &mut unanswered);
        let answered = caller.answered();
        if !goes_on {
            // What comes after the envelope that ended the link is not read.
            assert!(answered <= before, "{answered} of {before} calls were answered");
            return;
        }
        assert_eq!(answered, before - unanswered.len(), "each answer reaches its caller, once");
        // Whoever waits is known to the link, which watches the deadlines.
        assert_eq!(caller.known(), unanswered.len(), "calls that nobody answers any more");
    }
}

/// The numbers of the calls in these frames.
fn numbers(frames: &[Frame]) -> HashSet<u64> {
    let views = frames.iter().flat_map(Frame::views);
    let numbers = views.filter_map(|view| match view {
        Ok(View::Request(request)) => Some(request.call),
        _ => None,
    });
    numbers.collect()
}

fn forget_answered(frame: &Frame, unanswered: &mut HashSet<u64>) {
    for view in frame.views() {
        match view {
            Ok(View::Response(response)) => {
                unanswered.remove(&response.call);
            }
            // A stream that ends before it begins is an answer, too.
            Ok(View::Other(Envelope { body: Some(Body::End(end)) })) => {
                unanswered.remove(&end.call);
            }
            _ => {}
        }
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let (_, sent) = Caller::with_calls(CALLS, PAYLOAD_BYTES_MAX);
    let mut calls: Vec<u64> = numbers(&sent).into_iter().collect();
    calls.sort_unstable();
    let frames = |call: u64| bodies().into_iter().map(move |body| frame(addressed(body, call)));
    let mut seeds: Vec<Vec<u8>> = frames(calls[0]).map(|frame| chunks::join([frame])).collect();
    seeds.push(chunks::join(frames(calls[1])));
    // A stream: its beginning, an item in two pieces, and its end.
    let stream = bodies().into_iter().filter(|body| match body {
        Body::Response(Response { outcome, .. }) => {
            matches!(outcome, Some(response::Outcome::Stream(_)))
        }
        Body::Part(_) | Body::Item(_) | Body::End(_) => true,
        _ => false,
    });
    seeds.push(chunks::join(stream.map(|body| frame(addressed(body, calls[2])))));
    seeds.push(chunks::join(calls.iter().map(|call| {
        let outcome = response::Outcome::Ok(vec![7; PAYLOAD_BYTES_MAX + 1].into());
        frame(Body::Response(Response { call: *call, outcome: Some(outcome) }))
    })));
    seeds
}

/// The same body about another call.
fn addressed(mut body: Body, number: u64) -> Body {
    match &mut body {
        Body::Request(request) => request.call = number,
        Body::Response(response) => response.call = number,
        Body::Cancel(cancel) => cancel.call = number,
        Body::Part(part) => part.call = number,
        Body::Item(item) => item.call = number,
        Body::Credit(credit) => credit.call = number,
        Body::End(end) => end.call = number,
        Body::Hello(_) | Body::Goodbye(_) => {}
    }
    body
}

pub(super) fn frame(body: Body) -> Vec<u8> {
    Frame::of([&Envelope { body: Some(body) }]).encode_to_vec()
}
