//! A kind of actors, ready to be hosted by a node.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use greenroom_cluster::RightToRun;
use greenroom_core::GROUP_DEFAULT;
use greenroom_shardlock::Gates;

use crate::activation::{Directory, Hosted, KindOptions};
use crate::actor::Actor;
use crate::interface::{Dispatch, InterfaceSpec};
use crate::overload::Refusals;
use crate::router::WeakRouter;

/// What a kind needs of the node that hosts it.
pub(crate) struct Host {
    pub(crate) shards: u32,
    pub(crate) right: Arc<RightToRun>,
    pub(crate) gates: Arc<Gates>,
    pub(crate) router: Arc<OnceLock<WeakRouter>>,
    pub(crate) refusals: Arc<Refusals>,
}

/// A kind of actors: an interface and the actor type that serves it. `AccountRef::served_by` makes
/// one; [`crate::NodeBuilder::host`] takes it.
pub struct Kind {
    spec: &'static InterfaceSpec,
    group: Cow<'static, str>,
    options: KindOptions,
    directory: fn(Host, KindOptions) -> Arc<dyn Hosted>,
}

impl Kind {
    /// The kind of the interface `I`, served by actors of the type `A`.
    pub fn new<A: Actor, I: Dispatch<A>>() -> Self {
        Self {
            spec: &I::SPEC,
            group: GROUP_DEFAULT.into(),
            options: KindOptions::default(),
            directory: |host, options| {
                let Host { shards, right, gates, router, refusals } = host;
                Arc::new(Directory::<A, I>::new(shards, options, right, gates, router, refusals))
            },
        }
    }

    /// The shard group that the kind belongs to; `default` unless told otherwise. A group has its
    /// own full set of shards, which only nodes that host one of its kinds own, and placement rules
    /// of its own. All nodes of a cluster must say the same, and a kind never changes its group.
    #[must_use]
    pub fn in_group(mut self, group: impl Into<Cow<'static, str>>) -> Self {
        self.group = group.into();
        self
    }

    /// After how long without a call an actor is deactivated; 5 minutes unless told otherwise.
    #[must_use]
    pub fn idle_timeout(mut self, span: Duration) -> Self {
        self.options.idle_timeout = span;
        self
    }

    /// Most calls that wait for one actor, at least 1; 1,024 unless told otherwise. Beyond, a call
    /// is refused at once as `overloaded`.
    #[must_use]
    pub fn mailbox_len_max(mut self, len: usize) -> Self {
        self.options.mailbox_len_max = len.max(1);
        self
    }

    /// Most calls of this kind on a node that wait in mailboxes, or whose turns go on after they had to
    /// wait for something, at least 1; 262,144 unless told otherwise. While there are so many, every
    /// call of the kind is refused at once as `overloaded`, before anything of it has run. Calls that
    /// end without waiting are not counted: they are as many as the node has threads, and cost nothing
    /// here. Calls that come at the same moment may exceed the limit by the number of threads.
    #[must_use]
    pub fn calls_waiting_max(mut self, calls: usize) -> Self {
        self.options.calls_waiting_max = calls.max(1);
        self
    }

    /// How long an activation or a deactivation may take; 10 s unless told otherwise,
    /// 24 hours at most.
    #[must_use]
    pub fn activation_timeout(mut self, span: Duration) -> Self {
        self.options.activation_timeout = span.min(Duration::from_secs(24 * 3600));
        self
    }

    /// The contract.
    pub fn spec(&self) -> &'static InterfaceSpec {
        self.spec
    }

    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    pub(crate) fn into_hosted(self, host: Host) -> Arc<dyn Hosted> {
        (self.directory)(host, self.options)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kind").field("kind", &self.spec.kind).finish_non_exhaustive()
    }
}
