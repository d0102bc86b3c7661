//! Calls in a frame, read and written in place: without a message of their own, and so without memory
//! of their own. The bytes are those of the messages in `proto/greenroom.proto`; the tests hold the
//! two ways to write and to read them equal.

use bytes::BytesMut;
use prost::Message;

use crate::fields::{Fields, Malformed, bytes_len, number_len, put_bytes, put_head, put_number};
use crate::frame::ENVELOPES;
use crate::v1::{Envelope, Failure};

/// Numbers of the fields, as in the `.proto` file.
mod number {
    /// Of all bodies of an envelope, also of those that are read as messages.
    pub(super) const BODIES: std::ops::RangeInclusive<u64> = 1..=9;
    pub(super) const REQUEST: u64 = 2;
    pub(super) const RESPONSE: u64 = 3;
    pub(super) const CANCEL: u64 = 5;
    pub(super) const PART: u64 = 6;
    pub(super) const ITEM: u64 = 7;
    pub(super) const CREDIT: u64 = 8;

    pub(super) mod request {
        pub(crate) const CALL: u64 = 1;
        pub(crate) const KIND: u64 = 2;
        pub(crate) const KEY: u64 = 3;
        pub(crate) const METHOD: u64 = 4;
        pub(crate) const ENCODING: u64 = 5;
        pub(crate) const ARGUMENTS: u64 = 6;
        pub(crate) const REMAINING_US: u64 = 7;
        pub(crate) const ONE_WAY: u64 = 8;
        pub(crate) const EPOCH: u64 = 9;
        pub(crate) const CHAIN: u64 = 10;
        pub(crate) const TRACEPARENT: u64 = 11;
        pub(crate) const TRACESTATE: u64 = 12;
        pub(crate) const CONTEXT: u64 = 13;
        pub(crate) const STREAM_WINDOW: u64 = 14;
    }

    /// Of an entry of a map.
    pub(super) mod entry {
        pub(crate) const KEY: u64 = 1;
        pub(crate) const VALUE: u64 = 2;
    }

    pub(super) mod response {
        pub(crate) const CALL: u64 = 1;
        pub(crate) const OK: u64 = 2;
        pub(crate) const ERR: u64 = 3;
        pub(crate) const FAILURE: u64 = 4;
        pub(crate) const ACCEPTED: u64 = 5;
        pub(crate) const STREAM: u64 = 6;
    }

    pub(super) mod cancel {
        pub(crate) const CALL: u64 = 1;
    }

    /// Of a piece of a payload and of an item, which look alike.
    pub(super) mod part {
        pub(crate) const CALL: u64 = 1;
        pub(crate) const DATA: u64 = 2;
    }

    pub(super) mod credit {
        pub(crate) const CALL: u64 = 1;
        pub(crate) const BYTES: u64 = 2;
    }
}

/// The message `Request`. Its fields say what each is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Request<'a> {
    pub call: u64,
    pub kind: &'a str,
    pub key: &'a str,
    pub method: &'a str,
    /// A value of `Encoding`, or one that this version doesn't know.
    pub encoding: i32,
    pub arguments: &'a [u8],
    pub remaining_us: u64,
    pub one_way: bool,
    pub epoch: u64,
    pub chain: Vec<&'a str>,
    pub traceparent: &'a str,
    pub tracestate: &'a str,
    /// Pairs of key and value; of two with the same key the last one counts.
    pub context: Vec<(&'a str, &'a str)>,
    pub stream_window: u32,
}

/// The message `Response`.
#[derive(Clone, Debug, PartialEq)]
pub struct Response<'a> {
    /// The call that it answers.
    pub call: u64,
    /// `None` if it has none that this version knows.
    pub outcome: Option<Outcome<'a>>,
}

