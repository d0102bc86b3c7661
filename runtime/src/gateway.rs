//! The HTTP gateway: actors for callers without Rust, and the probes of this node.
//!
//! `POST /v1/actors/{kind}/{key}/{method}` takes a JSON object of the method's arguments and
//! answers with its return value as JSON. `GET /v1/actors/{kind}/{key}` tells where the actor is,
//! without activating it. Every error is a JSON object
//! `{"error": {"code", "message", "may_have_run"}}` with a stable code, and with `retry_after_ms` where
//! it is known when a new attempt is worth it. `GET /metrics` shows the
//! metrics of the process in Prometheus' text format.

mod context;
mod door;
mod limits;
mod streamed;

use std::sync::Arc;
use std::time::Duration;

use axum::Router as HttpRouter;
use axum::body::Body;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use governor::clock::MonotonicClock;
use serde_json::{json, value::RawValue};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::activation::Answer;
use crate::failure::{Failure, FailureCode};
use crate::health::{Health, NotLive, Readiness};
use crate::intercept::Source;
use crate::metrics;
use crate::overload::Refusals;
use crate::payload::{Arguments, Encoding, Outcome};
use crate::router::{Method, Package, Persistence, Request, Router};

use door::send_away;
pub(crate) use door::{Client, Door, Visitors};
use limits::{Doorkeeper, Place, limit};
pub use limits::{GatewayLimits, Rate};

/// How long a call may take, in milliseconds, if its caller says so.
const TIMEOUT_HEADER: &str = "greenroom-timeout-ms";
const TIMEOUT_MS_MAX: u64 = 3_600_000;
/// The version is that of Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone)]
struct Gateway {
    router: Router,
    health: Health,
    /// Turns false when the node stops.
    serving: watch::Receiver<bool>,
}

/// Of limits that were checked.
pub(crate) fn routes(
    router: Router,
    health: Health,
    limits: &GatewayLimits,
    refusals: Arc<Refusals>,
    serving: watch::Receiver<bool>,
) -> HttpRouter {
    let body_bytes_max = router.limits().payload_bytes_max;
    let doorkeeper = Arc::new(Doorkeeper::new(limits, refusals, MonotonicClock));
    let limited = from_fn_with_state(doorkeeper, limit);
    HttpRouter::new()
        .route("/v1/actors/{kind}/{key}/{method}", post(call).layer(limited.clone()))
        .route("/v1/actors/{kind}/{key}", get(peek).layer(limited))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/metrics", get(scrape))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_verb)
        .layer(DefaultBodyLimit::max(body_bytes_max))
        .layer(from_fn_with_state(health.clone(), send_away))
        .with_state(Gateway { router, health, serving })
}

/// An answer that is no success.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    may_have_run: bool,
    retry_after: Option<Duration>,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), may_have_run: false, retry_after: None }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self {
            status: status_of(failure.code),
            code: failure.code.as_str(),
            retry_after: failure.retry_after(),
            message: failure.message,
            may_have_run: failure.may_have_run,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = error_of(&self);
        let Self { status, retry_after, .. } = self;
        let mut response = (status, axum::Json(json!({ "error": error }))).into_response();
        let passes =
            status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE;
        if passes || retry_after.is_some() {
            // The header knows whole seconds only.
            let seconds = retry_after.unwrap_or_default().as_nanos().div_ceil(1_000_000_000).max(1);
            let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// A refusal as the callers read it.
fn error_of(refusal: &Refusal) -> serde_json::Value {
    let Refusal { code, message, may_have_run, retry_after, .. } = refusal;
    let mut error = json!({"code": code, "message": message, "may_have_run": may_have_run});
    if let Some(span) = retry_after {
        error["retry_after_ms"] = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).into();
    }
    error
}

/// The HTTP status of each way to fail.
fn status_of(code: FailureCode) -> StatusCode {
    match code {
        FailureCode::BadKey => StatusCode::BAD_REQUEST,
        FailureCode::Refused => StatusCode::FORBIDDEN,
        FailureCode::UnknownKind => StatusCode::NOT_FOUND,
        FailureCode::UnknownMethod => StatusCode::METHOD_NOT_ALLOWED,
        FailureCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        FailureCode::BadArguments => StatusCode::UNPROCESSABLE_ENTITY,
        FailureCode::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        FailureCode::Cycle => StatusCode::LOOP_DETECTED,
        FailureCode::NotOwner | FailureCode::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        FailureCode::Unreachable | FailureCode::Fenced | FailureCode::Interrupted => {
            StatusCode::BAD_GATEWAY
        }
        FailureCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
        FailureCode::ActivationFailed | FailureCode::Panicked | FailureCode::BadReply => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

async fn call(
    State(gateway): State<Gateway>,
    Extension(place): Extension<Place>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let max = gateway.router.limits().payload_bytes_max;
            let message = format!("the body is larger than the {max} bytes that are allowed");
            Refusal::from(Failure::new(FailureCode::TooLarge, message))
        }
        status => Refusal::new(status, "bad_body", rejection.body_text()),
    })?;
    let Path((kind, key, method)) = path.map_err(|rejection| unreadable_path(&rejection))?;
    let patience = patience(&headers, gateway.router.call_timeout())?;
    let actor = gateway.router.actor(&kind, &key)?;
    let hosted = gateway.router.hosted(&kind);
    let made = Instant::now();
    let request = Request {
        id: actor.id(),
        shard: actor.shard(),
        hosted,
        method: Method::Named(&method),
        made,
        deadline: made + patience,
        one_way: false,
        persistence: Persistence::Usual,
        is_retry: false,
        source: Source::Gateway,
        changes: None,
        context: context::of(&headers),
        watched: None,
    };
    let mut package = Json(arguments(body)?);
    match gateway.router.call(request, &mut package).await {
        Answer::Done(Outcome::Ok(bytes)) => Ok(json_response(StatusCode::OK, bytes)),
        Answer::Done(Outcome::Err(bytes)) => Ok(actor_error(&bytes)),
        Answer::Done(Outcome::Failed(failure)) | Answer::Bounced(failure, _) => Err(failure.into()),
        Answer::Done(Outcome::Stream(flow)) => {
            streamed::response(*flow, &headers, place, gateway.serving)
        }
        Answer::Done(Outcome::Typed(_) | Outcome::TypedErr(_)) | Answer::Accepted => {
            let message = "the actor's answer can't be written as JSON";
            Err(Failure::new(FailureCode::BadReply, message).that_may_have_run().into())
        }
    }
}

