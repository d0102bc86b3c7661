//! A kind of actors, ready to be hosted by a node.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use greenroom_cluster::RightToRun;
use greenroom_core::{GROUP_DEFAULT, NodeId};
use greenroom_shardlock::Gates;

use crate::activation::{Directory, Hosted, KindOptions};
use crate::actor::Actor;
use crate::config::ACTIVATIONS_MAX_MAX;
use crate::interface::{Dispatch, InterfaceSpec};
use crate::overload::Refusals;
use crate::pressure::{Clock, Memory, Room};
use crate::router::WeakRouter;

/// What a kind needs of the node that hosts it.
pub(crate) struct Host {
    pub(crate) node: NodeId,
    /// Whether the log may say the keys of actors.
    pub(crate) log_keys: bool,
    pub(crate) shards: u32,
    pub(crate) right: Arc<RightToRun>,
    pub(crate) gates: Arc<Gates>,
    pub(crate) router: Arc<OnceLock<WeakRouter>>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) clock: Clock,
    /// For the actors of all kinds.
    pub(crate) room: Arc<Room>,
    pub(crate) memory: Arc<Memory>,
}

/// What a panic in a turn costs the actor. The call fails as `panicked` in any case, and the node
/// goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnPanic {
    /// The activation is dropped, without a farewell: what the panic left half-done is gone, and the
    /// next call brings the actor to life anew.
    #[default]
    Deactivate,
    /// The actor stays as the panic left it, and its next turn goes on with that. What the turn had
    /// changed before it panicked is not undone, and its farewell may save it: this is for actors
    /// whose state is sound between any two statements, or that would rather be wrong than forget.
    Keep,
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
            directory: |host, options| Arc::new(Directory::<A, I>::new(host, options)),
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

    /// After how long without a call an actor is deactivated; 5 minutes unless told otherwise. More
    /// than 49 days is for ever.
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

    /// Most actors of this kind in a node's memory, at least 1; as many as
    /// `GREENROOM_ACTIVATIONS_MAX` allows unless told otherwise. When there are so many, an actor that
    /// is called must wait until an idle one has been deactivated for it, and if none is idle, the
    /// call is refused as `overloaded`: it surely did not run.
    #[must_use]
    pub fn activations_max(mut self, actors: usize) -> Self {
        self.options.activations_max = Some(actors.clamp(1, ACTIVATIONS_MAX_MAX));
        self
    }

    /// What a panic in a turn costs the actor; its activation unless told otherwise.
    #[must_use]
    pub fn on_panic(mut self, on_panic: OnPanic) -> Self {
        self.options.on_panic = on_panic;
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
