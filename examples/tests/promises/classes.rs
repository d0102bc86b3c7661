//! What must be proved.

/// A promise.
pub(crate) struct Promise {
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
}

/// A way in which systems of this kind fail.
pub(crate) struct Class {
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    /// Whether somebody could serve a shard that is not his, or nobody one that should be served.
    pub(crate) concerns_ownership: bool,
    /// Why it is proved in one layer only; told in the page.
    pub(crate) not_yet: Option<&'static str>,
}

const fn promise(id: &'static str, what: &'static str) -> Promise {
    Promise { id, what }
}

const fn owned(id: &'static str, what: &'static str) -> Class {
    Class { id, what, concerns_ownership: true, not_yet: None }
}

const fn other(id: &'static str, what: &'static str) -> Class {
    Class { id, what, concerns_ownership: false, not_yet: None }
}

impl Class {
    const fn but(mut self, why: &'static str) -> Self {
        self.not_yet = Some(why);
        self
    }
}

pub(crate) const PROMISES: &[Promise] = &[
    promise("P1", "at most one activation of an actor passes the ownership check"),
    promise("P2", "epochs only grow, and nothing is taken under an older one"),
    promise("P3", "planned changes fail no call"),
    promise("P4", "a failed call says whether it may have run"),
    promise("P5", "everything is bounded"),
    promise("P6", "everything is explained"),
];

pub(crate) const CLASSES: &[Class] = &[
    owned("C1", "a process pauses past its right to run"),
    owned("C2", "a pause between a check and its effect"),
    owned("C3", "clocks run at different rates"),
    owned("C4", "the wall clock jumps"),
    owned("C5", "cut off etcd, but not off peers"),
    owned("C6", "cut off peers, but not off etcd"),
    owned("C7", "links that work one way, or badly"),
    owned("C8", "etcd changes its leader"),
    owned("C9", "leases of etcd end late"),
    owned("C10", "leases of etcd end early; a live node is taken for dead"),
    owned("C11", "what a watch has missed is compacted"),
    owned("C12", "a watch stalls, is lost, or tells what is old"),
    owned("C13", "the reply to a transaction is lost"),
    owned("C14", "two leaders"),
    owned("C15", "a migration gets stuck"),
    owned("C16", "an actor does not let go"),
    owned("C17", "heartbeats starve, or what they stand for hangs"),
    other("C18", "all rush to what failed over"),
    owned("C19", "a claim on an old view"),
    owned("C20", "a process comes back under the same name"),
    owned("C21", "a message from the past"),
    owned("C22", "etcd is away altogether"),
    other("C23", "etcd is full, or slow").but("it concerns no ownership"),
    other("C24", "messages that harm their reader, and panics"),
    owned("C25", "a lock is lost with whoever waited for it"),
];
