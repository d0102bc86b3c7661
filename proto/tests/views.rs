//! The two ways to read and to write a call, in place and as a message, are the same on the wire.

use bytes::{Bytes, BytesMut};
use greenroom_proto::Frame;
use greenroom_proto::v1::envelope::Body;
use greenroom_proto::v1::{self, Envelope, response};
use greenroom_proto::view::{
    self, Outcome, View, put_cancel, put_credit, put_item, put_part, put_request, put_response,
};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

fn envelope(body: Body) -> Envelope {
    Envelope { body: Some(body) }
}

/// The frame as prost alone reads and writes it.
#[derive(Clone, PartialEq, Message)]
struct Plain {
    #[prost(message, repeated, tag = "1")]
    envelopes: Vec<Envelope>,
}

prop_compose! {
    fn requests()(
        (call, kind, key, method) in (any::<u64>(), ".{0,6}", ".{0,300}", ".{0,6}"),
        (encoding, arguments) in (any::<i32>(), vec(any::<u8>(), 0..300)),
        (remaining_us, one_way, epoch) in (any::<u64>(), any::<bool>(), any::<u64>()),
        (chain, traceparent, tracestate) in (vec(".{0,9}", 0..4), ".{0,9}", ".{0,9}"),
        (context, stream_window) in
            (proptest::collection::btree_map(".{0,9}", ".{0,9}", 0..4), any::<u32>()),
    ) -> v1::Request {
        let arguments = Bytes::from(arguments);
        v1::Request {
            call, kind, key, method, encoding, arguments, remaining_us, one_way, epoch, chain,
            traceparent, tracestate, context, stream_window,
        }
    }
}

fn outcomes() -> impl Strategy<Value = Option<response::Outcome>> {
    let bytes = || vec(any::<u8>(), 0..300).prop_map(Bytes::from);
    let failure = (".{0,9}", ".{0,99}", any::<bool>(), any::<u32>()).prop_map(
        |(code, message, may_have_run, retry_after_ms)| v1::Failure {
            code,
            message,
            may_have_run,
            retry_after_ms,
        },
    );
    prop_oneof![
        Just(None),
        bytes().prop_map(|bytes| Some(response::Outcome::Ok(bytes))),
        bytes().prop_map(|bytes| Some(response::Outcome::Err(bytes))),
        failure.prop_map(|failure| Some(response::Outcome::Failure(failure))),
        Just(Some(response::Outcome::Accepted(v1::Accepted {}))),
        Just(Some(response::Outcome::Stream(v1::Stream {}))),
    ]
}

fn bodies() -> impl Strategy<Value = Body> {
    prop_oneof![
        requests().prop_map(Body::Request),
        (any::<u64>(), outcomes())
            .prop_map(|(call, outcome)| Body::Response(v1::Response { call, outcome })),
        any::<u64>().prop_map(|call| Body::Cancel(v1::Cancel { call })),
        (any::<u64>(), vec(any::<u8>(), 0..300))
            .prop_map(|(call, data)| Body::Part(v1::Part { call, data: data.into() })),
        (any::<u64>(), vec(any::<u8>(), 0..300))
            .prop_map(|(call, value)| Body::Item(v1::Item { call, value: value.into() })),
        (any::<u64>(), any::<u64>())
            .prop_map(|(call, bytes)| Body::Credit(v1::Credit { call, bytes })),
        any::<u64>().prop_map(|call| Body::End(v1::End { call, failure: None })),
        Just(Body::Goodbye(v1::Goodbye {})),
        ".{0,9}".prop_map(|cluster| Body::Hello(v1::Hello { cluster, ..v1::Hello::default() })),
    ]
}

/// Writes a body in place.
fn put(out: &mut BytesMut, body: &Body) {
    match body {
        Body::Request(request) => put_request(out, &request_view(request)),
        Body::Response(response) => put_response(out, &response_view(response)),
        Body::Cancel(cancel) => put_cancel(out, cancel.call),
        Body::Part(part) => put_part(out, part.call, &part.data),
        Body::Item(item) => put_item(out, item.call, &item.value),
        Body::Credit(credit) => put_credit(out, credit.call, credit.bytes),
        other => view::put_envelope(out, &envelope(other.clone())),
    }
}

