//! The connection to a node, and how long things may take.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Response, Status};

use crate::InspectError;

/// How long a connection may take to come about, the look-up of the host's name included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the whole answer may take once there is a connection.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer that is accepted, in bytes. The largest cluster has eight groups of 65,536 shards,
/// each of which takes some tens of bytes, and seldom more than 200.
pub const ANSWER_BYTES_MAX: usize = 128 * 1024 * 1024;

/// A connection to the node with this peer address (`host:port`).
pub(crate) async fn connect(address: &str, limits: Limits) -> Result<Channel, InspectError> {
    let endpoint = endpoint(address)?;
    // The transport's own time-outs leave out the look-up of names and the end of an answer.
    tokio::time::timeout(limits.connect, endpoint.connect())
        .await
        .map_err(|_| timed_out(address, limits.connect))?
        .map_err(|source| InspectError::Unreachable { address: address.to_owned(), source })
}

/// How long each part of a question may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connect: Duration,
    pub(crate) request: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: CONNECT_TIMEOUT, request: REQUEST_TIMEOUT }
    }
}

impl Limits {
    /// The answer to a question, within the time for it.
    pub(crate) async fn answer<T>(
        self,
        address: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, InspectError> {
        tokio::time::timeout(self.request, call)
            .await
            .map_err(|_| timed_out(address, self.request))?
            .map(Response::into_inner)
            .map_err(|status| refused(address, status))
    }
}

/// Only `host:port` is an address: a scheme or a path would promise what nobody looks at.
pub(crate) fn endpoint(address: &str) -> Result<Endpoint, InspectError> {
    let bad = || InspectError::BadAddress { address: address.to_owned() };
    let uri: Uri = format!("http://{address}").parse().map_err(|_| bad())?;
    let whole = uri.authority().is_some_and(|authority| authority.as_str() == address);
    let host = uri.host().is_some_and(|host| !host.is_empty());
    let port = uri.port_u16().is_some_and(|port| port != 0);
    if !whole || !host || !port || address.contains('@') {
        return Err(bad());
    }
    Ok(Endpoint::from(uri))
}

fn timed_out(address: &str, limit: Duration) -> InspectError {
    InspectError::TimedOut { address: address.to_owned(), limit }
}

fn refused(address: &str, status: Status) -> InspectError {
    let address = address.to_owned();
    match status.code() {
        Code::Unimplemented => InspectError::NotANode { address },
        _ => InspectError::Refused { address, source: Box::new(status) },
    }
}

#[cfg(test)]
mod tests {
    use greenroom_proto::v1::SnapshotRequest;
    use greenroom_proto::v1::inspect_client::InspectClient;
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn only_host_and_port_are_an_address() {
        for good in ["127.0.0.1:7400", "node-1.shop:7400", "[::1]:7400"] {
            let endpoint = endpoint(good).expect(good);
            assert_eq!(endpoint.uri().to_string(), format!("http://{good}/"));
        }
        let bad = [
            "",
            ":",
            ":7400",
            "node-1",
            "node-1:",
            "node-1:0",
            "node-1:x",
            "node-1:70000",
            "http://node-1:7400",
            "node-1:7400/",
            "node-1:7400/x",
            "me@node-1:7400",
            "a b:7400",
            "::1:7400",
        ];
        for address in bad {
            assert!(
                matches!(endpoint(address), Err(InspectError::BadAddress { .. })),
                "{address:?} was taken for an address"
            );
        }
    }

    #[tokio::test]
    async fn a_peer_that_takes_the_connection_and_says_nothing_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let limits = Limits { connect: CONNECT_TIMEOUT, request: Duration::from_millis(20) };
        let channel = connect(&address, limits).await.expect("the backlog takes the connection");
        let mut node = InspectClient::new(channel);
        let snapshot = node.snapshot(SnapshotRequest {});
        let error = limits.answer(&address, snapshot).await.expect_err("silent");
        assert_eq!(error.to_string(), format!("{address} did not answer within 20ms"));
    }
}
