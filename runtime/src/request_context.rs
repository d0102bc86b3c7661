//! What travels with a call down the whole chain of calls that it causes, without being passed.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::failure::{Failure, FailureCode};

/// What travels with a call to its actor, and on with every call that its turn makes: pairs of
/// text, such as the tenant, and the W3C trace context.
///
/// It is bounded: at most [`PAIRS_MAX`](Self::PAIRS_MAX) pairs; a key is 1 to
/// [`KEY_BYTES_MAX`](Self::KEY_BYTES_MAX) bytes of `a-z 0-9 . _ -`, a value at most
/// [`VALUE_BYTES_MAX`](Self::VALUE_BYTES_MAX) bytes without control characters; keys and values
/// together are at most [`BYTES_MAX`](Self::BYTES_MAX) bytes. It travels as it is, readable to every
/// node on the way: it is no place for secrets, and it says only what the caller says.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RequestContext {
    pairs: BTreeMap<Box<str>, Box<str>>,
    trace: Option<Trace>,
}

/// The W3C trace context.
#[derive(Clone, PartialEq, Eq)]
struct Trace {
    parent: Box<str>,
    state: Box<str>,
}

static EMPTY: RequestContext = RequestContext { pairs: BTreeMap::new(), trace: None };

impl RequestContext {
    /// Most pairs.
    pub const PAIRS_MAX: usize = 16;
    /// Longest key, in bytes.
    pub const KEY_BYTES_MAX: usize = 64;
    /// Longest value, in bytes.
    pub const VALUE_BYTES_MAX: usize = 256;
    /// Most bytes of all keys and values together.
    pub const BYTES_MAX: usize = 4096;
    /// Longest `tracestate`, in bytes; a longer one is left out.
    pub const TRACESTATE_BYTES_MAX: usize = 512;

    /// One with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn of(shared: Option<&Arc<Self>>) -> &Self {
        shared.map_or(&EMPTY, |context| context)
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.get(key).map(|value| &**value)
    }

    /// All pairs, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Whether there is nothing in it: no pair, and no trace context.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty() && self.trace.is_none()
    }

    /// Gives a key its value, in the place of a former one.
    ///
    /// # Errors
    /// `bad_arguments` when key, value or the whole break their bounds; nothing is changed then.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        check_key(key)?;
        check_value(key, value)?;
        let len = |(key, value): (&str, &str)| key.len() + value.len();
        let others = self.iter().filter(|(other, _)| *other != key);
        let (count, bytes) = others
            .fold((1, len((key, value))), |(count, bytes), pair| (count + 1, bytes + len(pair)));
        if count > Self::PAIRS_MAX {
            let max = Self::PAIRS_MAX;
            return Err(bad(format_args!(
                "it may have {max} pairs, and `{key}` would be one more"
            )));
        }
        if bytes > Self::BYTES_MAX {
            let max = Self::BYTES_MAX;
            return Err(bad(format_args!(
                "it would have {bytes} bytes with `{key}`, of {max} allowed"
            )));
        }
        self.pairs.insert(key.into(), value.into());
        Ok(())
    }

    /// Takes a key out; answers with whether it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        self.pairs.remove(key).is_some()
    }

    /// The W3C `traceparent` of the caller: `00-{trace}-{span}-{flags}`.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.trace.as_ref().map(|trace| &*trace.parent)
    }

    /// The trace that the call belongs to: the 32 hex digits of the `traceparent`.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        // Its form was checked when it was set.
        self.traceparent()?.split('-').nth(1)
    }

    /// The W3C `tracestate` that belongs to [`traceparent`](Self::traceparent).
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.trace.as_ref().map(|trace| &*trace.state).filter(|state| !state.is_empty())
    }

    /// Sets the W3C trace context; an empty `tracestate` is none. One that is longer than
    /// [`TRACESTATE_BYTES_MAX`](Self::TRACESTATE_BYTES_MAX) or no visible ASCII is left out, as the
    /// specification has it.
    ///
    /// # Errors
    /// `bad_arguments` when `traceparent` is not as the specification has it.
    pub fn set_trace(&mut self, traceparent: &str, tracestate: &str) -> Result<(), Failure> {
        if !is_traceparent(traceparent) {
            let shown: String = traceparent.chars().take(TRACEPARENT_BYTES_MAX).collect();
            let rule = "00-{32 hex digits}-{16 hex digits}-{2 hex digits}, no id being all zeros";
            return Err(bad(format_args!("the traceparent must be {rule}, got {shown:?}")));
        }
        let visible = tracestate.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let fits = tracestate.len() <= Self::TRACESTATE_BYTES_MAX;
        let state = if visible && fits { tracestate } else { "" };
        self.trace = Some(Trace { parent: traceparent.into(), state: state.into() });
        Ok(())
    }

    /// Takes the W3C trace context out.
    pub fn remove_trace(&mut self) {
        self.trace = None;
    }
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be about people.
        let keys: Vec<&str> = self.iter().map(|(key, _)| key).collect();
        f.debug_struct("RequestContext")
            .field("keys", &keys)
            .field("traceparent", &self.traceparent())
            .finish_non_exhaustive()
    }
}

