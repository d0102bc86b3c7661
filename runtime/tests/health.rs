//! The probes: whether a node makes progress, over HTTP and over gRPC.

mod support;

use std::sync::mpsc;
use std::time::Duration;

use greenroom::prelude::*;
use greenroom::{MemoryStore, Node};
use greenroom_cluster::store::{Store, Txn, Write};
use parking_lot::Mutex;
use support::http::get;
use support::{Pace, config, start, within};
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// An actor that is hard to get rid of.
#[greenroom::interface(kind = "health.clinger")]
pub trait Clinger {
    /// Brings it to life.
    async fn here(&self);
}

/// Who is dropped waits for this.
static RELEASE: Mutex<Option<mpsc::Receiver<()>>> = Mutex::new(None);

struct ClingerActor;

impl Actor for ClingerActor {
    async fn activate(_: &mut Activating<'_>) -> Result<Self, ActivateError> {
        Ok(Self)
    }
}

impl Clinger for ClingerActor {
    async fn here(&self) {}
}

impl Drop for ClingerActor {
    fn drop(&mut self) {
        if let Some(release) = RELEASE.lock().take() {
            let _ = release.recv_timeout(Duration::from_secs(60));
        }
    }
}

async fn node_with_gateway(store: &MemoryStore, name: &str, pace: Pace) -> Node {
    let mut config = config(&store.handle(), name, pace);
    config.http_listen = Some("127.0.0.1:0".to_owned());
    start(config, [ClingerRef::served_by::<ClingerActor>()]).await
}

async fn client(node: &Node) -> HealthClient<Channel> {
    let address = format!("http://{}", node.peer_address());
    let endpoint = Channel::from_shared(address).expect("an address");
    HealthClient::new(endpoint.connect().await.expect("the node listens"))
}

async fn check(client: &mut HealthClient<Channel>, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.to_owned() };
    client.check(request).await.expect("a service of that name").into_inner().status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_event_loop_hangs_is_not_live_until_it_goes_on() {
    let store = MemoryStore::new();
    let node = node_with_gateway(&store, "hung", Pace::Quick).await;
    let http = node.http_address().expect("it has a gateway");
    within("joining", node.ready()).await.expect("the node becomes ready");
    let actor: ClingerRef = node.actor("fingers").expect("a good key");
    actor.here().await.expect("it answers");
    let mut client = client(&node).await;
    assert_eq!(get(http, "/live").await.status, 200);
    assert_eq!(check(&mut client, "live").await, ServingStatus::Serving);

    // The node's life is over, so its actors are dropped by the event loop, and this one clings.
    let (release, clings) = mpsc::channel();
    *RELEASE.lock() = Some(clings);
    let key = "/greenroom/default/heartbeats/hung".to_owned();
    let death = Txn { guards: vec![], writes: vec![Write::Delete { key }] };
    store.handle().commit(death).await.expect("the store is there");
    let not_live = async {
        loop {
            let answer = get(http, "/live").await;
            if answer.status != 200 {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let answer = within("the hang to be noticed", not_live).await;
    assert_eq!((answer.status, answer.code()), (503, "hung"));
    assert!(answer.message().contains("the event loop has made no progress"), "{answer:?}");
    assert!(!answer.message().contains("heartbeat thread"), "that one goes on: {answer:?}");
    let ready = get(http, "/ready").await;
    assert_eq!(ready.status, 503, "{ready:?}");
    assert_eq!(check(&mut client, "live").await, ServingStatus::NotServing);

    release.send(()).expect("it still clings");
    let live = async {
        while get(http, "/live").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within("the node to go on", live).await;
    within("joining again", node.ready()).await.expect("the node becomes ready");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_tells_the_same_as_the_probes() {
    let store = MemoryStore::new();
    store.set_available(false);
    let node = node_with_gateway(&store, "asked", Pace::Calm).await;
    let http = node.http_address().expect("it has a gateway");
    let mut client = client(&node).await;
    for service in ["", "greenroom.v1.Peer"] {
        assert_eq!(check(&mut client, service).await, ServingStatus::NotServing, "{service:?}");
    }
    assert_eq!(check(&mut client, "live").await, ServingStatus::Serving);
    assert_eq!(get(http, "/ready").await.status, 503);
    let watched = HealthCheckRequest { service: String::new() };
    let mut watch = client.watch(watched).await.expect("a watch").into_inner();
    let first = within("the first answer", watch.message()).await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::NotServing);

    store.set_available(true);
    within("joining", node.ready()).await.expect("the node becomes ready");
    let next = within("the change", watch.message()).await.unwrap().unwrap();
    assert_eq!(next.status(), ServingStatus::Serving);
    for service in ["", "greenroom.v1.Peer", "live"] {
        assert_eq!(check(&mut client, service).await, ServingStatus::Serving, "{service:?}");
    }
    let unknown = client.check(HealthCheckRequest { service: "nobody".to_owned() }).await;
    assert_eq!(unknown.unwrap_err().code(), tonic::Code::NotFound);

    // It says so before it goes, and a watch does not keep it from going.
    let stopping = tokio::spawn(async move { node.stop().await });
    let last = within("the last change", watch.message()).await.unwrap().unwrap();
    assert_eq!(last.status(), ServingStatus::NotServing);
    within("the stop", stopping).await.expect("no panic");
}
