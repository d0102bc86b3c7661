//! Answers that are no success: a JSON object `{"error": {"code", "message"}}`.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tonic::Code;

use crate::{InspectError, UnknownShard};

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn busy(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, code, message } = self;
        let error = json!({"error": {"code": code, "message": message}});
        (status, axum::Json(error)).into_response()
    }
}

impl From<InspectError> for Refusal {
    fn from(error: InspectError) -> Self {
        let (status, code) = match &error {
            InspectError::BadAddress { .. }
            | InspectError::Unreachable { .. }
            | InspectError::NotANode { .. }
            | InspectError::Malformed { .. } => (StatusCode::BAD_GATEWAY, "unreachable"),
            InspectError::TimedOut { .. } => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            InspectError::Refused { source, .. } | InspectError::NotDone { source, .. } => {
                refused(source.code())
            }
            InspectError::OrderInDoubt { .. } | InspectError::OrderUnanswered { .. } => {
                (StatusCode::GATEWAY_TIMEOUT, "in_doubt")
            }
        };
        Self::new(status, code, error.to_string())
    }
}

/// What a node's own refusal is in HTTP.
fn refused(code: Code) -> (StatusCode, &'static str) {
    match code {
        Code::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated"),
        Code::PermissionDenied => (StatusCode::FORBIDDEN, "permission_denied"),
        Code::NotFound => (StatusCode::NOT_FOUND, "not_found"),
        Code::InvalidArgument => (StatusCode::BAD_REQUEST, "bad_request"),
        Code::FailedPrecondition => (StatusCode::CONFLICT, "failed_precondition"),
        Code::ResourceExhausted => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        _ => (StatusCode::BAD_GATEWAY, "unreachable"),
    }
}

impl From<UnknownShard> for Refusal {
    fn from(unknown: UnknownShard) -> Self {
        Self::not_found(unknown.to_string())
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        let (status, text) = (rejection.status(), rejection.body_text());
        let code = match status {
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
            _ => "bad_request",
        };
        Self::new(status, code, text)
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

pub(super) async fn wrong_verb() -> Refusal {
    let message = "this path takes another method";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
