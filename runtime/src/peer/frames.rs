//! Gathers envelopes into frames.

use greenroom_proto::v1::{Envelope, Frame};
use prost::Message;
use tokio::sync::mpsc;

/// Most envelopes in one frame.
pub(super) const ENVELOPES_PER_FRAME_MAX: usize = 512;
/// A frame is closed when it has reached this size, so that one envelope more may exceed it.
const FRAME_BYTES: usize = 256 << 10;
/// Frames that wait for the connection to take them.
pub(super) const FRAMES_WAITING_MAX: usize = 16;

/// Cuts envelopes into frames, in order.
pub(super) fn frames(envelopes: Vec<Envelope>) -> Vec<Frame> {
    let mut frames = Vec::new();
    let (mut frame, mut bytes) = (Frame::default(), 0);
    for envelope in envelopes {
        bytes += envelope.encoded_len();
        frame.envelopes.push(envelope);
        if bytes >= FRAME_BYTES {
            frames.push(std::mem::take(&mut frame));
            bytes = 0;
        }
    }
    if !frame.envelopes.is_empty() {
        frames.push(frame);
    }
    frames
}

/// Gathers what comes into frames: whatever waits goes along, nothing waits for company. Ends when
/// all senders are gone or nobody takes the frames.
pub(super) async fn gather<T>(
    mut envelopes: mpsc::Receiver<Envelope>,
    out: mpsc::Sender<T>,
    wrap: impl Fn(Frame) -> T,
) {
    let mut batch = Vec::new();
    while envelopes.recv_many(&mut batch, ENVELOPES_PER_FRAME_MAX).await > 0 {
        for frame in frames(std::mem::take(&mut batch)) {
            if out.send(wrap(frame)).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use greenroom_proto::v1::{Request, envelope::Body};

    fn envelope(call: u64, bytes: usize) -> Envelope {
        let arguments = vec![0; bytes].into();
        Envelope { body: Some(Body::Request(Request { call, arguments, ..Request::default() })) }
    }

    #[test]
    fn small_envelopes_share_a_frame_and_large_ones_end_it() {
        let sizes = [10, 10, FRAME_BYTES, 10];
        let envelopes = (0..).zip(sizes).map(|(call, bytes)| envelope(call, bytes)).collect();
        let lens: Vec<_> = frames(envelopes).iter().map(|frame| frame.envelopes.len()).collect();
        assert_eq!(lens, [3, 1]);
    }
}
