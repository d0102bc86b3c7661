//! Just enough HTTP: probes, and clients that keep their connections as real ones do.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Result;

/// Whether a path answers with success in time, over a connection of its own, as a kubelet asks.
pub(super) async fn get(address: SocketAddr, path: &str, patience: Duration) -> bool {
    let asked = async {
        let mut connection = Connection::open(address).await.ok()?;
        connection.send("GET", path, "").await.ok()
    };
    matches!(timeout(patience, asked).await, Ok(Some(answer)) if (200..400).contains(&answer.status))
}

/// A connection that carries one request after another.
pub(super) struct Connection {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    /// Whether it said that the connection is closed next.
    pub(super) is_last: bool,
}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum SendError {
    /// The connection was closed before anything of the request was written: it did not arrive.
    NotSent,
    /// Anything else: it may have arrived.
    Broken(String),
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends with the sender, or when the other side closes it.
        tokio::spawn(connection);
        Ok(Self { address, sender })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a request and reads the answer.
    pub(super) async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
    ) -> std::result::Result<Answer, SendError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .map_err(|error| SendError::Broken(error.to_string()))?;
        self.sender.ready().await.map_err(|_| SendError::NotSent)?;
        let broken = |error: hyper::Error| {
            let text = format!("{error}: {:?}", std::error::Error::source(&error));
            if error.is_canceled() { SendError::NotSent } else { SendError::Broken(text) }
        };
        let response = self.sender.send_request(request).await.map_err(broken)?;
        let status = response.status().as_u16();
        let is_last = response.headers().get(header::CONNECTION).is_some_and(|it| it == "close");
        let body = response.into_body().collect().await.map_err(broken)?.to_bytes();
        Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned(), is_last })
    }
}
