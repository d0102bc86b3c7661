//! Peers that are out of reach, or refuse what they should serve: they cost their callers little, are
//! not hammered, and are called again as soon as they are back.

mod support;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::Stream;
use greenroom::prelude::*;
use greenroom::{Config, FailureCode, MemoryStore};
use greenroom_proto::Frame;
use greenroom_proto::v1::envelope::Body;
use greenroom_proto::v1::peer_server::{Peer, PeerServer};
use greenroom_proto::v1::{self, Envelope, response};
use support::http::metric;
use support::ledger::{Load, TallyRef, tallies};
use support::proxy::{Proxy, Way};
use support::{Pace, config, expect_failure, failure, join, spread, start, within};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

const CALLERS: usize = 1000;

fn tally(node: &Node, key: usize) -> TallyRef {
    node.actor(&format!("tally {key}")).expect("a good key")
}

/// A node that owns everything and tells its peers this address, and one that only calls and has a
/// gateway.
async fn behind(address: SocketAddr) -> [Node; 2] {
    behind_with(address, |_| {}).await
}

/// The same, with a caller of another configuration.
async fn behind_with(address: SocketAddr, change: impl FnOnce(&mut Config)) -> [Node; 2] {
    let store = MemoryStore::new();
    let mut hidden = config(&store.handle(), "hidden", Pace::Calm);
    hidden.advertise = Some(address.to_string());
    // Nobody may take it for dead: it lives, and can't be reached.
    hidden.crash_detection = false;
    let hidden = start(hidden, [tallies()]).await;
    let mut caller = config(&store.handle(), "caller", Pace::Calm);
    caller.http_listen = Some("127.0.0.1:0".into());
    caller.crash_detection = false;
    change(&mut caller);
    let caller = start(caller, []).await;
    for node in [&hidden, &caller] {
        within("joining", node.ready()).await.expect("the node becomes ready");
    }
    [hidden, caller]
}

/// What `/metrics` of the caller says; 0 for a series that isn't there.
async fn told(caller: &Node, series: &str) -> f64 {
    metric(caller.http_address().expect("it has a gateway"), series).await.unwrap_or_default()
}

/// Many callers, each with one call to an actor of its own.
fn callers(caller: &Node) -> JoinSet<Result<(), CallError<std::convert::Infallible>>> {
    let call = |key| {
        let tally = tally(caller, key);
        async move { tally.note(1).timeout(Duration::from_secs(25)).await }
    };
    (0..CALLERS).map(call).collect()
}

