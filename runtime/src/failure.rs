//! Why a call was not answered by the actor's own code, and whether it may have run all the same.

use std::error::Error;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// Longest hint of when to try again; longer ones are cut to this, whoever gave them.
const RETRY_AFTER_MS_MAX: u64 = 3_600_000;

/// What a caller gets instead of the method's value: the actor's own error, or a failure of the
/// runtime to get an answer.
///
/// The author's `E` is kept apart so that `match` says which of the two it was without looking at
/// text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError<E> {
    /// The method ran to its end and answered with this error.
    Actor(E),
    /// No answer of the method reached the caller.
    Failed(Failure),
}

impl<E> CallError<E> {
    /// Whether the method may have run, so that a retry may do its work twice.
    ///
    /// True for [`CallError::Actor`], since the method itself answered; otherwise what
    /// [`Failure::may_have_run`] promises.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        match self {
            Self::Actor(_) => true,
            Self::Failed(failure) => failure.may_have_run,
        }
    }

    /// The failure's code, or `None` when the actor itself answered.
    #[must_use]
    pub fn code(&self) -> Option<FailureCode> {
        match self {
            Self::Actor(_) => None,
            Self::Failed(failure) => Some(failure.code),
        }
    }

    /// When a new attempt is worth it, as [`Failure::retry_after`] says.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Actor(_) => None,
            Self::Failed(failure) => failure.retry_after(),
        }
    }

    /// The actor's own error, or else the failure.
    ///
    /// # Errors
    ///
    /// The failure, when the actor did not answer.
    pub fn into_actor(self) -> Result<E, Failure> {
        match self {
            Self::Actor(error) => Ok(error),
            Self::Failed(failure) => Err(failure),
        }
    }

    /// The same error with the actor's part put into another type, a failure untouched.
    #[must_use]
    pub fn map_actor<F>(self, map: impl FnOnce(E) -> F) -> CallError<F> {
        match self {
            Self::Actor(error) => CallError::Actor(map(error)),
            Self::Failed(failure) => CallError::Failed(failure),
        }
    }
}

impl<E> From<Failure> for CallError<E> {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Actor(error) => error.fmt(f),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

/// Both variants are transparent: they print what they hold and name no source beneath it, so an
/// actor's error needs no more than `Debug` and `Display` to be used with `?`.
impl<E: fmt::Debug + fmt::Display> Error for CallError<E> {}

/// Why a call was not answered by the actor's own code.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Failure {
    /// The class of the failure, for programs.
    pub code: FailureCode,
    /// What happened, for people. Not stable; programs look at the code.
    pub message: String,
    /// Whether the method may have run.
    ///
    /// `false` is a promise: not one statement of the method has run for this call, and none will
    /// run later; a retry cannot do the work twice. `true` promises nothing: the method may have
    /// run to its end, in part or not at all, or may still be running, and only an idempotency key
    /// makes a retry safe.
    pub may_have_run: bool,
    /// In milliseconds. So short that it fits where there was nothing: answers are moved about on the
    /// way of every call.
    retry_after_ms: Option<NonZeroU32>,
}

impl Failure {
    /// A failure of a call that surely did not run.
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), may_have_run: false, retry_after_ms: None }
    }

    /// The same failure with a hint of when a new attempt is worth it: in whole milliseconds, rounded
    /// up, one hour at most; no hint if `span` is zero.
    pub fn with_retry_after(mut self, span: Duration) -> Self {
        let millis = span.as_nanos().div_ceil(1_000_000).min(RETRY_AFTER_MS_MAX.into());
        self.retry_after_ms = u32::try_from(millis).ok().and_then(NonZeroU32::new);
        self
    }

    /// How long to wait before a new attempt is worth it, as far as whoever refused the call can tell;
    /// `None` when it can't.
    ///
    /// A refusal as `overloaded` has it: from the queue before the actor and how long its turns take, the
    /// time at which a rate limit lets the next call through, or when somebody looks again whether there
    /// is memory. It is a hint: nothing is kept free for whoever waits so long. Hints that many callers
    /// get at a time differ a little, so that they don't come back all at once.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_ms.map(|millis| Duration::from_millis(millis.get().into()))
    }

    /// The answer of an interceptor that does not let a call pass, with the code `refused`.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(FailureCode::Refused, message)
    }

    /// The same failure for a call that may have run: this promises less, so it is always safe.
    pub fn that_may_have_run(mut self) -> Self {
        self.may_have_run = true;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ran = if self.may_have_run { "the call may have run" } else { "the call did not run" };
        write!(f, "{}: {} ({ran}", self.code, self.message)?;
        if let Some(span) = self.retry_after() {
            write!(f, "; worth a new attempt in {span:?}")?;
        }
        f.write_str(")")
    }
}

impl Error for Failure {}