/// The method's arguments as they were sent: a JSON object; nothing at all counts as an empty one.
fn arguments(body: Bytes) -> Result<Bytes, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Bytes::from_static(b"{}"));
    }
    let bad = |message: String| Failure::new(FailureCode::BadArguments, message);
    let raw: &RawValue = serde_json::from_slice(&body)
        .map_err(|error| bad(format!("the body is not JSON: {error}")))?;
    if !raw.get().starts_with('{') {
        let message = "the body must be a JSON object with the method's arguments as fields";
        return Err(bad(message.to_owned()).into());
    }
    Ok(body)
}

fn patience(headers: &HeaderMap, default: Duration) -> Result<Duration, Refusal> {
    let Some(value) = headers.get(TIMEOUT_HEADER) else {
        return Ok(default);
    };
    let millis = value.to_str().ok().and_then(|text| text.parse().ok());
    match millis {
        Some(millis) if (1..=TIMEOUT_MS_MAX).contains(&millis) => Ok(Duration::from_millis(millis)),
        _ => {
            let message =
                format!("the header {TIMEOUT_HEADER} must be 1 to {TIMEOUT_MS_MAX}, got {value:?}");
            Err(Refusal::new(StatusCode::BAD_REQUEST, "bad_timeout", message))
        }
    }
}

/// What the actor itself refused: its own error, as it wrote it.
fn actor_error(bytes: &[u8]) -> Response {
    let error: Option<&RawValue> = serde_json::from_slice(bytes).ok();
    let body = json!({"error": {
        "code": "actor_error",
        "message": "the actor refused the call",
        "may_have_run": true,
        "actor": error,
    }});
    (StatusCode::CONFLICT, axum::Json(body)).into_response()
}

fn json_response(status: StatusCode, bytes: Bytes) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

async fn peek(
    State(gateway): State<Gateway>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path((kind, key)) = path.map_err(|rejection| unreadable_path(&rejection))?;
    let actor = gateway.router.actor(&kind, &key)?;
    let peeked = gateway.router.peek(actor.id());
    let owner = peeked.route.as_ref().map(|route| {
        let life = &route.owner.life;
        json!({
            "node": life.node.as_str(),
            "incarnation": life.incarnation.0,
            "address": route.owner.address,
            "epoch": route.epoch.0,
        })
    });
    let body = json!({"kind": kind, "key": key, "shard": peeked.shard.0, "owner": owner});
    Ok(axum::Json(body).into_response())
}

/// Whether the node makes progress.
async fn live(State(gateway): State<Gateway>) -> Result<Response, Refusal> {
    match gateway.health.not_live() {
        Some(NotLive { code, message }) => {
            Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, code, message))
        }
        None => Ok(axum::Json(json!({"live": true})).into_response()),
    }
}

/// Whether calls should come here.
async fn ready(State(gateway): State<Gateway>) -> Response {
    let Readiness { claimed, targeted, reasons } = gateway.health.readiness();
    let code = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": reasons.is_empty(),
        "claimed": claimed,
        "targeted": targeted,
        "reasons": reasons,
    });
    (code, axum::Json(body)).into_response()
}

/// The metrics of the process.
async fn scrape() -> Result<Response, Refusal> {
    let text = metrics::scrape().ok_or_else(|| {
        let message = "the application has a metrics recorder of its own, which receives what this \
                       node tells";
        Refusal::new(StatusCode::NOT_FOUND, "no_metrics", message)
    })?;
    Ok(([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response())
}

/// Kind, key or method is no text.
fn unreadable_path(rejection: &PathRejection) -> Refusal {
    Failure::new(FailureCode::BadKey, rejection.body_text()).into()
}

async fn no_such_path(State(gateway): State<Gateway>, uri: Uri) -> Refusal {
    // An empty key makes the path of an actor one that no route has.
    if let ["", "v1", "actors", kind, ""] | ["", "v1", "actors", kind, "", _] =
        uri.path().split('/').collect::<Vec<_>>()[..]
        && let Err(failure) = gateway.router.actor(kind, "")
    {
        return failure.into();
    }
    let message = "there are POST /v1/actors/{kind}/{key}/{method}, GET /v1/actors/{kind}/{key}, \
                   GET /live, GET /ready and GET /metrics";
    Refusal::new(StatusCode::NOT_FOUND, "unknown_path", message)
}

async fn wrong_verb() -> Refusal {
    let message = "actors are called with POST and looked up with GET; probes and metrics are read \
                   with GET";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_verb", message)
}

/// Arguments as JSON, which any node can read as they are.
struct Json(Bytes);

impl Package for Json {
    fn for_this_node(&mut self) -> Option<Arguments> {
        Some(Arguments::Encoded { encoding: Encoding::Json, bytes: self.0.clone() })
    }

    fn for_another_node(&self, out: &mut Vec<u8>) -> Option<Result<Encoding, Failure>> {
        out.extend_from_slice(&self.0);
        Some(Ok(Encoding::Json))
    }

    fn take_back(&mut self, _: Arguments) {}
}
