//! Ways to the readers of bytes from outside that have no public entrance, for the fuzz targets in
//! `examples/fuzz`; not for people. Nothing here reads or decides anything by itself.

use axum::Router;
use greenroom_proto::v1;

use crate::convert;
use crate::page::PageConfig;
use crate::{ClusterView, Decisions, Malformed};

/// The picture of a cluster that a node answered with.
///
/// # Errors
/// When it contradicts itself.
pub fn view(snapshot: v1::ClusterSnapshot) -> Result<ClusterView, Malformed> {
    convert::view(snapshot)
}

/// What a leader answered that it decided.
pub fn decisions(reply: v1::DecisionsReply) -> Decisions {
    convert::decisions(reply)
}

/// The routes of a page, without its port.
///
/// # Panics
/// When a name of the page is none.
pub fn page(config: PageConfig) -> Router {
    crate::page::without_port(config)
}
