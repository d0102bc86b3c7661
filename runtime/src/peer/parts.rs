//! Puts payloads together that came in pieces.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};

use super::outbox::LARGE_AT_A_TIME;

/// Payloads that are not whole yet. A peer writes so many side by side; one that has given up calls in
/// the middle may have begun others since.
const UNFINISHED_MAX: usize = 4 * LARGE_AT_A_TIME;

/// The payloads of one link that are not whole yet.
#[derive(Debug)]
pub(super) struct Parts {
    payload_bytes_max: usize,
    unfinished: HashMap<u64, Unfinished>,
}

#[derive(Debug)]
struct Unfinished {
    /// Empty as soon as there are too many of them.
    bytes: BytesMut,
    len: usize,
}

/// A payload that is larger than allowed, with its length.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge(pub(super) usize);

impl Parts {
    pub(super) fn new(payload_bytes_max: usize) -> Self {
        Self { payload_bytes_max, unfinished: HashMap::new() }
    }

    /// Keeps a piece; `false` if the peer has begun more payloads than it may.
    pub(super) fn keep(&mut self, call: u64, data: &[u8]) -> bool {
        if self.unfinished.len() >= UNFINISHED_MAX && !self.unfinished.contains_key(&call) {
            return false;
        }
        let unfinished = self
            .unfinished
            .entry(call)
            .or_insert_with(|| Unfinished { bytes: BytesMut::new(), len: 0 });
        unfinished.len = unfinished.len.saturating_add(data.len());
        if unfinished.len <= self.payload_bytes_max {
            unfinished.bytes.extend_from_slice(data);
        } else {
            unfinished.bytes = BytesMut::new();
        }
        true
    }

    /// The whole payload of a call, of which this is the last piece, a part of `frame`.
    pub(super) fn whole(
        &mut self,
        call: u64,
        last: &[u8],
        frame: &Bytes,
    ) -> Result<Bytes, TooLarge> {
        let before = if self.unfinished.is_empty() { None } else { self.unfinished.remove(&call) };
        let len = before.as_ref().map_or(0, |before| before.len).saturating_add(last.len());
        if len > self.payload_bytes_max {
            return Err(TooLarge(len));
        }
        Ok(match before {
            None => frame.slice_ref(last),
            Some(Unfinished { mut bytes, .. }) => {
                bytes.extend_from_slice(last);
                bytes.freeze()
            }
        })
    }

    /// Forgets the pieces of a call that was given up.
    pub(super) fn forget(&mut self, call: u64) {
        self.unfinished.remove(&call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_several_calls_come_together() {
        let mut parts = Parts::new(100);
        let frame = Bytes::from_static(b"efxy");
        assert!(parts.keep(1, b"ab") && parts.keep(2, b"uvw") && parts.keep(1, b"cd"));
        assert_eq!(parts.whole(1, &frame[..2], &frame), Ok("abcdef".into()));
        assert_eq!(parts.whole(2, &frame[2..], &frame), Ok("uvwxy".into()));
        // Small ones come without pieces, and without a copy.
        let whole = parts.whole(3, &frame[1..3], &frame).unwrap();
        assert_eq!(whole.as_ptr(), frame[1..].as_ptr());
        assert!(parts.unfinished.is_empty());
    }

    #[test]
    fn what_is_too_large_takes_no_memory() {
        let mut parts = Parts::new(100);
        for _ in 0..5 {
            assert!(parts.keep(1, &[0; 30]));
        }
        assert!(parts.unfinished[&1].bytes.is_empty());
        let frame = Bytes::from_static(b"end");
        assert_eq!(parts.whole(1, &frame, &frame), Err(TooLarge(153)));
        assert_eq!(parts.whole(2, &frame, &frame), Ok(frame));
    }

    #[test]
    fn a_peer_may_begin_only_so_many() {
        let mut parts = Parts::new(100);
        for call in 0..UNFINISHED_MAX as u64 {
            assert!(parts.keep(call, b"x"));
        }
        assert!(!parts.keep(99, b"x"));
        assert!(parts.keep(0, b"x"));
        parts.forget(0);
        assert!(parts.keep(99, b"x"));
    }
}
