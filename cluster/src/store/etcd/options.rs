//! How to reach etcd.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

/// How to reach an etcd cluster, and how long to wait for it.
#[derive(Clone)]
pub struct EtcdOptions {
    /// Addresses of the members, such as `http://10.0.0.1:2379`, or `https://…` over TLS; at least one.
    pub endpoints: Vec<String>,
    /// User name and password, if etcd asks for them. The password is never printed.
    pub user: Option<(String, String)>,
    /// What is needed for addresses with `https`.
    pub tls: EtcdTls,
    /// How long a request may take before its outcome is given up on. A watch that is silent for
    /// three times as long is asked whether it lives. Default: 2 s.
    pub request_timeout: Duration,
    /// How long opening a connection may take. Default: 2 s.
    pub connect_timeout: Duration,
    /// How long a connection with open requests or watches may be silent before it is pinged.
    /// Default: 6 s, because etcd hangs up on a client that pings more often than each 5 s (its
    /// `--grpc-keepalive-min-time`). Requests and watches notice a dead connection by their own
    /// timeouts; pings are the second line.
    pub keep_alive_interval: Duration,
    /// How long a ping may stay unanswered before the connection is given up. Default: 2 s.
    pub keep_alive_timeout: Duration,
    /// How to open connections; `None` for the machine's network. For simulations of it.
    pub dial: Option<Dial>,
}

/// Opens a connection to the member that an endpoint names, with the time-outs that stand in it, at the
/// first request on it.
#[derive(Clone)]
pub struct Dial(pub Arc<dyn Fn(Endpoint) -> Channel + Send + Sync>);

/// Who is trusted over TLS, and as whom one shows oneself. The files are in PEM, and are read anew for
/// each connection, so that renewed certificates are taken up.
#[derive(Clone, Debug, Default)]
pub struct EtcdTls {
    /// The authorities that may vouch for etcd's certificates; those of the system unless given.
    pub authorities: Option<PathBuf>,
    /// The client's certificate and its private key, for an etcd that asks for them.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl EtcdOptions {
    /// Options with the default durations for these members, without a user.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            user: None,
            tls: EtcdTls::default(),
            request_timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(2),
            keep_alive_interval: Duration::from_secs(6),
            keep_alive_timeout: Duration::from_secs(2),
            dial: None,
        }
    }
}

impl fmt::Debug for EtcdOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EtcdOptions")
            .field("endpoints", &self.endpoints)
            .field("user", &self.user.as_ref().map(|(name, _)| name))
            .field("tls", &self.tls)
            .field("request_timeout", &self.request_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("keep_alive_interval", &self.keep_alive_interval)
            .field("keep_alive_timeout", &self.keep_alive_timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_not_printed() {
        let mut options = EtcdOptions::new(["http://127.0.0.1:2379"]);
        options.user = Some(("operator".to_owned(), "hunter2".to_owned()));
        let printed = format!("{options:?}");
        assert!(printed.contains("operator") && !printed.contains("hunter2"), "{printed}");
    }
}
