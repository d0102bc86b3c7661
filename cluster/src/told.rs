//! What the log is told of the agent's decisions, and how loudly.

use std::time::Duration;

use greenroom_core::{NodeId, Notice};
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
        let Facts { incarnation, term, group, shards, peer } = Facts::of(notice);
        macro_rules! tell {
            ($level:ident $(, $more:ident)?) => {
                tracing::$level!(incarnation, term, group, shards, peer $(, $more)?, "{notice}")
            };
        }
        match notice {
            Notice::OtherCluster { .. } | Notice::KindRefused(_) | Notice::Stuck { .. } => {
                tell!(error);
            }
            Notice::StoreFailed { permanent, .. } => {
                let Some(untold) = self.store_trouble.occurred() else { return };
                if *permanent {
                    tell!(error, untold);
                } else {
                    tell!(warn, untold);
                }
            }
            Notice::Fenced(_)
            | Notice::Burying { .. }
            | Notice::NameInUse { .. }
            | Notice::PinsUnserved { .. }
            | Notice::KindLacking { .. }
            | Notice::NotRestored
            | Notice::ReplyLost { .. } => tell!(warn),
            Notice::Conflict { .. }
            | Notice::Idle { .. }
            | Notice::Claiming { .. }
            | Notice::Draining { .. } => tell!(debug),
            _ => tell!(info),
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

/// What stands in a notice besides its words, as fields.
#[derive(Default)]
struct Facts<'a> {
    /// Of the node itself.
    incarnation: Option<u64>,
    term: Option<u64>,
    group: Option<&'a str>,
    /// How many.
    shards: Option<usize>,
    /// Another node that it is about.
    peer: Option<&'a str>,
}

impl<'a> Facts<'a> {
    fn of(notice: &'a Notice) -> Self {
        let none = Self::default();
        match notice {
            Notice::Joined(life) | Notice::Fenced(life) => {
                Self { incarnation: Some(life.incarnation.0), ..none }
            }
            Notice::Elected(term) | Notice::Resigned(term) => Self { term: Some(term.0), ..none },
            Notice::Burying { life, .. } | Notice::NameInUse { by: life, .. } => {
                Self { peer: Some(life.node.as_str()), ..none }
            }
            Notice::PinsUnserved { node, shards } => {
                Self { peer: Some(node.as_str()), shards: Some(*shards), ..none }
            }
            Notice::Draining { shards, to } => {
                let peer = to.as_ref().map(NodeId::as_str);
                Self { peer, shards: Some(*shards), ..none }
            }
            Notice::Claiming { shards } | Notice::Restored { shards } => {
                Self { shards: Some(*shards), ..none }
            }
            Notice::Stuck { stuck, .. } => Self { shards: Some(stuck.shards.len()), ..none },
            Notice::Idle { group, .. } => Self { group: Some(group), ..none },
            _ => none,
        }
    }
}
