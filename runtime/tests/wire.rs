//! What strangers and broken peers send to the port for peers: each is refused with a reason, and
//! none of them takes the node down.

mod support;

use std::collections::VecDeque;

use greenroom::prelude::*;
use greenroom::{FailureCode, MemoryStore};
use greenroom_proto::v1::envelope::Body;
use greenroom_proto::v1::peer_client::PeerClient;
use greenroom_proto::v1::{
    Cancel, Credit, Encoding, End, Envelope, Hello, Item, Part, Request, Response, response,
};
use greenroom_proto::{Frame, PROTOCOL};
use support::ledger::{TallyRef, tallies};
use support::probe::probe;
use support::{Pace, begin, config, start, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

/// A node whose largest payload is 1 KiB, and whose peers may have two calls under way.
async fn node() -> Node {
    let mut config = config(&MemoryStore::new(), "target", Pace::Calm);
    config.limits.payload_bytes_max = 1024;
    config.limits.calls_per_peer_max = 2;
    let node = start(config, [tallies()]).await;
    within("joining", node.ready()).await.expect("the node becomes ready");
    node
}

/// Panics unless the node still answers its own callers and a new peer.
async fn assert_well(node: &Node) {
    let tally: TallyRef = node.actor("health").expect("a good key");
    assert!(within("a call", tally.add()).await.is_ok());
    let mut link = Link::open(node).await;
    let answer = link.ask(good_request(1, "health")).await;
    assert!(matches!(answer, response::Outcome::Ok(_)), "{answer:?}");
}

/// The calling side of a link, by hand.
struct Link {
    out: mpsc::Sender<Frame>,
    answers: Streaming<Frame>,
    /// What came in the last frame and was not looked at yet.
    rest: VecDeque<Envelope>,
}

impl Link {
    async fn open(node: &Node) -> Self {
        let mut link = connect(node, hello()).await.expect("a good hello is accepted");
        match link.next().await.expect("the node answers") {
            Body::Hello(hello) => {
                assert_eq!((hello.protocol, hello.cluster.as_str()), (PROTOCOL, "default"));
                assert_eq!(hello.node, "target");
            }
            other => panic!("{other:?} is no hello"),
        }
        link
    }

    async fn send(&self, body: Body) {
        self.out.send(frame(body)).await.expect("the link takes a frame");
    }

    /// The next envelope.
    async fn next(&mut self) -> Result<Body, Status> {
        if self.rest.is_empty() {
            let frame = within("an answer", self.answers.message()).await?;
            let frame = frame.ok_or_else(|| Status::cancelled("the link ended"))?;
            self.rest.extend(frame.envelopes().expect("the node writes frames"));
        }
        let body = self.rest.pop_front().and_then(|envelope| envelope.body);
        body.ok_or_else(|| Status::internal("an empty frame"))
    }

    async fn response(&mut self) -> Response {
        match self.next().await.expect("the link lives") {
            Body::Response(response) => response,
            other => panic!("{other:?} is no response"),
        }
    }

    async fn ask(&mut self, request: Request) -> response::Outcome {
        let call = request.call;
        self.send(Body::Request(request)).await;
        let response = self.response().await;
        assert_eq!(response.call, call);
        response.outcome.expect("a response has an outcome")
    }

    async fn refusal(&mut self, request: Request) -> (FailureCode, bool, String) {
        match self.ask(request).await {
            response::Outcome::Failure(failure) => {
                let code = failure.code.parse().expect("a known code");
                (code, failure.may_have_run, failure.message)
            }
            other => panic!("{other:?} is no refusal"),
        }
    }
}

fn frame(body: Body) -> Frame {
    Frame::of([&Envelope { body: Some(body) }])
}

fn hello() -> Body {
    Body::Hello(Hello {
        protocol: PROTOCOL,
        cluster: "default".into(),
        node: "stranger".into(),
        incarnation: 1,
    })
}

async fn client(node: &Node) -> PeerClient<Channel> {
    let address = format!("http://{}", node.peer_address());
    let connected = within("connecting", PeerClient::connect(address)).await;
    connected.expect("the port is open").max_encoding_message_size(usize::MAX)
}

async fn connect(node: &Node, first: Body) -> Result<Link, Status> {
    let (out, frames) = mpsc::channel(4);
    out.send(frame(first)).await.expect("there is room");
    let mut client = client(node).await;
    let answers = within("the hello", client.link(ReceiverStream::new(frames))).await?;
    Ok(Link { out, answers: answers.into_inner(), rest: VecDeque::new() })
}

/// A request that the node answers.
fn good_request(call: u64, key: &str) -> Request {
    Request {
        call,
        kind: TallyRef::KIND.into(),
        key: key.into(),
        method: "add".into(),
        encoding: Encoding::Json.into(),
        arguments: "{}".into(),
        remaining_us: 5_000_000,
        one_way: false,
        epoch: 1,
        ..Request::default()
    }
}

/// Proves: C24
#[tokio::test]
async fn bytes_that_are_no_http2_end_a_connection_and_no_more() {
    let node = node().await;
    let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(64 << 10).collect();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let broken_http2 = [&preface[..], &noise].concat();
    for bytes in [&noise[..], &broken_http2, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\x16\x03\x01"]
    {
        let exchange = async {
            let mut stream = TcpStream::connect(node.peer_address()).await.expect("it listens");
            // The node may hang up before it has read everything.
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        };
        within("the end of the connection", exchange).await;
        assert_well(&node).await;
    }
}

#[tokio::test]
async fn a_hello_that_does_not_fit_is_refused_with_both_sides_of_it() {
    let node = node().await;
    let refused = |first| async {
        match connect(&node, first).await {
            Ok(_) => panic!("a bad hello was accepted"),
            Err(status) => status,
        }
    };
    let Body::Hello(good) = hello() else { unreachable!() };
    let newer = Hello { protocol: PROTOCOL + 6, ..good.clone() };
    let status = refused(Body::Hello(newer)).await;
    assert_eq!(status.code(), Code::FailedPrecondition);
    let (theirs, ours) = ((PROTOCOL + 6).to_string(), PROTOCOL.to_string());
    let message = status.message();
    assert!(message.contains(&theirs) && message.contains(&ours), "{message}");

    let elsewhere = Hello { cluster: "elsewhere".into(), ..good };
    let status = refused(Body::Hello(elsewhere)).await;
    assert_eq!(status.code(), Code::FailedPrecondition);
    let message = status.message();
    assert!(message.contains("elsewhere") && message.contains("default"), "{message}");

    let status = refused(Body::Request(good_request(1, "x"))).await;
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_well(&node).await;
    assert_eq!(node.active_actors(), 1, "only the one that showed the node's health");
}

/// Proves: C24
#[tokio::test]
async fn requests_with_bad_fields_are_answered_with_failures() {
    let node = node().await;
    let mut link = Link::open(&node).await;
    let good = || good_request(7, "x");
    let brackets = "[".repeat(1000);
    let bad: [(FailureCode, Request); 13] = [
        (FailureCode::BadKey, Request { key: String::new(), ..good() }),
        (FailureCode::BadKey, Request { key: "a\nb".into(), ..good() }),
        (FailureCode::BadKey, Request { kind: "Not A Kind".into(), ..good() }),
        (FailureCode::BadKey, Request { chain: vec!["nobody".into()], ..good() }),
        (FailureCode::Cycle, Request { chain: vec!["k/a".into(); 65], ..good() }),
        (FailureCode::UnknownKind, Request { kind: "test.ghost".into(), ..good() }),
        (FailureCode::UnknownMethod, Request { method: "subtract".into(), ..good() }),
        (FailureCode::BadArguments, Request { encoding: 0, ..good() }),
        (FailureCode::BadArguments, Request { encoding: 99, ..good() }),
        (FailureCode::BadArguments, Request { arguments: brackets.into(), ..good() }),
        (FailureCode::TooLarge, Request { arguments: vec![b' '; 1025].into(), ..good() }),
        (FailureCode::NotOwner, Request { epoch: 99, ..good() }),
        (FailureCode::Timeout, Request { remaining_us: 0, ..good() }),
    ];
    for (code, request) in bad {
        let asked = format!("{request:.200?}");
        let (answered, may_have_run, message) = link.refusal(request).await;
        assert_eq!((answered, may_have_run), (code, false), "{message} to {asked}");
        assert!(!message.is_empty() && message.len() < 1000, "{message}");
    }
    let typed = Request { method: "note".into(), arguments: r#"{"number":"x"}"#.into(), ..good() };
    let (code, _, message) = link.refusal(typed).await;
    assert_eq!(code, FailureCode::BadArguments);
    assert!(message.contains("argument `number`"), "{message}");
    // The same link goes on, and nothing of this has run.
    let answer = link.ask(good()).await;
    let response::Outcome::Ok(tick) = answer else { panic!("{answer:?} is no answer") };
    let tick: serde_json::Value = serde_json::from_slice(&tick).expect("it is JSON");
    assert_eq!(tick["value"], 1);
    assert_well(&node).await;
}

#[tokio::test]
async fn what_no_caller_says_is_passed_over() {
    let node = node().await;
    let mut link = Link::open(&node).await;
    let outcome = Some(response::Outcome::Ok("1".into()));
    link.send(Body::Response(Response { call: 1, outcome })).await;
    link.send(hello()).await;
    link.send(Body::Cancel(Cancel { call: 9 })).await;
    link.send(Body::Credit(Credit { call: 9, bytes: u64::MAX })).await;
    link.send(Body::Item(Item { call: 9, value: "1".into() })).await;
    link.send(Body::End(End { call: 9, failure: None })).await;
    let empty = Frame::of([&Envelope { body: None }]);
    link.out.send(empty).await.expect("the link takes a frame");
    link.out.send(Frame::default()).await.expect("the link takes a frame");
    let answer = link.ask(good_request(2, "x")).await;
    assert!(matches!(answer, response::Outcome::Ok(_)), "{answer:?}");
}

/// Proves: C24, P5
#[tokio::test]
async fn a_frame_beyond_the_limit_ends_its_link_and_no_more() {
    let node = node().await;
    let mut link = Link::open(&node).await;
    let arguments = vec![b' '; 16 << 20].into();
    let huge = Request { arguments, ..good_request(1, "x") };
    link.send(Body::Request(huge)).await;
    let ended = link.next().await;
    assert!(ended.is_err(), "{ended:?}");
    assert_well(&node).await;
}

/// Proves: P5
#[tokio::test]
async fn payloads_in_pieces_are_put_together_and_bounded() {
    let node = node().await;
    let mut link = Link::open(&node).await;
    let part = |call, text: &str| Body::Part(Part { call, data: text.to_owned().into() });
    // Two at a time, the second one too large, and the first one given up for a while.
    link.send(part(3, "garbage")).await;
    link.send(Body::Cancel(Cancel { call: 3 })).await;
    link.send(part(1, r#"{"num"#)).await;
    link.send(part(2, &" ".repeat(1000))).await;
    link.send(part(1, r#"ber": "#)).await;
    link.send(part(2, &" ".repeat(1000))).await;
    let noting = |call, arguments: &str| Request {
        method: "note".into(),
        arguments: arguments.to_owned().into(),
        ..good_request(call, "pieces")
    };
    let answer = link.ask(noting(1, "7}")).await;
    assert!(matches!(answer, response::Outcome::Ok(_)), "{answer:?}");
    let (code, may_have_run, message) = link.refusal(noting(2, "8}")).await;
    assert_eq!((code, may_have_run), (FailureCode::TooLarge, false));
    assert!(message.contains("2002 bytes"), "{message}");
    let answer = link.ask(noting(3, r#"{"number": 9}"#)).await;
    assert!(matches!(answer, response::Outcome::Ok(_)), "{answer:?}");
    let pieces: TallyRef = node.actor("pieces").expect("a good key");
    assert_eq!(within("a call", pieces.notes()).await, Ok(vec![7, 9]));
    // More than any peer writes side by side.
    for call in 100..200 {
        if link.out.send(frame(part(call, "x"))).await.is_err() {
            break;
        }
    }
    let ended = link.next().await;
    assert!(ended.is_err(), "{ended:?}");
    assert_well(&node).await;
}

#[tokio::test]
async fn a_call_that_its_peer_gives_up_need_not_run() {
    let node = node().await;
    let mut link = Link::open(&node).await;
    let held = |call| {
        let (method, arguments) = ("pass_on_later".into(), r#"{"way":[]}"#.into());
        Request { method, arguments, ..good_request(call, "given up") }
    };
    let probe = probe("given up");
    link.send(Body::Request(held(1))).await;
    probe.arrival().await;
    link.send(Body::Request(held(2))).await;
    link.send(Body::Cancel(Cancel { call: 2 })).await;
    // Whatever comes after it was read after it.
    link.ask(good_request(3, "x")).await;
    probe.release(2);
    let mut answers = Vec::new();
    for _ in 0..2 {
        let Response { call, outcome } = link.response().await;
        answers.push((call, matches!(outcome, Some(response::Outcome::Ok(_)))));
    }
    answers.sort_unstable();
    assert_eq!(answers, [(1, true), (2, false)]);
    assert_eq!(probe.arrivals(), 0, "the second turn has not begun");
}

#[tokio::test]
async fn a_stream_keeps_to_the_window_and_ends_when_it_is_given_up() {
    let node = node().await;
    let mut link = Link::open(&node).await;
    let stream = |call, stream_window| {
        let (method, arguments) = ("onward".into(), r#"{"number":100}"#.into());
        Request { method, arguments, stream_window, ..good_request(call, "stream") }
    };
    let (code, may_have_run, _) = link.refusal(stream(1, 0)).await;
    assert_eq!((code, may_have_run), (FailureCode::BadArguments, false));

    // An item takes the 3 bytes of its number, and 64 more.
    assert!(matches!(link.ask(stream(2, 67 + 1)).await, response::Outcome::Stream(_)));
    for (item, credit) in [(100, 0), (101, 66 + 67), (102, 1), (103, 0)] {
        let value = item.to_string().into();
        assert_eq!(link.next().await.expect("an item"), Body::Item(Item { call: 2, value }));
        link.send(Body::Credit(Credit { call: 2, bytes: credit })).await;
        // Only what was paid for: an answer comes first where no item may.
        if credit == 0 && item == 103 {
            assert!(matches!(link.ask(good_request(3, "x")).await, response::Outcome::Ok(_)));
        }
    }
    // It counts as a call under way, of which a peer may have two here, until it is given up.
    assert!(matches!(link.ask(stream(4, 1)).await, response::Outcome::Stream(_)));
    assert!(matches!(link.next().await, Ok(Body::Item(Item { call: 4, .. }))));
    let (code, _, _) = link.refusal(good_request(5, "x")).await;
    assert_eq!(code, FailureCode::Overloaded);
    link.send(Body::Cancel(Cancel { call: 2 })).await;
    within("the stream's end", async {
        let mut call = 6;
        while !matches!(link.ask(good_request(call, "x")).await, response::Outcome::Ok(_)) {
            call += 1;
        }
    })
    .await;
}

/// Proves: P5
#[tokio::test]
async fn one_peer_has_only_so_many_calls_under_way() {
    let node = node().await;
    let mut link = Link::open(&node).await;
    for call in 1..=2 {
        let arguments = r#"{"way":[]}"#.into();
        let method = "pass_on_later".into();
        let held = Request { method, arguments, ..good_request(call, &format!("peer {call}")) };
        link.send(Body::Request(held)).await;
        probe(&format!("peer {call}")).arrival().await;
    }
    let (code, may_have_run, _) = link.refusal(good_request(3, "x")).await;
    assert_eq!((code, may_have_run), (FailureCode::Overloaded, false));
    // Another peer's calls are counted apart.
    assert_well(&node).await;
    probe("peer 1").release(1);
    assert_eq!(link.response().await.call, 1);
    let answer = link.ask(good_request(4, "x")).await;
    assert!(matches!(answer, response::Outcome::Ok(_)), "{answer:?}");
    probe("peer 2").release(1);
    assert_eq!(link.response().await.call, 2);
}

#[tokio::test]
async fn a_turn_outlives_the_link_that_asked_for_it() {
    let node = node().await;
    let link = Link::open(&node).await;
    let (method, arguments) = ("pass_on_later".into(), r#"{"way":[]}"#.into());
    let held = Request { method, arguments, ..good_request(1, "orphan") };
    link.send(Body::Request(held)).await;
    let probe = probe("orphan");
    probe.arrival().await;
    drop(link);
    let orphan: TallyRef = node.actor("orphan").expect("a good key");
    let behind = begin(orphan.add()).await;
    probe.release(1);
    let tick = within("the call behind it", behind).await.expect("it is answered");
    assert_eq!(tick.value, 2, "the first turn ran to its end");
}
