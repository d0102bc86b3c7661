//! Refusals, in etcd's own words: its clients compare the texts.

use tonic::{Code, Status};

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident: $code:ident, $text:literal;)+) => {
        $($(#[$doc])* pub(crate) fn $name() -> Status {
            Status::new(Code::$code, concat!("etcdserver: ", $text))
        })+
    };
}

refusals! {
    empty_key: InvalidArgument, "key is not provided";
    key_not_found: InvalidArgument, "key not found";
    value_provided: InvalidArgument, "value is provided";
    lease_provided: InvalidArgument, "lease is provided";
    too_many_ops: InvalidArgument, "too many operations in txn request";
    duplicate_key: InvalidArgument, "duplicate key given in txn request";
    compacted: OutOfRange, "mvcc: required revision has been compacted";
    future_revision: OutOfRange, "mvcc: required revision is a future revision";
    lease_not_found: NotFound, "requested lease not found";
    lease_exists: FailedPrecondition, "lease already exists";
    /// Surely not applied.
    no_leader: Unavailable, "no leader";
    /// Perhaps applied.
    timed_out: Unavailable, "request timed out";
    /// Perhaps applied.
    leader_changed: Unavailable, "leader changed";
}
