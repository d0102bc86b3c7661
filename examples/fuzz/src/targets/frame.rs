//! Frames: read in place and as messages, which must be the same.
//!
//! Proves: C24

use bytes::{Bytes, BytesMut};
use greenroom_proto::Frame;
use greenroom_proto::v1::envelope::Body;
use greenroom_proto::v1::{
    Accepted, Cancel, Credit, End, Envelope, Failure, Goodbye, Hello, Item, Part, Request,
    Response, Stream, response,
};
use greenroom_proto::view::{
    View, put_cancel, put_credit, put_envelope, put_item, put_part, put_request, put_response,
};
use prost::Message;

pub(super) fn check(input: &[u8]) {
    let frame = Frame::written(Bytes::copy_from_slice(input));
    if let Some(views) = read(&frame) {
        let again = written(&views);
        assert_eq!(read(&again).as_ref(), Some(&views), "written and read again");
        let messages = again.envelopes().expect("what is written in place is a frame");
        assert_eq!(messages.len(), views.len());
    }
    if let Ok(messages) = frame.envelopes() {
        let canonical = Frame::of(&messages);
        let views = read(&canonical).expect("messages can be read in place");
        assert_eq!(written(&views).envelopes().as_ref(), Ok(&messages), "by way of views");
        // What is more than a body changes nothing about the body.
        for envelope in &messages {
            let mut bytes = envelope.encode_to_vec();
            bytes.extend([0xfa, 0x01, 0]);
            let mut frame = vec![0x0a];
            prost::encode_length_delimiter(bytes.len(), &mut frame).expect("a vector grows");
            frame.extend(bytes);
            let newer = Frame::written(frame.into());
            assert_eq!(read(&newer), read(&Frame::of([envelope])), "a field from the future");
        }
    }
    assert_eq!(Frame::decode(input).map(|read| read.bytes().clone()), Ok(frame.bytes().clone()));
}

fn read(frame: &Frame) -> Option<Vec<View<'_>>> {
    frame.views().collect::<Result<_, _>>().ok()
}

fn written(views: &[View<'_>]) -> Frame {
    let mut out = BytesMut::new();
    for view in views {
        match view {
            View::Request(request) => put_request(&mut out, request),
            View::Response(response) => put_response(&mut out, response),
            View::Cancel(call) => put_cancel(&mut out, *call),
            View::Part(call, data) => put_part(&mut out, *call, data),
            View::Item(call, value) => put_item(&mut out, *call, value),
            View::Credit(call, bytes) => put_credit(&mut out, *call, *bytes),
            View::Other(envelope) => put_envelope(&mut out, envelope),
        }
    }
    Frame::written(out.freeze())
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let frames = bodies().into_iter().map(|body| vec![Envelope { body: Some(body) }]);
    let all = bodies().into_iter().map(|body| Envelope { body: Some(body) }).collect();
    frames.chain([all, Vec::new()]).map(|frame| Frame::of(&frame).bytes().to_vec()).collect()
}

/// One of each kind.
pub(super) fn bodies() -> Vec<Body> {
    let response = |outcome| Body::Response(Response { call: 1, outcome });
    let failure = Failure {
        code: "not_owner".into(),
        message: "it moved".into(),
        may_have_run: true,
        retry_after_ms: 50,
    };
    vec![
        Body::Hello(Hello {
            protocol: greenroom_proto::PROTOCOL,
            cluster: "default".into(),
            node: "node-1".into(),
            incarnation: 7,
        }),
        Body::Request(request()),
        response(Some(response::Outcome::Ok(Bytes::from_static(b"\xa2ok")))),
        response(Some(response::Outcome::Err(Bytes::from_static(b"\xa2no")))),
        response(Some(response::Outcome::Failure(failure.clone()))),
        response(Some(response::Outcome::Accepted(Accepted {}))),
        response(Some(response::Outcome::Stream(Stream {}))),
        Body::Cancel(Cancel { call: 1 }),
        Body::Part(Part { call: 1, data: Bytes::from_static(b"piece") }),
        Body::Item(Item { call: 1, value: Bytes::from_static(b"\x05") }),
        Body::Credit(Credit { call: 1, bytes: 4096 }),
        Body::End(End { call: 1, failure: Some(failure) }),
        Body::Goodbye(Goodbye {}),
    ]
}

fn request() -> Request {
    Request {
        call: 1,
        kind: "fuzz.echo".into(),
        key: "a".into(),
        method: "echo".into(),
        encoding: 1,
        arguments: Bytes::from_static(b"\x80"),
        remaining_us: 1_000_000,
        one_way: true,
        epoch: 1,
        chain: vec!["fuzz.echo/b".into()],
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
        tracestate: "vendor=1".into(),
        context: [("tenant".to_owned(), "acme".to_owned())].into(),
        stream_window: 4096,
    }
}