/// What a caller says about the context of one call.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Instead of what the call would inherit.
    whole: bool,
    context: RequestContext,
    /// The first thing that was wrong.
    wrong: Option<Failure>,
}

impl Changes {
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        if let Err(failure) = self.context.set(key, value) {
            self.wrong.get_or_insert(failure);
        }
    }

    pub(crate) fn replace(&mut self, context: RequestContext) {
        *self = Self { whole: true, context, wrong: self.wrong.take() };
    }

    /// The context of a call that inherits this one.
    pub(crate) fn over(
        self,
        inherited: Option<&Arc<RequestContext>>,
    ) -> Result<RequestContext, Failure> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        let Some(inherited) = inherited.filter(|_| !self.whole) else { return Ok(self.context) };
        let mut merged = RequestContext::clone(inherited);
        for (key, value) in self.context.iter() {
            merged.set(key, value)?;
        }
        Ok(merged)
    }
}

/// A version, a trace, a span and flags have 55 bytes; a later version may add to them.
const TRACEPARENT_BYTES: usize = 55;
const TRACEPARENT_BYTES_MAX: usize = 128;

fn is_traceparent(text: &str) -> bool {
    let bytes = text.as_bytes();
    let hex = |range: std::ops::Range<usize>| {
        bytes[range].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let some = |range: std::ops::Range<usize>| bytes[range].iter().any(|byte| *byte != b'0');
    if !(TRACEPARENT_BYTES..=TRACEPARENT_BYTES_MAX).contains(&bytes.len()) {
        return false;
    }
    let well_formed = hex(0..2)
        && hex(3..35)
        && hex(36..52)
        && hex(53..55)
        && [2, 35, 52].iter().all(|at| bytes[*at] == b'-');
    let whole = match &bytes[TRACEPARENT_BYTES..] {
        [] => true,
        [b'-', rest @ ..] => !text.starts_with("00") && rest.iter().all(u8::is_ascii_graphic),
        _ => false,
    };
    well_formed && whole && !text.starts_with("ff") && some(3..35) && some(36..52)
}

fn check_key(key: &str) -> Result<(), Failure> {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let max = RequestContext::KEY_BYTES_MAX;
    if (1..=max).contains(&key.len()) && key.bytes().all(allowed) {
        return Ok(());
    }
    let shown: String = key.chars().take(max).collect();
    Err(bad(format_args!("a key must be 1 to {max} bytes of a-z 0-9 . _ -, got {shown:?}")))
}

fn check_value(key: &str, value: &str) -> Result<(), Failure> {
    let (len, max) = (value.len(), RequestContext::VALUE_BYTES_MAX);
    if len > max {
        return Err(bad(format_args!(
            "the value of `{key}` has {len} bytes, at most {max} are allowed"
        )));
    }
    if value.chars().any(char::is_control) {
        return Err(bad(format_args!("the value of `{key}` has control characters")));
    }
    Ok(())
}

fn bad(message: fmt::Arguments<'_>) -> Failure {
    Failure::new(FailureCode::BadArguments, format!("the request context: {message}"))
}
