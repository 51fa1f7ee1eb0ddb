//! Jobs: submitted, seen, stopped, run again.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use host::Local;
use job::life::MAX_ATTEMPTS;
use job::{Cancelled, Id, Job, Request, Status};
use job_store::{Filter, Stopped, Submission};
use runner::{Asked, Order};
use runner_wire::{Events, JobView, Jobs, Submit, Submitted, Why};
use serde::Deserialize;

use crate::body::{Document, Path, Words};
use crate::principal::Principal;
use crate::problem::Refused;
use crate::service::Api;
use crate::sight::{Sight, artifact_dir};

/// The longest idempotency key and the longest reason, in bytes.
const MAX_TEXT: usize = 500;
/// The most jobs of a page.
const MAX_PAGE: i64 = 200;
/// And where nobody says how many.
const PAGE: u32 = 50;

type App = State<Arc<Api>>;

/// `POST /jobs`
pub(crate) async fn submit(
    State(api): App,
    who: Principal,
    Document(asked): Document<Submit>,
) -> Result<(StatusCode, Json<Submitted>), Refused> {
    let (status, job) = match accept(&api, &who, asked, None).await? {
        Submission::New(job) => (StatusCode::CREATED, job),
        Submission::Known(job) => (StatusCode::OK, job),
    };
    Ok((status, Json(submitted(&job))))
}

fn submitted(job: &Job) -> Submitted {
    Submitted { job_id: job.job_id.clone(), artifact_dir: artifact_dir(job), status: job.life.status }
}

/// Has a job admitted and kept.
pub(crate) async fn accept(
    api: &Api,
    who: &Principal,
    asked: Submit,
    rerun_of: Option<Id>,
) -> Result<Submission, Refused> {
    let (priority, max_attempts) = (asked.priority.unwrap_or(0), asked.max_attempts.unwrap_or(MAX_ATTEMPTS));
    within("priority", priority, -100, 100)?;
    within("max_attempts", max_attempts, 1, 10)?;
    if asked.idempotency_key.as_ref().is_some_and(|key| key.is_empty() || !is_line(key)) {
        let detail = format!("idempotency_key is not 1 to {MAX_TEXT} bytes of plain text");
        return Err(Refused::bad("bad-idempotency-key", detail, "send another key, or none"));
    }
    let policy = api.policy().await?;
    let order = Order {
        by: &who.name,
        remote_url: asked.remote_url.as_deref(),
        priority,
        max_attempts,
        idempotency_key: asked.idempotency_key,
        rerun_of,
    };
    let asked = Asked { job: asked.job_type, repo: asked.repo_name, sha: asked.sha, params: asked.params };
    let submission = runner::submit(&Local::new(), api.store.as_ref(), &policy, asked, order).await?;
    if matches!(submission, Submission::New(_)) {
        api.metrics.submitted();
    }
    Ok(submission)
}

fn within(name: &str, value: impl Into<i64>, least: i64, most: i64) -> Result<(), Refused> {
    let value = value.into();
    if value >= least && value <= most {
        return Ok(());
    }
    let detail = format!("{name} {value} is not within {least}..={most}");
    Err(Refused::bad("out-of-bounds", detail, "send a number within the bounds"))
}

/// Short, and nothing in it that a terminal or a page would obey.
fn is_line(text: &str) -> bool {
    text.len() <= MAX_TEXT && !text.contains(['\n', '\t']) && outcome::printable(text) == text
}

/// Which jobs.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Which {
    status: Option<Status>,
    repo_name: Option<String>,
    job_type: Option<String>,
    before: Option<Id>,
    limit: Option<u32>,
}

/// `GET /jobs`
pub(crate) async fn list(State(api): App, Words(which): Words<Which>) -> Result<Json<Jobs>, Refused> {
    let most = which.limit.unwrap_or(PAGE);
    within("limit", most, 1, MAX_PAGE)?;
    let filter =
        Filter { status: which.status, repo: which.repo_name, job_type: which.job_type, before: which.before, most };
    Ok(Json(page(&api, &filter, &Sight::of(&api).await?).await?))
}

/// A page of jobs.
pub(crate) async fn page(api: &Api, filter: &Filter, sight: &Sight) -> Result<Jobs, Refused> {
    // One more tells whether there are more.
    let mut jobs = api.store.list(&Filter { most: filter.most + 1, ..filter.clone() }).await?;
    let more = jobs.len() > filter.most as usize;
    jobs.truncate(filter.most as usize);
    let next = jobs.last().filter(|_| more).map(|job| job.job_id.clone());
    Ok(Jobs { jobs: jobs.into_iter().map(|job| sight.view(job)).collect(), next })
}

