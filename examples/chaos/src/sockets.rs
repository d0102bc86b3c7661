//! What the kernel says of this machine's connections.

use std::fs;
use std::net::SocketAddr;

/// How many segments TCP has sent again since the machine started, on all its connections: where a
/// fault loses segments, it grows.
#[must_use]
pub fn sent_again() -> u64 {
    let counters = fs::read_to_string("/proc/net/snmp").unwrap_or_default();
    let mut lines = counters.lines().filter_map(|line| line.strip_prefix("Tcp:"));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0 };
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    let found = pairs.find(|(name, _)| *name == "RetransSegs");
    found.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

/// Whether the end of a connection at `local`, whose other end is at `remote`, belongs to a process
/// of one's own user.
#[must_use]
pub fn is_of_process(process: u32, local: SocketAddr, remote: SocketAddr) -> bool {
    let connections = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let (local, remote) = (written(local), written(remote));
    let inode = connections.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.get(1) == Some(&local.as_str()) && fields.get(2) == Some(&&*remote);
        is_it.then(|| fields.get(9).map(|inode| format!("socket:[{inode}]"))).flatten()
    });
    let (Some(inode), Ok(files)) = (inode, fs::read_dir(format!("/proc/{process}/fd"))) else {
        return false;
    };
    files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == &*inode))
}

/// An address as the kernel writes it: its four bytes as one number of this machine, and the port.
fn written(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => {
            let ip = u32::from_ne_bytes(address.ip().octets());
            format!("{ip:08X}:{:04X}", address.port())
        }
        SocketAddr::V6(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_is_known_by_its_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let local = client.local_addr().unwrap();
        assert!(is_of_process(std::process::id(), local, address));
        assert!(!is_of_process(1, local, address), "not that of another process");
        let other = SocketAddr::from(([127, 0, 0, 1], 1));
        assert!(!is_of_process(std::process::id(), other, address), "nor another connection");
    }
}
