//! What a request carries, read strictly.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::Refused;

/// The longest body, in bytes.
pub(crate) const MAX_BYTES: usize = 64 << 10;

/// A body of JSON: exactly one document, every key known and named once.
pub(crate) struct Document<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Document<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        let bytes = whole(request.into_body()).await?;
        // An empty body is a document that says nothing.
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(bytes).map(Self).map_err(|error| {
            let detail = format!("the body is not what is asked for: {}", outcome::printable(&error.to_string()));
            Refused::bad("bad-body", detail, "send JSON as /openapi.json describes it")
        })
    }
}

/// All of a body.
pub(crate) async fn whole(body: Body) -> Result<Bytes, Refused> {
    axum::body::to_bytes(body, MAX_BYTES).await.map_err(|error| {
        if error.to_string().contains("length limit") {
            let detail = format!("the body is longer than {MAX_BYTES} bytes");
            Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail, "send less")
        } else {
            Refused::bad("bad-body", "the body did not come whole", "send it again")
        }
    })
}

/// A form of a page: every field known and named once.
pub(crate) struct Form<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts, Body::from(whole(body).await?));
        let read = axum::extract::Form::from_request(request, state).await;
        let axum::extract::Form(form) = read.map_err(|error| {
            let detail = outcome::printable(&error.body_text());
            Refused::bad("bad-form", detail, "load the page again, and send what it asks for")
        })?;
        Ok(Self(form))
    }
}

/// What a path names.
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let read = axum::extract::Path::from_request_parts(parts, state).await;
        let axum::extract::Path(named) = read.map_err(|error| {
            let detail = outcome::printable(&error.body_text());
            Refused::bad("bad-path", detail, "name it in UTF-8, percent-encoded")
        })?;
        Ok(Self(named))
    }
}

/// The query of a URL: every word known and said once.
pub(crate) struct Words<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Words<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let Query(words) = Query::try_from_uri(&parts.uri).map_err(|error| {
            let detail = outcome::printable(&error.body_text());
            Refused::bad("bad-query", detail, "ask as /openapi.json describes it")
        })?;
        Ok(Self(words))
    }
}
