//! What a gateway answers.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::CONTENT_TYPE;
use hyper::{Response, StatusCode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::CallError;

/// Longest line of a stream in bytes: the largest item that a node may be set to, and what is around
/// it.
const LINE_LEN_MAX: usize = (1 << 30) + 4096;

/// What a method answered with.
#[derive(Debug)]
pub enum Reply {
    /// Its value.
    Value(Value),
    /// The beginning of a stream.
    Stream(Items),
}

/// A streamed reply, item by item as they come.
#[derive(Debug)]
pub struct Items {
    body: Incoming,
    /// What came and was not read yet.
    buffer: Vec<u8>,
    ended: bool,
    /// The connection ends with it.
    _connection: SendRequest<Full<Bytes>>,
}

/// A line of a streamed reply.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Item(Value),
    End(IgnoredAny),
    Error(Told),
}

#[derive(Deserialize)]
struct Refused {
    error: Told,
}

#[derive(Deserialize)]
struct Told {
    code: String,
    message: String,
    may_have_run: bool,
    retry_after_ms: Option<u64>,
    #[serde(default)]
    actor: Option<Value>,
}

impl Told {
    fn error(self) -> CallError {
        let Self { code, message, may_have_run, retry_after_ms, actor } = self;
        match actor {
            Some(error) if code == "actor_error" => CallError::Actor(error),
            _ => {
                let retry_after = retry_after_ms.map(Duration::from_millis);
                CallError::Failed { code, message, may_have_run, retry_after }
            }
        }
    }
}

pub(super) fn is_stream(response: &Response<Incoming>) -> bool {
    let form = response.headers().get(CONTENT_TYPE).and_then(|form| form.to_str().ok());
    form.is_some_and(|form| form.starts_with("application/x-ndjson"))
}

/// The method's value, or why there is none.
pub(super) fn value(status: StatusCode, body: &[u8]) -> Result<Value, CallError> {
    let foreign = CallError::NotAGateway { status: status.as_u16() };
    if status == StatusCode::OK {
        return serde_json::from_slice(body).map_err(|_| foreign);
    }
    match serde_json::from_slice::<Refused>(body) {
        Ok(refused) => Err(refused.error.error()),
        Err(_) => Err(foreign),
    }
}

impl Items {
    pub(super) fn new(body: Incoming, connection: SendRequest<Full<Bytes>>) -> Self {
        Self { body, buffer: Vec::new(), ended: false, _connection: connection }
    }

    /// The next item; `None` once the actor has come to its end.
    ///
    /// # Errors
    /// When the stream was interrupted; what came before is good, and nothing follows.
    pub async fn next(&mut self) -> Result<Option<Value>, CallError> {
        if self.ended {
            return Ok(None);
        }
        let read = self.read().await;
        self.ended = !matches!(read, Ok(Some(_)));
        read
    }

    async fn read(&mut self) -> Result<Option<Value>, CallError> {
        let line = self.line().await?;
        let foreign = |_| CallError::NotAGateway { status: StatusCode::OK.as_u16() };
        match serde_json::from_slice(&line).map_err(foreign)? {
            Line::Item(item) => Ok(Some(item)),
            Line::End(_) => Ok(None),
            Line::Error(told) => Err(told.error()),
        }
    }

    async fn line(&mut self) -> Result<Vec<u8>, CallError> {
        // What was looked at already has no end in it.
        let mut looked = 0;
        loop {
            if let Some(end) = self.buffer[looked..].iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(looked + end + 1);
                return Ok(std::mem::replace(&mut self.buffer, rest));
            }
            looked = self.buffer.len();
            match self.body.frame().await {
                Some(Ok(frame)) => self.buffer.extend(frame.into_data().unwrap_or_default()),
                Some(Err(_)) | None => return Err(CallError::CutShort),
            }
            if self.buffer.len() > LINE_LEN_MAX {
                return Err(CallError::CutShort);
            }
        }
    }
}