/// The job of an id as it stands in a path. What is no id is no job.
pub(crate) async fn find(api: &Api, id: &str) -> Result<Job, Refused> {
    let id: Id = id.parse().map_err(|_| Refused::no_job())?;
    api.store.get(&id).await?.ok_or_else(Refused::no_job)
}

/// `GET /jobs/{id}`
pub(crate) async fn show(State(api): App, Path(id): Path<String>) -> Result<Json<JobView>, Refused> {
    let job = find(&api, &id).await?;
    Ok(Json(Sight::of(&api).await?.view(job)))
}

/// `GET /jobs/{id}/events`
pub(crate) async fn events(State(api): App, Path(id): Path<String>) -> Result<Json<Events>, Refused> {
    let job = find(&api, &id).await?;
    Ok(Json(Events { events: api.store.events(&job.job_id).await? }))
}

/// `POST /jobs/{id}/cancel`
pub(crate) async fn cancel(
    State(api): App,
    who: Principal,
    Path(id): Path<String>,
    Document(why): Document<Why>,
) -> Result<(StatusCode, Json<JobView>), Refused> {
    let job = stop(&api, &who, &id, why).await?;
    Ok((StatusCode::ACCEPTED, Json(Sight::of(&api).await?.view(job))))
}

/// Has a job stopped.
pub(crate) async fn stop(api: &Api, who: &Principal, id: &str, why: Why) -> Result<Job, Refused> {
    let job = find(api, id).await?;
    let why = reason(why)?.unwrap_or_else(|| "no reason was given".into());
    let wish = Cancelled { by: who.name.clone(), why };
    match api.store.cancel(&job.job_id, &wish).await? {
        Some(Stopped::Asked(job)) => Ok(job),
        // It was this wish that ended it: who asks twice did not get the first answer.
        Some(Stopped::Ended(job))
            if job.life.status == Status::Cancelled && job.life.cancel.as_ref() == Some(&wish) =>
        {
            Ok(job)
        }
        Some(Stopped::Ended(job)) => {
            let detail = format!("the job ended before: {}", job.life.status.as_str());
            Err(Refused::new(StatusCode::CONFLICT, "job-ended", detail, "there is nothing to stop"))
        }
        None => Err(Refused::no_job()),
    }
}

/// A reason for a timeline.
fn reason(why: Why) -> Result<Option<String>, Refused> {
    let why = why.why.map(|why| why.trim().to_owned()).filter(|why| !why.is_empty());
    if why.as_deref().is_some_and(|why| !is_line(why)) {
        let detail = format!("why is not a line of at most {MAX_TEXT} bytes of plain text");
        return Err(Refused::bad("bad-reason", detail, "say it shorter"));
    }
    Ok(why)
}

/// `POST /jobs/{id}/rerun`
pub(crate) async fn rerun(
    State(api): App,
    who: Principal,
    Path(id): Path<String>,
    Document(why): Document<Why>,
) -> Result<(StatusCode, Json<Submitted>), Refused> {
    Ok((StatusCode::CREATED, Json(submitted(&again(&api, &who, &id, why).await?))))
}

/// Submits what a job was asked for with once more.
pub(crate) async fn again(api: &Api, who: &Principal, id: &str, why: Why) -> Result<Job, Refused> {
    let job = find(api, id).await?;
    if !job.life.status.is_final() {
        let detail = format!("the job is {}", job.life.status.as_str());
        return Err(Refused::new(StatusCode::CONFLICT, "job-not-ended", detail, "wait for its end, or stop it"));
    }
    if let Some(why) = reason(why)? {
        tracing::info!(job = %job.job_id, by = who.name, why, "is run again");
    }
    let Request { job_type, repo_name, sha, params } = job.request;
    let asked = Submit {
        repo_name,
        remote_url: None,
        sha,
        job_type,
        idempotency_key: None,
        params: params.into_iter().collect::<BTreeMap<_, _>>(),
        priority: Some(job.priority),
        max_attempts: Some(job.life.max_attempts),
    };
    match accept(api, who, asked, Some(job.job_id)).await? {
        Submission::New(job) | Submission::Known(job) => Ok(job),
    }
}
