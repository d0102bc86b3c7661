//! Whatever strangers send to the port for peers or to the gateway: no panic, no swollen memory, and
//! the next good call is answered. Random and mutated messages; what is refused with which reason
//! stands in `wire` and `gateway`.

#[path = "../support/mod.rs"]
mod support;
mod thrown;

use std::net::SocketAddr;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use greenroom::MemoryStore;
use greenroom::prelude::*;
use greenroom_proto::v1::envelope::Body;
use greenroom_proto::v1::peer_client::PeerClient;
use greenroom_proto::v1::{Encoding, Envelope, Hello, Request, Response, response};
use greenroom_proto::{Frame, PROTOCOL};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config as Cases, TestCaseError, TestRunner};
use support::http::post;
use support::ledger::{TallyRef, tallies};
use support::{Pace, config, start, within};
use thrown::{arguments, messages, mutate, mutations};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// How much the process may grow over all that a test sends, which is less than that.
const GROWTH_BYTES_MAX: usize = 192 << 20;
/// The call that ends a link.
const LAST: u64 = 1 << 40;
const PAYLOAD_BYTES_MAX: usize = 64 << 10;

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts the panics of this process from now on.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            usual(panic);
        }));
    });
}

async fn node(name: &str) -> Node {
    count_panics();
    let mut config = config(&MemoryStore::new(), name, Pace::Calm);
    config.http_listen = Some("127.0.0.1:0".to_owned());
    config.limits.payload_bytes_max = PAYLOAD_BYTES_MAX;
    let node = start(config, [tallies()]).await;
    within("joining", node.ready()).await.expect("the node becomes ready");
    node
}

/// Most memory that this process ever took, in bytes; 0 where the system doesn't tell.
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    kib.unwrap_or(0) << 10
}

/// Runs `cases` of what `strategy` gives on a runtime of their own, and looks at the node after each.
fn throw<S: Strategy>(
    name: &str,
    cases: u32,
    strategy: &S,
    at: &impl AsyncFn(&Node, S::Value) -> Result<(), String>,
) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let node = runtime.block_on(node(name));
    let before = peak_memory();
    // Failures are shrunk, but kept in no file.
    let mut runner =
        TestRunner::new(Cases { cases, failure_persistence: None, ..Cases::default() });
    let outcome = runner.run(strategy, |thrown| {
        runtime.block_on(async {
            at(&node, thrown).await.map_err(TestCaseError::fail)?;
            let health: TallyRef = node.actor("health").expect("a good key");
            let answer = within("a good call", health.add()).await;
            prop_assert!(answer.is_ok(), "{answer:?}");
            prop_assert_eq!(PANICS.load(Ordering::SeqCst), 0, "something panicked");
            Ok(())
        })
    });
    if let Err(failed) = outcome {
        panic!("{failed}");
    }
    let grown = peak_memory() - before;
    assert!(grown < GROWTH_BYTES_MAX, "the process grew by {grown} bytes");
    runtime.block_on(async { within("the stop", node.stop()).await });
}

fn frame_of(body: Body) -> Frame {
    Frame::of([&Envelope { body: Some(body) }])
}

/// Opens a link and sends all of it, then a good call; reads until that is answered or the link ends.
async fn send_all(peers: SocketAddr, messages: Vec<Vec<u8>>) -> Result<(), Status> {
    let hello = Hello {
        protocol: PROTOCOL,
        cluster: "default".into(),
        node: "stranger".into(),
        incarnation: 1,
    };
    let last = Request {
        call: LAST,
        kind: TallyRef::KIND.into(),
        key: "last".into(),
        method: "add".into(),
        encoding: Encoding::Json.into(),
        arguments: "{}".into(),
        remaining_us: 20_000_000,
        epoch: 1,
        ..Request::default()
    };
    let (out, frames) = mpsc::channel(messages.len() + 2);
    let ours = [frame_of(Body::Hello(hello))].into_iter();
    let all = ours.chain(messages.into_iter().map(|bytes| Frame::written(bytes.into())));
    for message in all.chain([frame_of(Body::Request(last))]) {
        out.try_send(message).expect("there is room for all");
    }
    let mut client =
        PeerClient::connect(format!("http://{peers}")).await.expect("the port is open");
    let mut answers = client.link(ReceiverStream::new(frames)).await?.into_inner();
    while let Some(frame) = answers.message().await? {
        for envelope in frame.envelopes().expect("the node writes frames") {
            if let Some(Body::Response(Response { call: LAST, outcome })) = envelope.body {
                assert!(matches!(outcome, Some(response::Outcome::Ok(_))), "{outcome:?}");
                return Ok(());
            }
        }
    }
    Err(Status::cancelled("the link ended"))
}

