//! A call's arguments and its outcome: as they are between actors of one node, as bytes otherwise.
//!
//! This is the only place where values of the actor's author become bytes and back. What comes
//! from elsewhere is not trusted: nesting is bounded (`bounded`), no memory is reserved by a
//! claimed length, and bytes left over are an error. How large a message may be is checked by
//! whoever receives it, before it gets here.

mod bounded;

use std::any::Any;
use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt;
use std::io;

use bytes::Bytes;
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned};

use self::bounded::{Bounded, Limits};
use crate::failure::{CallError, Failure, FailureCode};
use crate::streaming::{Flow, Items, Streamed};

/// Longest message about bytes that could not be read; such a message may quote the bytes.
const MESSAGE_BYTES_MAX: usize = 400;

/// Room for a value that is written; most are smaller.
const VALUE_BYTES: usize = 64;

/// How values are written as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// MessagePack with structs as maps from field name to value: between nodes.
    MessagePack,
    /// JSON: at the HTTP gateway.
    Json,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MessagePack => "MessagePack",
            Self::Json => "JSON",
        })
    }
}

/// A method's arguments.
#[derive(Debug)]
pub enum Arguments {
    /// From a caller on the same node: the method's arguments struct itself.
    Typed(Box<dyn Any + Send>),
    /// From elsewhere: a map (an object) from argument name to value.
    Encoded {
        /// How the bytes are written, and so how the reply must be.
        encoding: Encoding,
        /// The map. Nothing at all and a null stand for an empty map.
        bytes: Bytes,
    },
}

impl Arguments {
    /// The form in which the caller wants the outcome.
    #[must_use]
    pub fn form(&self) -> ReplyForm {
        match self {
            Self::Typed(_) => ReplyForm::Typed,
            Self::Encoded { encoding, .. } => ReplyForm::Encoded(*encoding),
        }
    }

    /// The arguments as the method's own struct.
    ///
    /// Fields of the map that `T` does not have are ignored, so that a newer caller may send
    /// arguments that this node does not know yet.
    ///
    /// # Errors
    ///
    /// A [`FailureCode::BadArguments`] that names the argument at fault; the method did not run.
    pub fn open<T: DeserializeOwned + Send + 'static>(self) -> Result<T, Failure> {
        match self {
            Self::Typed(typed) => typed.downcast().map(|arguments| *arguments).map_err(|_| {
                bad_arguments(format!(
                    "the caller gave another type than `{}`",
                    std::any::type_name::<T>()
                ))
            }),
            Self::Encoded { encoding, bytes } => {
                let map = map_of(encoding, &bytes).map_err(bad_arguments)?;
                // The error's text names no field when a value is of the wrong type. A second
                // reading finds the field; it is worth its time only when the first one failed.
                read(encoding, map, None).map_err(|message| {
                    let field = RefCell::new(String::new());
                    let _: Result<T, String> = read(encoding, map, Some(&field));
                    let field = field.into_inner();
                    bad_arguments(if field.is_empty() {
                        message
                    } else {
                        shortened(format!("argument `{}`: {message}", shortened(field)))
                    })
                })
            }
        }
    }
}

/// In which form a caller wants the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyForm {
    /// As a value of the method's own types.
    Typed,
    /// As bytes.
    Encoded(Encoding),
}

impl ReplyForm {
    /// The outcome of a method that returns `Result<T, E>`.
    pub fn result<T, E>(self, result: Result<T, E>) -> Outcome
    where
        T: Serialize + Send + 'static,
        E: Serialize + Send + 'static,
    {
        match self {
            Self::Typed if result.is_err() => Outcome::TypedErr(Box::new(result)),
            Self::Typed => Outcome::Typed(Box::new(result)),
            Self::Encoded(encoding) => {
                let written = match &result {
                    Ok(value) => encode(encoding, value).map(Outcome::Ok),
                    Err(error) => encode(encoding, error).map(Outcome::Err),
                };
                written.unwrap_or_else(unwritable)
            }
        }
    }

    /// The outcome of a method that returns a plain `T`; as a value, a `Result<T, Infallible>`.
    pub fn value<T: Serialize + Send + 'static>(self, value: T) -> Outcome {
        match self {
            Self::Typed => Outcome::Typed(Box::new(Ok::<T, Infallible>(value))),
            Self::Encoded(encoding) => {
                encode(encoding, &value).map(Outcome::Ok).unwrap_or_else(unwritable)
            }
        }
    }
}

