//! The table of routes as a router, and the guard before each handler.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use tokio::time::timeout;
use tower_http::catch_panic::CatchPanicLayer;

use crate::operation::{ALL, Operation};
use crate::principal::{Principal, Transport, authenticate};
use crate::problem::Refused;
use crate::service::Api;
use crate::{artifacts, jobs, logs, openapi, page, status};

/// How long an answer may take, where the client does not decide that.
const PATIENCE: Duration = Duration::from_secs(30);

/// All routes of the service, as they are reached through `transport`.
pub(crate) fn router(api: &Arc<Api>, transport: Transport) -> Router {
    let routes = ALL.into_iter().fold(Router::new(), |router, operation| {
        let gate = Gate { api: Arc::clone(api), transport, operation };
        router.route(operation.path, handler(operation).layer(from_fn_with_state(gate, guard)))
    });
    routes
        .merge(page::router(api, transport))
        .fallback(async || {
            Refused::new(StatusCode::NOT_FOUND, "no-route", "there is nothing here", "see /openapi.json")
        })
        .method_not_allowed_fallback(async || {
            let next = "see /openapi.json";
            Refused::new(StatusCode::METHOD_NOT_ALLOWED, "no-method", "this is not done here", next)
        })
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            let next = "report this with what you asked for";
            Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "panic", "this service has a bug", next).into_response()
        }))
        .with_state(Arc::clone(api))
}

fn handler(operation: Operation) -> MethodRouter<Arc<Api>> {
    match operation.name {
        "healthz" => get(status::healthz),
        "readyz" => get(status::readyz),
        "openapi" => get(openapi::show),
        "metrics" => get(status::metrics),
        "submit" => post(jobs::submit),
        "list" => get(jobs::list),
        "show" => get(jobs::show),
        "cancel" => post(jobs::cancel),
        "rerun" => post(jobs::rerun),
        "events" => get(jobs::events),
        "logs" => get(logs::tail),
        "logs_stream" => get(logs::stream),
        "artifacts" => get(artifacts::list),
        "artifact" => get(artifacts::get),
        "workers" => get(status::workers),
        "queue" => get(status::queue),
        "drain" => post(status::drain),
        "resume" => post(status::resume),
        name => unreachable!("the operation {name} has no handler"),
    }
}

/// What stands before a handler.
#[derive(Clone)]
struct Gate {
    api: Arc<Api>,
    transport: Transport,
    operation: Operation,
}

async fn guard(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let response = match admitted(&gate, &mut request).await {
        Err(refused) => refused.into_response(),
        Ok(()) if gate.operation.streams => next.run(request).await,
        Ok(()) => in_time(answer(&gate, request, next)).await,
    };
    gate.api.metrics.answered(gate.operation.name, response.status(), begun.elapsed());
    private(response)
}

async fn answer(gate: &Gate, request: Request, next: Next) -> Response {
    match request.extensions().get::<Principal>().filter(|_| gate.operation.large) {
        Some(who) => {
            let place = gate.api.large.wait(&who.name).await;
            place.until_sent(next.run(request).await)
        }
        None => next.run(request).await,
    }
}

async fn admitted(gate: &Gate, request: &mut Request) -> Result<(), Refused> {
    let Some(scope) = gate.operation.scope else { return Ok(()) };
    let principal = known(&gate.api, gate.transport, request.method(), request.headers()).await?;
    principal.may(scope)?;
    request.extensions_mut().insert(principal);
    Ok(())
}

/// Who asks, unless they ask too much.
pub(crate) async fn known(
    api: &Api,
    transport: Transport,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Principal, Refused> {
    let principal = authenticate(api, transport, method, headers).await?;
    in_rate(api, &principal.name)?;
    Ok(principal)
}

/// That somebody does not ask too much.
pub(crate) fn in_rate(api: &Api, name: &String) -> Result<(), Refused> {
    api.rates.check_key(name).map_err(|_| {
        let detail = format!("{name} asks too often");
        let refused = Refused::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail, "wait, then go on");
        refused.again_after(1)
    })
}

/// An answer, or that there was none in time.
pub(crate) async fn in_time(answer: impl Future<Output = Response>) -> Response {
    timeout(PATIENCE, answer).await.unwrap_or_else(|_| too_slow().into_response())
}

fn too_slow() -> Refused {
    let detail = format!("there was no answer within {} s", PATIENCE.as_secs());
    Refused::new(StatusCode::SERVICE_UNAVAILABLE, "too-slow", detail, "try again").again_after(1)
}

/// What is told to one is not for others, and is what it is called.
pub(crate) fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Who asks, as the guard found out.
impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        parts.extensions.get().cloned().ok_or_else(|| {
            let next = "report this with what you asked for";
            Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "no-principal", "nobody was asked who asks", next)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_handler_of_its_own_name_and_place() {
        for operation in ALL {
            drop(handler(operation));
            let same = ALL.iter().filter(|other| other.name == operation.name).count();
            let there = ALL.iter().filter(|it| it.path == operation.path && it.method == operation.method).count();
            assert_eq!((same, there), (1, 1), "{}", operation.name);
        }
    }
}