/// The outcome of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<'a> {
    /// The method's value.
    Ok(&'a [u8]),
    /// The method's own error.
    Err(&'a [u8]),
    /// Neither of the two.
    Failure(Failure),
    /// A one-way call stands in the mailbox.
    Accepted,
    /// A stream, whose items follow.
    Stream,
}

/// An envelope: in place what comes with each call, as a message what is rare.
#[derive(Clone, Debug, PartialEq)]
pub enum View<'a> {
    /// A call.
    Request(Request<'a>),
    /// An answer.
    Response(Response<'a>),
    /// The number of a call that nobody waits for any more.
    Cancel(u64),
    /// A piece of a large payload: of which call, and the bytes.
    Part(u64, &'a [u8]),
    /// An item of the stream that answers a call: of which one, and its value.
    Item(u64, &'a [u8]),
    /// Room for more of the stream that answers a call: of which one, and how many bytes.
    Credit(u64, u64),
    /// Anything else.
    Other(Envelope),
}

/// Reads the envelopes of a frame.
#[derive(Clone, Debug)]
pub struct Views<'a>(Fields<'a>);

impl<'a> Views<'a> {
    pub(crate) fn new(frame: &'a [u8]) -> Self {
        Self(Fields(frame))
    }
}

impl<'a> Iterator for Views<'a> {
    type Item = Result<View<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.0.next()? {
                Ok((ENVELOPES, value)) => return Some(value.bytes().and_then(envelope)),
                // From a newer peer.
                Ok(_) => {}
                Err(malformed) => return Some(Err(malformed)),
            }
        }
    }
}

fn envelope(bytes: &[u8]) -> Result<View<'_>, Malformed> {
    // Of a body that is given more than once, the last one counts. What is no body is from a newer peer,
    // and changes nothing about the one there is.
    let mut body = None;
    for field in Fields(bytes) {
        let (number, value) = field?;
        if number::BODIES.contains(&number) {
            body = Some((number, value));
        }
    }
    Ok(match body {
        Some((number::REQUEST, value)) => View::Request(request(value.bytes()?)?),
        Some((number::RESPONSE, value)) => View::Response(response(value.bytes()?)?),
        Some((number::CANCEL, value)) => View::Cancel(cancel(value.bytes()?)?),
        Some((number::PART, value)) => {
            let (call, data) = part(value.bytes()?)?;
            View::Part(call, data)
        }
        Some((number::ITEM, value)) => {
            let (call, value) = part(value.bytes()?)?;
            View::Item(call, value)
        }
        Some((number::CREDIT, value)) => {
            let (call, bytes) = credit(value.bytes()?)?;
            View::Credit(call, bytes)
        }
        _ => View::Other(
            Envelope::decode(bytes).map_err(|_| Malformed("an envelope can't be read"))?,
        ),
    })
}

fn request(bytes: &[u8]) -> Result<Request<'_>, Malformed> {
    use number::request as field;
    let mut request = Request::default();
    for read in Fields(bytes) {
        let (number, value) = read?;
        match number {
            field::CALL => request.call = value.number()?,
            field::KIND => request.kind = value.text()?,
            field::KEY => request.key = value.text()?,
            field::METHOD => request.method = value.text()?,
            // Protobuf cuts an enum's number to 32 bits.
            field::ENCODING => request.encoding = value.number()? as i32,
            field::ARGUMENTS => request.arguments = value.bytes()?,
            field::REMAINING_US => request.remaining_us = value.number()?,
            field::ONE_WAY => request.one_way = value.number()? != 0,
            field::EPOCH => request.epoch = value.number()?,
            field::CHAIN => request.chain.push(value.text()?),
            field::TRACEPARENT => request.traceparent = value.text()?,
            field::TRACESTATE => request.tracestate = value.text()?,
            field::CONTEXT => request.context.push(entry(value.bytes()?)?),
            field::STREAM_WINDOW => request.stream_window = value.number()? as u32,
            _ => {}
        }
    }
    Ok(request)
}

fn entry(bytes: &[u8]) -> Result<(&str, &str), Malformed> {
    let mut entry = ("", "");
    for read in Fields(bytes) {
        match read? {
            (number::entry::KEY, value) => entry.0 = value.text()?,
            (number::entry::VALUE, value) => entry.1 = value.text()?,
            _ => {}
        }
    }
    Ok(entry)
}

/// Length of a text field, which is left out when it is empty.
fn text_len(field: u64, text: &str) -> usize {
    if text.is_empty() { 0 } else { bytes_len(field, text.len()) }
}

fn put_text(out: &mut BytesMut, field: u64, text: &str) {
    if !text.is_empty() {
        put_bytes(out, field, text.as_bytes());
    }
}

fn response(bytes: &[u8]) -> Result<Response<'_>, Malformed> {
    use number::response as field;
    let mut response = Response { call: 0, outcome: None };
    for read in Fields(bytes) {
        let (number, value) = read?;
        match number {
            field::CALL => response.call = value.number()?,
            field::OK => response.outcome = Some(Outcome::Ok(value.bytes()?)),
            field::ERR => response.outcome = Some(Outcome::Err(value.bytes()?)),
            field::FAILURE => {
                let failure = Failure::decode(value.bytes()?)
                    .map_err(|_| Malformed("a failure can't be read"))?;
                response.outcome = Some(Outcome::Failure(failure));
            }
            field::ACCEPTED => {
                value.bytes()?;
                response.outcome = Some(Outcome::Accepted);
            }
            field::STREAM => {
                value.bytes()?;
                response.outcome = Some(Outcome::Stream);
            }
            _ => {}
        }
    }
    Ok(response)
}

fn cancel(bytes: &[u8]) -> Result<u64, Malformed> {
    let mut call = 0;
    for read in Fields(bytes) {
        if let (number::cancel::CALL, value) = read? {
            call = value.number()?;
        }
    }
    Ok(call)
}

fn part(bytes: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let mut part = (0, &[][..]);
    for read in Fields(bytes) {
        match read? {
            (number::part::CALL, value) => part.0 = value.number()?,
            (number::part::DATA, value) => part.1 = value.bytes()?,
            _ => {}
        }
    }
    Ok(part)
}

fn credit(bytes: &[u8]) -> Result<(u64, u64), Malformed> {
    let mut credit = (0, 0);
    for read in Fields(bytes) {
        match read? {
            (number::credit::CALL, value) => credit.0 = value.number()?,
            (number::credit::BYTES, value) => credit.1 = value.number()?,
            _ => {}
        }
    }
    Ok(credit)
}