/// Of methods that answer with a stream.
impl ReplyForm {
    /// The outcome of a method that returns `Result<Streamed<T>, E>`.
    pub fn streamed_result<T, E>(self, result: Result<Streamed<T>, E>) -> Outcome
    where
        T: Serialize + Send + 'static,
        E: Serialize + Send + 'static,
    {
        match result {
            Ok(streamed) => self.streamed(streamed),
            Err(error) => self.result(Err::<(), E>(error)),
        }
    }

    /// The outcome of a method that returns a plain `Streamed<T>`.
    pub fn streamed<T: Serialize + Send + 'static>(self, streamed: Streamed<T>) -> Outcome {
        Outcome::Stream(Box::new(Flow::of(self, streamed)))
    }
}

/// What came of a call.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// The method's answer for a caller on the same node: a `Result<T, E>`, where `E` is
    /// `Infallible` for a method that returns no `Result`.
    Typed(Box<dyn Any + Send>),
    /// The same, when it is the method's own error.
    TypedErr(Box<dyn Any + Send>),
    /// The method's value, as bytes.
    Ok(Bytes),
    /// The method's own error, as bytes.
    Err(Bytes),
    /// The method answers with a stream.
    Stream(Box<Flow>),
    /// The method did not answer.
    Failed(Failure),
}

impl Outcome {
    /// What the caller of a method that returns `Result<T, E>` gets; `encoding` is how bytes, if
    /// that is what came, were written.
    ///
    /// # Errors
    ///
    /// The method's own error, the failure, or [`FailureCode::BadReply`] for an answer that is not
    /// of these types: the method has run by then.
    pub fn take<T, E>(self, encoding: Encoding) -> Result<T, CallError<E>>
    where
        T: DeserializeOwned + 'static,
        E: DeserializeOwned + 'static,
    {
        match self {
            Self::Typed(typed) | Self::TypedErr(typed) => {
                untyped::<Result<T, _>>(typed)?.map_err(CallError::Actor)
            }
            Self::Ok(bytes) => decode(encoding, &bytes).map_err(unreadable),
            Self::Err(bytes) => {
                Err(decode(encoding, &bytes).map_or_else(unreadable, CallError::Actor))
            }
            Self::Stream(_) => Err(unreadable("the method answered with a stream")),
            Self::Failed(failure) => Err(CallError::Failed(failure)),
        }
    }

    /// What the caller of a method that returns a plain `T` gets.
    ///
    /// # Errors
    ///
    /// As [`Outcome::take`], without an error of the method's own.
    pub fn take_value<T>(self, encoding: Encoding) -> Result<T, CallError<Infallible>>
    where
        T: DeserializeOwned + 'static,
    {
        match self {
            Self::Typed(typed) | Self::TypedErr(typed) => {
                untyped::<Result<T, _>>(typed)?.map_err(CallError::Actor)
            }
            Self::Ok(bytes) => decode(encoding, &bytes).map_err(unreadable),
            Self::Err(_) => {
                Err(unreadable("the method answered with an error and is declared without one"))
            }
            Self::Stream(_) => Err(unreadable("the method answered with a stream")),
            Self::Failed(failure) => Err(CallError::Failed(failure)),
        }
    }

    /// What the caller of a method that returns `Result<Streamed<T>, E>` gets.
    ///
    /// # Errors
    ///
    /// As [`Outcome::take`], before the first item.
    pub fn take_items<T, E>(self, encoding: Encoding) -> Result<Items<T>, CallError<E>>
    where
        T: DeserializeOwned + Send + 'static,
        E: DeserializeOwned + 'static,
    {
        match self {
            Self::Stream(flow) => Ok(Items::of(*flow, encoding)?),
            other => {
                Err(other.take::<(), E>(encoding).map_or_else(|error| error, |()| no_stream()))
            }
        }
    }

    /// What the caller of a method that returns a plain `Streamed<T>` gets.
    ///
    /// # Errors
    ///
    /// As [`Outcome::take_items`], without an error of the method's own.
    pub fn take_plain_items<T>(self, encoding: Encoding) -> Result<Items<T>, CallError<Infallible>>
    where
        T: DeserializeOwned + Send + 'static,
    {
        match self {
            Self::Stream(flow) => Ok(Items::of(*flow, encoding)?),
            other => {
                Err(other.take_value::<()>(encoding).map_or_else(|error| error, |()| no_stream()))
            }
        }
    }
}

fn no_stream<E>() -> CallError<E> {
    unreadable("the method answered without a stream")
}

