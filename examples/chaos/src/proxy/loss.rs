//! Segments that are lost on their way into a socket.
//!
//! The kernel asks a socket's filter about every segment that arrives, and throws away what the
//! filter doesn't want before TCP has seen it: as good as lost on the network, and without root,
//! a firewall or a kernel module.

use std::io;

use socket2::{SockFilter, SockRef};

// Of the instructions of classic BPF (linux/filter.h), these are needed.
const LOAD_WORD: u16 = 0x20;
const JUMP_IF_GREATER_OR_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;
/// Where a random number is found, among the things about a packet that don't stand in it.
const RANDOM: u32 = 0xffff_f000 + 56;

/// From now on so many of a hundred segments are lost that arrive at this socket; 0 for none.
pub(super) fn set(socket: &SockRef<'_>, share: u8) -> io::Result<()> {
    if share == 0 {
        return socket.detach_filter();
    }
    let threshold = u32::MAX / 100 * u32::from(share);
    socket.attach_filter(&[
        SockFilter::new(LOAD_WORD, 0, 0, RANDOM),
        SockFilter::new(JUMP_IF_GREATER_OR_EQUAL, 0, 1, threshold),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ])
}
