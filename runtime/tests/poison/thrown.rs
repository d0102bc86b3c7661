//! What is thrown at a node.

use greenroom::Address;
use greenroom_proto::Frame;
use greenroom_proto::v1::envelope::Body;
use greenroom_proto::v1::{
    Cancel, Credit, End, Envelope, Hello, Item, Part, Request, Response, response,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::support::ledger::TallyRef;
use super::{LAST, PAYLOAD_BYTES_MAX};

/// Arguments that are right, wrong, cut, nested without end, or that claim to be huge.
pub(crate) fn arguments() -> impl Strategy<Value = Vec<u8>> {
    let right = select(vec![
        b"{}".to_vec(),
        b"{\"number\":7}".to_vec(),
        b"{\"way\":[\"a\",\"b\"]}".to_vec(),
        b"\x80".to_vec(),
        b"\x81\xa6number\x07".to_vec(),
        b"\x81\xa3way\x92\xa1a\xa1b".to_vec(),
    ]);
    let wrong_types = select(vec![
        b"{\"number\":\"seven\"}".to_vec(),
        b"{\"number\":-1e999}".to_vec(),
        b"{\"way\":{\"a\":1}}".to_vec(),
        b"{\"way\":[\"\",\"\\u0000\",7]}".to_vec(),
        b"\x81\xa6number\xc0".to_vec(),
        b"\x81\xa3way\x81\xa1a\xa1b".to_vec(),
        b"\x81\xa3way\xc3".to_vec(),
        b"\x92\x01\x02".to_vec(),
    ]);
    // Lengths of four bytes: text, bytes, arrays, maps, extensions.
    let huge = (select(vec![0xdb, 0xc6, 0xdd, 0xdf, 0xc9]), any::<u32>(), any::<bool>()).prop_map(
        |(marker, len, in_field): (u8, u32, bool)| {
            let mut bytes = if in_field { b"\x81\xa3way".to_vec() } else { Vec::new() };
            bytes.push(marker);
            bytes.extend((len | 0x4000_0000).to_be_bytes());
            bytes
        },
    );
    let nested = (
        select(vec![&b"["[..], b"{\"way\":", b"\x91", b"\x81\xa3way", b"\xdd\0\0\0\x02"]),
        1..6_000_usize,
    )
        .prop_map(|(opening, depth)| opening.repeat(depth));
    prop_oneof![
        3 => right.clone(),
        2 => wrong_types,
        2 => huge,
        1 => nested,
        2 => vec(any::<u8>(), 0..200),
        2 => (right, mutations()).prop_map(|(bytes, mutations)| mutate(bytes, &mutations)),
    ]
}

/// A change of one place of a message.
#[derive(Clone, Debug)]
pub(crate) enum Mutation {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index),
    Cut(Index),
    Double(Index),
}