async fn all_answered(mut calls: JoinSet<Result<(), CallError<std::convert::Infallible>>>) {
    while let Some(call) = within("the calls that waited", calls.join_next()).await {
        assert_eq!(call.expect("no panic"), Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_out_of_reach_costs_no_call_a_time_out_and_is_called_as_soon_as_it_is_back() {
    let (target, known) = watch::channel(None);
    let proxy = Proxy::start(known).await;
    let [hidden, caller] = behind(proxy.address).await;
    target.send_replace(Some(hidden.peer_address()));
    assert!(within("a call", tally(&caller, 0).add()).await.is_ok());
    assert_eq!(proxy.connections(), 1);

    proxy.set(Way::Cut);
    let openings = "greenroom_peer_breaker_openings_total{node=\"caller\"}";
    within("the breaker's opening", async {
        // The first may be written to the link that is about to break.
        while told(&caller, openings).await < 1.0 {
            let _ = tally(&caller, 0).add().once().await;
        }
    })
    .await;
    let calls = callers(&caller);
    let state = "greenroom_peer_breaker{node=\"caller\",peer=\"hidden\"}";
    assert!(told(&caller, state).await >= 1.0);
    // However many wait for it, one connection is tried now and then.
    let (before, began) = (proxy.connections(), Instant::now());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let tried = proxy.connections() - before;
    assert!((1..=16).contains(&tried), "{tried} connections in {:?}", began.elapsed());

    // It takes connections, and says nothing: each attempt takes its time, but no call does.
    proxy.set(Way::Silent);
    let began = Instant::now();
    for key in 0..200 {
        let refused = failure(within("a call", tally(&caller, key).add().once()).await);
        assert!(refused.retry_after().is_some(), "{refused}");
        expect_failure(refused, FailureCode::Unreachable, false);
    }
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    let first = tally(&caller, 0);
    let brief = first.add().timeout(Duration::from_millis(50));
    let message =
        expect_failure(failure(within("a call", brief).await), FailureCode::Timeout, false);
    assert!(message.contains("hidden") && message.contains("can't be reached"), "{message}");

    proxy.set(Way::Open);
    let began = Instant::now();
    all_answered(calls).await;
    // The longest pause, and an attempt that was under way.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(told(&caller, state).await, 0.0);
    assert_eq!(told(&caller, openings).await, 1.0, "it opened once for the whole outage");
    hidden.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_comes_back_at_the_address_of_a_crashed_one_is_called_at_once() {
    let store = MemoryStore::new();
    let port = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = port.local_addr().expect("it listens").to_string();
    drop(port);
    let returning = || {
        let mut config = config(&store.handle(), "returning", Pace::Quick);
        config.listen.clone_from(&address);
        config
    };
    let first = start(returning(), [tallies()]).await;
    let caller = start(config(&store.handle(), "calling", Pace::Quick), []).await;
    for node in [&first, &caller] {
        within("joining", node.ready()).await.expect("the node becomes ready");
    }
    assert!(within("a call", tally(&caller, 0).add()).await.is_ok());
    within("the crash", first.crash()).await;
    let waiting: Vec<_> = (0..20)
        .map(|key| {
            let tally = tally(&caller, key);
            tokio::spawn(async move { tally.note(1).timeout(Duration::from_secs(25)).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let second = start(returning(), [tallies()]).await;
    within("joining", second.ready()).await.expect("the node becomes ready");
    let began = Instant::now();
    for call in waiting {
        match within("a call that waited", call).await.expect("no panic") {
            Ok(()) => {}
            // Written just before the crash was noticed.
            Err(CallError::Failed(failure)) => assert!(failure.may_have_run, "{failure}"),
            Err(CallError::Actor(never)) => match never {},
        }
    }
    assert!(within("a call", tally(&caller, 0).add()).await.is_ok());
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    second.stop().await;
}

/// A peer that refuses all calls as not its own, until it is told to take them.
#[derive(Clone, Default)]
struct Refuser {
    asked: Arc<AtomicUsize>,
    takes: Arc<AtomicBool>,
}

impl Refuser {
    /// Where it listens.
    async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let serving = tonic::transport::Server::builder()
            .add_service(PeerServer::new(self.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(serving);
        address
    }

    fn answer(&self, call: u64) -> Envelope {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let outcome = if self.takes.load(Ordering::SeqCst) {
            // Nothing, in MessagePack.
            response::Outcome::Ok(vec![0xc0].into())
        } else {
            let (code, message) = ("not_owner".to_owned(), "not yet".to_owned());
            response::Outcome::Failure(v1::Failure { code, message, ..v1::Failure::default() })
        };
        Envelope { body: Some(Body::Response(v1::Response { call, outcome: Some(outcome) })) }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[tonic::async_trait]
impl Peer for Refuser {
    type LinkStream = Pin<Box<dyn Stream<Item = Result<Frame, Status>> + Send>>;

    async fn link(
        &self,
        request: Request<Streaming<Frame>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        let (mut frames, refuser) = (request.into_inner(), self.clone());
        let (out, stream) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Ok(Some(frame)) = frames.message().await {
                let envelopes = frame.envelopes().expect("the node writes frames");
                let requests = envelopes.into_iter().filter_map(|envelope| {
                    let Some(Body::Request(request)) = envelope.body else { return None };
                    Some(refuser.answer(request.call))
                });
                let answers: Vec<Envelope> = requests.collect();
                if out.send(Ok(Frame::of(&answers))).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn report(
        &self,
        _: Request<v1::LoadReport>,
    ) -> Result<Response<v1::LoadReceipt>, Status> {
        Ok(Response::new(v1::LoadReceipt { leads: false }))
    }

    async fn active_keys(
        &self,
        _: Request<v1::ActiveKeysRequest>,
    ) -> Result<Response<v1::ActiveKeysReply>, Status> {
        Err(Status::unimplemented("it has no actors"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_refuses_is_asked_within_the_budget_however_many_callers_wait() {
    let refuser = Refuser::default();
    let [_hidden, caller] = behind(refuser.start().await).await;
    let calls = callers(&caller);
    // A new owner's second of grace, and what the budget had saved.
    tokio::time::sleep(Duration::from_millis(1800)).await;
    assert!(refuser.asked() >= CALLERS, "each call was made once");
    let (before, began) = (refuser.asked(), Instant::now());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let seconds = began.elapsed().as_secs_f64();
    let asked = refuser.asked() - before;
    // 10 a second, one second's worth that may have come together, what was saved, and for each of
    // 64 shards one scout a second. Unbounded, they would be some 5000 a second.
    let allowed = 10.0 * (seconds + 1.0) + 100.0 + 64.0 * (seconds + 1.0);
    assert!((asked as f64) <= allowed, "{asked} in {seconds} s, {allowed} are allowed");
    assert!(asked > 0, "nobody asked again");
    let withheld = "greenroom_call_retries_withheld_total{node=\"caller\"}";
    assert!(told(&caller, withheld).await > 0.0);

    // Once one gets through, all may that wait for the same shard.
    refuser.takes.store(true, Ordering::SeqCst);
    let began = Instant::now();
    all_answered(calls).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_owner_may_take_a_moment_to_open_even_if_no_retry_may_be_paid_for() {
    let refuser = Refuser::default();
    let address = refuser.start().await;
    let [_hidden, caller] = behind_with(address, |caller| {
        (caller.limits.retry_percent, caller.limits.retries_per_s_min) = (0, 0);
    })
    .await;
    let (began, early) = (Instant::now(), tally(&caller, 0));
    let early = tokio::spawn(async move { early.note(1).await });
    within("a few refusals", async {
        while refuser.asked() < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    refuser.takes.store(true, Ordering::SeqCst);
    assert_eq!(within("the call", early).await.expect("no panic"), Ok(()));
    // Before any scout is sent.
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

/// Proves: P3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planned_moves_fail_no_call_even_if_no_retry_may_be_paid_for() {
    let store = MemoryStore::new();
    let poor = |name: &str| {
        let mut config = config(&store.handle(), name, Pace::Calm);
        (config.limits.retry_percent, config.limits.retries_per_s_min) = (0, 0);
        config
    };
    let mut nodes = Vec::new();
    for name in ["a", "b"] {
        let node = start(poor(name), [tallies()]).await;
        within("joining", node.ready()).await.expect("the node becomes ready");
        nodes.push(node);
    }
    spread(&nodes[0], 2).await;
    let keys: Vec<String> = (0..40).map(|number| format!("tally {number}")).collect();
    let load = Load::start(&[&nodes[0], &nodes[1]], &keys, Duration::from_secs(20));
    load.goes_on(500).await;
    for round in 0..3 {
        let guest = join(&store, &format!("guest-{round}"), Pace::Calm, tallies()).await;
        spread(&nodes[0], 3).await;
        load.goes_on(500).await;
        within("the guest's stop", guest.stop()).await;
        spread(&nodes[0], 2).await;
        load.goes_on(500).await;
    }
    let mut report = load.stop().await;
    assert_eq!(report.failures, []);
    report.ledger.check();
}
