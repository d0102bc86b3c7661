//! What the kernel says of this machine's connections.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use crate::Result;

/// Why lost segments can't be counted on this machine.
///
/// # Errors
/// The reason: `ss` is missing.
pub fn can_count() -> std::result::Result<(), String> {
    lost().map(|_| ()).map_err(|error| error.to_string())
}

/// How many segments the kernel has thrown away that had arrived at the open sockets of this process.
///
/// # Errors
/// When `ss`, which asks the kernel, can't be run.
pub fn lost() -> Result<u64> {
    let output = Command::new("ss").arg("-tmnpHO").output();
    let output = output.map_err(|error| format!("needs ss (iproute2): {error}"))?;
    let owner = format!("pid={},", std::process::id());
    let sockets = String::from_utf8_lossy(&output.stdout).into_owned();
    let own = sockets.lines().filter(|socket| socket.contains(&owner));
    // The memory of a socket ends in the number of segments that were dropped: `…,bl0,d12)`.
    let lost = own.filter_map(|socket| {
        let (_, dropped) = socket.rsplit_once(",d")?;
        dropped.split(')').next()?.parse::<u64>().ok()
    });
    Ok(lost.sum())
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
