//! Why a request is not answered, as HTTP says it.

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use job_store::StoreError;
use outcome::{Exit, Failure};
use runner_wire::Problem;

/// Why a request is not answered.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) problem: Problem,
    /// Seconds after which it may be tried again.
    pub(crate) retry_after: Option<u64>,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, class: &str, detail: impl Into<String>, next: impl Into<String>) -> Self {
        let problem = Problem { detail: detail.into(), class: Some(class.to_owned()), next: Some(next.into()) };
        Self { status, problem, retry_after: None }
    }

    pub(crate) fn bad(class: &str, detail: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, class, detail, next)
    }

    /// The answer that clients of the first days know.
    pub(crate) fn no_job() -> Self {
        let problem = Problem { detail: "Job not found".into(), class: None, next: None };
        Self { status: StatusCode::NOT_FOUND, problem, retry_after: None }
    }

    pub(crate) fn again_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self.problem)).into_response();
        // What makes a page of it needs it once more.
        response.extensions_mut().insert(self.problem);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        let status = match failure.exit {
            Exit::Refused if failure.class == "idempotency-conflict" => StatusCode::CONFLICT,
            Exit::Done | Exit::Refused | Exit::Usage | Exit::SizeCap => StatusCode::BAD_REQUEST,
            Exit::NotReady | Exit::Infrastructure | Exit::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Exit::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            tracing::error!(class = %failure.class, "{}", failure.reason);
        }
        let refused = Self::new(status, &failure.class, failure.reason, failure.next);
        if status == StatusCode::SERVICE_UNAVAILABLE { refused.again_after(1) } else { refused }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Failure::from(error).into()
    }
}

impl From<job_files::FilesError> for Refused {
    fn from(error: job_files::FilesError) -> Self {
        Failure::from(error).into()
    }
}
