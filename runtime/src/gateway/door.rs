//! The gateway's connections: whom each is from, when all have gone, and how clients are sent away from
//! a node that leaves.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::connect_info::Connected;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::health::Health;

/// Tells when no client is connected any more: each connection is one of its receivers.
pub(crate) type Visitors = Arc<watch::Sender<()>>;

/// Accepts connections.
pub(crate) struct Door {
    listener: TcpListener,
    visitors: Visitors,
}

/// Whom a connection is from.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(super) address: SocketAddr,
    /// Lives as long as the connection.
    _visit: watch::Receiver<()>,
}

impl Door {
    pub(crate) fn new(listener: TcpListener, visitors: Visitors) -> Self {
        Self { listener, visitors }
    }

    fn client(&self, address: SocketAddr) -> Client {
        Client { address, _visit: self.visitors.subscribe() }
    }
}

impl Listener for Door {
    type Io = TcpStream;
    type Addr = Client;

    async fn accept(&mut self) -> (TcpStream, Client) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (stream, self.client(address))
    }

    fn local_addr(&self) -> io::Result<Client> {
        self.listener.local_addr().map(|address| self.client(address))
    }
}

impl Connected<IncomingStream<'_, Door>> for Client {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.remote_addr().clone()
    }
}

#[cfg(test)]
impl Client {
    pub(super) fn of(address: SocketAddr) -> Self {
        Self { address, _visit: watch::Sender::new(()).subscribe() }
    }
}

/// While the node leaves, every answer says that its connection is closed next, so that a client or a
/// load balancer takes its further calls elsewhere, and none meets a socket that has just been closed.
pub(super) async fn send_away(
    State(health): State<Health>,
    request: Request,
    next: Next,
) -> Response {
    // Later versions have no such header; their clients get GOAWAY when the gateway closes.
    let knows = request.version() <= Version::HTTP_11;
    let mut response = next.run(request).await;
    if knows && health.is_leaving() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
