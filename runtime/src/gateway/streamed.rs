//! A streamed reply over HTTP: one JSON object a line, or server-sent events for those who ask for them.
//!
//! Either way the body says how the stream ended, so that one whose connection broke is not taken for
//! one that is complete. The body is written as fast as its reader takes it, and no faster is the actor's
//! stream asked for items.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use super::limits::Place;
use super::{Refusal, error_of};
use crate::failure::Failure;
use crate::streaming::{Flow, interrupted};

/// <https://github.com/ndjson/ndjson-spec>
const LINES: &str = "application/x-ndjson";
/// <https://html.spec.whatwg.org/multipage/server-sent-events.html>
const EVENTS: &str = "text/event-stream";

/// How the items are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `{"item": …}` for each item, and `{"end": true}` or `{"error": {…}}` at the end.
    Lines,
    /// An event for each item, and `end` or `error` at the end.
    Events,
}

impl Form {
    /// What the caller accepts; lines, unless it names events.
    fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT);
        let names_events = |value: &HeaderValue| {
            let value = value.to_str().unwrap_or_default();
            value.split(',').any(|part| part.split(';').next().is_some_and(|t| t.trim() == EVENTS))
        };
        if accepted.iter().any(names_events) { Self::Events } else { Self::Lines }
    }

    fn item(self, json: &[u8]) -> Bytes {
        match self {
            Self::Lines => joined(&[b"{\"item\":", json, b"}\n"]),
            // No line of an event may be broken; what JSON writes has no line breaks.
            Self::Events => joined(&[b"data: ", json, b"\n\n"]),
        }
    }

    fn error(self, failure: Failure) -> Bytes {
        let error = error_of(&Refusal::from(failure)).to_string();
        match self {
            Self::Lines => joined(&[b"{\"error\":", error.as_bytes(), b"}\n"]),
            Self::Events => joined(&[b"event: error\ndata: ", error.as_bytes(), b"\n\n"]),
        }
    }

    fn end(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Lines => b"{\"end\":true}\n",
            Self::Events => b"event: end\ndata: true\n\n",
        })
    }
}

fn joined(parts: &[&[u8]]) -> Bytes {
    let mut whole = BytesMut::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| whole.put_slice(part));
    whole.freeze()
}

/// The stream as the body of a response.
pub(super) fn response(
    flow: Flow,
    headers: &HeaderMap,
    place: Place,
    serving: watch::Receiver<bool>,
) -> Result<Response, Refusal> {
    let form = Form::of(headers);
    let body = (flow.into_encoded()?, place, serving);
    let pieces = stream::unfold(Some(body), move |body| async move {
        let (mut items, place, mut serving) = body?;
        let next = tokio::select! {
            next = items.next() => next,
            // The end of all clones of the sender is the end of the node, too.
            _ = serving.wait_for(|serving| !serving) => {
                Some(Err(interrupted("the node that serves it stops")))
            }
        };
        match next {
            Some(Ok(json)) => Some((form.item(&json), Some((items, place, serving)))),
            Some(Err(failure)) => Some((form.error(failure), None)),
            None => Some((form.end(), None)),
        }
    });
    let mut response = Response::new(Body::from_stream(pieces.map(Ok::<_, Infallible>)));
    let content_type = match form {
        Form::Lines => LINES,
        Form::Events => EVENTS,
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_for_those_who_name_them() {
        let form = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            Form::of(&headers)
        };
        assert_eq!(Form::of(&HeaderMap::new()), Form::Lines);
        assert_eq!(form("*/*"), Form::Lines);
        assert_eq!(form("application/json"), Form::Lines);
        assert_eq!(form("text/event-stream"), Form::Events);
        assert_eq!(form("text/html, text/event-stream;q=0.9"), Form::Events);
    }
}
