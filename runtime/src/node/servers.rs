//! The ports of a node.

use std::time::Duration;

use greenroom_proto::v1::inspect_server::InspectServer;
use greenroom_proto::v1::operate_server::OperateServer;
use greenroom_proto::v1::peer_server::PeerServer;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::transport::server::TcpIncoming;
use tonic_health::pb::health_server::HealthServer;

use crate::gateway::{Client, Door};
use crate::health::HealthService;
use crate::peer::{InspectService, OperateService, PeerService, Serving};

/// The servers of a node, one task each.
pub(super) struct Servers {
    pub(super) peers: JoinSet<()>,
    pub(super) http: JoinSet<()>,
}

pub(super) async fn serve_peers(
    listener: TcpListener,
    peer: PeerServer<PeerService>,
    inspect: InspectServer<InspectService>,
    operate: OperateServer<OperateService>,
    health: HealthServer<HealthService>,
    serving: watch::Receiver<Serving>,
) {
    // The builder's own setting does not reach connections that are accepted elsewhere.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let served = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .add_service(peer)
        .add_service(inspect)
        .add_service(operate)
        .add_service(health)
        .serve_with_incoming_shutdown(incoming, Serving::Goodbye.reached(serving))
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the server for peers ended");
    }
}

pub(super) async fn serve_http(
    door: Door,
    routes: axum::Router,
    mut serving: watch::Receiver<bool>,
) {
    let until_stopped = async move {
        let _ = serving.wait_for(|serving| !serving).await;
    };
    // The gateway tells clients apart by their addresses.
    let routes = routes.into_make_service_with_connect_info::<Client>();
    let served = axum::serve(door, routes).with_graceful_shutdown(until_stopped).await;
    if let Err(error) = served {
        tracing::error!(%error, "the HTTP gateway ended");
    }
}
