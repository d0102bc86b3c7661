//! What a scenario begins with.

use std::time::Duration;

use crate::records::CLUSTER;

/// How long the members must have been the same before shards are rebalanced: short, so that
/// scenarios are.
pub(super) const REBALANCE_STABILITY: Duration = Duration::from_millis(500);
/// Most shards that are rebalanced at a time.
pub(super) const REBALANCE_BATCH: usize = 2048;

/// What a scenario begins with.
#[derive(Clone, Debug)]
pub struct Setup {
    pub(super) nodes: usize,
    pub(super) etcd_members: usize,
    pub(super) variables: Vec<(String, String)>,
    pub(super) etcd_proxies: bool,
    pub(super) peer_proxies: bool,
    pub(super) member_proxies: bool,
    pub(super) idle: bool,
    pub(super) clocks: bool,
}

impl Setup {
    /// So many nodes on an etcd of one member, at default timing but for rebalancing, which begins
    /// after half a second and moves 2048 shards at a time, so that scenarios are short.
    #[must_use]
    pub fn nodes(nodes: usize) -> Self {
        let setup = Self {
            nodes,
            etcd_members: 1,
            variables: Vec::new(),
            etcd_proxies: false,
            peer_proxies: false,
            member_proxies: false,
            idle: false,
            clocks: false,
        };
        setup
            .with("GREENROOM_REBALANCE_STABILITY", &format!("{REBALANCE_STABILITY:?}"))
            .with("GREENROOM_REBALANCE_BATCH", &REBALANCE_BATCH.to_string())
            .with("GREENROOM_CLUSTER", CLUSTER)
    }

    /// The etcd has so many members.
    #[must_use]
    pub fn etcd_members(mut self, members: usize) -> Self {
        self.etcd_members = members;
        self
    }

    /// All nodes get this variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Each node reaches each member of etcd through a proxy of its own.
    #[must_use]
    pub fn etcd_proxies(mut self) -> Self {
        self.etcd_proxies = true;
        self
    }

    /// Each node is reached by its peers through a proxy.
    #[must_use]
    pub fn peer_proxies(mut self) -> Self {
        self.peer_proxies = true;
        self
    }

    /// Each member of etcd is reached by the others through a proxy.
    #[must_use]
    pub fn member_proxies(mut self) -> Self {
        self.member_proxies = true;
        self
    }

    /// One more node, [`IDLE`](super::IDLE), hosts nothing and so owns nothing.
    #[must_use]
    pub fn idle(mut self) -> Self {
        self.idle = true;
        self
    }

    /// The clock of each node may be made to run at another rate.
    #[must_use]
    pub fn clocks(mut self) -> Self {
        self.clocks = true;
        self
    }
}