pub(crate) fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let place = any::<Index>;
    let mutation = prop_oneof![
        4 => (place(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        1 => (place(), vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        1 => place().prop_map(Mutation::Remove),
        1 => place().prop_map(Mutation::Cut),
        1 => place().prop_map(Mutation::Double),
    ];
    vec(mutation, 1..5)
}

pub(crate) fn mutate(mut bytes: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for mutation in mutations {
        if bytes.is_empty() {
            break;
        }
        let len = bytes.len();
        match mutation {
            Mutation::Set(at, byte) => bytes[at.index(len)] = *byte,
            Mutation::Insert(at, more) => {
                let at = at.index(len);
                bytes.splice(at..at, more.iter().copied());
            }
            Mutation::Remove(at) => drop(bytes.remove(at.index(len))),
            Mutation::Cut(at) => bytes.truncate(at.index(len)),
            Mutation::Double(at) => bytes.extend_from_within(at.index(len)..),
        }
    }
    bytes
}

/// Numbers of calls, which often meet on a link.
fn calls() -> impl Strategy<Value = u64> {
    prop_oneof![2 => 0..4_u64, 1 => 0..LAST]
}

fn requests() -> impl Strategy<Value = Request> {
    let kind = prop_oneof![8 => Just(TallyRef::KIND.to_owned()), 1 => ".{0,40}"];
    let key = prop_oneof![4 => "[a-c]", 1 => ".{0,600}", 1 => Just("\u{0}\u{7f}{".to_owned())];
    let methods =
        ["add", "note", "notes", "pass_on", "remaining", "onward"].map(str::to_owned).to_vec();
    let method = prop_oneof![8 => select(methods), 1 => ".{0,40}"];
    let spans = select(vec![0, 1, 1_000, 1_000_000, u64::MAX]);
    let chain = vec(prop_oneof!["test.tally/[a-c]", ".{0,20}"], 0..3);
    let traces = (prop_oneof!["", "00-[0-9a-f]{32}-[0-9a-f]{16}-01", ".{0,80}"], ".{0,60}");
    let context = btree_map(prop_oneof!["[a-z]{1,8}", ".{0,70}"], ".{0,300}", 0..3);
    let body = (-1..4_i32, arguments(), spans, any::<bool>(), 0..3_u64, chain, traces, context);
    let window = prop_oneof![Just(0), 0..10_000_u32, Just(u32::MAX)];
    let name = (kind, key, method);
    (calls(), name, window, body).prop_map(|(call, name, stream_window, body)| {
        let (kind, key, method) = name;
        let (encoding, arguments, remaining_us, one_way, epoch, chain, traces, context) = body;
        let arguments = arguments.into();
        let (traceparent, tracestate) = traces;
        Request {
            call,
            kind,
            key,
            method,
            encoding,
            arguments,
            remaining_us,
            one_way,
            epoch,
            chain,
            traceparent,
            tracestate,
            context,
            stream_window,
        }
    })
}

fn bodies() -> impl Strategy<Value = Option<Body>> {
    let answer = (any::<u64>(), vec(any::<u8>(), 0..50)).prop_map(|(call, bytes)| {
        let outcome = Some(response::Outcome::Ok(bytes.into()));
        Body::Response(Response { call, outcome })
    });
    let hello = (any::<u32>(), ".{0,20}").prop_map(|(protocol, node)| {
        let cluster = "default".to_owned();
        Body::Hello(Hello { protocol, cluster, node, incarnation: u64::MAX })
    });
    // Pieces of arguments, alone larger than any may be, and larger than a frame.
    let len = prop_oneof![
        4 => 0..200_usize,
        2 => (PAYLOAD_BYTES_MAX - 100)..(PAYLOAD_BYTES_MAX + 100),
        1 => (1 << 20) - 200..(1_usize << 20) + 100,
    ];
    let part = (calls(), any::<u8>(), len).prop_map(|(call, byte, len)| {
        let data = vec![byte; len].into();
        Body::Part(Part { call, data })
    });
    let item = (calls(), vec(any::<u8>(), 0..50))
        .prop_map(|(call, value)| Body::Item(Item { call, value: value.into() }));
    let credit = (calls(), prop_oneof![0..100_000_u64, any::<u64>()])
        .prop_map(|(call, bytes)| Body::Credit(Credit { call, bytes }));
    let end = calls().prop_map(|call| Body::End(End { call, failure: None }));
    let cancel = calls().prop_map(|call| Body::Cancel(Cancel { call }));
    prop_oneof![
        8 => requests().prop_map(|request| Some(Body::Request(request))),
        2 => part.prop_map(Some),
        2 => cancel.prop_map(Some),
        2 => credit.prop_map(Some),
        1 => item.prop_map(Some),
        1 => end.prop_map(Some),
        1 => answer.prop_map(Some),
        1 => hello.prop_map(Some),
        1 => Just(None),
    ]
}

/// Messages of a link, most of which are frames.
pub(crate) fn messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let frame = || {
        vec(bodies().prop_map(|body| Envelope { body }), 0..5)
            .prop_map(|envelopes| Frame::of(&envelopes).bytes().to_vec())
    };
    let message = prop_oneof![
        6 => frame(),
        3 => (frame(), mutations()).prop_map(|(bytes, mutations)| mutate(bytes, &mutations)),
        1 => vec(any::<u8>(), 0..500),
    ];
    vec(message, 1..6)
}
