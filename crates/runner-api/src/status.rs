//! Whether the service is there, can do its work, and what it does.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use job_store::{Count, KnownWorker, Limits};
use outcome::Failure;
use runner_wire::{Check, Health, Queue, Ready, RepoQueue, Worker, Workers};
use rustix::fs::statvfs;
use tokio::task::spawn_blocking;

use crate::body::Path;
use crate::principal::Principal;
use crate::problem::Refused;
use crate::service::Api;
use crate::sight::running;

/// Less free space than this, in bytes, and jobs will fail for want of it.
const LEAST_FREE: u64 = 256 << 20;

type App = State<Arc<Api>>;

/// `GET /healthz`: it is there.
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { ok: true })
}

/// `GET /readyz`: whether a job that is submitted now would be run.
pub(crate) async fn readyz(State(api): App) -> (StatusCode, Json<Ready>) {
    let checks = vec![store(&api).await, worker(&api).await, policy(&api).await, disk(&api).await];
    let ok = checks.iter().all(|check| check.ok);
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ok, checks }))
}

fn check(name: &str, seen: Result<String, String>) -> Check {
    let ok = seen.is_ok();
    Check { name: name.to_owned(), ok, detail: seen.unwrap_or_else(|why| why) }
}

async fn store(api: &Api) -> Check {
    let now = api.store.now().await;
    check("store", now.map(|_| "answers".into()).map_err(|error| error.to_string()))
}

async fn worker(api: &Api) -> Check {
    let seen = match api.store.workers().await {
        Err(error) => Err(error.to_string()),
        Ok(workers) => {
            match workers.iter().filter(|worker| worker.alive && !worker.draining && worker.info.slots > 0).count() {
                0 => Err("no worker is there that takes jobs".into()),
                1 => Ok("1 worker takes jobs".into()),
                n => Ok(format!("{n} workers take jobs")),
            }
        }
    };
    check("worker", seen)
}

async fn policy(api: &Api) -> Check {
    let seen = api.policy().await.map(|policy| format!("{} repositories are allowed", policy.repos().len()));
    check("policy", seen.map_err(|refused| refused.problem.detail))
}

async fn disk(api: &Api) -> Check {
    let state = api.site.state.clone();
    let free = spawn_blocking(move || statvfs(&state)).await;
    let seen = match free {
        Ok(Ok(found)) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let said = format!("{} MiB are free", free >> 20);
            if free >= LEAST_FREE { Ok(said) } else { Err(said) }
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    check("disk", seen)
}

/// `GET /workers`
pub(crate) async fn workers(State(api): App) -> Result<Json<Workers>, Refused> {
    Ok(Json(known(&api).await?))
}

pub(crate) async fn known(api: &Api) -> Result<Workers, Refused> {
    let workers = api.store.workers().await?.into_iter().map(told);
    Ok(Workers { workers: workers.collect() })
}

fn told(known: KnownWorker) -> Worker {
    let KnownWorker { name, info, seen_at, alive, draining, running } = known;
    Worker {
        name,
        version: info.version,
        started_at: info.started_at,
        seen_at,
        alive,
        draining,
        slots: info.slots,
        running,
        policy_sha256: info.policy_sha256,
    }
}

/// `GET /queue`
pub(crate) async fn queue(State(api): App) -> Result<Json<Queue>, Refused> {
    Ok(Json(of(&api, api.store.counts().await?).await))
}

/// What waits and what runs, as it was a moment ago: for pages and metrics, which ask again and again.
pub(crate) async fn queued(api: &Api) -> Result<Queue, Refused> {
    Ok(of(api, api.counts.get(api.store.counts()).await?).await)
}

async fn of(api: &Api, counts: Vec<Count>) -> Queue {
    // Where the allowlists cannot be read, none is begun.
    let none = Limits { all: 0, each: 0, named: BTreeMap::new() };
    let limits = api.policy().await.map_or(none, |policy| runner::limits(&policy));
    let running: u64 = running(&counts).values().sum();
    let repos = counts.into_iter().map(|count| RepoQueue {
        max_running: limits.of(&count.repo),
        repo_name: count.repo,
        queued: count.queued,
        running: count.running,
    });
    let repos: Vec<RepoQueue> = repos.collect();
    let queued = repos.iter().map(|repo| repo.queued).sum();
    Queue { queued, running, max_running: limits.all, repos }
}

/// `POST /workers/{name}/drain`
pub(crate) async fn drain(api: App, who: Principal, name: Path<String>) -> Result<Json<Workers>, Refused> {
    set_draining(api, &who, name, true).await
}

/// `POST /workers/{name}/resume`
pub(crate) async fn resume(api: App, who: Principal, name: Path<String>) -> Result<Json<Workers>, Refused> {
    set_draining(api, &who, name, false).await
}

async fn set_draining(
    State(api): App,
    who: &Principal,
    Path(name): Path<String>,
    draining: bool,
) -> Result<Json<Workers>, Refused> {
    if !api.store.drain(&name, draining).await? {
        let detail = "there is no such worker";
        return Err(Refused::new(StatusCode::NOT_FOUND, "no-worker", detail, "see the list: GET /workers"));
    }
    tracing::info!(worker = name, by = who.name, draining, "was told");
    Ok(Json(known(&api).await?))
}

/// `GET /metrics`
pub(crate) async fn metrics(State(api): App) -> Result<impl IntoResponse, Refused> {
    api.metrics.see(&queued(&api).await?, &known(&api).await?);
    let text = api.metrics.text().map_err(|error| Failure::bug("metrics", error.to_string(), "report this"))?;
    Ok(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}
