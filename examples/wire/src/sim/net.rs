//! The simulated network, as client and server of gRPC see it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{Stream, unfold};
use greenroom_cluster::store::Dial;
use greenroom_wire::etcd::Etcd;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::codegen::http::Uri;
use tonic::transport::Endpoint;
use tonic::transport::server::{Connected, Server};
use tower::service_fn;
use turmoil::net::{TcpListener, TcpStream};

/// Where a member of etcd listens.
pub(crate) const ETCD_PORT: u16 = 2379;

/// Connections of the host that opens them.
pub(crate) fn dial() -> Dial {
    Dial(Arc::new(|endpoint: Endpoint| {
        endpoint.connect_with_connector_lazy(service_fn(|uri: Uri| async move {
            let host = uri.host().unwrap_or_default();
            let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(ETCD_PORT))).await?;
            Ok::<_, io::Error>(TokioIo::new(stream))
        }))
    }))
}

/// Serves a member of etcd on the host that this is called on, for ever.
pub(crate) async fn serve(etcd: Etcd, number: usize) -> turmoil::Result {
    let listener = TcpListener::bind(("0.0.0.0", ETCD_PORT)).await?;
    if number == 0 {
        tokio::spawn(etcd.clone().expire_leases());
    }
    // A connection whose other end was cut off is never closed by it.
    let server = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .add_routes(etcd.routes(number));
    server.serve_with_incoming(accepted(listener)).await?;
    Ok(())
}

fn accepted(listener: TcpListener) -> impl Stream<Item = io::Result<Accepted>> {
    unfold(listener, |listener| async move {
        let accepted = listener.accept().await.map(|(stream, _)| Accepted(stream));
        Some((accepted, listener))
    })
}

/// A connection that was accepted.
struct Accepted(TcpStream);

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