/// Declares the codes once, so that the names, the parser and the list cannot drift apart.
macro_rules! failure_codes {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal,)+) => {
        /// The classes of failure. Their names are part of the wire and never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum FailureCode {
            $($(#[$doc])+ $variant,)+
        }

        impl FailureCode {
            /// Every code this version knows.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable name, in snake_case: what the wire, metrics and logs say.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The code of that name, or `None` for a name this version does not know.
            ///
            /// A newer peer may send such a name. The caller of this function decides which code
            /// stands in for it and must keep the name in the message, so that it isn't lost.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

failure_codes! {
    /// No node hosts actors of this kind.
    UnknownKind = "unknown_kind",
    /// The kind has no such method.
    UnknownMethod = "unknown_method",
    /// The arguments could not be written or read.
    BadArguments = "bad_arguments",
    /// The key cannot name an actor.
    BadKey = "bad_key",
    /// Arguments or reply are larger than the configured limit.
    TooLarge = "too_large",
    /// A bounded queue was full; try later.
    Overloaded = "overloaded",
    /// The actor could not be brought to life.
    ActivationFailed = "activation_failed",
    /// The deadline passed.
    Timeout = "timeout",
    /// The node asked does not own the actor's shard.
    NotOwner = "not_owner",
    /// The node lost its right to run before the reply left; or the node that the call was made on lost it, because
    /// the store does not answer, and can't learn who else may run the call.
    Fenced = "fenced",
    /// The method, or an interceptor on the way to it, panicked.
    Panicked = "panicked",
    /// The node could not be reached, or the connection broke.
    Unreachable = "unreachable",
    /// The node is shutting down.
    Stopping = "stopping",
    /// The call would wait for an actor that waits for it.
    Cycle = "cycle",
    /// A reply arrived that could not be read, or could not be written.
    BadReply = "bad_reply",
    /// An interceptor did not let the call pass.
    Refused = "refused",
    /// A streamed reply was cut short, because the actor moved or the connection broke: call again, and say
    /// from where to go on.
    Interrupted = "interrupted",
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for FailureCode {
    type Err = UnknownFailureCode;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::parse(name).ok_or_else(|| UnknownFailureCode { name: name.to_owned() })
    }
}

/// A failure code this version does not know; keeps the name, so that it can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFailureCode {
    /// The name as it was read.
    pub name: String,
}

impl fmt::Display for UnknownFailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown failure code `{}`", self.name)
    }
}

impl Error for UnknownFailureCode {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_codes_are_the_wire_contract() {
        let names: Vec<_> = FailureCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(
            names.join(" "),
            "unknown_kind unknown_method bad_arguments bad_key too_large overloaded \
             activation_failed timeout not_owner fenced panicked unreachable stopping cycle \
             bad_reply refused interrupted"
        );
    }

    #[test]
    fn every_name_reads_back_and_an_unknown_one_is_kept() {
        for &code in FailureCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
        }
        assert_eq!(FailureCode::parse("Timeout"), None);
        let unknown = "quota_spent".parse::<FailureCode>().unwrap_err();
        assert_eq!(unknown.to_string(), "unknown failure code `quota_spent`");
    }

    #[test]
    fn an_actors_answer_may_have_run_and_a_failure_says_itself() {
        let actor: CallError<&str> = CallError::Actor("broke");
        assert!(actor.may_have_run());
        assert_eq!(actor.code(), None);
        let failure = Failure::new(FailureCode::Timeout, "no answer");
        let failed: CallError<&str> = failure.clone().into();
        assert!(!failed.may_have_run());
        assert_eq!(failed.code(), Some(FailureCode::Timeout));
        assert!(CallError::<&str>::Failed(failure.that_may_have_run()).may_have_run());
    }

    #[test]
    fn text_says_whether_the_call_ran() {
        let failure = Failure::new(FailureCode::Timeout, "no answer in 5s");
        assert_eq!(failure.to_string(), "timeout: no answer in 5s (the call did not run)");
        assert_eq!(
            CallError::<String>::Failed(failure.that_may_have_run()).to_string(),
            "timeout: no answer in 5s (the call may have run)"
        );
    }

    #[test]
    fn a_hint_is_in_whole_milliseconds_and_an_hour_at_most() {
        let hint = |span| Failure::new(FailureCode::Overloaded, "full").with_retry_after(span);
        assert_eq!(Failure::new(FailureCode::Overloaded, "full").retry_after(), None);
        assert_eq!(hint(Duration::ZERO).retry_after(), None);
        assert_eq!(hint(Duration::from_nanos(1)).retry_after(), Some(Duration::from_millis(1)));
        assert_eq!(hint(Duration::from_micros(1500)).retry_after(), Some(Duration::from_millis(2)));
        assert_eq!(hint(Duration::MAX).retry_after(), Some(Duration::from_secs(3600)));
        let failed: CallError<&str> = hint(Duration::from_millis(40)).into();
        assert_eq!(failed.retry_after(), Some(Duration::from_millis(40)));
        assert_eq!(
            failed.to_string(),
            "overloaded: full (the call did not run; worth a new attempt in 40ms)"
        );
    }

    #[test]
    fn the_actors_part_can_be_mapped_and_taken_out() {
        let mapped = CallError::Actor(3_u8).map_actor(u32::from);
        assert_eq!(mapped.into_actor(), Ok(3_u32));
        let failure = Failure::new(FailureCode::Cycle, "a waits for b");
        let failed = CallError::<u8>::Failed(failure.clone()).map_actor(u32::from);
        assert_eq!(failed.into_actor(), Err(failure));
    }
}
