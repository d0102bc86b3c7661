//! Whether anybody listens at a node's port.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long to wait for an answer; none is no evidence of anything.
const PATIENCE: Duration = Duration::from_millis(500);

/// Whether every address that the name stands for actively refuses connections: its machine is
/// there and says that nobody listens. A time-out, a name that can't be resolved or a machine that
/// can't be reached tell nothing.
pub(crate) async fn is_refused(address: &str) -> bool {
    let attempt = async {
        let mut addresses = tokio::net::lookup_host(address).await.ok()?.peekable();
        addresses.peek()?;
        for address in addresses {
            match TcpStream::connect(address).await {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                _ => return None,
            }
        }
        Some(())
    };
    matches!(timeout(PATIENCE, attempt).await, Ok(Some(())))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Proves: C6
    #[tokio::test]
    async fn only_an_active_refusal_counts() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert!(!is_refused(&address).await, "somebody listens");
        drop(listener);
        assert!(is_refused(&address).await, "nobody listens");
        assert!(!is_refused("no.such.host.invalid:1").await, "an unknown name tells nothing");
        assert!(!is_refused("garbage").await);
    }
}
