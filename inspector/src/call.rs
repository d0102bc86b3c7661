//! Calls of actors, through the HTTP gateway of a node, as any program in any language makes them.

mod error;
mod reply;

use std::fmt::Write;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

pub use error::CallError;
pub use reply::{Items, Reply};

use crate::CONNECT_TIMEOUT;
use crate::client::endpoint;

/// Shortest and longest time-out of a call, as gateways have it.
pub const CALL_TIMEOUTS: (Duration, Duration) =
    (Duration::from_millis(1), Duration::from_secs(3600));
/// How long a call may take that doesn't say so; a node's own default is 10 s unless its operator
/// changed that.
const UNTOLD_TIMEOUT: Duration = CALL_TIMEOUTS.1;
/// How much longer than the call's deadline the answer is waited for: the gateway's tells more than
/// giving up does.
const GRACE: Duration = Duration::from_secs(5);
/// What stands in a path or in baggage as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A call of an actor's method.
#[derive(Clone, Debug)]
pub struct Call {
    /// Kind of the actor.
    pub kind: String,
    /// Its key.
    pub key: String,
    /// Written name of the method.
    pub method: String,
    /// Its arguments by their names.
    pub arguments: Map<String, Value>,
    /// How long it may take, to the beginning of a stream; the node's own default unless told.
    pub timeout: Option<Duration>,
    /// What travels with the call and with all that it causes: keys of `a-z 0-9 . _ -` with values.
    pub context: Vec<(String, String)>,
    /// The W3C `traceparent` that the call belongs to.
    pub traceparent: Option<String>,
}

impl Call {
    /// Makes the call through the gateway at this address (`host:port`).
    ///
    /// # Errors
    /// When the gateway can't be reached, the actor answers with an error of its own, or the call
    /// fails; each says whether the method may have run.
    pub async fn through(&self, gateway: &str) -> Result<Reply, CallError> {
        let host =
            endpoint(gateway).map_err(|_| CallError::BadAddress { address: gateway.to_owned() })?;
        let request = self.request(host.uri().authority().map_or(gateway, |host| host.as_str()));
        let request = request.map_err(|error| CallError::BadHeader(error.to_string()))?;
        let unreachable = |source| CallError::Unreachable { address: gateway.to_owned(), source };
        let late = |limit| CallError::TimedOut { address: gateway.to_owned(), limit };
        let connected = async {
            let stream = TcpStream::connect(gateway).await?;
            stream.set_nodelay(true)?;
            http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)
        };
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connected).await;
        let connected = connected.map_err(|_| CallError::Unreachable {
            address: gateway.to_owned(),
            source: std::io::ErrorKind::TimedOut.into(),
        })?;
        let (mut sender, connection) = connected.map_err(unreachable)?;
        // Ends with the reply.
        tokio::spawn(connection);
        let limit = self.timeout.unwrap_or(UNTOLD_TIMEOUT) + GRACE;
        let deadline = Instant::now() + limit;
        let answer = timeout_at(deadline, sender.send_request(request));
        let response = answer.await.map_err(|_| late(limit))?;
        let response = response.map_err(|source| CallError::Broken { source })?;
        if reply::is_stream(&response) {
            return Ok(Reply::Stream(Items::new(response.into_body(), sender)));
        }
        let status = response.status();
        let body = timeout_at(deadline, whole(response)).await.map_err(|_| late(limit))??;
        reply::value(status, &body).map(Reply::Value)
    }

    fn request(&self, host: &str) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let Self { kind, key, method, arguments, timeout, context, traceparent } = self;
        let [kind, key, method] =
            [kind, key, method].map(|name| utf8_percent_encode(name, PLAIN).to_string());
        let mut request = Request::post(format!("/v1/actors/{kind}/{key}/{method}"))
            .header(HOST, host)
            .header(CONTENT_TYPE, "application/json");
        if let Some(timeout) = timeout {
            request = request.header("greenroom-timeout-ms", timeout.as_millis().to_string());
        }
        if let Some(parent) = traceparent {
            request = request.header("traceparent", parent);
        }
        if !context.is_empty() {
            let mut baggage = String::new();
            for (key, value) in context {
                let comma = if baggage.is_empty() { "" } else { "," };
                // Writing to a String can't fail.
                let _ = write!(baggage, "{comma}{key}={}", utf8_percent_encode(value, PLAIN));
            }
            request = request.header("baggage", baggage);
        }
        let arguments = serde_json::to_vec(arguments).unwrap_or_default();
        request.body(Full::new(arguments.into()))
    }
}

async fn whole(response: Response<Incoming>) -> Result<Bytes, CallError> {
    let body = response.into_body().collect().await;
    Ok(body.map_err(|source| CallError::Broken { source })?.to_bytes())
}
