//! The operator's page: what the API tells, for a person.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, REFERRER_POLICY, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use host::Local;
use job::{Artifact, Job, Time};
use runner_page::{ErrorPage, Filter, Frame, JobPage, JobsPage, LoginPage, QueuePage, WorkersPage, path};
use runner_wire::{Stream, Why};
use serde::Deserialize;

use crate::body::{Form, Path, Words};
use crate::jobs::{again, find, page, stop};
use crate::principal::{Principal, SESSION, Transport, cookie, same_site};
use crate::problem::Refused;
use crate::router::{in_rate, in_time, known, private};
use crate::scope::Scope;
use crate::service::Api;
use crate::sight::Sight;
use crate::status::{known as workers_of, queued};
use crate::{artifacts, logs, tokens};

/// How long somebody who signed in stays so.
const SESSION_TIME: Duration = Duration::from_hours(12);
/// Jobs of one page.
const JOBS: u32 = 50;
/// Lines of each log that a page begins with.
const LINES: u32 = 200;
/// The longest artifact.json that is shown, in bytes.
const MAX_ARTIFACT: u64 = 8 << 20;

type App = State<Arc<Api>>;
type Answer = Result<Html<String>, Refused>;

pub(crate) fn router(api: &Arc<Api>, transport: Transport) -> Router<Arc<Api>> {
    let inside = Router::new()
        .route("/", get(jobs))
        .route(path::JOBS_FRAGMENT, get(jobs_fragment))
        .route("/ui/jobs/{id}", get(job))
        .route("/ui/fragments/jobs/{id}", get(job_fragment))
        .route("/ui/jobs/{id}/cancel", post(cancel))
        .route("/ui/jobs/{id}/rerun", post(rerun))
        .route("/ui/workers", get(workers))
        .route(path::WORKERS_FRAGMENT, get(workers_fragment))
        .route("/ui/queue", get(queue))
        .route(path::QUEUE_FRAGMENT, get(queue_fragment))
        .route(path::LOGOUT, post(logout))
        .route_layer(from_fn_with_state((Arc::clone(api), transport), signed_in));
    inside
        .route(path::LOGIN, get(login).post(sign_in))
        .route("/ui/assets/{hash}/{name}", get(asset))
        .layer(axum::middleware::from_fn(as_page))
}

/// Nothing but a known principal who may read gets in; others are shown where to sign in.
async fn signed_in(
    State((api, transport)): State<(Arc<Api>, Transport)>,
    mut request: Request,
    next: Next,
) -> Response {
    let asks_for_page = request.method().is_safe() && !request.uri().path().starts_with("/ui/fragments/");
    let known = known(&api, transport, request.method(), request.headers()).await;
    match known.and_then(|principal| principal.may(Scope::Read).map(|()| principal)) {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(refused) if refused.status == StatusCode::UNAUTHORIZED && asks_for_page => {
            Redirect::to(path::LOGIN).into_response()
        }
        Err(refused) => refused.into_response(),
    }
}

/// Whatever was answered becomes a page, with what a browser is to know about it.
async fn as_page(request: Request, next: Next) -> Response {
    let mut response = in_time(next.run(request)).await;
    if let Some(problem) = response.extensions_mut().remove::<runner_wire::Problem>() {
        let status = response.status();
        let page = ErrorPage { viewer: None, code: status.as_u16(), problem: &problem };
        response = (status, Html(page.render())).into_response();
    }
    let mut response = private(response);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(runner_page::CSP));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY"));
    response
}

/// How much of a page is asked for.
#[derive(Clone, Copy)]
enum Part {
    /// All of it.
    Whole,
    /// What changes by itself.
    Live,
}

impl Part {
    fn of(self, whole: impl FnOnce() -> String, live: impl FnOnce() -> String) -> Html<String> {
        Html(match self {
            Self::Whole => whole(),
            Self::Live => live(),
        })
    }
}

async fn jobs(State(api): App, who: Principal, Words(filter): Words<Filter>) -> Answer {
    jobs_page(&api, &who, &filter, Part::Whole).await
}

async fn jobs_fragment(State(api): App, who: Principal, Words(filter): Words<Filter>) -> Answer {
    jobs_page(&api, &who, &filter, Part::Live).await
}

async fn jobs_page(api: &Api, who: &Principal, filter: &Filter, part: Part) -> Answer {
    let sight = Sight::of(api).await?;
    let which = job_store::Filter {
        status: filter.status,
        repo: filter.repo_name.clone(),
        job_type: filter.job_type.clone(),
        before: filter.before.clone(),
        most: JOBS,
    };
    let (jobs, queue) = (page(api, &which, &sight).await?, queued(api).await?);
    let viewer = who.viewer();
    let frame = Frame { viewer: &viewer, now: sight.now };
    let page = JobsPage { frame, filter, jobs: &jobs, queue: &queue };
    Ok(part.of(|| page.render(), || page.fragment()))
}

async fn job(State(api): App, who: Principal, Path(id): Path<String>) -> Result<Response, Refused> {
    job_page(&api, &who, &id, Part::Whole).await
}

async fn job_fragment(State(api): App, who: Principal, Path(id): Path<String>) -> Result<Response, Refused> {
    job_page(&api, &who, &id, Part::Live).await
}

