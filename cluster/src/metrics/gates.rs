//! How long is waited at gates.

use std::sync::Arc;

use greenroom_core::NodeId;
use greenroom_shardlock::{OnWait, Side};
use metrics::SharedString;

use super::GATE_WAITS;

/// What tells the waits at the gates of a node.
pub(crate) fn on_wait(node: &NodeId) -> OnWait {
    let node = SharedString::from(node.as_str().to_owned());
    let of = |side: Side| GATE_WAITS.histogram(&node, &[side.as_str().into()]);
    let (read, write) = (of(Side::Read), of(Side::Write));
    Arc::new(move |wait| match wait.side {
        Side::Read => read.record(wait.lasted),
        Side::Write => write.record(wait.lasted),
    })
}