/// Begins an envelope whose body has so many bytes.
fn put_body(out: &mut BytesMut, field: u64, len: usize) {
    let envelope = bytes_len(field, len);
    out.reserve(bytes_len(ENVELOPES, envelope));
    put_head(out, ENVELOPES, envelope);
    put_head(out, field, len);
}

/// Writes any envelope into a frame.
pub fn put_envelope(out: &mut BytesMut, envelope: &Envelope) {
    let len = envelope.encoded_len();
    out.reserve(bytes_len(ENVELOPES, len));
    put_head(out, ENVELOPES, len);
    envelope.encode_raw(out);
}

/// Writes a request into a frame.
pub fn put_request(out: &mut BytesMut, request: &Request<'_>) {
    use number::request as field;
    // An enum's negative number is written with its sign, which makes it 64 bits long.
    let encoding = i64::from(request.encoding) as u64;
    let texts = [
        (field::KIND, request.kind.as_bytes()),
        (field::KEY, request.key.as_bytes()),
        (field::METHOD, request.method.as_bytes()),
        (field::ARGUMENTS, request.arguments),
        (field::TRACEPARENT, request.traceparent.as_bytes()),
        (field::TRACESTATE, request.tracestate.as_bytes()),
    ];
    let numbers = [
        (field::CALL, request.call),
        (field::ENCODING, encoding),
        (field::REMAINING_US, request.remaining_us),
        (field::ONE_WAY, request.one_way.into()),
        (field::EPOCH, request.epoch),
        (field::STREAM_WINDOW, request.stream_window.into()),
    ];
    let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
    let len = texts.clone().map(|(field, text)| bytes_len(field, text.len())).sum::<usize>()
        + numbers.iter().map(|(field, number)| number_len(*field, *number)).sum::<usize>()
        + request.chain.iter().map(|actor| bytes_len(field::CHAIN, actor.len())).sum::<usize>()
        + request
            .context
            .iter()
            .map(|pair| bytes_len(field::CONTEXT, pair_len(*pair)))
            .sum::<usize>();
    put_body(out, number::REQUEST, len);
    for (field, number) in numbers {
        put_number(out, field, number);
    }
    for (field, text) in texts {
        put_bytes(out, field, text);
    }
    for actor in &request.chain {
        put_bytes(out, field::CHAIN, actor.as_bytes());
    }
    for (key, value) in &request.context {
        put_head(out, field::CONTEXT, pair_len((key, value)));
        put_text(out, number::entry::KEY, key);
        put_text(out, number::entry::VALUE, value);
    }
}

fn pair_len((key, value): (&str, &str)) -> usize {
    text_len(number::entry::KEY, key) + text_len(number::entry::VALUE, value)
}

/// Writes a response into a frame.
pub fn put_response(out: &mut BytesMut, response: &Response<'_>) {
    use number::response as field;
    let failure;
    let (outcome, bytes): (u64, &[u8]) = match &response.outcome {
        Some(Outcome::Ok(bytes)) => (field::OK, bytes),
        Some(Outcome::Err(bytes)) => (field::ERR, bytes),
        Some(Outcome::Failure(why)) => {
            failure = why.encode_to_vec();
            (field::FAILURE, &failure)
        }
        Some(Outcome::Accepted) => (field::ACCEPTED, &[]),
        Some(Outcome::Stream) => (field::STREAM, &[]),
        None => {
            put_body(out, number::RESPONSE, number_len(field::CALL, response.call));
            put_number(out, field::CALL, response.call);
            return;
        }
    };
    let len = number_len(field::CALL, response.call) + bytes_len(outcome, bytes.len());
    put_body(out, number::RESPONSE, len);
    put_number(out, field::CALL, response.call);
    put_bytes(out, outcome, bytes);
}

/// Writes that a call was given up.
pub fn put_cancel(out: &mut BytesMut, call: u64) {
    put_body(out, number::CANCEL, number_len(number::cancel::CALL, call));
    put_number(out, number::cancel::CALL, call);
}

/// Writes a piece of a large payload.
pub fn put_part(out: &mut BytesMut, call: u64, data: &[u8]) {
    put_piece(out, number::PART, call, data);
}

/// Writes an item of the stream that answers a call.
pub fn put_item(out: &mut BytesMut, call: u64, value: &[u8]) {
    put_piece(out, number::ITEM, call, value);
}

fn put_piece(out: &mut BytesMut, body: u64, call: u64, data: &[u8]) {
    let len = number_len(number::part::CALL, call) + bytes_len(number::part::DATA, data.len());
    put_body(out, body, len);
    put_number(out, number::part::CALL, call);
    put_bytes(out, number::part::DATA, data);
}

/// Writes that there is room for so many more bytes of the stream that answers a call.
pub fn put_credit(out: &mut BytesMut, call: u64, bytes: u64) {
    let len = number_len(number::credit::CALL, call) + number_len(number::credit::BYTES, bytes);
    put_body(out, number::CREDIT, len);
    put_number(out, number::credit::CALL, call);
    put_number(out, number::credit::BYTES, bytes);
}