/// The value as bytes.
///
/// # Errors
///
/// [`FailureCode::BadArguments`] for a value that the encoding cannot write, such as a JSON object
/// whose keys are no strings.
pub(crate) fn encode<T: Serialize>(encoding: Encoding, value: &T) -> Result<Bytes, Failure> {
    let mut bytes = Vec::with_capacity(VALUE_BYTES);
    encode_to(encoding, value, &mut bytes)?;
    Ok(bytes.into())
}

/// Writes the value to the end of `out`.
///
/// # Errors
///
/// As [`encode`].
pub(crate) fn encode_to<T: Serialize>(
    encoding: Encoding,
    value: &T,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let written = match encoding {
        Encoding::MessagePack => {
            rmp_serde::encode::write_named(out, value).map_err(|error| error.to_string())
        }
        Encoding::Json => serde_json::to_writer(out, value).map_err(|error| error.to_string()),
    };
    written.map_err(|message| {
        bad_arguments(shortened(format!("cannot be written as {encoding}: {message}")))
    })
}

/// The value in these bytes, which must hold nothing else.
///
/// # Errors
///
/// What is wrong, for people: not of the type, cut off, followed by more, or nested too deep.
pub(crate) fn decode<T: DeserializeOwned>(encoding: Encoding, bytes: &[u8]) -> Result<T, String> {
    read(encoding, bytes, None)
}

fn read<T: DeserializeOwned>(
    encoding: Encoding,
    bytes: &[u8],
    field: Option<&RefCell<String>>,
) -> Result<T, String> {
    let limits = Limits::new(bytes.len(), field);
    let read = match encoding {
        Encoding::MessagePack => read_message_pack(bytes, limits),
        Encoding::Json => read_json(bytes, limits),
    };
    read.map_err(shortened)
}

fn read_message_pack<T: DeserializeOwned>(bytes: &[u8], limits: Limits<'_>) -> Result<T, String> {
    use rmp_serde::decode::Error;

    let mut inner = rmp_serde::Deserializer::from_read_ref(bytes);
    let value =
        T::deserialize(Bounded { inner: &mut inner, limits }).map_err(|error| match error {
            Error::InvalidMarkerRead(_) | Error::InvalidDataRead(_) => {
                "the message is cut off".into()
            }
            error => error.to_string(),
        })?;
    // The format does not tell how far it read, so ask it for one more value: there must be none.
    match bool::deserialize(&mut inner) {
        Err(Error::InvalidMarkerRead(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Ok(value)
        }
        _ => Err("bytes are left over after the value".to_owned()),
    }
}

fn read_json<T: DeserializeOwned>(bytes: &[u8], limits: Limits<'_>) -> Result<T, String> {
    let mut inner = serde_json::Deserializer::from_slice(bytes);
    let value = T::deserialize(Bounded { inner: &mut inner, limits });
    let whole = value.and_then(|value| inner.end().map(|()| value));
    whole.map_err(|error| error.to_string())
}

/// The bytes of the arguments' map. Positional arguments are refused: an argument could not be
/// added without breaking every caller.
fn map_of(encoding: Encoding, bytes: &[u8]) -> Result<&[u8], String> {
    match encoding {
        Encoding::MessagePack => match bytes {
            [] | [0xc0] => Ok(&[0x80]),
            [0x80..=0x8f | 0xde | 0xdf, ..] => Ok(bytes),
            _ => Err("the arguments must be a map from name to value".to_owned()),
        },
        Encoding::Json => match bytes.trim_ascii() {
            b"" | b"null" => Ok(b"{}"),
            trimmed if trimmed.starts_with(b"{") => Ok(bytes),
            _ => Err("the arguments must be a JSON object, such as {\"amount\": 5}".to_owned()),
        },
    }
}

fn untyped<R: 'static>(typed: Box<dyn Any + Send>) -> Result<R, Failure> {
    typed
        .downcast()
        .map(|result| *result)
        .map_err(|_| bad_reply(format!("the answer is not a `{}`", std::any::type_name::<R>())))
}

fn unreadable<E>(message: impl Into<String>) -> CallError<E> {
    CallError::Failed(bad_reply(message))
}

fn unwritable(failure: Failure) -> Outcome {
    Outcome::Failed(bad_reply(failure.message))
}

/// There is an answer, so the method has run.
fn bad_reply(message: impl Into<String>) -> Failure {
    Failure::new(FailureCode::BadReply, message).that_may_have_run()
}

fn bad_arguments(message: impl Into<String>) -> Failure {
    Failure::new(FailureCode::BadArguments, message)
}

fn shortened(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES_MAX {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests;
