//! HTTP requests without a connection. An input is what stands in one: a line with method and path, lines
//! of headers, an empty line, and the body.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use tower::ServiceExt;

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// `None` for what no HTTP server would take for a request.
pub(super) fn read(input: &[u8]) -> Option<Request<Bytes>> {
    let end = input.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = match end {
        Some(end) => (&input[..end], &input[end + 2..]),
        None => (input, &[][..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = lines.next()?;
    let space = first.iter().position(|byte| *byte == b' ')?;
    let mut request = Request::builder().method(&first[..space]).uri(&first[space + 1..]);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
    }
    request.body(Bytes::copy_from_slice(body)).ok()
}

/// What the routes answer. The body of events that have no end is left out.
pub(super) async fn answer(routes: Router, request: &Request<Bytes>) -> Answer {
    let request = request.clone().map(Body::from);
    let Ok(response) = routes.oneshot(request).await;
    let (parts, body) = response.into_parts();
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let body = match kind {
        Some("text/event-stream") => Bytes::new(),
        _ => body.collect().await.expect("a body has an end").to_bytes(),
    };
    Answer { status: parts.status, headers: parts.headers, body }
}

/// Code and message of an error, which is JSON.
pub(super) fn error(answer: &Answer) -> (String, serde_json::Value) {
    let kind = answer.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    assert_eq!(kind, Some(&b"application/json"[..]), "{}", answer.status);
    let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("an error is JSON");
    let error = body["error"].clone();
    let code = error["code"].as_str().expect("an error has a code").to_owned();
    assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
    (code, error)
}

/// An input.
pub(super) fn written(first: &str, headers: &[&str], body: &str) -> Vec<u8> {
    format!("{}\n\n{body}", [&[first], headers].concat().join("\n")).into_bytes()
}