/// Proves: C24
#[test]
fn random_and_mutated_frames_end_their_link_at_worst() {
    let ended = AtomicUsize::new(0);
    let answered = AtomicUsize::new(0);
    throw("frames", 400, &messages(), &async |node, messages| {
        let sent = within("a link", send_all(node.peer_address(), messages)).await;
        let count = if sent.is_ok() { &answered } else { &ended };
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    // Or nothing was tried that matters.
    let (ended, answered) = (ended.into_inner(), answered.into_inner());
    assert!(ended > 50 && answered > 50, "{ended} links ended, {answered} went on");
}

/// Proves: C24
#[test]
fn random_arguments_over_http_are_answered_with_a_reason() {
    let methods = vec!["add", "note", "notes", "pass_on", "remaining"];
    let calls = (select(methods), arguments());
    throw("arguments", 300, &calls, &async |node, (method, arguments)| {
        let gateway = node.http_address().expect("it has a gateway");
        let path = format!("/v1/actors/{}/a/{method}", TallyRef::KIND);
        let answer = post(gateway, &path, arguments).await;
        match answer.status {
            200 => Ok(()),
            // Whatever the way names that can't be called.
            409 if method == "pass_on" => Ok(()),
            400 | 413 | 422 if !answer.code().is_empty() => Ok(()),
            _ => Err(format!("{answer:?}")),
        }
    });
}

/// Proves: C24
#[test]
fn random_bytes_for_http_end_their_connection_at_worst() {
    let target = prop_oneof![
        Just("/v1/actors/test.tally/a/note".to_owned()),
        "/v1/actors/[!-~]{0,80}",
        "/[ -~]{0,80}",
    ];
    let header = prop_oneof![
        Just("content-length: 18446744073709551615".to_owned()),
        Just("content-length: 99999999".to_owned()),
        Just("content-length: -1".to_owned()),
        Just("transfer-encoding: chunked".to_owned()),
        Just("expect: 100-continue".to_owned()),
        Just("greenroom-timeout-ms: 99999999999999999999".to_owned()),
        "[a-z-]{1,20}: [ -~]{0,2000}",
    ];
    let verb = select(vec!["POST", "GET", "PUT", "CONNECT", "po st"]);
    let body = prop_oneof![
        arguments(),
        Just(b"ffffffffffffffff\r\n{\"number\":".to_vec()),
        Just(b"7fffffff\r\n{\r\n0\r\n\r\n".to_vec()),
    ];
    let written =
        (verb, target, vec(header, 0..6), body).prop_map(|(verb, target, lines, body)| {
            let head =
                format!("{verb} {target} HTTP/1.1\r\nhost: x\r\n{}\r\n\r\n", lines.join("\r\n"));
            [head.into_bytes(), body].concat()
        });
    let bytes = prop_oneof![
        3 => written.clone(),
        2 => (written, mutations()).prop_map(|(bytes, mutations)| mutate(bytes, &mutations)),
        1 => vec(any::<u8>(), 0..500),
    ];
    throw("bytes", 300, &bytes, &async |node, bytes| {
        let gateway = node.http_address().expect("it has a gateway");
        let exchange = async {
            let mut stream = TcpStream::connect(gateway).await.expect("it listens");
            // The node may hang up before it has read everything.
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        };
        within("the end of the connection", exchange).await;
        let good = post(gateway, "/v1/actors/test.tally/good/add", "{}").await;
        if good.status == 200 { Ok(()) } else { Err(format!("{good:?}")) }
    });
}
