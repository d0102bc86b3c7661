//! What the log is told of the agent's decisions, and how loudly.

use std::time::Duration;

use greenroom_core::Notice;
use tokio::time::Instant;

use crate::quiet::Quiet;
use crate::status::{Status, StatusPhase};

/// A number of served shards is told when it has stood for so long.
const SETTLED_AFTER: Duration = Duration::from_millis(500);

/// What the log has been told.
#[derive(Default)]
pub(crate) struct Told {
    store_trouble: Quiet,
    /// Shards served, when that was last told.
    serving: Option<usize>,
    /// Since when so many shards are served.
    served_since: Option<(usize, Instant)>,
    had_right: Option<bool>,
}

impl Told {
    pub(crate) fn notice(&mut self, notice: &Notice) {
        match notice {
            Notice::OtherCluster { .. } | Notice::KindRefused(_) | Notice::Stuck { .. } => {
                tracing::error!("{notice}");
            }
            Notice::StoreFailed { permanent, .. } => {
                let Some(untold) = self.store_trouble.occurred() else { return };
                if *permanent {
                    tracing::error!(untold, "{notice}");
                } else {
                    tracing::warn!(untold, "{notice}");
                }
            }
            Notice::Fenced(_)
            | Notice::Burying { .. }
            | Notice::NameInUse { .. }
            | Notice::PinsUnserved { .. }
            | Notice::KindLacking { .. }
            | Notice::NotRestored
            | Notice::ReplyLost { .. } => tracing::warn!("{notice}"),
            Notice::Conflict { .. }
            | Notice::Idle { .. }
            | Notice::Claiming { .. }
            | Notice::Draining { .. } => tracing::debug!("{notice}"),
            _ => tracing::info!("{notice}"),
        }
    }

    /// Tells when the right to run is lost and won back while the node is a member.
    pub(crate) fn right(&mut self, status: &Status, holds: bool) {
        let member = matches!(status.phase, StatusPhase::Active | StatusPhase::Draining);
        if !member || self.had_right == Some(holds) {
            return;
        }
        match (self.had_right.replace(holds), holds) {
            (Some(_), true) => tracing::info!("the right to run is back: serving calls again"),
            (_, false) => {
                tracing::warn!("the right to run is lost: no call is served until it is back");
            }
            (None, true) => {}
        }
    }

    /// Tells how many shards are served, once that has settled.
    pub(crate) fn serving(&mut self, status: &Status) {
        let served = status.claimed;
        let settled = match self.served_since {
            Some((same, since)) if same == served => since.elapsed() >= SETTLED_AFTER,
            _ => {
                self.served_since = Some((served, Instant::now()));
                false
            }
        };
        if settled && self.serving.unwrap_or(0) != served {
            self.serving = Some(served);
            tracing::info!(served, targeted = status.targeted, "serving shards");
        }
    }
}