async fn job_page(api: &Api, who: &Principal, id: &str, part: Part) -> Result<Response, Refused> {
    let place = api.large.wait(&who.name).await;
    let job = find(api, id).await?;
    let events = api.store.events(&job.job_id).await?;
    let (artifact, files) = (artifact(api, &job).await?, artifacts::of(api, &job).await?);
    let mut ends = Vec::new();
    // What changes by itself is all but the log, which a script goes on with.
    let streams = if matches!(part, Part::Whole) { &[Stream::Stdout, Stream::Stderr][..] } else { &[] };
    for stream in streams {
        ends.push(logs::ending(api, &job, *stream, LINES).await?);
    }
    let sight = Sight::of(api).await?;
    let (viewer, view) = (who.viewer(), sight.view(job));
    let frame = Frame { viewer: &viewer, now: sight.now };
    let page = JobPage { frame, view: &view, events: &events, artifact: artifact.as_ref(), files: &files, logs: &ends };
    Ok(place.until_sent(part.of(|| page.render(), || page.fragment()).into_response()))
}

/// The proof of a job, where there is one that can be read.
async fn artifact(api: &Api, job: &Job) -> Result<Option<Artifact>, Refused> {
    let (id, epoch, name) = (&job.job_id, job.life.epoch, runner::desk::ARTIFACT);
    if !job.life.status.is_final() || epoch == 0 {
        return Ok(None);
    }
    let Some(size) = api.files.size(id, epoch, name).await?.filter(|size| *size <= MAX_ARTIFACT) else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < size {
        let piece = api.files.read(id, epoch, name, bytes.len() as u64..size).await?;
        if piece.is_empty() {
            return Ok(None);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(Artifact::parse(&bytes).ok())
}

async fn cancel(
    State(api): App,
    who: Principal,
    Path(id): Path<String>,
    Form(why): Form<Why>,
) -> Result<Redirect, Refused> {
    who.may(Scope::Submit)?;
    let job = stop(&api, &who, &id, why).await?;
    Ok(Redirect::to(&path::job(&job.job_id)))
}

async fn rerun(
    State(api): App,
    who: Principal,
    Path(id): Path<String>,
    Form(why): Form<Why>,
) -> Result<Redirect, Refused> {
    who.may(Scope::Submit)?;
    let job = again(&api, &who, &id, why).await?;
    Ok(Redirect::to(&path::job(&job.job_id)))
}

async fn workers(State(api): App, who: Principal) -> Answer {
    workers_page(&api, &who, Part::Whole).await
}

async fn workers_fragment(State(api): App, who: Principal) -> Answer {
    workers_page(&api, &who, Part::Live).await
}

async fn workers_page(api: &Api, who: &Principal, part: Part) -> Answer {
    let (workers, viewer) = (workers_of(api).await?, who.viewer());
    let frame = Frame { viewer: &viewer, now: api.store.now().await? };
    let page = WorkersPage { frame, workers: &workers.workers };
    Ok(part.of(|| page.render(), || page.fragment()))
}

async fn queue(State(api): App, who: Principal) -> Answer {
    queue_page(&api, &who, Part::Whole).await
}

async fn queue_fragment(State(api): App, who: Principal) -> Answer {
    queue_page(&api, &who, Part::Live).await
}

async fn queue_page(api: &Api, who: &Principal, part: Part) -> Answer {
    let (queue, viewer) = (queued(api).await?, who.viewer());
    let frame = Frame { viewer: &viewer, now: api.store.now().await? };
    let page = QueuePage { frame, queue: &queue };
    Ok(part.of(|| page.render(), || page.fragment()))
}

async fn login() -> Html<String> {
    Html(LoginPage::default().render())
}

/// What somebody who signs in sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    token: String,
}

/// A token in a form becomes a secret of its own in a cookie: the token itself is kept nowhere.
async fn sign_in(State(api): App, headers: HeaderMap, Form(form): Form<SignIn>) -> Result<Response, Refused> {
    same_site(&headers)?;
    let known = api.store.token(&tokens::hash(form.token.trim())).await?;
    let Some(token) = known.filter(|token| tokens::begun_with(token).is_none()) else {
        let page = LoginPage { error: Some("That token is not known, or it expired.") };
        return Ok((StatusCode::UNAUTHORIZED, Html(page.render())).into_response());
    };
    in_rate(&api, &token.name)?;
    let secret = tokens::secret(&Local::new());
    let end = api.store.now().await?.as_millis() + i64::try_from(SESSION_TIME.as_millis()).unwrap_or(0);
    let end = Time::from_millis(end).ok().into_iter().chain(token.expires_at).min();
    api.store.put_token(&tokens::session(&secret, token, end)).await?;
    let (secure, age) = (if by_https(&headers) { " Secure;" } else { "" }, SESSION_TIME.as_secs());
    let set = format!("{SESSION}={secret}; Path=/; HttpOnly; SameSite=Strict;{secure} Max-Age={age}");
    Ok(([(SET_COOKIE, set)], Redirect::to("/")).into_response())
}

/// As the proxy in front says. Who says it for themselves has a cookie that their browser sends less often.
fn by_https(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https")
}

async fn logout(State(api): App, headers: HeaderMap) -> Result<Response, Refused> {
    // Only what is known is ended: anything may stand in a cookie.
    if let Some(secret) = cookie(&headers)
        && api.store.token(&tokens::hash(secret)).await?.is_some()
    {
        let nobody = tokens::token(secret, "signed-out", &BTreeSet::new(), Some(api.store.now().await?));
        api.store.put_token(&nobody).await?;
    }
    let clear = format!("{SESSION}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    Ok(([(SET_COOKIE, clear)], Redirect::to(path::LOGIN)).into_response())
}

async fn asset(Path((hash, name)): Path<(String, String)>) -> Result<Response, Refused> {
    let found = runner_page::asset(&name).filter(|asset| asset.hash() == hash);
    let asset = found.ok_or_else(|| {
        Refused::new(StatusCode::NOT_FOUND, "no-route", "there is nothing here", "load the page again")
    })?;
    let headers = [
        (CONTENT_TYPE, asset.content_type.to_owned()),
        (ETAG, asset.etag()),
        (CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
    ];
    Ok((headers, asset.bytes).into_response())
}