fn request_view(request: &v1::Request) -> view::Request<'_> {
    view::Request {
        call: request.call,
        kind: &request.kind,
        key: &request.key,
        method: &request.method,
        encoding: request.encoding,
        arguments: &request.arguments,
        remaining_us: request.remaining_us,
        one_way: request.one_way,
        epoch: request.epoch,
        chain: request.chain.iter().map(String::as_str).collect(),
        traceparent: &request.traceparent,
        tracestate: &request.tracestate,
        context: request
            .context
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect(),
        stream_window: request.stream_window,
    }
}

fn response_view(response: &v1::Response) -> view::Response<'_> {
    let outcome = response.outcome.as_ref().map(|outcome| match outcome {
        response::Outcome::Ok(bytes) => Outcome::Ok(bytes),
        response::Outcome::Err(bytes) => Outcome::Err(bytes),
        response::Outcome::Failure(failure) => Outcome::Failure(failure.clone()),
        response::Outcome::Accepted(_) => Outcome::Accepted,
        response::Outcome::Stream(_) => Outcome::Stream,
    });
    view::Response { call: response.call, outcome }
}

/// What reading in place should find.
fn seen(body: &Body) -> View<'_> {
    match body {
        Body::Request(request) => View::Request(request_view(request)),
        Body::Response(response) => View::Response(response_view(response)),
        Body::Cancel(cancel) => View::Cancel(cancel.call),
        Body::Part(part) => View::Part(part.call, &part.data),
        Body::Item(item) => View::Item(item.call, &item.value),
        Body::Credit(credit) => View::Credit(credit.call, credit.bytes),
        other => View::Other(envelope(other.clone())),
    }
}

proptest! {
    #[test]
    fn what_is_written_in_place_is_read_as_messages(bodies in vec(bodies(), 0..5)) {
        let mut out = BytesMut::new();
        for body in &bodies {
            put(&mut out, body);
        }
        let read = Plain::decode(&out[..]).unwrap().envelopes;
        let read: Vec<Body> = read.into_iter().filter_map(|envelope| envelope.body).collect();
        prop_assert_eq!(&read, &bodies);
        let frame = Frame::written(out.freeze()).envelopes().unwrap();
        prop_assert_eq!(frame.into_iter().map(|e| e.body.unwrap()).collect::<Vec<_>>(), bodies);
    }

    #[test]
    fn what_is_written_as_messages_is_read_in_place(bodies in vec(bodies(), 0..5)) {
        let envelopes: Vec<_> = bodies.iter().cloned().map(envelope).collect();
        let bytes = Plain { envelopes: envelopes.clone() }.encode_to_vec();
        let written = Frame::of(&envelopes);
        prop_assert_eq!(written.bytes(), &bytes);
        let frame = Frame::decode(&bytes[..]).unwrap();
        let views: Vec<View<'_>> = frame.views().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(views, bodies.iter().map(seen).collect::<Vec<_>>());
        prop_assert_eq!(frame.encode_to_vec(), bytes);
    }

    #[test]
    fn a_field_of_a_later_version_changes_no_body(body in bodies(), number in 10_u32..1000) {
        let mut bytes = envelope(body.clone()).encode_to_vec();
        prost::encoding::bool::encode(number, &true, &mut bytes);
        let mut frame = vec![0x0a];
        prost::encode_length_delimiter(bytes.len(), &mut frame).unwrap();
        frame.extend(bytes);
        let frame = Frame::written(frame.into());
        let views: Vec<View<'_>> = frame.views().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(views, [seen(&body)]);
    }

    #[test]
    fn damaged_frames_are_refused_or_read_and_never_panic(
        bodies in vec(bodies(), 1..4),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let envelopes: Vec<_> = bodies.into_iter().map(envelope).collect();
        let mut bytes = Plain { envelopes }.encode_to_vec();
        for (index, byte) in damage {
            let len = bytes.len();
            bytes[index.index(len)] = byte;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let frame = Frame::written(bytes.into());
        let _ = frame.views().count();
        let _ = frame.envelopes();
    }

    #[test]
    fn noise_never_panics(bytes in vec(any::<u8>(), 0..200)) {
        let frame = Frame::written(bytes.into());
        let _ = frame.views().count();
        let _ = frame.envelopes();
    }
}
