//! What a failed request to etcd means. Which failures promise that nothing was applied is a matter
//! of safety: only those that etcd raises before it proposes a transaction, or while it refuses to
//! apply one, are named here. All others are ambiguous.

use tonic::Code;

use crate::store::StoreError;

/// What a request was for, which decides what its failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It only reads: trying again is always safe.
    Read,
    /// It may change something.
    Write,
}

/// A failed request.
#[derive(Debug)]
pub(super) struct Failure<'a> {
    pub(super) code: Code,
    pub(super) message: &'a str,
    /// No connection could be opened, so the request can't have left this process.
    pub(super) never_sent: bool,
}

impl Purpose {
    /// What `failure` means to the caller.
    pub(super) fn classify(self, failure: &Failure<'_>) -> StoreError {
        let text = || format!("{} ({:?})", failure.message, failure.code);
        if failure.never_sent || is_refused_for_now(failure) {
            return StoreError::Transient(text());
        }
        if is_refused_for_good(failure) {
            return StoreError::Permanent(text());
        }
        match self {
            // Not a promise for writes, but a read that etcd can't serve in this state won't be
            // served later.
            Self::Read if failure.code == Code::FailedPrecondition => StoreError::Permanent(text()),
            Self::Read => StoreError::Transient(text()),
            Self::Write => StoreError::Ambiguous(text()),
        }
    }

    /// What it means that no reply came in time.
    pub(super) fn timed_out(self) -> StoreError {
        let text = "no reply in time".to_owned();
        match self {
            Self::Read => StoreError::Transient(text),
            Self::Write => StoreError::Ambiguous(text),
        }
    }
}

/// Refused before it was proposed, for a reason that passes.
fn is_refused_for_now(failure: &Failure<'_>) -> bool {
    // The texts are part of etcd's API: its own clients compare them too. A bare `Unavailable` says
    // nothing, since a request that was proposed and timed out has that code as well.
    match failure.code {
        Code::Unavailable => [
            // By the interceptor that checks the `hasleader` header.
            "etcdserver: no leader",
            // By the interceptors of a member that is starting, or is a learner.
            "etcdserver: not capable",
            "etcdserver: rpc not supported for learner",
        ]
        .contains(&failure.message),
        Code::ResourceExhausted => failure.message == "etcdserver: too many requests",
        // The token is checked before the proposal, and its age once more instead of applying it. A
        // new token is fetched with the next request.
        Code::Unauthenticated => true,
        Code::InvalidArgument => failure.message == "etcdserver: revision of auth store is old",
        _ => false,
    }
}

/// Refused without being applied, for a reason that stays.
fn is_refused_for_good(failure: &Failure<'_>) -> bool {
    match failure.code {
        // Wrong credentials are among the invalid arguments.
        Code::InvalidArgument | Code::PermissionDenied | Code::Unimplemented => true,
        // etcd applies nothing more after it found its data corrupt.
        Code::DataLoss => failure.message == "etcdserver: corrupt cluster",
        // "database space exceeded" is deliberately not here: etcd raises it before the proposal,
        // but also after it has applied the transaction that went over the quota.
        Code::ResourceExhausted => {
            failure.message.starts_with("grpc: received message larger than max")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classify(purpose: Purpose, code: Code, message: &str) -> StoreError {
        purpose.classify(&Failure { code, message, never_sent: false })
    }

    #[test]
    fn a_write_that_etcd_may_have_proposed_is_ambiguous() {
        for (code, message) in [
            (Code::Unavailable, "etcdserver: request timed out"),
            (
                Code::Unavailable,
                "etcdserver: request timed out, possibly due to previous leader failure",
            ),
            (Code::Unavailable, "etcdserver: leader changed"),
            (Code::Unavailable, "etcdserver: server stopped"),
            (Code::Unavailable, "error reading a body from connection"),
            (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
            (Code::ResourceExhausted, "h2 protocol error: too_many_pings"),
            (Code::DeadlineExceeded, "context deadline exceeded"),
            (Code::Cancelled, "operation was canceled"),
            (Code::OutOfRange, "decoded message length too large"),
            (Code::Internal, "h2 protocol error"),
            (Code::Unknown, "transport error"),
        ] {
            let error = classify(Purpose::Write, code, message);
            assert!(matches!(error, StoreError::Ambiguous(_)), "{code:?} {message}: {error:?}");
            let error = classify(Purpose::Read, code, message);
            assert!(matches!(error, StoreError::Transient(_)), "{code:?} {message}: {error:?}");
        }
    }

    #[test]
    fn a_write_that_etcd_refused_before_proposing_it_is_transient() {
        for (code, message) in [
            (Code::Unavailable, "etcdserver: no leader"),
            (Code::ResourceExhausted, "etcdserver: too many requests"),
            (Code::Unauthenticated, "etcdserver: invalid auth token"),
            (Code::InvalidArgument, "etcdserver: revision of auth store is old"),
        ] {
            let error = classify(Purpose::Write, code, message);
            assert!(matches!(error, StoreError::Transient(_)), "{code:?} {message}: {error:?}");
        }
        let failure =
            Failure { code: Code::Unavailable, message: "tcp connect error", never_sent: true };
        let error = Purpose::Write.classify(&failure);
        assert!(matches!(error, StoreError::Transient(_)), "{error:?}");
    }

    #[test]
    fn what_can_never_work_is_permanent() {
        for (code, message) in [
            (
                Code::InvalidArgument,
                "etcdserver: authentication failed, invalid user ID or password",
            ),
            (Code::InvalidArgument, "etcdserver: request is too large"),
            (Code::PermissionDenied, "etcdserver: permission denied"),
        ] {
            for purpose in [Purpose::Read, Purpose::Write] {
                let error = classify(purpose, code, message);
                assert!(matches!(error, StoreError::Permanent(_)), "{code:?} {message}: {error:?}");
            }
        }
    }
}
